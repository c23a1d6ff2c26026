//! One-off dynos over a server that stops: none is lost, and none runs twice.

use penstock::store::dynos::Dyno;
use penstock::store::one_offs::{self, NewOneOff};

use super::stage::Stage;

async fn ask(stage: &Stage) -> Dyno {
    let (app, now) = (stage.app.id, stage.clock.now());
    let new = NewOneOff {
        r#type: "run".to_owned(),
        command: "echo".to_owned(),
        env: Default::default(),
        size: "Basic",
        seconds: 60,
        attach: None,
    };
    let made = stage
        .store
        .write(move |connection| one_offs::create(connection, app, &new, now));
    made.await.unwrap()
}

#[tokio::test]
async fn one_that_was_asked_for_before_a_crash_is_run_once_after_it() {
    let stage = Stage::new().await;
    stage.deploy(&[("console", "irb")]).await;
    let dyno = ask(&stage).await;
    let (runtime, reconciler) = stage.scripted();
    reconciler.settle().await.unwrap();
    assert_eq!(runtime.running(), [format!("{} v3", dyno.name())]);
    // The server is killed here. Nobody knows how far the process came, so it is ended and not run again.
    drop(reconciler);
    let (runtime, reconciler) = stage.scripted();
    reconciler.settle().await.unwrap();
    assert!(runtime.running().is_empty());
    assert_eq!(stage.rows(), Vec::<String>::new());
}

#[tokio::test]
async fn one_that_was_launched_and_never_started_is_not_run_either() {
    let stage = Stage::new().await;
    stage.deploy(&[("console", "irb")]).await;
    let (dyno, now) = (ask(&stage).await.id, stage.clock.now());
    let launched = stage
        .store
        .write(move |connection| one_offs::launch(connection, dyno, now));
    assert!(launched.await.unwrap());
    let again = stage
        .store
        .write(move |connection| one_offs::launch(connection, dyno, now));
    assert!(!again.await.unwrap());
    let (runtime, reconciler) = stage.scripted();
    reconciler.settle().await.unwrap();
    assert!(runtime.running().is_empty());
    assert_eq!(stage.rows(), Vec::<String>::new());
}

#[tokio::test]
async fn one_that_waits_while_the_server_stops_is_run_by_the_next() {
    let stage = Stage::new().await;
    stage.deploy(&[("console", "irb")]).await;
    let dyno = ask(&stage).await;
    let (runtime, reconciler) = stage.scripted();
    // What a server does with the dynos of an earlier one, before it starts any.
    reconciler.take_up().await.unwrap();
    assert_eq!(stage.rows(), [format!("{} v3 starting", dyno.name())]);
    reconciler.settle().await.unwrap();
    assert_eq!(runtime.running(), [format!("{} v3", dyno.name())]);
}
