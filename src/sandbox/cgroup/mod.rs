//! Memory, processor and processes of a dyno, limited and counted by the kernel's control groups, version 1 or 2.
//!
//! Each server has a group below its own, and each dyno one below that. On many machines the controllers are split between the two
//! versions, and a plain user has none: what is there is used.

mod find;
mod join;
mod write;

use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::Limits;
use crate::descriptors;

pub use find::{Cgroups, Sources};
pub use join::{Birth, Forked, fork};

/// What can be limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Controller {
    Memory,
    Cpu,
    Pids,
}

impl Controller {
    pub const ALL: [Controller; 3] = [Controller::Memory, Controller::Cpu, Controller::Pids];

    pub fn as_str(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Cpu => "cpu",
            Controller::Pids => "pids",
        }
    }
}

/// The groups of one dyno: one, or one for each controller that has a hierarchy of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    pub groups: Vec<Group>,
}

/// One folder in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub dir: PathBuf,
    pub controllers: Vec<Controller>,
    /// Of the second version.
    pub unified: bool,
}

/// What a dyno's group says of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of memory that are the programs' own: neither files nor caches.
    pub memory: Option<u64>,
    /// Bytes of files that are in memory for it, and of memory that is swapped out.
    pub cache: u64,
    pub swap: u64,
    /// Processes that the kernel has ended because the dyno had too much.
    pub oom_kills: u64,
}

/// While its last process is being taken apart, a group cannot be removed.
const ATTEMPTS: u32 = 50;
const WAIT: Duration = Duration::from_millis(2);
/// Processes of a group that are held on to at the same time.
const AT_ONCE: usize = 64;

impl Cgroup {
    /// Makes the groups with their limits. What is there already is taken as it is.
    pub fn make(&self, limits: &Limits) -> io::Result<()> {
        for group in &self.groups {
            group.make()?;
            for (name, value) in write::limits(group, limits) {
                set(&group.dir.join(name.file), &value, name.must)?;
            }
        }
        Ok(())
    }

    /// What the dyno uses; `None` when it has no group any more.
    pub fn usage(&self) -> Option<Usage> {
        let group = self
            .groups
            .iter()
            .find(|group| group.controllers.contains(&Controller::Memory))?;
        let (stat, own, cache, events) = match group.unified {
            true => ("memory.stat", "anon", "file", "memory.events"),
            false => (
                "memory.stat",
                "total_rss",
                "total_cache",
                "memory.oom_control",
            ),
        };
        // Of the second version; the first one has it among the rest, if it counts it at all.
        let swap = fs::read_to_string(group.dir.join("memory.swap.current"));
        let swap = swap.ok().and_then(|bytes| bytes.trim().parse().ok());
        let stat = fs::read_to_string(group.dir.join(stat)).ok()?;
        let events = fs::read_to_string(group.dir.join(events)).unwrap_or_default();
        Some(Usage {
            memory: field(&stat, own),
            cache: field(&stat, cache).unwrap_or_default(),
            swap: swap
                .or_else(|| field(&stat, "total_swap"))
                .unwrap_or_default(),
            oom_kills: field(&events, "oom_kill").unwrap_or_default(),
        })
    }

    /// Whether any of its processes is left.
    pub fn is_populated(&self) -> bool {
        self.groups
            .iter()
            .any(|group| !group.processes().is_empty())
    }
}

/// Ends whatever is in a dyno's groups, and removes them. Harmless when they are gone.
pub fn end(cgroup: &Cgroup) {
    for group in &cgroup.groups {
        group.end();
    }
    for group in &cgroup.groups {
        // The server's own, if this was the last dyno in it.
        if let Some(base) = group.dir.parent() {
            let _ = fs::remove_dir(base);
        }
    }
}

impl Group {
    fn make(&self) -> io::Result<()> {
        // Whoever leaves last removes the server's group, and that may be now.
        for _ in 0..ATTEMPTS {
            if let Some(base) = self.dir.parent() {
                create(base)?;
                if self.unified {
                    delegate(base, &self.controllers)?;
                }
            }
            match create(&self.dir) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                made => return made,
            }
        }
        Err(ErrorKind::NotFound.into())
    }

    fn processes(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.dir.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    fn end(&self) {
        for _ in 0..ATTEMPTS {
            match fs::remove_dir(&self.dir) {
                Err(error) if error.kind() != ErrorKind::NotFound => {}
                _ => return,
            }
            self.kill();
            std::thread::sleep(WAIT);
        }
    }

    /// What runs here is not to run on because a server has no descriptors left.
    fn kill(&self) {
        descriptors::with_own(|| {
            if self.unified && fs::write(self.dir.join("cgroup.kill"), "1").is_ok() {
                return;
            }
            for pids in self.processes().chunks(AT_ONCE) {
                self.kill_each(pids);
            }
        });
    }

    /// A number may be a stranger's by now. What is held on to keeps its own, so if that is still among the group's, so is who has it.
    fn kill_each(&self, pids: &[i32]) {
        let held: Vec<_> = pids
            .iter()
            .filter_map(|pid| {
                let process = pidfd_open(Pid::from_raw(*pid)?, PidfdFlags::empty());
                Some((*pid, process.ok()?))
            })
            .collect();
        if held.is_empty() {
            return;
        }
        let left: HashSet<i32> = self.processes().into_iter().collect();
        for (_, process) in held.iter().filter(|(pid, _)| left.contains(pid)) {
            // It may have ended just now, and then nobody gets it.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
    }
}

fn create(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Lets the groups below a folder be limited.
fn delegate(dir: &Path, controllers: &[Controller]) -> io::Result<()> {
    let words: Vec<String> = controllers
        .iter()
        .map(|controller| format!("+{}", controller.as_str()))
        .collect();
    set(&dir.join("cgroup.subtree_control"), &words.join(" "), true)
}

/// Never makes a file: the kernel has it, or it is not there.
fn set(path: &Path, value: &str, must: bool) -> io::Result<()> {
    let written = fs::OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()));
    match written {
        Err(error) if must => Err(io::Error::new(
            error.kind(),
            format!("{}: {error}", path.display()),
        )),
        _ => Ok(()),
    }
}

/// Of lines of a name and a number.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find_map(|(key, value)| (key == name).then(|| value.trim().parse().ok())?)
}
