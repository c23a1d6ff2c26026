//! Which dyno has which address, where several servers share a machine.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use penstock::error::Result;
use penstock::name::Id;
use penstock::runtime::{Launch, Local, Runtime, Shims};
use penstock::sandbox::probe::Ground;
use penstock::sandbox::{Isolation, Level, Limits, Settings};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::root;
use crate::runtime::local::launch;
use crate::runtime::{self, serve, soon};

const LIMITS: Limits = Limits {
    memory: 64 << 20,
    memory_max: 64 << 20,
    cpu_weight: 100,
    pids: 40,
    disk: 1 << 20,
    inodes: 100,
    files: 100,
};

/// Thirteen addresses that only one of these tests uses, and those of one test run at that.
fn settings(number: u8) -> Settings {
    let run = std::process::id() % 250;
    Settings {
        dyno_network: format!("10.216.{run}.{}/28", 16 * number).parse().unwrap(),
        ..Settings::default()
    }
}

/// A server with a folder of its own.
struct Server {
    isolation: Isolation,
    data: TempDir,
}

impl Server {
    fn new(settings: Settings) -> Server {
        let data = tempfile::tempdir().unwrap();
        std::fs::set_permissions(data.path(), PermissionsExt::from_mode(0o711)).unwrap();
        Server {
            isolation: Isolation::new(Level::Full, settings, data.path()),
            data,
        }
    }

    /// The address of a dyno to be.
    fn address(&self, dyno: Id) -> Result<Ipv4Addr> {
        let [app, own] = ["app", "dyno"].map(|name| self.data.path().join(name));
        let spec = self.isolation.spec(dyno, None, app, own, LIMITS)?;
        Ok(spec.network.unwrap().address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.isolation.close();
    }
}

/// Dynos of these servers in turn, as many as there are addresses.
fn fill(servers: &[&Server]) -> Vec<Id> {
    let size = servers[0].isolation.settings().dyno_network.size();
    let dynos: Vec<Id> = (0..size).map(|_| Id::new()).collect();
    let drawn = dynos
        .iter()
        .zip(servers.iter().cycle())
        .map(|(dyno, server)| server.address(*dyno).unwrap());
    let drawn: BTreeSet<Ipv4Addr> = drawn.collect();
    assert_eq!(drawn.len(), dynos.len());
    dynos
}

const ALL_IN_USE: &str = "All addresses for dynos are in use. Give the server a larger --dyno-network, or scale some apps down.";

#[test]
fn two_servers_never_give_the_same_address_to_two_dynos() {
    if !root() {
        return;
    }
    let settings = settings(1);
    let (one, other) = (Server::new(settings.clone()), Server::new(settings));
    let dynos = fill(&[&one, &other]);
    let late = Id::new();
    for server in [&one, &other] {
        assert_eq!(server.address(late).unwrap_err().message, ALL_IN_USE);
    }
    // A dyno keeps its own, and whoever comes next has it when that is gone.
    let address = one.address(dynos[0]).unwrap();
    one.isolation.clean(dynos[0]);
    assert_eq!(other.address(late).unwrap(), address);
}

#[test]
fn a_dyno_that_is_taken_up_keeps_its_address() {
    if !root() {
        return;
    }
    let settings = settings(3);
    let dyno = Id::new();
    let address = Server::new(settings.clone()).address(dyno).unwrap();
    // That server is gone.
    let (next, other) = (Server::new(settings.clone()), Server::new(settings));
    next.isolation.take_up(dyno, Some(address));
    let drawn: Vec<_> = std::iter::from_fn(|| other.address(Id::new()).ok()).collect();
    assert_eq!(drawn.len(), 12);
    assert!(!drawn.contains(&address));
    assert_eq!(next.address(dyno).unwrap(), address);
}

/// A shim that gets no further, as one that waits for its turn to build a sandbox. It is given the dyno's folder.
const WAITING: &str = "#!/bin/sh\necho $$ > \"$2/pid\"\nexec sleep 1000\n";

/// Such a shim, which does not outlive this.
struct Waiting<'a> {
    ground: &'a runtime::Ground,
    said: PathBuf,
}

impl Waiting<'_> {
    /// Ends when it waits.
    async fn begun(&self) {
        while self.pid().is_none() {
            tokio::task::yield_now().await;
        }
    }

    fn pid(&self) -> Option<Pid> {
        let said = std::fs::read_to_string(&self.said).ok()?;
        Pid::from_raw(said.strip_suffix('\n')?.parse().ok()?)
    }

    /// A server that starts the dyno in this way, and is gone as soon as the shim waits.
    async fn started_by_a_server(&self, launch: Launch, settings: Settings) {
        let ground = self.ground;
        let program = ground.path().join("waiting");
        std::fs::write(&program, WAITING).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let (local, _events) = Local::open(
            ground.path(),
            ground.blobs.clone(),
            ground.logs.clone(),
            ground.outputs.clone(),
            Shims {
                program,
                tied: true,
            },
            Isolation::new(Level::Full, settings, ground.path()),
        )
        .unwrap();
        tokio::select! {
            started = local.start(launch) => panic!("{started:?}"),
            () = soon(self.begun()) => {}
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            // Where it has ended before, the test has failed already.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

#[test]
fn a_dyno_that_is_being_started_keeps_its_address_when_its_server_ends() {
    if !root() {
        return;
    }
    let (settings, ground) = (settings(4), runtime::Ground::new());
    let launch = launch(ground.slug(&[]), "exec sleep 1000");
    let said = ground.path().join(format!("dynos/{}/pid", launch.dyno));
    let waiting = Waiting {
        ground: &ground,
        said,
    };
    serve(waiting.started_by_a_server(launch, settings.clone()));
    let other = Server::new(settings);
    let drawn = std::iter::from_fn(|| other.address(Id::new()).ok());
    assert_eq!(drawn.count(), 12);
    drop(waiting);
    serve(soon(async {
        while other.address(Id::new()).is_err() {
            tokio::task::yield_now().await;
        }
    }));
}

#[test]
fn a_level_is_tried_at_an_address_that_nobody_has() {
    if !root() {
        return;
    }
    let settings = settings(2);
    let server = Server::new(settings.clone());
    let dynos = fill(&[&server]);
    let ground = Ground {
        penstock: Path::new(env!("CARGO_BIN_EXE_penstock")),
        data: server.data.path(),
        settings: &settings,
    };
    let finding = ground.try_level(Level::Full);
    assert_eq!(finding.reason.as_deref(), Some(ALL_IN_USE));
    server.isolation.clean(dynos[0]);
    let finding = ground.try_level(Level::Full);
    assert!(finding.available, "{finding:?}");
}
