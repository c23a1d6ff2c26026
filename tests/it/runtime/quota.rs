//! Dynos that take more memory than they have.

use std::time::Duration;

use nix::unistd::geteuid;
use penstock::runtime::{Ended, Isolation, Launch, Runtime};
use penstock::sandbox::cgroup::{Cgroup, Controller};
use penstock::sandbox::{Level, Settings};

use super::local::{Place, launch, open_isolated};
use super::stage::Stage;
use super::{Ground, soon};

const MEGABYTE: u64 = 1 << 20;
/// A hundred megabytes, which the second process shares with the first.
const HUNDRED: &str =
    "exec perl -e '$x = \"x\" x 100_000_000; fork; $| = 1; print \"ready\\n\"; sleep 1000'";

#[tokio::test]
async fn too_much_is_told_now_and_then_and_far_too_much_is_the_end() {
    let stage = Stage::new().await;
    let (runtime, reconciler) = stage.scripted();
    stage.deploy(&[("worker", "work")]).await;
    stage.scale("worker", 2).await;
    reconciler.settle().await.unwrap();
    let mut seen = 0;
    stage.told(&mut seen);
    reconciler.check_memory().await;
    assert!(stage.told(&mut seen).is_empty());
    runtime.use_memory("worker.1 v3", 150);
    for (wait, lines) in [(0, 2), (19, 0), (1, 2)] {
        stage.clock.advance(Duration::from_secs(wait));
        reconciler.check_memory().await;
        let told = stage.told(&mut seen);
        assert_eq!(told.len(), lines, "{told:?}");
        if lines > 0 {
            assert_eq!(
                told,
                [
                    "Process running mem=767M(150.0%)",
                    "Error R14 (Memory quota exceeded)"
                ]
            );
        }
    }
    runtime.use_memory("worker.1 v3", 201);
    runtime.end_with(Ended {
        status: Some(137),
        killed: false,
    });
    reconciler.check_memory().await;
    reconciler.settle().await.unwrap();
    assert_eq!(
        stage.told(&mut seen)[..5],
        [
            "Process running mem=1029M(201.0%)",
            "Error R15 (Memory quota vastly exceeded)",
            "Stopping process with SIGKILL",
            "Process exited with status 137",
            "State changed from up to crashed",
        ]
    );
    // As after any crash, the next one begins at once.
    assert_eq!(stage.rows(), ["worker.1 v3 up", "worker.2 v3 up"]);
}

#[tokio::test]
async fn the_memory_of_all_processes_of_a_dyno_is_counted_and_what_they_share_but_once() {
    let place = Place::new();
    let launch = place.worker(HUNDRED);
    let dyno = launch.dyno;
    soon(place.local.start(launch.clone())).await.unwrap();
    while place.ground.printed(launch.app).len() < 2 {
        place.ground.said(launch.app, "ready").await;
        tokio::task::yield_now().await;
    }
    let over = async |quota| soon(place.local.over_quota(vec![(dyno, quota * MEGABYTE)])).await;
    let found = over(50).await;
    assert_eq!((found.len(), found[0].0), (1, dyno));
    let used = found[0].1 / MEGABYTE;
    assert!(used >= 95, "{used} MB");
    // That is what runtime metrics tell of, too.
    let usage = soon(place.local.usage(vec![dyno])).await;
    assert_eq!((usage.len(), usage[0].0), (1, dyno));
    assert!(usage[0].1.memory / MEGABYTE >= 95, "{usage:?}");
    // Were what they share counted for each of them, it would be twice as much.
    assert_eq!(over(used * 3 / 2).await, []);
}

#[tokio::test]
async fn a_dyno_with_a_control_group_takes_what_the_kernel_counts_for_that() {
    let ground = Ground::new();
    let isolation = || Isolation::new(Level::Full, Settings::default(), ground.path());
    let launch = Launch {
        uid: Some(20_778),
        ..launch(ground.slug(&[("hello.txt", "hello\n")]), HUNDRED)
    };
    let (dyno, app) = (launch.dyno, launch.app);
    let cgroup = isolation().cgroup(dyno);
    if !geteuid().is_root() || !cgroup.is_some_and(|cgroup| counts_memory(&cgroup)) {
        return;
    }
    let (local, _events) = open_isolated(&ground, true, isolation());
    soon(local.start(launch)).await.unwrap();
    while ground.printed(app).len() < 2 {
        ground.said(app, "ready").await;
        tokio::task::yield_now().await;
    }
    let found = soon(local.over_quota(vec![(dyno, 50 * MEGABYTE)])).await;
    let counted = isolation().cgroup(dyno).unwrap().usage().unwrap();
    assert_eq!(found, [(dyno, counted.memory.unwrap())]);
    assert!(counted.memory.unwrap() > 95 * MEGABYTE);
    soon(local.stop(dyno, Duration::ZERO)).await;
}

fn counts_memory(cgroup: &Cgroup) -> bool {
    let mut groups = cgroup.groups.iter();
    groups.any(|group| group.controllers.contains(&Controller::Memory))
}
