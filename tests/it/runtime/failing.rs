//! Dynos that crash, hang or cannot be started, and a server that was killed.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use penstock::runtime::{Ended, Event};
use penstock::store::dyno_ends;
use penstock::store::dynos::{self, State};

use super::stage::Stage;

#[tokio::test]
async fn a_crashed_dyno_is_started_again_after_waits_that_grow_until_it_was_up_for_a_minute() {
    let stage = Stage::new().await;
    let (runtime, reconciler) = stage.scripted();
    stage.deploy(&[("worker", "work")]).await;
    stage.scale("worker", 1).await;
    reconciler.settle().await.unwrap();
    // The first time at once, also after an exit with 0.
    runtime.exit("worker.1 v3", 0);
    reconciler.settle().await.unwrap();
    assert_eq!(stage.rows(), ["worker.1 v3 up"]);
    for wait in [1, 2, 4] {
        runtime.exit("worker.1 v3", 1);
        reconciler.settle().await.unwrap();
        stage
            .clock
            .advance(Duration::from_secs(wait) - Duration::from_micros(1));
        reconciler.settle().await.unwrap();
        assert_eq!(
            (stage.rows(), runtime.running().len()),
            (vec!["worker.1 v3 crashed".into()], 0)
        );
        stage.clock.advance(Duration::from_micros(1));
        reconciler.settle().await.unwrap();
        assert_eq!(runtime.running(), ["worker.1 v3"]);
    }
    stage.clock.advance(Duration::from_secs(60));
    runtime.exit("worker.1 v3", 1);
    reconciler.settle().await.unwrap();
    assert_eq!(runtime.running(), ["worker.1 v3"]);
    let mut seen = 2;
    let told = stage.told(&mut seen);
    assert_eq!(
        told[..3],
        [
            "Process exited with status 0",
            "State changed from up to crashed",
            "State changed from crashed to starting"
        ]
    );
}

/// What the server's own log would have.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_start_that_fails_is_an_error_unless_its_app_was_deleted_meanwhile() {
    let said = Said::default();
    let writer = said.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone());
    let _listens = tracing::subscriber::set_default(subscriber.finish());
    let stage = Stage::new().await;
    let (runtime, reconciler) = stage.scripted();
    stage.deploy(&[("worker", "work")]).await;
    stage.scale("worker", 1).await;
    runtime.fail(true);
    runtime.meanwhile(stage.deletion());
    reconciler.settle().await.unwrap();
    assert_eq!(runtime.asked(), ["take up 0", "start worker.1 v3"]);
    assert_eq!(stage.rows(), Vec::<String>::new());
    let text = || String::from_utf8(said.0.lock().unwrap().clone()).unwrap();
    assert!(!text().contains("ERROR"), "{}", text());
    let stage = Stage::new().await;
    let (runtime, reconciler) = stage.scripted();
    stage.deploy(&[("worker", "work")]).await;
    stage.scale("worker", 1).await;
    runtime.fail(true);
    reconciler.settle().await.unwrap();
    assert_eq!(stage.rows(), ["worker.1 v3 crashed"]);
    assert!(text().contains("a dyno could not be started"), "{}", text());
}

#[tokio::test]
async fn a_web_dyno_that_does_not_listen_is_killed_and_the_old_release_serves_on() {
    let stage = Stage::new().await;
    let (runtime, reconciler) = stage.scripted();
    stage.deploy(&[("web", "serve")]).await;
    reconciler.settle().await.unwrap();
    runtime.listen("web.1 v3");
    stage.deploy(&[("web", "hang")]).await;
    reconciler.settle().await.unwrap();
    runtime.end_with(Ended {
        status: Some(137),
        killed: false,
    });
    let mut seen = 0;
    stage.told(&mut seen);
    runtime.time_out("web.1 v4");
    reconciler.settle().await.unwrap();
    assert_eq!(
        stage.told(&mut seen)[..7],
        [
            "Error R10 (Boot timeout) -> Web process failed to bind to $PORT within 60 seconds of launch",
            "Stopping process with SIGKILL",
            "Process exited with status 137",
            "State changed from starting to crashed",
            "Release v4 does not come up, so v3 goes on serving: web.1 did not come up in time. Last probe: nobody listens on port 9",
            "Last output: one",
            "Last output: two",
        ]
    );
    assert_eq!(
        stage.output_of(runtime.launched("web.1 v4").release),
        " !     Release v4 does not come up: web.1 did not come up in time. Last probe: nobody listens on port 9\n \
         !     The last that web.1 has printed:\n       one\n       two\n \
         !     v3 goes on serving, and v4 is tried again.\n"
    );
    // It is told once, however often it is tried.
    runtime.exit("web.1 v4", 1);
    reconciler.settle().await.unwrap();
    let told = stage.told(&mut seen);
    assert!(
        told.iter()
            .any(|line| line == "State changed from starting to crashed")
    );
    assert!(
        !told.iter().any(|line| line.starts_with("Release v4")),
        "{told:?}"
    );
    let output = stage.output_of(runtime.launched("web.1 v3").release);
    assert_eq!(output, "", "the one that is well has nothing to say");
    stage.clock.advance(Duration::from_secs(1));
    reconciler.settle().await.unwrap();
    assert_eq!(stage.rows(), ["web.1 v3 up", "web.1 v4 starting"]);
    // Whatever is wrong with the new release, a further one takes its place.
    stage.deploy(&[("web", "serve")]).await;
    reconciler.settle().await.unwrap();
    runtime.listen("web.1 v5");
    reconciler.settle().await.unwrap();
    assert_eq!(
        (stage.rows(), runtime.running()),
        (vec!["web.1 v5 up".into()], vec!["web.1 v5".into()])
    );
}

