//! Being init: reaping every process of the dyno, passing signals on, and waiting for the last.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

use super::FAILED;
use super::init::signals;
use crate::shim::processes::{self, Process};

/// Everybody that a process may signal, but itself. In a process namespace that is the whole dyno.
const ALL: Pid = Pid::from_raw(-1);

pub struct Reaper {
    /// The dyno's own command: its status is the dyno's.
    first: Pid,
    status: Option<i32>,
    /// SIGTERM came: those who are left have until whoever sent it sends SIGKILL.
    stopping: bool,
    /// Everybody is in a namespace of which this process is the first.
    alone: bool,
    lifeline: OwnedFd,
}

/// The signal that came, if it is one to pass on.
pub fn passed_on(arrived: &nix::sys::signalfd::siginfo) -> Option<Signal> {
    let number = i32::try_from(arrived.ssi_signo).ok()?;
    let signal = Signal::try_from(number).ok()?;
    (signal != Signal::SIGCHLD).then_some(signal)
}

/// Ends this process and runs nothing that belongs to the one that it was forked from.
pub fn leave(status: i32) -> ! {
    #[expect(unsafe_code, reason = "there is no safe way to end a forked child")]
    unsafe {
        libc::_exit(status)
    }
}

impl Reaper {
    pub fn new(first: Pid, alone: bool, lifeline: OwnedFd) -> Reaper {
        Reaper {
            first,
            status: None,
            stopping: false,
            alone,
            lifeline,
        }
    }

    /// Until nothing of the dyno is left. Its status.
    pub fn run(mut self) -> i32 {
        let Ok(arrivals) =
            SignalFd::with_flags(&signals(), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        else {
            self.signal(Signal::SIGKILL);
            return FAILED;
        };
        loop {
            if self.reap() {
                return self.end();
            }
            if self.status.is_some() && !self.stopping {
                // A dyno has ended when its first process has; what it left behind must not run beside its successor.
                return self.end();
            }
            if !self.wait(&arrivals) {
                return self.end();
            }
            while let Ok(Some(arrived)) = arrivals.read_signal() {
                if let Some(signal) = passed_on(&arrived) {
                    self.pass_on(signal);
                }
            }
        }
    }

    fn pass_on(&mut self, signal: Signal) {
        self.stopping |= signal == Signal::SIGTERM;
        self.signal(signal);
        // One that has stopped itself would never see it.
        self.signal(Signal::SIGCONT);
    }

    /// Sleeps until there is something to do. False once the outer half is gone.
    fn wait(&self, arrivals: &SignalFd) -> bool {
        let mut descriptors = [
            PollFd::new(arrivals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.lifeline.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut descriptors, PollTimeout::NONE) {
            Ok(_) => !descriptors[1].any().unwrap_or(true),
            Err(errno) => errno == Errno::EINTR,
        }
    }

    /// Takes in whoever has ended. True when nobody is left.
    fn reap(&mut self) -> bool {
        loop {
            let status = match waitpid(ALL, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) => (pid, status),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32),
                Ok(WaitStatus::StillAlive) => return false,
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(_) => return true,
            };
            if status.0 == self.first {
                self.status = Some(status.1);
            }
        }
    }

    fn signal(&self, signal: Signal) {
        if self.alone {
            // There may be nobody.
            let _ = kill(ALL, signal);
        } else {
            signal_descendants(signal);
        }
    }

    fn end(&self) -> i32 {
        match self.alone {
            // The kernel ends the namespace with its first process, and that before anybody learns of the end of this one.
            true => self.signal(Signal::SIGKILL),
            false => end_descendants(),
        }
        self.status.unwrap_or(128 + Signal::SIGKILL as i32)
    }
}

/// Sends a signal to everything that descends from this process.
pub fn signal_descendants(signal: Signal) {
    let Some(signal) = rustix::process::Signal::from_named_raw(signal as i32) else {
        return;
    };
    for process in below(getpid().as_raw()) {
        process.signal(signal);
    }
}

/// Ends everything that descends from this process, and reaps it.
pub fn end_descendants() {
    loop {
        let left = below(getpid().as_raw());
        if left.is_empty() {
            return;
        }
        for process in left {
            process.signal(rustix::process::Signal::KILL);
        }
        // Orphans become our own children; one of them ends soon, since all were killed.
        if waitpid(ALL, None).is_err() {
            return;
        }
    }
}

/// All processes below one, found by their parents: those who lose theirs become children of whoever reaps them.
pub fn below(root: i32) -> Vec<Process> {
    processes::descendants(&processes::all(), root)
}

pub fn parent(pid: i32) -> Option<i32> {
    Process::read(pid).map(|process| process.parent)
}
