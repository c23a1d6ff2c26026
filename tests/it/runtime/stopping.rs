//! The end of dynos in the local runtime: asked for, by force, and after a server that was killed.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use futures_util::FutureExt;
use penstock::name::Id;
use penstock::runtime::{Ended, Event, Launch, Runtime};
use penstock::store::dynos::{Dyno, State};
use penstock::time::Timestamp;

use super::local::{GRACE, Place, folders, is_alive, launch, open};
use super::{Ground, processes_of, serve, soon};
use crate::binary::processes;
use crate::starved;

/// The row of a dyno, as an earlier server would have left it.
pub fn row(launch: &Launch, pid: Option<i64>) -> Dyno {
    let now = Timestamp::from_micros(0);
    Dyno {
        id: launch.dyno,
        app_id: launch.app,
        release_id: launch.release,
        release_version: launch.release_version,
        r#type: launch.r#type.clone(),
        ordinal: 1,
        size: launch.size.clone(),
        command: launch.command.clone(),
        state: State::Up,
        port: launch.port,
        pid,
        crashes: 0,
        start_at: None,
        restart: false,
        served: false,
        one_off: false,
        launched: true,
        inside: None,
        expires_at: None,
        attach: None,
        address: None,
        created_at: now,
        updated_at: now,
    }
}

/// What a dyno reads at `$FIFO`, once somebody writes it there.
fn fifo(place: &Place, launch: &mut Launch) -> PathBuf {
    let fifo = place.ground.path().join(format!("fifo-{}", launch.dyno));
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let path = fifo.display().to_string();
    launch.config_vars.insert("FIFO".into(), path);
    fifo
}

#[tokio::test]
async fn a_dyno_that_is_stopped_may_finish_what_it_does_and_no_exit_is_reported() {
    let mut place = Place::new();
    let launch = place.worker("trap 'echo bye; exit 7' TERM; sleep 1000 & echo ready; wait");
    soon(place.local.start(launch.clone())).await.unwrap();
    place.ground.said(launch.app, "ready").await;
    let ended = soon(place.local.stop(launch.dyno, GRACE)).await;
    assert_eq!(
        ended,
        Ended {
            status: Some(7),
            killed: false
        }
    );
    assert_eq!(place.ground.printed(launch.app), ["ready", "bye"]);
    assert!(processes_of(launch.dyno).is_empty());
    assert!(place.events.try_recv().is_err());
    assert_eq!(place.folders(), 0);
}

#[tokio::test]
async fn a_child_that_outlives_its_parent_has_the_rest_of_the_grace() {
    let mut place = Place::new();
    let child = "trap 'sleep 0.2; echo drained' TERM; sleep 1000 & echo ready; wait; wait";
    let launch = place.worker(&format!("bash -c \"{child}\" & wait"));
    soon(place.local.start(launch.clone())).await.unwrap();
    place.ground.said(launch.app, "ready").await;
    let ended = soon(place.local.stop(launch.dyno, GRACE)).await;
    assert_eq!(
        ended,
        Ended {
            status: Some(143),
            killed: false
        }
    );
    assert_eq!(place.ground.printed(launch.app), ["ready", "drained"]);
    assert!(place.events.try_recv().is_err());
}

#[tokio::test]
async fn a_dyno_that_ignores_sigterm_is_killed_after_its_grace() {
    let place = Place::new();
    let launch = place.worker("trap '' TERM; echo ready; while :; do sleep 1000; done");
    soon(place.local.start(launch.clone())).await.unwrap();
    place.ground.said(launch.app, "ready").await;
    let ended = soon(place.local.stop(launch.dyno, Duration::from_millis(50))).await;
    assert_eq!(
        ended,
        Ended {
            status: Some(137),
            killed: true
        }
    );
    assert!(processes_of(launch.dyno).is_empty());
}

/// Whoever has no patience left may say so at any moment of a start.
#[tokio::test]
async fn a_start_that_is_given_up_in_haste_leaves_nothing_running() {
    let place = Place::new();
    let mut given_up = 0;
    for moments in (0..20_000).step_by(500) {
        let launch = place.worker("sleep 1000");
        let (dyno, haste) = (launch.dyno, launch.haste.clone());
        let calling = async {
            for _ in 0..moments {
                tokio::task::yield_now().await;
            }
            haste.call_for();
        };
        let (started, ()) = tokio::join!(place.local.start(launch), calling);
        match started {
            Ok(_) => drop(soon(place.local.stop(dyno, Duration::ZERO)).await),
            Err(_) => given_up += 1,
        }
        assert_eq!(processes_of(dyno), [0; 0]);
    }
    assert!(given_up > 0);
    let shims = processes::shims(place.ground.path());
    assert!(shims.is_empty(), "{shims:?}");
}

