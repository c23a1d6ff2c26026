//! Apps go on while their server is killed, restarted or replaced by another version, and the next server goes on with them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::json;

use crate::binary::processes::Process;
use crate::binary::sample::{PERL, PYTHON, tarball};
use crate::binary::{Client, Place, Server, TIED, in_time, processes, program};

/// A server with an app whose dynos outlive it: so many of the web, and so many workers.
async fn start(place: &Place, web: usize, workers: usize) -> Server {
    let server = place.start_survived();
    let client = server.client();
    client.create_app("app").await;
    client.deploy("app", PYTHON.tarball("still here")).await;
    scale(&client, web, workers).await;
    processes::running(server.data(), "tail ", workers);
    server
}

async fn scale(client: &Client, web: usize, workers: usize) {
    let scale = json!({"updates": [
        {"type": "web", "quantity": web}, {"type": "worker", "quantity": workers},
    ]});
    client.patch("/apps/app/formation", scale).await.expect(200);
    client.dynos("app", web + workers).await;
}

/// Asks a dyno again and again, on a connection of its own each time, until this is dropped.
struct Visitor {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Visitor {
    fn start(address: SocketAddr) -> Visitor {
        let (over, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (until, count) = (over.clone(), answered.clone());
        let visit = move || {
            while !until.load(Ordering::SeqCst) {
                let mut stream = TcpStream::connect(address).unwrap();
                let request = b"GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n";
                stream.write_all(request).unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).unwrap();
                assert!(answer.contains("still here says"), "{answer}");
                count.fetch_add(1, Ordering::SeqCst);
            }
        };
        Visitor {
            over,
            answered,
            thread: Some(std::thread::spawn(visit)),
        }
    }

    /// Waits for further answers.
    fn is_answered(&self) {
        let answered = self.answered.clone();
        let before = answered.load(Ordering::SeqCst);
        in_time(move || {
            while answered.load(Ordering::SeqCst) < before + 2 {
                std::thread::yield_now();
            }
        });
    }

