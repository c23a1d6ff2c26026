//! One run of git on what strangers made: confined, and ended with all that it has started.
//!
//! It must not know what git is asked for, nor what becomes of what it says.

use std::io;
use std::process::{ExitStatus, Stdio};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, getpriority_process, getrlimit,
    kill_process_group, prlimit, setpriority_process, waitid,
};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::NICENESS;
use super::repository::spawn_failed;
use crate::error::{Error, Result};

/// Seconds of the processor for one run of git.
const PROCESSOR: u64 = 120;
/// Bytes of memory that git may map, and of a file that it may write.
const MEMORY: u64 = 2 << 30;
const LARGEST_FILE: u64 = 1 << 30;

/// A git that leads a process group, all of which ends with it, or with this.
pub(super) struct Run {
    /// Nobody else asks for its status, so that until then its number, which is the group's, is nobody else's.
    git: Child,
}

impl Run {
    /// Starts it, confined.
    pub fn begin(command: &mut Command) -> Result<Run> {
        let git = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(spawn_failed)?;
        let run = Run { git };
        let pid = run.pid().ok_or_else(lost)?;
        confine(pid)?;
        Ok(run)
    }

    pub fn stdout(&mut self) -> Result<ChildStdout> {
        let out = self.git.stdout.take();
        out.ok_or_else(|| Error::internal("a git without an output"))
    }

    /// Where it complains, if that was asked for.
    pub fn stderr(&mut self) -> Option<ChildStderr> {
        self.git.stderr.take()
    }

    /// Waits until git has ended, and ends what it has left running. May be dropped halfway.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        // Asked for before it is looked, so that none is missed.
        let mut news = signal(SignalKind::child())?;
        while !self.has_ended()? {
            news.recv().await;
        }
        self.end();
        Ok(self.git.wait().await?)
    }

    /// Ends all of the group, if git's status was not asked for yet: with that its number may become a stranger's.
    pub fn end(&self) {
        if let Some(group) = self.pid() {
            // Git itself may be all that there is, and have ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Looked at in such a way that it can still be asked for its status.
    fn has_ended(&self) -> io::Result<bool> {
        let Some(pid) = self.pid() else {
            return Ok(true);
        };
        let how = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(waitid(WaitId::Pid(pid), how)?.is_some())
    }

    /// `None` once its status was asked for.
    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.git.id()?).ok()?)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.end();
    }
}

fn lost() -> Error {
    Error::internal("a git without a number")
}

/// What it makes of a few bytes must not take the machine's memory, disk or processor.
fn confine(pid: Pid) -> Result<()> {
    let limits = [
        (Resource::As, MEMORY),
        (Resource::Fsize, LARGEST_FILE),
        (Resource::Cpu, PROCESSOR),
    ];
    for (resource, most) in limits {
        limit(pid, resource, most)?;
    }
    give_way(pid);
    Ok(())
}

/// At most so much, or what this process may have where that is less.
pub(super) fn limit(pid: Pid, resource: Resource, most: u64) -> Result<()> {
    let own = getrlimit(resource).maximum;
    let most = own.map_or(most, |own| own.min(most));
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    Ok(prlimit(Some(pid), resource, limit)
        .map(drop)
        .map_err(io::Error::from)?)
}

/// Whoever visits an app comes first.
pub(super) fn give_way(pid: Pid) {
    // Whoever started the server nicer than that has asked for as much of all that it starts. Without it all works, at some cost to
    // visitors.
    let own = getpriority_process(None).unwrap_or(NICENESS);
    let _ = setpriority_process(Some(pid), own.max(NICENESS));
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn what_is_left_running_ends_with_it() -> Result<()> {
        let mut command = Command::new("sh");
        let mut run = Run::begin(command.args(["-c", "sleep 1000 & exit 3"]))?;
        let mut out = run.stdout()?;
        assert_eq!(run.wait().await?.code(), Some(3));
        // It has an end once nobody has it open any more.
        assert_eq!(out.read_to_end(&mut Vec::new()).await?, 0);
        assert!(run.pid().is_none());
        Ok(())
    }
}
