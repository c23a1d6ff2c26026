//! All the processes of a dyno: finding them in `/proc`, and ending them.
//!
//! A process is of a dyno if it carries the dyno's id in its environment, which children inherit however they detach
//! themselves, or is in the process group of the dyno's first process, which holds even for those that emptied their
//! environment. Who does both escapes; only a sandbox can prevent that. It must not know why a dyno is ended.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use tokio::time::{Instant, sleep};

use super::environment::MARK;
use crate::name::Id;

const FIRST_WAIT: Duration = Duration::from_millis(2);
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// After so long without success it is worth telling the operator: a process hangs in the kernel.
const SUSPICIOUS: Duration = Duration::from_secs(10);

/// The processes of one dyno, or of several that end together.
#[derive(Clone, Debug, Default)]
pub struct Family {
    dynos: HashSet<Id>,
    /// Process groups. With a folder, only processes that work within it count: the number was noted by an earlier run, and the
    /// kernel may have given it to a stranger since.
    groups: HashMap<i32, Option<PathBuf>>,
}

impl Family {
    /// That of a dyno which this server started, with the leader of its process group if it is known.
    pub fn new(dyno: Id, leader: Option<i32>) -> Family {
        Family {
            dynos: HashSet::from([dyno]),
            groups: leader.into_iter().map(|leader| (leader, None)).collect(),
        }
    }

    /// Adds a dyno of an earlier run, with the leader that was noted then and the folder that was its own.
    pub fn add_earlier(&mut self, dyno: Id, leader: Option<i32>, folder: PathBuf) {
        self.dynos.insert(dyno);
        if let Some(leader) = leader {
            self.groups.insert(leader, Some(folder));
        }
    }

    /// SIGTERM to all, SIGKILL to what is left after `grace`, at once if that is zero. Resolves when nobody is left, and says
    /// whether SIGKILL was needed after a grace.
    pub async fn end(&self, grace: Duration) -> bool {
        if !grace.is_zero() {
            self.signal(Signal::TERM).await;
            if self.gone(Some(grace)).await {
                return false;
            }
        }
        let begun = Instant::now();
        let mut wait = FIRST_WAIT;
        // Again and again, since a process may have forked while the others were being counted.
        while self.signal(Signal::KILL).await > 0 {
            if begun.elapsed() > SUSPICIOUS && wait < SUSPICIOUS {
                tracing::error!(dynos = ?self.dynos, "processes of a dyno survive SIGKILL");
                wait = SUSPICIOUS;
            }
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT.max(wait));
        }
        !grace.is_zero()
    }

    /// Waits until nobody is left, or for so long at most. Whether nobody is left.
    pub async fn gone(&self, limit: Option<Duration>) -> bool {
        let begun = Instant::now();
        let mut wait = FIRST_WAIT;
        loop {
            if self.alive().await.is_empty() {
                return true;
            }
            let rest = limit.map(|limit| limit.saturating_sub(begun.elapsed()));
            if rest.is_some_and(|rest| rest.is_zero()) {
                return false;
            }
            sleep(rest.map_or(wait, |rest| rest.min(wait))).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Sends a signal to everybody, and says to how many.
    async fn signal(&self, signal: Signal) -> usize {
        // The groups of this server's own dynos first, and as a whole: who is being forked at this moment gets it too.
        let own = self.groups.iter().filter(|(_, folder)| folder.is_none());
        let groups: HashSet<i32> = own.map(|(group, _)| *group).collect();
        for group in groups.iter().filter_map(|group| Pid::from_raw(*group)) {
            // An empty group is no failure.
            let _ = kill_process_group(group, signal);
        }
        let alive = self.alive().await;
        for process in &alive {
            if !groups.contains(&process.group) {
                process.signal(signal);
            }
        }
        alive.len()
    }

    /// Reading all of `/proc` takes milliseconds on a busy machine, so it is done off the async workers.
    async fn alive(&self) -> Vec<Process> {
        let family = self.clone();
        tokio::task::spawn_blocking(move || {
            let mut found = processes();
            found.retain(|process| family.has(process));
            found
        })
        .await
        .unwrap_or_default()
    }

    fn has(&self, process: &Process) -> bool {
        let marked = process.dyno.is_some_and(|dyno| self.dynos.contains(&dyno));
        marked
            || match self.groups.get(&process.group) {
                Some(Some(folder)) => process.works_in(folder),
                Some(None) => true,
                None => false,
            }
    }
}

/// A process that has not ended.
struct Process {
    pid: i32,
    group: i32,
    /// In ticks since the machine started. Tells a process from a later one with the same number.
    started: u64,
    dyno: Option<Id>,
}

impl Process {
    fn read(pid: i32) -> Option<Process> {
        let (group, started) = stat(pid)?;
        Some(Process {
            pid,
            group,
            started,
            dyno: mark(pid),
        })
    }

    fn works_in(&self, folder: &Path) -> bool {
        std::fs::read_link(format!("/proc/{}/cwd", self.pid))
            .is_ok_and(|current| current.starts_with(folder))
    }

    /// Through a descriptor of the process that was looked at, so that a stranger with the same number is safe.
    fn signal(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return;
        };
        let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else {
            return;
        };
        if stat(self.pid).is_some_and(|(_, started)| started == self.started) {
            // It may have ended by itself just now.
            let _ = pidfd_send_signal(descriptor, signal);
        }
    }
}

fn processes() -> Vec<Process> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != own)
        .filter_map(Process::read)
        .collect()
}

/// Process group and start time. `None` for one that has ended, or is a zombie, of which nothing is left but its status. The
/// name in front of them is the process's to choose, and ends at the last parenthesis.
fn stat(pid: i32) -> Option<(i32, u64)> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let (_, fields) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let state = fields.first()?;
    if matches!(*state, "Z" | "X" | "x") {
        return None;
    }
    Some((fields.get(2)?.parse().ok()?, fields.get(19)?.parse().ok()?))
}

/// The id of the dyno that a process carries in its environment.
fn mark(pid: i32) -> Option<Id> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value = environment
        .split(|byte| *byte == 0)
        .find_map(|variable| variable.strip_prefix(MARK.as_bytes())?.strip_prefix(b"="))?;
    Id::parse(std::str::from_utf8(value).ok()?)
}
