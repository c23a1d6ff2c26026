//! Entering the sandbox of a dyno that runs: a command beside its own, with no more rights than that has.
//!
//! The command is a member of all the dyno's namespaces and of its control group, as its user, under the same Landlock rules and the
//! same filter. The launcher stays outside, waits for it and passes signals on. What the command leaves running when it ends is the
//! dyno's from then on, whose init reaps it, and ends with the dyno.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::unistd::{pipe2, read, write};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::cgroup::{Birth, Forked};
use super::init::{complain, step, watch};
use super::spec::Host;
use super::{FAILED, Spec, cgroup, confine, inner, reap};

/// Runs the command to its end. Its status as a shell counts it.
pub fn run(
    spec: &Spec,
    host: Host,
    begun: Option<OwnedFd>,
    arrivals: &SignalFd,
) -> io::Result<i32> {
    let command = inner::Command::of(spec)?;
    let (waits, goes) = pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let host = join(spec, host).map_err(|error| step("enter the dyno", error))?;
    match cgroup::fork(spec.cgroup.as_ref())? {
        Forked::Child(birth) => {
            drop(goes);
            let status = walk_in(spec, birth, host, waits).and_then(|()| command.run());
            reap::leave(status.unwrap_or_else(|error| {
                complain(&error);
                FAILED
            }))
        }
        Forked::Parent { child } => {
            drop((begun, waits, host));
            // It may have ended meanwhile, and its status tells so.
            let _ = write(goes.as_fd(), b"g");
            drop(goes);
            let status = watch(child, arrivals, reap::signal_descendants);
            reap::end_descendants();
            status
        }
    }
}

/// Makes this process one that is, or whose children are, where the dyno's user and processes are. A process of the dyno, through
/// which the rest is reached.
fn join(spec: &Spec, host: Host) -> io::Result<OwnedFd> {
    let mut last = io::Error::other("it has ended");
    for process in reap::below(host.launcher) {
        match join_by(spec, host, process.pid) {
            Ok(member) => return Ok(member),
            // It has ended, or does not let itself be looked at.
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn join_by(spec: &Spec, host: Host, pid: i32) -> io::Result<OwnedFd> {
    let number = Pid::from_raw(pid).ok_or(Errno::ESRCH)?;
    let member = pidfd_open(number, PidfdFlags::empty())?;
    // Now that it cannot become somebody else any more: whether it is the dyno's still. One that has ended cannot be joined.
    if reap::parent(host.launcher) != Some(host.shim) || !descends(pid, host.launcher) {
        return Err(Errno::ESRCH.into());
    }
    let mut flags = CloneFlags::CLONE_NEWPID;
    if spec.ids.is_none() {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    setns(&member, flags)?;
    Ok(member)
}

fn descends(pid: i32, from: i32) -> bool {
    let mut at = pid;
    while let Some(parent) = reap::parent(at).filter(|parent| *parent > 0) {
        if parent == from {
            return true;
        }
        at = parent;
    }
    false
}

/// The rest of the way, and the door locked behind. From then on this process has no more rights than the dyno.
fn walk_in(spec: &Spec, birth: Birth, host: OwnedFd, waits: OwnedFd) -> io::Result<()> {
    // The dyno sees this process already, and may have the same user. It shall not look into it.
    prctl::set_dumpable(false)?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if read(waits.as_fd(), &mut [0])? == 0 {
        return Err(io::Error::other("the launcher is gone"));
    }
    birth
        .complete()
        .map_err(|error| step("enter the dyno's control group", error))?;
    let mut flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    if spec.network.is_some() {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    setns(&host, flags).map_err(|error| step("enter the dyno's namespaces", error))?;
    drop((host, waits));
    confine::take_streams(spec)?;
    confine::limit(spec)?;
    inner::become_leader(spec)?;
    inner::lock(spec)?;
    // Changing the user has cleared it.
    Ok(prctl::set_pdeathsig(Signal::SIGKILL)?)
}
