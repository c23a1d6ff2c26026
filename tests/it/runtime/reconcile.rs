//! The reconciler: over a scripted runtime and a held clock, and once over real processes.

use std::sync::Arc;

use penstock::name::Id;
use penstock::runtime::{Drain, Ended, Parting};
use penstock::store::dynos::{self, State};
use penstock::store::{Store, Table, addons, apps};
use tokio::sync::oneshot;

use super::local::open;
use super::soon;
use super::stage::Stage;

#[tokio::test]
async fn a_release_is_started_and_is_up_when_it_listens() {
    let stage = Stage::new().await;
    let (runtime, reconciler) = stage.scripted();
    stage
        .deploy(&[("web", "serve $PORT"), ("worker", "work")])
        .await;
    stage.scale("worker", 1).await;
    reconciler.settle().await.unwrap();
    assert_eq!(stage.rows(), ["web.1 v3 starting", "worker.1 v3 up"]);
    let web = runtime.launched("web.1 v3");
    assert_eq!(
        (web.port, web.command.as_str(), web.app_name.as_str()),
        (Some(1), "serve $PORT", "shop")
    );
    assert_eq!(runtime.launched("worker.1 v3").port, None);

    runtime.listen("web.1 v3");
    reconciler.settle().await.unwrap();
    assert_eq!(stage.rows(), ["web.1 v3 up", "worker.1 v3 up"]);
    let web: Vec<String> = stage
        .ground
        .lines(stage.app.id)
        .into_iter()
        .filter(|line| line.contains("[web.1]"))
        .collect();
    assert_eq!(
        web,
        [
            "heroku[web.1]: Starting process with command `serve 1`",
            "heroku[web.1]: State changed from starting to up"
        ]
    );
    assert_eq!(reconciler.tick().await.unwrap(), 0);
}

#[tokio::test]
async fn a_new_release_takes_over_only_when_all_of_it_is_up() {
    let stage = Stage::new().await;
    let (runtime, reconciler) = stage.scripted();
    stage.deploy(&[("web", "serve")]).await;
    stage.scale("web", 2).await;
    reconciler.settle().await.unwrap();
    runtime.listen("web.1 v3");
    runtime.listen("web.2 v3");
    reconciler.settle().await.unwrap();
    runtime.asked();
    let mut seen = 0;
    stage.told(&mut seen);

    stage.deploy(&[("web", "serve")]).await;
    reconciler.settle().await.unwrap();
    runtime.listen("web.1 v4");
    reconciler.settle().await.unwrap();
    assert_eq!(runtime.asked(), ["start web.1 v4", "start web.2 v4"]);
    assert_eq!(
        stage.rows(),
        [
            "web.1 v3 up",
            "web.1 v4 up",
            "web.2 v3 up",
            "web.2 v4 starting"
        ]
    );

    runtime.listen("web.2 v4");
    reconciler.settle().await.unwrap();
    assert_eq!(stage.rows(), ["web.1 v4 up", "web.2 v4 up"]);
    let asked = runtime.asked();
    for name in ["web.1 v3", "web.2 v3"] {
        let at = |what: &str| {
            asked
                .iter()
                .position(|asked| *asked == format!("{what} {name}"))
                .unwrap()
        };
        assert!(at("drain") < at("stop"), "{asked:?}");
    }
    let of_first = |line: &String| line.contains("[web.1]");
    let lines: Vec<String> = stage
        .ground
        .lines(stage.app.id)
        .into_iter()
        .filter(of_first)
        .collect();
    assert_eq!(
        lines[2..],
        [
            "heroku[web.1]: Restarting",
            "heroku[web.1]: State changed from up to starting",
            "heroku[web.1]: Starting process with command `serve`",
            "heroku[web.1]: State changed from starting to up",
            "heroku[web.1]: Stopping all processes with SIGTERM",
            "heroku[web.1]: Process exited with status 143",
        ]
    );
}

