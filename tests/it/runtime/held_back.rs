//! A release that does not come up, and the one before it that serves meanwhile, whatever happens to its dynos.

use std::time::Duration;

use penstock::runtime::{Parting, Reconciler};

use super::scripted::Scripted;
use super::stage::Stage;

/// An app whose v3 serves and whose v4 has crashed on its way up.
async fn held_back() -> (Stage, Scripted, Reconciler) {
    let stage = Stage::new().await;
    let (runtime, reconciler) = stage.scripted();
    stage.deploy(&[("web", "serve")]).await;
    reconciler.settle().await.unwrap();
    runtime.listen("web.1 v3");
    stage.deploy(&[("web", "crash")]).await;
    reconciler.settle().await.unwrap();
    for _ in 0..2 {
        runtime.exit("web.1 v4", 1);
        reconciler.settle().await.unwrap();
    }
    assert_eq!(stage.rows(), ["web.1 v3 up", "web.1 v4 crashed"]);
    (stage, runtime, reconciler)
}

/// Whoever serves is there again, and the newer release goes on being tried until it comes up and takes over.
async fn goes_on(stage: &Stage) {
    let (runtime, reconciler) = stage.scripted();
    stage.clock.advance(Duration::from_secs(60));
    reconciler.settle().await.unwrap();
    let both = ["web.1 v3", "web.1 v4"];
    assert_eq!(runtime.running(), both);
    let again = runtime.launched("web.1 v3");
    assert_eq!(again.command, "serve");
    assert_eq!(again.release_version, 3);
    runtime.listen("web.1 v3");
    reconciler.settle().await.unwrap();
    for wait in [2, 4, 8] {
        runtime.exit("web.1 v4", 1);
        reconciler.settle().await.unwrap();
        assert_eq!(stage.rows()[0], "web.1 v3 up");
        stage.clock.advance(Duration::from_secs(wait * 2));
        reconciler.settle().await.unwrap();
        assert_eq!(runtime.running(), both);
    }
    runtime.listen("web.1 v4");
    reconciler.settle().await.unwrap();
    assert_eq!(stage.rows(), ["web.1 v4 up"]);
    assert_eq!(runtime.running(), ["web.1 v4"]);
}

#[tokio::test]
async fn after_a_reboot_the_release_that_served_serves_while_the_newer_one_is_tried() {
    let (stage, _, reconciler) = held_back().await;
    let mut seen = 0;
    stage.told(&mut seen);
    drop(reconciler);
    let (_, next) = stage.scripted();
    next.settle().await.unwrap();
    // Nobody was told of an end, so nothing is said of one.
    let told = stage.told(&mut seen);
    assert_eq!(told, ["Starting process with command `serve`"]);
    drop(next);
    // And after another reboot before it was up again.
    goes_on(&stage).await;
}

#[tokio::test]
async fn a_release_that_served_before_a_reboot_serves_though_a_broken_one_came_before_it_was_up_again()
 {
    let stage = Stage::new().await;
    let (runtime, reconciler) = stage.scripted();
    stage.deploy(&[("web", "serve")]).await;
    reconciler.settle().await.unwrap();
    runtime.listen("web.1 v3");
    reconciler.settle().await.unwrap();
    drop((runtime, reconciler));
    let (runtime, reconciler) = stage.scripted();
    reconciler.settle().await.unwrap();
    assert_eq!(stage.rows(), ["web.1 v3 starting"]);
    stage.deploy(&[("web", "crash")]).await;
    reconciler.settle().await.unwrap();
    assert_eq!(stage.rows(), ["web.1 v3 starting", "web.1 v4 starting"]);
    runtime.exit("web.1 v4", 1);
    runtime.listen("web.1 v3");
    reconciler.settle().await.unwrap();
    assert_eq!(stage.rows(), ["web.1 v3 up", "web.1 v4 starting"]);
}

#[tokio::test]
async fn when_a_server_ended_its_dynos_the_release_that_served_serves_at_the_next_start() {
    let (stage, runtime, reconciler) = held_back().await;
    reconciler.run(async { Parting::End }).await;
    assert_eq!(runtime.running(), Vec::<String>::new());
    goes_on(&stage).await;
    // It was not remembered for longer than it served.
    let (_, reconciler) = stage.scripted();
    reconciler.settle().await.unwrap();
    assert_eq!(stage.rows(), ["web.1 v4 starting"]);
}

#[tokio::test]
async fn a_release_that_serves_in_place_of_a_newer_one_is_started_again_when_it_crashes() {
    let (stage, runtime, reconciler) = held_back().await;
    let mut seen = 0;
    stage.told(&mut seen);
    runtime.exit("web.1 v3", 137);
    reconciler.settle().await.unwrap();
    assert_eq!(stage.rows()[0], "web.1 v3 starting");
    runtime.listen("web.1 v3");
    reconciler.settle().await.unwrap();
    assert_eq!(stage.rows()[0], "web.1 v3 up");
    assert_eq!(
        stage.told(&mut seen)[..5],
        [
            "Process exited with status 137",
            "State changed from up to crashed",
            "State changed from crashed to starting",
            "Starting process with command `serve`",
            "State changed from starting to up",
        ]
    );
    drop((runtime, reconciler));
    goes_on(&stage).await;
}

#[tokio::test]
async fn what_is_scaled_to_nothing_is_not_started_again_after_a_reboot() {
    let (stage, runtime, reconciler) = held_back().await;
    runtime.visit(true);
    stage.scale("web", 0).await;
    reconciler.tick().await.unwrap();
    assert_eq!(stage.rows(), ["web.1 v3 down"]);
    drop(reconciler);
    let (next, reconciler) = stage.scripted();
    reconciler.settle().await.unwrap();
    assert_eq!(stage.rows(), Vec::<String>::new());
    stage.scale("web", 1).await;
    reconciler.settle().await.unwrap();
    assert_eq!(next.running(), ["web.1 v4"]);
}
