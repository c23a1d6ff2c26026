//! How a dyno ends: its first process, the signals, the grace, and everything that is left.
//!
//! All of a dyno's processes descend from the shim, and those whose parents have gone are its children, so that it is told of
//! their end; when it has no child, nothing is left. It must not know why a dyno is ended.

use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, wait,
};

use super::processes;

/// Between two rounds of SIGKILL: a process may have forked while the others were being counted.
const FIRST_ROUND: Duration = Duration::from_millis(2);
const LONGEST_ROUND: Duration = Duration::from_millis(500);
/// What a shell says of a process whose status nobody knows.
const UNKNOWN_STATUS: i32 = 255;

/// The processes of one dyno, on their way to none.
pub struct Ending {
    first: Pid,
    passes_signals_on: bool,
    /// Of the first process, as a shell counts it.
    status: Option<i32>,
    /// Somebody has asked for the end.
    asked: bool,
    /// When the grace is over.
    deadline: Option<Instant>,
    /// The next round of SIGKILL, and how long until the one after it.
    round: Option<(Instant, Duration)>,
    killed: bool,
    gone: bool,
}

impl Ending {
    pub fn new(first: Pid, passes_signals_on: bool) -> Ending {
        Ending {
            first,
            passes_signals_on,
            status: None,
            asked: false,
            deadline: None,
            round: None,
            killed: false,
            gone: false,
        }
    }

    /// The first process has ended.
    pub fn has_begun(&self) -> bool {
        self.status.is_some()
    }

    /// Nothing of the dyno is left: its status, and whether SIGKILL was needed after a grace.
    pub fn outcome(&self) -> Option<(i32, bool)> {
        let status = self.status.unwrap_or(UNKNOWN_STATUS);
        self.gone.then_some((status, self.killed))
    }

    /// SIGTERM to all, and SIGKILL to what is left after the grace. Asked again, the earlier moment counts.
    pub fn stop(&mut self, grace: Duration) {
        let deadline = Instant::now() + grace.min(Duration::from_secs(86_400));
        if self.gone {
            return;
        }
        if grace.is_zero() {
            self.asked = true;
            self.kill();
            return;
        }
        self.deadline = Some(self.deadline.map_or(deadline, |old| old.min(deadline)));
        if !std::mem::replace(&mut self.asked, true) {
            self.signal(Signal::TERM);
        }
    }

    /// Sends a signal to every process.
    pub fn signal(&self, signal: Signal) {
        if self.passes_signals_on && signal != Signal::KILL && self.status.is_none() {
            // Not yet waited for, so the number is still its own. It may have ended just now.
            let _ = kill_process(self.first, signal);
            return;
        }
        let all = processes::all();
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let descendants = processes::descendants(&all, own);
        let group = self.first.as_raw_nonzero().get();
        // As a whole, so that who is being forked at this moment gets it too. A group without members may be a stranger's.
        if descendants.iter().any(|process| process.group == group) {
            let _ = kill_process_group(self.first, signal);
        }
        for process in descendants.iter().filter(|process| process.group != group) {
            process.signal(signal);
        }
    }

    /// What is to be done again, and when.
    pub fn next_moment(&self) -> Option<Instant> {
        let round = self.round.map(|(at, _)| at);
        self.deadline.into_iter().chain(round).min()
    }

    /// Does what is due.
    pub fn continue_at(&mut self, now: Instant) {
        if self.gone {
            return;
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            self.killed = true;
            self.kill();
        }
        if let Some((at, wait)) = self.round
            && at <= now
        {
            self.signal(Signal::KILL);
            self.round = Some((now + wait, (wait * 2).min(LONGEST_ROUND)));
        }
    }

    /// Asks for the status of everybody who has ended.
    pub fn reap(&mut self) {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.first => self.first_ended(status),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return,
                Err(_) => {
                    self.gone = true;
                    self.deadline = None;
                    self.round = None;
                    return;
                }
            }
        }
    }

    fn first_ended(&mut self, status: WaitStatus) {
        let signal = status.terminating_signal().map(|signal| 128 + signal);
        self.status = status.exit_status().or(signal);
        self.status.get_or_insert(UNKNOWN_STATUS);
        // A dyno has ended when its first process has; what it left behind must not run beside its successor. One that is being
        // stopped has the rest of its grace.
        if !self.asked {
            self.kill();
        }
    }

    /// SIGKILL to all, in rounds, until nothing is left.
    fn kill(&mut self) {
        if self.round.is_none() {
            self.signal(Signal::KILL);
            self.round = Some((Instant::now() + FIRST_ROUND, FIRST_ROUND * 2));
        }
    }
}