#[tokio::test]
async fn a_worker_is_stopped_before_its_successor_is_started() {
    let stage = Stage::new().await;
    let (runtime, reconciler) = stage.scripted();
    stage.deploy(&[("worker", "work")]).await;
    stage.scale("worker", 1).await;
    reconciler.settle().await.unwrap();
    stage.restart().await;
    reconciler.settle().await.unwrap();
    assert_eq!(
        runtime.asked(),
        [
            "take up 0",
            "start worker.1 v3",
            "stop worker.1 v3",
            "start worker.1 v3"
        ]
    );
    let mut seen = 2;
    assert_eq!(
        stage.told(&mut seen),
        [
            "Restarting",
            "State changed from up to starting",
            "Stopping all processes with SIGTERM",
            "Process exited with status 143",
            "Starting process with command `work`",
            "State changed from starting to up",
        ]
    );
}

#[tokio::test]
async fn a_dyno_that_had_to_be_killed_is_told_of() {
    let stage = Stage::new().await;
    let (runtime, reconciler) = stage.scripted();
    stage.deploy(&[("worker", "work")]).await;
    stage.scale("worker", 1).await;
    reconciler.settle().await.unwrap();
    runtime.end_with(Ended {
        status: Some(137),
        killed: true,
    });
    stage.scale("worker", 0).await;
    reconciler.settle().await.unwrap();
    let mut seen = 2;
    assert_eq!(
        stage.told(&mut seen),
        [
            "State changed from up to down",
            "Stopping all processes with SIGTERM",
            "Error R12 (Exit timeout) -> At least one process failed to exit within 30 seconds of SIGTERM",
            "Stopping remaining processes with SIGKILL",
            "Process exited with status 137",
        ]
    );
    assert!(stage.rows().is_empty());
}

#[tokio::test]
async fn whatever_state_a_dyno_is_in_the_log_says_that_it_is_down_when_it_is_scaled_away() {
    let stage = Stage::new().await;
    let (runtime, reconciler) = stage.scripted();
    stage.deploy(&[("web", "serve"), ("worker", "work")]).await;
    stage.scale("web", 0).await;
    let mut seen = 0;
    // Up.
    stage.scale("worker", 1).await;
    reconciler.settle().await.unwrap();
    stage.told(&mut seen);
    stage.scale("worker", 0).await;
    reconciler.settle().await.unwrap();
    let ending = [
        "Stopping all processes with SIGTERM",
        "Process exited with status 143",
    ];
    assert_eq!(
        stage.told(&mut seen),
        ["State changed from up to down", ending[0], ending[1]]
    );
    // On its way out to be started anew.
    stage.scale("worker", 1).await;
    reconciler.settle().await.unwrap();
    stage.told(&mut seen);
    stage.restart().await;
    reconciler.tick().await.unwrap();
    stage.scale("worker", 0).await;
    reconciler.settle().await.unwrap();
    assert_eq!(
        stage.told(&mut seen),
        [
            "Restarting",
            "State changed from up to starting",
            ending[0],
            ending[1],
            "State changed from starting to down",
        ]
    );
    // On its way up.
    stage.scale("web", 1).await;
    reconciler.settle().await.unwrap();
    stage.told(&mut seen);
    stage.scale("web", 0).await;
    reconciler.settle().await.unwrap();
    assert_eq!(
        stage.told(&mut seen)[0],
        "State changed from starting to down"
    );
    // Crashed, and waiting for its next start.
    stage.scale("worker", 1).await;
    reconciler.settle().await.unwrap();
    for _ in 0..2 {
        runtime.exit("worker.1 v3", 1);
        reconciler.settle().await.unwrap();
    }
    assert_eq!(stage.rows(), ["worker.1 v3 crashed"]);
    stage.told(&mut seen);
    stage.scale("worker", 0).await;
    reconciler.settle().await.unwrap();
    assert_eq!(
        stage.told(&mut seen),
        ["State changed from crashed to down"]
    );
    assert!(stage.rows().is_empty());
}

#[tokio::test]
async fn the_dynos_of_a_deleted_app_end_and_their_rows_go() {
    let stage = Stage::new().await;
    let (runtime, reconciler) = stage.scripted();
    stage.deploy(&[("web", "serve")]).await;
    reconciler.settle().await.unwrap();
    runtime.listen("web.1 v3");
    reconciler.settle().await.unwrap();
    let app = stage.app.clone();
    stage
        .store
        .write(move |connection| {
            let owner = addons::owner(connection, app.id)?;
            apps::delete(connection, &app, &owner, app.created_at)
        })
        .await
        .unwrap();
    reconciler.settle().await.unwrap();
    assert!(stage.rows().is_empty());
    assert!(runtime.running().is_empty());
}