    fn was_always_answered(mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Where the one dyno listens that has a port.
fn address(server: &Server) -> SocketAddr {
    let all = processes::of(server.data());
    let addresses: Vec<SocketAddr> = all.iter().filter_map(Process::address).collect();
    assert_eq!(addresses.len(), 1, "{addresses:?}");
    addresses[0]
}

#[tokio::test]
async fn visitors_are_answered_while_the_server_is_killed_and_stopped_and_started() {
    let place = Place::new();
    let server = start(&place, 1, 1).await;
    let before = processes::pids(server.data());
    let visitor = Visitor::start(address(&server));
    visitor.is_answered();
    server.kill();
    visitor.is_answered();
    let server = place.start_survived();
    // The very first visitor of the new router is answered by the same dyno.
    let page = server.client().visit("app", "/").await;
    assert_eq!(page.status, 200, "{}", page.text());
    let (status, _) = server.stop();
    assert_eq!(status.code(), Some(0));
    visitor.is_answered();
    let server = place.start();
    let page = server.client().visit("app", "/").await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(processes::pids(server.data()), before);
    visitor.was_always_answered();
    // Whatever the last server was told to do, it still can.
    let client = server.client();
    let mut tail = client.tail("app", 0).await.unwrap();
    scale(&client, 1, 0).await;
    tail.until("heroku[worker.1]: Process exited").await;
    assert_eq!(processes::pids(server.data()).len(), 1);
}

#[tokio::test]
async fn another_version_in_the_place_of_the_binary_takes_the_dynos_up() {
    let place = Place::new();
    let binary = place.path("penstock");
    let command = |tied: &[&str]| {
        let usual = place.command(tied);
        let mut command = std::process::Command::new(&binary);
        command.args(usual.get_args()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command.env("PENSTOCK_DYNO_FORWARDING", "false");
        command
    };
    program::penstock(&binary);
    let mut server = Server::start(command(&[]), &place.log());
    server.is_survived = true;
    let client = server.client();
    client.create_app("app").await;
    client.deploy("app", PERL.tarball("still here")).await;
    client.dynos("app", 1).await;
    std::fs::remove_file(&binary).unwrap();
    // The old one can still start dynos.
    scale(&client, 1, 1).await;
    processes::running(server.data(), "tail ", 1);
    let before = processes::pids(server.data());
    assert_eq!(before.len(), 2);
    program::penstock(&binary);
    server.stop();
    let server = Server::start(command(&[TIED]), &place.log());
    assert_eq!(processes::pids(server.data()), before);
    let page = server.client().visit("app", "/").await;
    assert_eq!(page.status, 200, "{}", page.text());
}

#[tokio::test]
async fn twenty_dynos_are_taken_up() {
    let place = Place::new();
    let server = start(&place, 1, 19).await;
    let before = processes::pids(server.data());
    assert_eq!(before.len(), 20);
    server.kill();
    let server = place.start();
    let dynos = server.client().dynos("app", 20).await;
    let ids = dynos.as_array().unwrap().iter().map(|dyno| &dyno["id"]);
    assert!(
        ids.into_iter()
            .all(|id| before.contains_key(id.as_str().unwrap()))
    );
    assert_eq!(processes::pids(server.data()), before);
}

#[tokio::test]
async fn what_has_crashed_without_a_server_is_told_as_the_crash_it_was_and_started_again() {
    let place = Place::new();
    let server = start(&place, 1, 1).await;
    let before = processes::of(server.data());
    let tail = before
        .iter()
        .find(|process| process.command.starts_with("tail"));
    let tail = tail.unwrap();
    let process = Pid::from_raw(tail.pid).unwrap();
    let ended = pidfd_open(process, PidfdFlags::empty()).unwrap();
    server.kill();
    tail.kill();
    has_ended(ended);
    let server = place.start();
    let client = server.client();
    client.dynos("app", 2).await;
    let logs = client.logs("app").await;
    let lines: Vec<&str> = logs
        .lines()
        .filter_map(|line| line.split_once("heroku[worker.1]: "))
        .map(|(_, text)| text)
        .collect();
    assert_eq!(
        lines[2..],
        [
            "Process exited with status 137",
            "State changed from up to crashed",
            "State changed from crashed to starting",
            "Starting process with command `tail -f /dev/null`",
            "State changed from starting to up",
        ]
    );
}

#[tokio::test]
async fn ctrl_c_and_a_closed_terminal_end_the_dynos_with_the_server() {
    let place = Place::new();
    start(&place, 1, 1).await.kill();
    // Whoever runs this test may have been told to ignore them.
    let usual = place.command(&[]);
    let heeding = || {
        let mut command = std::process::Command::new("env");
        command.arg("--default-signal=HUP,INT");
        command.arg(usual.get_program()).args(usual.get_args());
        command.env("PENSTOCK_DYNO_FORWARDING", "false");
        Server::start(command, &place.log())
    };
    for signal in [Signal::INT, Signal::HUP] {
        let server = heeding();
        server.client().dynos("app", 2).await;
        let data = server.data().to_owned();
        kill_process(Pid::from_raw(server.pid()).unwrap(), signal).unwrap();
        assert_eq!(server.ended().code(), Some(0));
        let said = std::fs::read_to_string(place.log()).unwrap();
        assert!(said.ends_with(" stopped\n"));
        assert!(processes::of(&data).is_empty());
        assert!(processes::shims(&data).is_empty());
    }
}

#[tokio::test]
async fn under_nohup_a_server_outlives_its_terminal_and_its_dynos_heed_signals() {
    let place = Place::new();
    let usual = place.command(&[TIED]);
    let mut command = std::process::Command::new("nohup");
    command.arg(usual.get_program()).args(usual.get_args());
    command.env("PENSTOCK_DYNO_FORWARDING", "false");
    let server = Server::start(command, &place.log());
    let client = server.client();
    client.create_app("app").await;
    client.deploy("app", PYTHON.tarball("still here")).await;
    scale(&client, 0, 1).await;
    kill_process(Pid::from_raw(server.pid()).unwrap(), Signal::HUP).unwrap();
    let tail = &processes::running(server.data(), "tail ", 1)[0];
    let status = format!("/proc/{}/status", tail.pid);
    let status = std::fs::read_to_string(status).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap();
    // Numbers 32 and 33 are the C library's own, which ignores them in what it spawns.
    assert_eq!(ignored & !(0b11 << 31), 0, "{status}");
    // Its drop asks whether it still runs and ends well.
    client.get("/apps/app").await.expect(200);
}

#[tokio::test]
async fn shims_that_are_told_to_end_without_a_server_do_and_the_next_server_starts_the_dynos_again()
{
    let place = Place::new();
    let server = start(&place, 1, 1).await;
    let data = server.data().to_owned();
    server.kill();
    // As when the machine shuts down.
    let shims = processes::shims(&data);
    assert_eq!(shims.len(), 2);
    let shims = shims.iter().map(|shim| Pid::from_raw(shim.pid).unwrap());
    let ended: Vec<_> = shims
        .map(|shim| {
            let ended = pidfd_open(shim, PidfdFlags::empty()).unwrap();
            kill_process(shim, Signal::TERM).unwrap();
            ended
        })
        .collect();
    ended.into_iter().for_each(has_ended);
    assert!(processes::of(&data).is_empty());
    let server = place.start();
    let client = server.client();
    client.visit_until("app", 200, "still here").await;
    client.dynos("app", 2).await;
}

#[tokio::test]
async fn after_a_reboot_a_release_that_never_came_up_leaves_the_one_serving_that_did() {
    let place = Place::new();
    let server = place.start_survived();
    let client = server.client();
    client.create_app("app").await;
    client.deploy("app", PERL.tarball("still here")).await;
    client.dynos("app", 1).await;
    let broken = tarball(&[("Procfile", "web: exit 3\n")]);
    client.deploy("app", broken).await;
    let mut tail = client.tail("app", 100).await.unwrap();
    tail.until("does not come up, so v3 goes on serving").await;
    let page = client.visit("app", "/").await;
    assert_eq!(page.status, 200, "{}", page.text());
    // The machine goes down with all that runs on it, and is up again.
    let data = server.data().to_owned();
    server.kill();
    processes::kill_all(&data);
    let server = place.start();
    let client = server.client();
    client.visit_until("app", 200, "still here").await;
    // The newer one is tried all the while, as before, and is what its name means.
    let dyno = client.get("/apps/app/dynos/web.1").await.expect(200);
    assert_eq!(dyno["release"]["version"], 4, "{dyno}");
    // So it is when the server has ended its dynos itself.
    server.stop();
    let server = place.start();
    let client = server.client();
    client.visit_until("app", 200, "still here").await;
    client.deploy("app", PERL.tarball("mended")).await;
    client.visit_until("app", 200, "mended").await;
    client.dynos("app", 1).await;
    processes::running(server.data(), "perl ", 1);
}

/// Waits for the end of a process.
fn has_ended(process: std::os::fd::OwnedFd) {
    in_time(move || {
        let ended = rustix::event::PollFlags::IN;
        let mut set = [rustix::event::PollFd::new(&process, ended)];
        rustix::event::poll(&mut set, None).unwrap();
    });
}

#[tokio::test]
async fn nothing_is_left_of_dynos_that_end_with_their_server_even_when_it_is_killed() {
    let place = Place::new();
    let server = start(&place, 1, 1).await;
    server.kill();
    // Taken up by a server that is told that they shall, they do.
    let server = place.start();
    let data = server.data().to_owned();
    let mut left = processes::shims(&data);
    left.extend(processes::of(&data));
    assert_eq!(left.len(), 4);
    let ended: Vec<_> = left
        .iter()
        .map(|left| Pid::from_raw(left.pid).unwrap())
        .map(|pid| pidfd_open(pid, PidfdFlags::empty()).unwrap())
        .collect();
    server.kill();
    ended.into_iter().for_each(has_ended);
}

#[tokio::test]
async fn after_the_machine_was_rebooted_what_should_run_is_started_again() {
    let place = Place::new();
    let server = start(&place, 1, 1).await;
    let data = server.data().to_owned();
    let before = processes::pids(&data);
    server.kill();
    processes::kill_all(&data);
    let server = place.start();
    let client = server.client();
    client.visit_until("app", 200, "still here").await;
    client.dynos("app", 2).await;
    let after = processes::pids(&data);
    assert_eq!(after.len(), 2);
    assert!(before.keys().all(|dyno| !after.contains_key(dyno)));
}

#[tokio::test]
async fn no_secret_is_in_the_arguments_the_environment_or_the_folder_of_a_shim() {
    let place = Place::new();
    let server = start(&place, 1, 0).await;
    let client = server.client();
    let vars = json!({"SECRET": "hunter2-and-more"});
    client
        .patch("/apps/app/config-vars", vars)
        .await
        .expect(200);
    client.visit_until("app", 200, "still here").await;
    client.dynos("app", 1).await;
    let mut seen = 0;
    for shim in processes::shims(server.data()) {
        for file in ["cmdline", "environ"] {
            // That of the release before may be on its way out.
            let Ok(text) = std::fs::read(format!("/proc/{}/{file}", shim.pid)) else {
                continue;
            };
            assert!(!String::from_utf8_lossy(&text).contains("hunter2"));
            assert!(file == "cmdline" || text.is_empty());
            seen += 1;
        }
    }
    assert!(seen >= 2);
    let found = std::process::Command::new("grep")
        .args(["-rlF", "hunter2"])
        .arg(server.data())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    server.kill();
    place.start().stop();
}
