//! A second signal, from whoever does not want to wait for what the first one waits for.

use std::future::ready;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use penstock::runtime::Parting;
use penstock::serve::Patience;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::binary::sample::{PYTHON, tarball};
use crate::binary::{Answer, Client, HANG, Place, Server, processes};
use crate::here::Here;

/// What would be waited for.
const FOREVER: Duration = Duration::from_secs(120);
/// Of dynos that end only by force.
const DEAF: &str = "worker: trap '' TERM; echo deaf; while true; do sleep 1000; done\n";

fn send(server: &Server, signal: Signal) {
    kill_process(Pid::from_raw(server.pid()).unwrap(), signal).unwrap();
}

/// Waits until the server's own log has this.
fn said(log: &Path, text: &str) {
    let begun = Instant::now();
    loop {
        let said = std::fs::read_to_string(log).unwrap();
        if said.contains(text) {
            return;
        }
        assert!(begun.elapsed() < HANG, "no {text:?} in {said}");
        std::thread::yield_now();
    }
}

/// A visit that its app answers when it is told to, under way.
async fn waiting(client: &Client) -> JoinHandle<Answer> {
    let visitor = client.clone();
    let visit = tokio::spawn(async move { visitor.visit("app", "/wait").await });
    assert_eq!(client.visit("app", "/arrived").await.status, 200);
    visit
}

async fn start_deaf(client: &Client) {
    client.create_app("app").await;
    client.deploy("app", tarball(&[("Procfile", DEAF)])).await;
    let mut tail = client.tail("app", 0).await.unwrap();
    let scale = json!({"updates": [{"type": "worker", "quantity": 1}]});
    client.patch("/apps/app/formation", scale).await.expect(200);
    tail.until("app[worker.1]: deaf").await;
    // It may say so before the server has noted that it began.
    client.dynos("app", 1).await;
}

