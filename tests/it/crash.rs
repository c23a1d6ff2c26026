//! The server is killed, at any moment, and started again: nothing acknowledged is lost, and it ends where it would have ended.

mod evidence;
mod one_offs;
mod partners;
mod scenario;

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use penstock::build::{Limits, Shelves};
use penstock::config::{Config, DataDirArg, EcoIdle, Waits};
use penstock::runtime::Parting;
use penstock::sandbox::Settings;
use penstock::serve::{Options, serve};
use rustix::process::{Signal, getpid, kill_process};
use serde_json::json;

use self::scenario::Session;
use crate::binary::sample::{PERL_WITH_RELEASE, PYTHON, Sample};
use crate::binary::{Lost, Place, Server, processes};

const DATA_DIR: &str = "CRASH_DATA_DIR";
const COMMIT: &str = "CRASH_COMMIT";
/// Were it slower to start, all of the rounds would be.
const APP: Sample = PERL_WITH_RELEASE;
/// Servers at the same time.
const AT_ONCE: usize = 3;
/// Fewer commits than this would mean that most of the scenario was not tried.
const AT_LEAST: u64 = 15;

#[tokio::test]
async fn after_kill_9_what_should_run_runs_on_and_so_does_the_log() {
    let place = Place::new();
    let server = place.start_survived();
    let client = server.client();
    client.create_app("app").await;
    client.deploy("app", PYTHON.tarball("still here")).await;
    let scale =
        json!({"updates": [{"type": "web", "quantity": 2}, {"type": "worker", "quantity": 1}]});
    client.patch("/apps/app/formation", scale).await.expect(200);
    client.dynos("app", 3).await;
    client.visit_until("app", 200, "still here says").await;
    client.visit("app", "/before").await;
    let mut tail = client.tail("app", 100).await.unwrap();
    tail.until("serving /before").await;
    let data = server.data().to_owned();
    let before = processes::pids(&data);
    assert_eq!(before.len(), 3);
    server.kill();
    assert_eq!(processes::pids(&data), before);

    let server = place.start();
    let client = server.client();
    // The first visitor is no worse off than any later one: the router knows the app, and the dynos that serve it.
    let page = client.visit("app", "/after").await;
    assert!(
        page.text().starts_with("still here says "),
        "{}",
        page.text()
    );
    let dynos = client.dynos("app", 3).await;
    assert_eq!(processes::pids(&data), before);
    for dyno in dynos.as_array().unwrap() {
        let id = dyno["id"].as_str().unwrap();
        assert!(before.contains_key(id), "{id} is none of {before:?}");
    }
    // What an app prints comes by way of its shim, and may come after the answer.
    let mut tail = client.tail("app", 100).await.unwrap();
    tail.until("serving /after").await;
    let logs = client.logs("app").await;
    let at = |text: &str| {
        logs.find(text)
            .unwrap_or_else(|| panic!("no {text} in {logs}"))
    };
    assert!(at("Release v3 created by user") < at("serving /before"));
    assert!(at("serving /before") < at("serving /after"));
    assert_eq!(logs.matches("Starting process").count(), 3, "{logs}");
    assert_eq!(client.get("/apps/app/releases/3").await.status, 200);
}

#[tokio::test]
async fn a_server_that_is_killed_again_and_again_keeps_what_it_had() {
    let place = Place::new();
    let mut session = Session::default();
    for _ in 0..4 {
        let server = place.start();
        let client = server.client();
        session.is_still_true(&client).await;
        session.run(&client).await.unwrap();
        server.kill();
        evidence::check(&place.data());
    }
    let server = place.start();
    session.run(&server.client()).await.unwrap();
    session.has_converged(&server).await;
}

/// Commits are counted from the first start, so this has as many rounds as the scenario has commits.
#[test]
fn every_commit_is_a_safe_place_to_be_killed() {
    each_commit(AT_LEAST, async |commit| Round(commit).play().await);
}

/// Plays rounds that are killed after the first commit, the second, and so on, until one says that there was no such commit.
fn each_commit(at_least: u64, play: impl AsyncFn(u64) -> bool + Sync) {
    let (next, over) = (AtomicU64::new(1), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                while !over.load(Ordering::SeqCst) {
                    let commit = next.fetch_add(1, Ordering::SeqCst);
                    if !runtime.block_on(play(commit)) {
                        over.store(true, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    let tried = next.into_inner() - 1;
    assert!(tried >= at_least, "only {tried} commits were tried");
}

/// One server that is killed after so many commits.
struct Round(u64);

impl Round {
    /// Whether there was such a commit before the server had seen the scenario through and stopped.
    async fn play(&self) -> bool {
        let place = Place::new();
        let mut session = Session::default();
        let status = match Server::try_start(self.command(&place), &place.log()) {
            Err(status) => status,
            Ok(server) => match session.run(&server.client()).await {
                Err(Lost) => server.ended(),
                Ok(()) => server.terminated(),
            },
        };
        if status.success() {
            evidence::check(&place.data());
            return false;
        }
        assert_eq!(status.signal(), Some(9), "it ended with {status}");
        let found = evidence::check(&place.data());
        session.found_promotion(found);
        let server = place.start();
        session.is_still_true(&server.client()).await;
        session.run(&server.client()).await.unwrap();
        session.has_converged(&server).await;
        server.stop();
        evidence::check(&place.data());
        true
    }

    /// This test binary itself, as the server that will be killed.
    fn command(&self, place: &Place) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["crash::child", "--exact", "--ignored", "--nocapture"])
            .env(DATA_DIR, place.data())
            .env(COMMIT, self.0.to_string());
        command
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was the server that is killed after commit {}", self.0);
        }
    }
}

#[test]
#[ignore = "this is the server that the test above starts and kills"]
fn child() {
    let Some(data_dir) = std::env::var_os(DATA_DIR) else {
        return;
    };
    let last: u64 = std::env::var(COMMIT).unwrap().parse().unwrap();
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let config = Config {
        isolation: Settings {
            dyno_forwarding: false,
            ..Settings::default()
        },
        data_dir: DataDirArg {
            data_dir: data_dir.into(),
        },
        listen: any,
        router_listen: any,
        router_tls_listen: None,
        certificates: penstock::certificates::Settings::default(),
        acme: penstock::acm::Settings::default(),
        rendezvous_listen: any,
        base_domain: "localhost".to_owned(),
        api_url: None,
        owner: "owner@localhost".to_owned(),
        builds: 2,
        build: Limits::default(),
        buildpacks: Shelves::default(),
        allow_private_fetch: None,
        strict_stages: false,
        eco_idle: EcoIdle(Some(Duration::from_millis(300))),
        crash_backoff: Waits(vec![Duration::ZERO, Duration::from_secs(1)]),
        dynos_end_with_server: false,
        rate_limit: true,
    };
    let options = Options {
        after_commit: Some(Box::new(move |commit| {
            if commit == last {
                kill_process(getpid(), Signal::KILL).unwrap();
                // Nobody is answered any more.
                std::thread::park();
            }
        })),
        shim: Some(env!("CARGO_BIN_EXE_penstock").into()),
        ..Options::default()
    };
    // A server that lives to the end of the scenario is told to stop.
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::terminate()).unwrap().recv().await;
        (Parting::End, std::future::pending())
    };
    serve(
        config,
        options,
        |ready| println!("\n{}", ready.to_json()),
        terminated,
    )
    .unwrap();
}