/// What it prints before that is not lost, either.
#[tokio::test]
async fn a_dyno_that_runs_before_its_start_is_known_has_its_grace_in_haste() {
    let place = Place::new();
    let mut launch =
        place.worker("trap 'echo bye; exit 7' TERM; sleep 1000 & echo ready; touch $FILE; wait");
    let file = place.ground.path().join("ready");
    let path = file.display().to_string();
    launch.config_vars.insert("FILE".into(), path);
    let (dyno, app, haste) = (launch.dyno, launch.app, launch.haste.clone());
    let shim = place.ground.path().join(format!("dynos/{dyno}/shim.sock"));
    let mut starting = place.local.start(launch);
    // From then on the dyno needs nobody but its shim, and nobody asks that.
    soon(async {
        while !shim.exists() {
            assert!(starting.as_mut().now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        while !file.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    haste.call_for();
    soon(starting).await.unwrap();
    let ended = soon(place.local.stop(dyno, GRACE)).await;
    assert_eq!((ended.status, ended.killed), (Some(7), false));
    assert_eq!(place.ground.printed(app), ["ready", "bye"]);
}

#[tokio::test]
async fn who_left_the_process_group_is_ended_too() {
    let mut place = Place::new();
    let escape = "setsid sh -c 'trap \"\" TERM; echo escaped; while :; do sleep 1000; done' &";
    // Once when it is stopped, once when its first process ends by itself.
    let stopped = place.worker(&format!("{escape} exec sleep 1000"));
    soon(place.local.start(stopped.clone())).await.unwrap();
    place.ground.said(stopped.app, "escaped").await;
    soon(place.local.stop(stopped.dyno, Duration::from_millis(50))).await;
    assert!(processes_of(stopped.dyno).is_empty());

    let mut crashed = place.worker(&format!("{escape} read line < $FIFO; exit 4"));
    let fifo = fifo(&place, &mut crashed);
    soon(place.local.start(crashed.clone())).await.unwrap();
    place.ground.said(crashed.app, "escaped").await;
    std::fs::write(&fifo, "go\n").unwrap();
    assert_eq!(
        place.event().await,
        Event::Exited {
            dyno: crashed.dyno,
            status: 4
        }
    );
    assert!(processes_of(crashed.dyno).is_empty());
}

#[tokio::test]
async fn who_left_the_process_group_and_emptied_his_environment_is_ended_too() {
    let mut place = Place::new();
    let escape = "env -i setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1000; done' &";
    for end in ["exec sleep 1000", "read line < $FIFO; exit 4"] {
        let mut launch = place.worker(&format!("{escape} {end}"));
        let fifo = fifo(&place, &mut launch);
        soon(place.local.start(launch.clone())).await.unwrap();
        place.ground.said(launch.app, "app[worker.1]").await;
        let pid: i64 = place.ground.printed(launch.app)[0].parse().unwrap();
        if end.starts_with("exec") {
            soon(place.local.stop(launch.dyno, Duration::from_millis(50))).await;
        } else {
            std::fs::write(fifo, "go\n").unwrap();
            let (dyno, status) = (launch.dyno, 4);
            assert_eq!(place.event().await, Event::Exited { dyno, status });
        }
        assert!(!is_alive(pid));
    }
}

#[test]
fn what_an_earlier_server_and_its_shims_left_running_is_ended() {
    let ground = Ground::new();
    let slug = ground.slug(&[]);
    let marked = launch(slug, "setsid sleep 1000 & echo ready; exec sleep 1000");
    // It has emptied its environment, so only the number that was noted tells of it.
    let bare = launch(slug, "env -i sleep 1000 & echo ready; exec sleep 1000");
    let known = serve(async {
        let (local, _events) = open(&ground, false);
        let mut known = Vec::new();
        for launch in [&marked, &bare] {
            let started = soon(local.start(launch.clone())).await.unwrap();
            ground.said(launch.app, "ready").await;
            // The first server was killed before it noted the first one's number.
            let pid = started.pid.filter(|_| launch.dyno == bare.dyno);
            known.push(row(launch, pid));
        }
        known
    });
    for shim in processes::shims(ground.path()) {
        shim.kill();
    }
    let group = known[1].pid.unwrap();
    assert!(!processes_of(marked.dyno).is_empty());
    serve(async {
        let (next, _events) = open(&ground, true);
        assert!(soon(next.take_up(&known)).await.unwrap().is_empty());
    });
    assert!(processes_of(marked.dyno).is_empty());
    assert_eq!(in_group(group), 0);
    assert_eq!(folders(&ground), 0);
}

/// How many processes are in a process group.
fn in_group(group: i64) -> usize {
    let found = penstock::shim::processes::all().into_iter();
    found
        .filter(|process| i64::from(process.group) == group && !process.ended)
        .count()
}

#[test]
fn who_has_no_descriptors_left_ends_a_dyno_without_a_shim_all_the_same() {
    let dyno = Id::new();
    let ended = starved::alone(move || {
        let mut sleeping = Command::new("sleep");
        sleeping.arg("1000").env("PENSTOCK_DYNO", dyno.to_string());
        let mut left = sleeping.spawn().unwrap();
        // One without sockets: those that it has for signals are everybody's.
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build().unwrap();
        runtime.block_on(async {
            let place = Place::new();
            let all = starved::starve();
            soon(place.local.stop(dyno, Duration::ZERO)).await;
            drop(all);
        });
        let ended = left.try_wait().unwrap().is_some();
        left.kill().unwrap();
        left.wait().unwrap();
        ended
    });
    assert!(ended);
}

#[tokio::test]
async fn a_stranger_who_has_the_number_of_an_ended_dyno_is_left_alone() {
    let place = Place::new();
    let launch = place.worker("echo hello");
    let mut stranger = Command::new("sleep")
        .arg("1000")
        .process_group(0)
        .spawn()
        .unwrap();
    let known = [row(&launch, Some(i64::from(stranger.id())))];
    assert!(soon(place.local.take_up(&known)).await.unwrap().is_empty());
    assert!(stranger.try_wait().unwrap().is_none());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}
