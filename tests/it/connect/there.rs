//! Which connection is there, and which only was: by what its process holds, and never by a number that another process may have.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Flock, FlockType, Pid, Signal, fcntl_getlk, test_kill_process};
use serde_json::{Value, json};

use super::{Forward, Remote, command, env};
use crate::binary::{Place, Server};

/// A server elsewhere, a user's home, and what a connection to it is started with.
struct Ground {
    remote: Remote,
    server: Server,
    home: Place,
}

impl Ground {
    fn new() -> Ground {
        let remote = Remote::new();
        let server = remote.start();
        let home = Place::new();
        Ground {
            remote,
            server,
            home,
        }
    }

    fn connect(&self) -> Forward {
        self.connect_by(&self.server.ready.api_key)
    }

    fn connect_by(&self, token: &str) -> Forward {
        let ca = self.remote.ca();
        let arguments = ["--token-stdin", "--ca-file", ca.to_str().unwrap()];
        Forward::start(&self.home, &self.remote.url, &arguments, token)
    }

    /// Where it says of itself that it is there.
    fn file(&self) -> PathBuf {
        let folder = self.remote.listen.replace(':', "_");
        let connections = self.home.path(".local/share/penstock/connections");
        connections.join(folder).join("connection.json")
    }
}

/// A process of somebody else's, which lives until it is dropped.
struct Bystander(Child);

impl Bystander {
    fn new() -> Bystander {
        let mut command = Command::new("cat");
        Bystander(command.stdin(Stdio::piped()).spawn().unwrap())
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none() && test_kill_process(Pid::from_child(&self.0)).is_ok()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_held(lock: &Path) -> bool {
    let asked = Flock::from(FlockType::ReadLock);
    File::open(lock).is_ok_and(|lock| fcntl_getlk(lock, &asked).unwrap().is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_the_number_of_one_that_was_killed_is_not_taken_for_it() {
    let ground = Ground::new();
    let forward = ground.connect();
    forward.ready();
    assert_eq!(env(&ground.home).0, Some(0));
    forward.end(Signal::KILL);
    // As after a reboot: what it wrote is still there, and its number is another process's.
    let mut bystander = Bystander::new();
    let left = std::fs::read_to_string(ground.file()).unwrap();
    let mut left: Value = serde_json::from_str(&left).unwrap();
    left["pid"] = json!(bystander.0.id());
    std::fs::write(ground.file(), left.to_string()).unwrap();
    let (status, said) = env(&ground.home);
    assert_eq!(status, Some(3), "{said}");
    let again = ground.connect();
    let url = again.ready();
    assert!(env(&ground.home).1.contains(&url));
    assert_eq!(again.end(Signal::INT), Some(0));
    assert!(bystander.lives());
    assert_eq!(env(&ground.home).0, Some(3));
}

/// Whoever copies a home, files that are open and all, copies no connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_what_a_connection_wrote_leads_nowhere() {
    let ground = Ground::new();
    let forward = ground.connect();
    forward.ready();
    let copy = Place::new();
    let copied = Command::new("cp")
        .arg("-a")
        .args([ground.home.path(".local"), copy.path("")])
        .status();
    assert!(copied.unwrap().success());
    assert_eq!(env(&copy).0, Some(3));
    assert_eq!(forward.end(Signal::TERM), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_are_started_at_once_one_connects_and_names_itself_to_the_other() {
    let ground = Ground::new();
    // It waits for its token, and has said nothing yet of where it is.
    let ca = ground.remote.ca();
    let waits = ["--token-stdin", "--ca-file", ca.to_str().unwrap()];
    let mut first = command(
        &ground.home,
        &["connect", &ground.remote.url, "--listen", "127.0.0.1:0"],
    )
    .args(waits)
    .stdin(Stdio::piped())
    .stderr(Stdio::null())
    .spawn()
    .unwrap();
    let lock = ground.file().with_file_name("connection.lock");
    crate::binary::in_time(move || {
        while !is_held(&lock) {
            std::thread::yield_now();
        }
    });
    let mut token = first.stdin.take().unwrap();
    let (status, said) = ground.connect_by("").ended();
    assert_eq!(status, Some(4), "{said}");
    let named = format!("Process {} is connecting", first.id());
    assert!(said.contains(&named), "{said}");
    assert_eq!(env(&ground.home).0, Some(3));
    token.write_all(b"no token at all").unwrap();
    drop(token);
    let status = crate::binary::in_time(move || first.wait().unwrap());
    assert_ne!(status.code(), Some(0));
    // The one that failed is in nobody's way.
    let forward = ground.connect();
    forward.ready();
    assert_eq!(forward.end(Signal::INT), Some(0));
}
