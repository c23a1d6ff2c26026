//! All the processes of a dyno whose shim is no more: finding them in `/proc`, and ending them.
//!
//! A process is of a dyno if it carries the dyno's id in its environment, which children inherit however they detach
//! themselves, or is in the process group of the dyno's first process, which holds even for those that emptied their
//! environment. Who does both escapes; only a sandbox can prevent that. It must not know why a dyno is ended.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::environment::MARK;
use crate::descriptors;
use crate::name::Id;
use crate::shim;
use crate::shim::processes::{self, Process};

const FIRST_WAIT: Duration = Duration::from_millis(2);
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// After so long without success it is worth telling the operator: a process hangs in the kernel.
const SUSPICIOUS: Duration = Duration::from_secs(10);

/// The processes of one dyno, or of several that end together.
#[derive(Clone, Debug, Default)]
pub struct Family {
    dynos: HashSet<Id>,
    /// Process groups, each with a folder: only processes that work within it count, since the number was noted long ago, and the
    /// kernel may have given it to a stranger since. So no group is signalled as a whole.
    groups: HashMap<i32, PathBuf>,
    /// Folders of dynos whose shims, too, are to end.
    held: HashSet<PathBuf>,
}

impl Family {
    /// That of a dyno of which no more is known than what its processes carry.
    pub fn new(dyno: Id) -> Family {
        Family {
            dynos: HashSet::from([dyno]),
            ..Family::default()
        }
    }

    /// That of a dyno of which nobody knows whether it was started. Its shim is to end as well.
    pub fn doubtful(dyno: Id, folder: PathBuf) -> Family {
        let mut family = Family::default();
        family.add_earlier(dyno, None, folder);
        family
    }

    /// Adds a dyno of an earlier run, with the leader that was noted then and the folder that was its own.
    pub fn add_earlier(&mut self, dyno: Id, leader: Option<i32>, folder: PathBuf) {
        self.dynos.insert(dyno);
        self.held.insert(folder.clone());
        if let Some(leader) = leader {
            self.groups.insert(leader, folder);
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
            if self.each(|_| {}).await == 0 {
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
        self.each(move |process| process.signal(signal)).await
    }

    /// Does this to everybody who has not ended, and says to how many. Reading all of `/proc` takes milliseconds on a busy machine, so it
    /// is done off the async workers. A server that has no descriptors left would find nobody.
    async fn each(&self, deed: impl Fn(&Process) + Send + 'static) -> usize {
        let family = self.clone();
        let doing = move || {
            let alive = processes::all()
                .into_iter()
                .filter(|process| !process.ended);
            let members = alive.map(Member::new);
            let found = members.filter(|member| family.has(member));
            let found: Vec<Process> = found.map(|member| member.process).collect();
            found.iter().for_each(deed);
            found.len()
        };
        tokio::task::spawn_blocking(|| descriptors::with_own(doing))
            .await
            .unwrap_or_default()
    }

    fn has(&self, member: &Member) -> bool {
        let marked = member.dyno.is_some_and(|dyno| self.dynos.contains(&dyno));
        marked
            || (self.groups.get(&member.process.group))
                .is_some_and(|folder| member.works_in(folder))
            || !self.held.is_empty() && member.holds().is_some_and(|held| self.held.contains(&held))
    }
}

/// A process that has not ended, with the id that it carries.
struct Member {
    process: Process,
    dyno: Option<Id>,
}

impl Member {
    fn new(process: Process) -> Member {
        Member {
            dyno: mark(process.pid),
            process,
        }
    }

    fn works_in(&self, folder: &Path) -> bool {
        std::fs::read_link(format!("/proc/{}/cwd", self.process.pid))
            .is_ok_and(|current| current.starts_with(folder))
    }

    /// The folder of the dyno that it holds, if it is a shim.
    fn holds(&self) -> Option<PathBuf> {
        let line = std::fs::read(format!("/proc/{}/cmdline", self.process.pid)).ok()?;
        let mut words = line.split(|byte| *byte == 0).skip(1);
        (words.next()? == shim::SUBCOMMAND.as_bytes())
            .then(|| OsStr::from_bytes(words.next().unwrap_or_default()).into())
    }
}

/// The id of the dyno that a process carries in its environment.
fn mark(pid: i32) -> Option<Id> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value = environment
        .split(|byte| *byte == 0)
        .find_map(|variable| variable.strip_prefix(MARK.as_bytes())?.strip_prefix(b"="))?;
    Id::parse(std::str::from_utf8(value).ok()?)
}
