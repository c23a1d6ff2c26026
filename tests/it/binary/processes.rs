//! The processes of a server's dynos, as the system knows them.
//!
//! They are told by the mark that every dyno carries in its environment, and by its home, or where that is `/app` its launcher's
//! folder, which is in the data directory.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::HANG;

#[derive(Debug)]
pub struct Process {
    pub pid: i32,
    /// The id of its dyno.
    pub dyno: String,
    pub command: String,
}

impl Process {
    /// It may have ended by itself.
    pub fn kill(&self) {
        kill_process(Pid::from_raw(self.pid).unwrap(), Signal::KILL).ok();
    }

    /// Where it is to listen, if it has a port.
    pub fn address(&self) -> Option<SocketAddr> {
        let environment = std::fs::read(format!("/proc/{}/environ", self.pid)).ok()?;
        let environment = String::from_utf8_lossy(&environment).into_owned();
        let value = |name: &str| {
            let mut variables = environment.split('\0');
            variables.find_map(|variable| variable.strip_prefix(name))
        };
        let port: u16 = value("PORT=")?.parse().ok()?;
        let address = match value("HOME=") == Some("/app") {
            true => self.own_address()?,
            false => Ipv4Addr::LOCALHOST,
        };
        Some((address, port).into())
    }

    /// As it knows it itself.
    fn own_address(&self) -> Option<Ipv4Addr> {
        let hosts = std::fs::read_to_string(format!("/proc/{}/root/etc/hosts", self.pid)).ok()?;
        let own = hosts.lines().last()?;
        own.split(' ').next()?.parse().ok()
    }
}

/// All that run for the dynos of this data directory.
pub fn of(data: &Path) -> Vec<Process> {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| of_dyno(pid, data))
        .collect()
}

/// Waits until so many processes of the dynos run a command that begins so. A dyno is up as soon as its shell is, which becomes its
/// command a little later.
pub fn running(data: &Path, command: &str, count: usize) -> Vec<Process> {
    let begun = Instant::now();
    loop {
        let mut found = of(data);
        found.retain(|process| process.command.starts_with(command));
        if found.len() == count {
            return found;
        }
        assert!(
            begun.elapsed() < HANG,
            "of {count} that run {command:?} there are {found:?}"
        );
    }
}

/// How many processes each dyno has, by its id.
pub fn by_dyno(data: &Path) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for process in of(data) {
        *count.entry(process.dyno).or_default() += 1;
    }
    count
}

/// The shims that hold the dynos of this data directory.
pub fn shims(data: &Path) -> Vec<Process> {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| shim(pid, data))
        .collect()
}

/// Ends all that is left of the dynos of this data directory.
pub fn kill_all(data: &Path) {
    for left in shims(data).into_iter().chain(of(data)) {
        left.kill();
    }
}

fn shim(pid: i32, data: &Path) -> Option<Process> {
    // Empty for one that has ended and waits to be reaped.
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let command = String::from_utf8_lossy(&line).replace('\0', " ");
    let folder = command.strip_prefix("penstock dyno-shim ")?.trim_end();
    let folder = Path::new(folder);
    let data = data.canonicalize().ok()?;
    folder.starts_with(data.join("dynos")).then(|| Process {
        pid,
        dyno: folder.file_name().unwrap().to_string_lossy().into_owned(),
        command: command.clone(),
    })
}

/// The processes of each dyno, by its id.
pub fn pids(data: &Path) -> BTreeMap<String, Vec<i32>> {
    let mut pids: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for process in of(data) {
        pids.entry(process.dyno).or_default().push(process.pid);
    }
    pids
}

fn of_dyno(pid: i32, data: &Path) -> Option<Process> {
    // Empty for one that has ended and waits to be reaped.
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let environment = String::from_utf8_lossy(&environment).into_owned();
    let value = |name: &str| {
        environment
            .split('\0')
            .find_map(|variable| variable.strip_prefix(name)?.strip_prefix('='))
    };
    let home = PathBuf::from(value("HOME")?);
    let data = data.canonicalize().ok()?;
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let dynos = data.join("dynos");
    let own = match home == Path::new("/app") {
        // What it sees tells nothing of where it is; its launcher's other half is outside.
        true => launched_in(pid, &dynos),
        false => home.starts_with(dynos),
    };
    own.then_some(())?;
    Some(Process {
        pid,
        dyno: value("PENSTOCK_DYNO")?.to_owned(),
        command: String::from_utf8_lossy(&command).replace('\0', " "),
    })
}

/// Whether an ancestor of the process works in a folder below this one.
fn launched_in(mut pid: i32, dynos: &Path) -> bool {
    while let Some(process) = penstock::shim::processes::Process::read(pid) {
        let works_in = std::fs::read_link(format!("/proc/{pid}/cwd"));
        if works_in.is_ok_and(|folder| folder.starts_with(dynos)) {
            return true;
        }
        pid = process.parent;
    }
    false
}