#[tokio::test]
async fn a_dyno_on_its_way_out_is_seen_out_once_and_stopped_when_its_visitors_have_left() {
    let stage = Stage::new().await;
    let (runtime, reconciler) = stage.scripted();
    stage.deploy(&[("web", "serve")]).await;
    reconciler.settle().await.unwrap();
    runtime.listen("web.1 v3");
    reconciler.settle().await.unwrap();
    runtime.asked();
    runtime.visit(true);
    stage.scale("web", 0).await;
    assert_eq!(reconciler.tick().await.unwrap(), 1);
    for _ in 0..5 {
        assert_eq!(reconciler.tick().await.unwrap(), 0);
    }
    assert_eq!(stage.rows(), ["web.1 v3 down"]);
    assert_eq!(runtime.running(), ["web.1 v3"]);
    runtime.visit(false);
    reconciler.settle().await.unwrap();
    assert_eq!(runtime.asked(), ["drain web.1 v3", "stop web.1 v3"]);
    assert!(stage.rows().is_empty());
}

/// The router, when nobody visits.
struct NoVisitors;

impl Drain for NoVisitors {
    fn drained(&self, _: Id) -> futures_util::future::BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Waits until the one row is up, with another process than `than`; its process.
async fn up(store: &Store, than: Option<i64>) -> i64 {
    let mut changes = store.changes(&[Table::Dyno]);
    loop {
        changes.mark_unchanged();
        let rows = store.read(dynos::all).unwrap();
        if let [dyno] = &rows[..]
            && dyno.state == State::Up
            && dyno.pid.is_some()
            && dyno.pid != than
        {
            return dyno.pid.unwrap();
        }
        soon(changes.changed()).await.unwrap();
    }
}

/// Lets whatever is under way come as far as it can.
async fn others_go_on() {
    for _ in 0..50 {
        tokio::task::spawn_blocking(|| ()).await.unwrap();
    }
}

#[tokio::test]
async fn a_dyno_that_comes_up_just_when_the_server_stops_ends_with_it() {
    let stage = Stage::new().await;
    let (runtime, reconciler) = stage.scripted();
    let (goes_on, told) = oneshot::channel::<()>();
    runtime.meanwhile(async { told.await.unwrap() });
    stage.deploy(&[("worker", "work")]).await;
    stage.scale("worker", 1).await;
    reconciler.tick().await.unwrap();
    assert_eq!(stage.rows(), ["worker.1 v3 starting"]);
    // It is up, but that is not written yet when the server is told to stop.
    let turn = stage.store.turn().await;
    goes_on.send(()).unwrap();
    others_go_on().await;
    let stopping = tokio::spawn(reconciler.run(std::future::ready(Parting::End)));
    others_go_on().await;
    drop(turn);
    soon(stopping).await.unwrap();
    let nobody: [&str; 0] = [];
    assert_eq!(runtime.running(), nobody);
    assert_eq!(
        runtime.asked(),
        ["take up 0", "start worker.1 v3", "stop worker.1 v3"]
    );
}

#[tokio::test]
async fn a_real_web_server_comes_up_is_restarted_when_killed_and_ends_with_the_server() {
    let stage = Stage::new().await;
    let ground = &stage.ground;
    let (local, events) = open(ground, true);
    let reconciler = stage.reconciler(Arc::new(local), events, Arc::new(NoVisitors));
    let (shutdown, told) = oneshot::channel::<Parting>();
    let running = tokio::spawn(async move { reconciler.run(async { told.await.unwrap() }).await });
    stage
        .deploy(&[("web", "exec /usr/bin/env python3 -m http.server $PORT")])
        .await;
    let first = up(&stage.store, None).await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(first).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let second = up(&stage.store, Some(first)).await;
    shutdown.send(Parting::End).unwrap();
    soon(running).await.unwrap();
    // It is to be started by the next server.
    assert_eq!(stage.rows(), ["web.1 v3 crashed"]);
    assert!(!std::path::Path::new(&format!("/proc/{second}")).exists());
    let said = stage.ground.lines(stage.app.id);
    assert!(
        said.contains(&"heroku[web.1]: Process exited with status 137".to_owned()),
        "{said:#?}"
    );
    assert_eq!(
        std::fs::read_dir(stage.ground.path().join("dynos"))
            .unwrap()
            .count(),
        0
    );
}