#[tokio::test]
async fn a_dyno_that_cannot_be_started_is_tried_again() {
    let stage = Stage::new().await;
    let (runtime, reconciler) = stage.scripted();
    runtime.fail(true);
    stage.deploy(&[("web", "serve")]).await;
    reconciler.settle().await.unwrap();
    assert_eq!(stage.rows(), ["web.1 v3 crashed"]);
    let mut seen = 1;
    let told = stage.told(&mut seen);
    assert_eq!(
        told[..2],
        [
            "Error R99 (Platform error) -> Couldn't find that blob.",
            "State changed from starting to crashed"
        ]
    );
    runtime.fail(false);
    stage.clock.advance(Duration::from_secs(60));
    reconciler.settle().await.unwrap();
    assert_eq!(runtime.running(), ["web.1 v3"]);
}

#[tokio::test]
async fn after_the_server_was_killed_what_should_run_runs_once() {
    let stage = Stage::new().await;
    let (runtime, first) = stage.scripted();
    stage.deploy(&[("web", "serve"), ("worker", "work")]).await;
    stage.scale("worker", 1).await;
    first.settle().await.unwrap();
    runtime.listen("web.1 v3");
    first.settle().await.unwrap();
    stage.scale("web", 0).await;
    // Killed in the middle of a stop: the row says down, and nobody is at it.
    let web = runtime.launched("web.1 v3").dyno;
    let now = stage.clock.now();
    let marked = stage
        .store
        .write(move |c| dyno_ends::retire(c, web, State::Up, false, now));
    assert!(marked.await.unwrap());
    drop(first);

    let (next, reconciler) = stage.scripted();
    reconciler.settle().await.unwrap();
    assert_eq!(next.asked(), ["take up 2", "start worker.1 v3"]);
    assert_eq!(stage.rows(), ["worker.1 v3 up"]);
}

#[tokio::test]
async fn what_is_said_late_or_twice_changes_nothing() {
    let stage = Stage::new().await;
    let (runtime, reconciler) = stage.scripted();
    stage.deploy(&[("web", "serve")]).await;
    reconciler.settle().await.unwrap();
    let dyno = runtime.launched("web.1 v3").dyno;
    runtime.exit("web.1 v3", 1);
    reconciler.settle().await.unwrap();
    runtime.exit("web.1 v3", 1);
    reconciler.settle().await.unwrap();
    assert_eq!(stage.rows(), ["web.1 v3 crashed"]);
    let mut seen = 0;
    stage.told(&mut seen);
    runtime.say(Event::Exited { dyno, status: 1 });
    runtime.say(Event::Listening { dyno });
    runtime.say(Event::BootTimeout { dyno });
    let crashed = stage.store.read(dynos::all).unwrap()[0].id;
    runtime.say(Event::Listening { dyno: crashed });
    runtime.say(Event::BootTimeout { dyno: crashed });
    runtime.say(Event::Exited {
        dyno: crashed,
        status: 1,
    });
    runtime.asked();
    reconciler.settle().await.unwrap();
    assert_eq!(stage.rows(), ["web.1 v3 crashed"]);
    assert_eq!(stage.store.read(dynos::all).unwrap()[0].crashes, 2);
    assert!(stage.told(&mut seen).is_empty());
    assert!(runtime.asked().is_empty());
}

/// The one blob that there is.
fn only_blob(stage: &Stage) -> std::path::PathBuf {
    let blobs = std::fs::read_dir(stage.ground.path().join("blobs")).unwrap();
    let folders = blobs.map(|folder| folder.unwrap().path());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let found: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

#[tokio::test]
async fn a_slug_that_the_disk_has_altered_is_a_checksum_error_whatever_can_still_be_read() {
    // Gzip notices the first; the second is in a part of its header that means nothing.
    for at in [40, 9] {
        let stage = Stage::new().await;
        let (local, events) = super::local::open(&stage.ground, true);
        let drain = Arc::new(super::scripted::Scripted::new().0);
        let reconciler = stage.reconciler(Arc::new(local), events, drain);
        stage.deploy(&[("worker", "sleep 1000")]).await;
        let slug = only_blob(&stage);
        let mut bytes = std::fs::read(&slug).unwrap();
        bytes[at] ^= 0x10;
        std::fs::write(&slug, &bytes).unwrap();
        stage.scale("worker", 1).await;
        reconciler.settle().await.unwrap();
        assert_eq!(stage.rows(), ["worker.1 v3 crashed"]);
        let expected = slug.file_name().unwrap().to_str().unwrap();
        let actual = penstock::blob::Digest::of(&bytes);
        let mut seen = 0;
        let told = stage.told(&mut seen);
        let words = format!(
            "Error R17 (Checksum error) -> Checksum does match expected value. Expected: SHA256:{expected} Actual: SHA256:{actual}"
        );
        assert!(told.contains(&words), "{told:?}");
        assert!(!told.iter().any(|line| line.contains("R99")), "{told:?}");
        assert_eq!(
            super::local::folders(&stage.ground),
            0,
            "nothing is left of it"
        );
    }
}