#[tokio::test]
async fn whoever_has_no_patience_waits_neither_for_requests_nor_for_dynos() {
    let patience = Patience {
        room: FOREVER,
        grace: FOREVER,
    };
    let here = Here::start(|config, options| {
        config.dynos_end_with_server = false;
        options.patience = patience;
    });
    let here = here.await;
    let client = here.client();
    client.create_app("app").await;
    client.deploy("app", PYTHON.tarball("still here")).await;
    client.dynos("app", 1).await;
    let slow = waiting(&client).await;
    let stopping = here.server.stop_in_haste(Parting::Leave, ready(()));
    timeout(HANG, stopping).await.expect("it is waited for");
    let page = slow.await.unwrap();
    assert!(page.text().contains("H24"), "{}", page.text());

    let here = Here::start(|_, options| {
        options.patience = patience;
        options.policy.grace = FOREVER;
    });
    let here = here.await;
    start_deaf(&here.client()).await;
    let stopping = here.server.stop_in_haste(Parting::End, ready(()));
    timeout(HANG, stopping).await.expect("they are waited for");
    let left = processes::of(&here.place.data());
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_second_sigterm_cuts_short_what_is_under_way_and_loses_nothing_else() {
    let place = Place::new();
    let server = place.start_survived();
    let client = server.client();
    client.create_app("app").await;
    client.deploy("app", PYTHON.tarball("still here")).await;
    client.dynos("app", 1).await;
    let dynos = processes::pids(server.data());
    let slow = waiting(&client).await;
    send(&server, Signal::TERM);
    said(
        &place.log(),
        "waiting for 1 request; press Ctrl-C again, or send a second signal, to end them now",
    );
    // It serves on meanwhile.
    client.create_app("late").await;
    send(&server, Signal::TERM);
    let page = slow.await.unwrap();
    assert_eq!(page.status, 503);
    assert!(page.text().contains("H24"), "{}", page.text());
    assert_eq!(server.ended().code(), Some(0));
    let next = place.start_survived();
    assert_eq!(processes::pids(next.data()), dynos);
    let client = next.client();
    client.get("/apps/late").await.expect(200);
    assert_eq!(client.visit("app", "/go").await.status, 200);
    let logs = client.logs("app").await;
    assert_eq!(logs.matches("code=H24").count(), 1, "{logs}");
    next.kill();
}

#[tokio::test]
async fn a_second_ctrl_c_ends_dynos_that_do_not_want_to_end() {
    let place = Place::new();
    let server = place.start_survived();
    start_deaf(&server.client()).await;
    send(&server, Signal::INT);
    said(
        &place.log(),
        "waiting for worker.1 of app; press Ctrl-C again",
    );
    send(&server, Signal::INT);
    let data = server.data().to_owned();
    assert_eq!(server.ended().code(), Some(0));
    let left = processes::of(&data);
    assert!(left.is_empty(), "{left:?}");
    let again = place.start_survived();
    let logs = again.client().logs("app").await;
    assert!(logs.contains("Process exited with status 137"), "{logs}");
    // Nobody has waited for so long.
    assert!(!logs.contains("R12"), "{logs}");
    again.kill();
}

#[tokio::test]
async fn a_second_sigterm_takes_no_time_from_a_dyno_that_ends_for_another_reason() {
    let place = Place::new();
    let server = place.start_survived();
    let client = server.client();
    client.create_app("app").await;
    client.deploy("app", PYTHON.tarball("still here")).await;
    client.dynos("app", 1).await;
    client.create_app("jobs").await;
    let careful = "worker: trap 'echo ending; sleep 3; exit 7' TERM; echo ready; while true; do sleep 0.1; done\n";
    client
        .deploy("jobs", tarball(&[("Procfile", careful)]))
        .await;
    let scale = async |quantity: u32| {
        let scale = json!({"updates": [{"type": "worker", "quantity": quantity}]});
        client
            .patch("/apps/jobs/formation", scale)
            .await
            .expect(200);
    };
    let mut tail = client.tail("jobs", 0).await.unwrap();
    scale(1).await;
    tail.until("app[worker.1]: ready").await;
    let slow = waiting(&client).await;
    scale(0).await;
    tail.until("app[worker.1]: ending").await;
    drop(tail);
    send(&server, Signal::TERM);
    said(&place.log(), "waiting for 1 request");
    send(&server, Signal::TERM);
    assert_eq!(slow.await.unwrap().status, 503);
    assert_eq!(server.ended().code(), Some(0));
    let next = place.start_survived();
    let mut tail = next.client().tail("jobs", 100).await.unwrap();
    let ended = tail.until("Process exited with status").await;
    let ended = ended.last().unwrap();
    assert!(ended.contains("status 7"), "{ended}");
    next.kill();
}

/// Makes every blob of a server one that is never read to its end, as on a disk that does not answer. Returns where they are.
fn withhold(data: &Path) -> Vec<PathBuf> {
    let entries = |dir: PathBuf| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let folders = entries(data.join("blobs")).filter(|entry| entry.file_name() != "tmp");
    let blobs: Vec<PathBuf> = folders
        .flat_map(|folder| entries(folder.path()))
        .map(|blob| blob.path())
        .collect();
    for blob in &blobs {
        std::fs::rename(blob, blob.with_extension("kept")).unwrap();
        let made = Command::new("mkfifo").arg(blob).status().unwrap();
        assert!(made.success());
    }
    blobs
}

/// Waits until the app's worker is there, and being started.
async fn starting(client: &Client) {
    let starting = async |dynos: &serde_json::Value| dynos[0]["state"] == "starting";
    client
        .watch("app", "/apps/app/dynos", starting)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_dyno_that_is_just_being_started_is_waited_for_by_nobody_in_haste() {
    let place = Place::new();
    let server = place.start_survived();
    let client = server.client();
    client.create_app("app").await;
    let worker = "worker: echo at work; exec sleep 1000\n";
    client.deploy("app", tarball(&[("Procfile", worker)])).await;
    let withheld = withhold(server.data());
    let scale = json!({"updates": [{"type": "worker", "quantity": 1}]});
    client.patch("/apps/app/formation", scale).await.expect(200);
    starting(&client).await;
    // The next server starts it anew, so nobody has to be in a hurry to spare it.
    send(&server, Signal::TERM);
    assert_eq!(server.ended().code(), Some(0));
    let server = place.start_survived();
    starting(&server.client()).await;
    send(&server, Signal::INT);
    said(
        &place.log(),
        "waiting for worker.1 of app; press Ctrl-C again",
    );
    send(&server, Signal::INT);
    assert_eq!(server.ended().code(), Some(0));
    for blob in withheld {
        std::fs::rename(blob.with_extension("kept"), &blob).unwrap();
    }
    let server = place.start_survived();
    let client = server.client();
    client.dynos("app", 1).await;
    let logs = client.logs("app").await;
    // It is not told of anything that it did not do.
    assert!(!logs.contains("crashed"), "{logs}");
    assert!(!logs.contains("could not be started"), "{logs}");
    server.kill();
}

#[tokio::test]
async fn nothing_is_said_where_nothing_is_waited_for() {
    let place = Place::new();
    let server = place.start_survived();
    let client = server.client();
    client.create_app("app").await;
    // A visitor who keeps his connection is given two seconds to be told that it ends.
    assert_eq!(client.visit("app", "/").await.status, 502);
    let begun = Instant::now();
    send(&server, Signal::TERM);
    assert_eq!(server.ended().code(), Some(0));
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(1), "{took:?}");
    let said = std::fs::read_to_string(place.log()).unwrap();
    assert!(!said.contains("waiting for"), "{said}");
}
