//! Dynos that take more memory than they have.

use std::time::Duration;

use penstock::runtime::{Ended, Runtime};

use super::local::Place;
use super::soon;
use super::stage::Stage;

const MEGABYTE: u64 = 1 << 20;

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
    // A hundred megabytes, which the second process shares with the first.
    let command =
        "exec perl -e '$x = \"x\" x 100_000_000; fork; $| = 1; print \"ready\\n\"; sleep 1000'";
    let launch = place.worker(command);
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
    // Were what they share counted for each of them, it would be twice as much.
    assert_eq!(over(used * 3 / 2).await, []);
}
