//! The launcher's outer half: it prepares what takes the server's rights, starts the inner half, and outlives it.
//!
//! It stays outside of the sandbox, where the dyno cannot see it: signals for the dyno come here and are passed on, and if it is
//! killed, the inner half and with it the dyno ends.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::process::ExitCode;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, pipe2, read, write};
use rustix::fs::Mode;
use rustix::process::umask;

use super::cgroup::Forked;
use super::inner::{self, Door};
use super::{BEGUN_FD, FAILED, Network, SUBCOMMAND, Spec, cgroup, confine, enter, net};
use crate::sandbox::reap;

/// Runs the dyno that the spec describes, and ends as it does, if this process was started as a launcher.
pub fn run_if_asked() -> Option<ExitCode> {
    let asked = std::env::args_os().nth(1)? == SUBCOMMAND;
    asked.then(main)
}

fn main() -> ExitCode {
    // Others read what is made for them here, whatever whoever started the server keeps to themselves.
    umask(Mode::from_raw_mode(0o022));
    // Before anything else can get this number.
    let begun = begun();
    let status = Spec::receive()
        .map_err(|error| step("read the spec", error))
        .and_then(|spec| run(&spec, begun));
    exit_code(status.unwrap_or_else(|error| {
        complain(&error);
        FAILED
    }))
}

/// What failed, in front of why.
pub fn step(what: &str, error: impl Into<io::Error>) -> io::Error {
    let error: io::Error = error.into();
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// Into the dyno's own log.
pub fn complain(error: &io::Error) {
    eprintln!("penstock: the dyno's sandbox could not be built: {error}");
}

pub fn exit_code(status: i32) -> ExitCode {
    ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))
}

/// Signals that are passed on to every process of the dyno, and the one that tells of the end of a child.
pub fn signals() -> SigSet {
    use Signal::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    [SIGCHLD, SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2]
        .into_iter()
        .collect()
}

/// Both ends of what the two halves say to each other.
struct Halves {
    /// Open until the command runs.
    begun: Option<OwnedFd>,
    /// The inner half says here that its namespaces are there, and then that its end of the cable is up.
    ready: (OwnedFd, OwnedFd),
    /// The outer one says here that the cable is there, and then that packets go through it. When it ends, so does this.
    lifeline: (OwnedFd, OwnedFd),
}

/// Whoever started this process may not want to know.
fn begun() -> Option<OwnedFd> {
    fcntl(
        #[expect(
            unsafe_code,
            reason = "it is only asked whether there is such a descriptor"
        )]
        unsafe {
            BorrowedFd::borrow_raw(BEGUN_FD)
        },
        FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC),
    )
    .ok()?;
    #[expect(
        unsafe_code,
        reason = "the descriptor is named by number between two programs, and nothing else here has it"
    )]
    Some(unsafe { OwnedFd::from_raw_fd(BEGUN_FD) })
}

fn run(spec: &Spec, begun: Option<OwnedFd>) -> io::Result<i32> {
    let mask = signals();
    mask.thread_block()?;
    let arrivals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC)?;
    // What the inner half leaves behind, should it be killed, comes to us.
    prctl::set_child_subreaper(true)?;
    if let Some(host) = spec.host.filter(|_| spec.level.has_own_tree()) {
        return enter::run(spec, host, begun, &arrivals);
    }
    if let Some(cgroup) = spec.cgroup.as_ref().filter(|_| spec.host.is_none()) {
        cgroup
            .make(&spec.limits)
            .map_err(|error| step("make its control group", error))?;
    }
    let outcome = start(spec, begun).and_then(|started| {
        let status = watch(started.inner, &arrivals, |signal| {
            // It may have ended this moment.
            let _ = kill(started.inner, signal);
        });
        started.disconnect();
        status
    });
    tidy(spec);
    outcome
}

/// The inner half, and what was made for it.
struct Started {
    inner: Pid,
    /// It ends with this.
    lifeline: OwnedFd,
    /// The network that it was connected with.
    network: Option<Network>,
}

/// Starts the inner half, and lets it go on once it has its network.
fn start(spec: &Spec, begun: Option<OwnedFd>) -> io::Result<Started> {
    let flags = nix::fcntl::OFlag::O_CLOEXEC;
    let halves = Halves {
        begun,
        ready: pipe2(flags)?,
        lifeline: pipe2(flags)?,
    };
    if spec.level.has_own_tree() {
        if spec.ids.is_none() {
            confine::enter_user_namespace()
                .map_err(|error| step("make a user namespace", error))?;
        }
        // It takes effect with the next child, which is the first process of the new namespace.
        unshare(CloneFlags::CLONE_NEWPID)
            .map_err(|error| step("make a process namespace", error))?;
    }
    let forked = cgroup::fork(spec.cgroup.as_ref())?;
    let Halves {
        begun,
        ready,
        lifeline,
    } = halves;
    match forked {
        Forked::Child(birth) => {
            drop((ready.0, lifeline.1));
            let door = Door {
                ready: ready.1,
                lifeline: lifeline.0,
                begun,
            };
            std::process::exit(inner::main(spec, birth, door));
        }
        Forked::Parent { child } => {
            drop((begun, ready.1, lifeline.0));
            let mut started = Started {
                inner: child,
                lifeline: lifeline.1,
                network: None,
            };
            match started.admit(spec, &ready.0) {
                Ok(()) => Ok(started),
                Err(error) => {
                    started.give_up();
                    Err(error)
                }
            }
        }
    }
}

impl Started {
    /// Does what only the outer half may do for the inner one, which meanwhile makes its tree.
    fn admit(&mut self, spec: &Spec, ready: &OwnedFd) -> io::Result<()> {
        // If it has ended already, it has said why itself, and its status follows.
        if read(ready.as_fd(), &mut [0])? > 0
            && let Some(network) = &spec.network
        {
            match net::connect(network, self.inner.as_raw()) {
                Ok(()) => self.network = Some(network.clone()),
                Err(_) if has_failed(self.inner) => return Ok(()),
                Err(error) => return Err(step("connect its network", error)),
            }
        }
        go_on(&self.lifeline)?;
        if let Some(network) = &self.network
            && read(ready.as_fd(), &mut [0])? > 0
        {
            net::settle(&net::name(network.address));
            go_on(&self.lifeline)?;
        }
        Ok(())
    }

    /// Ends what was begun, and leaves nothing of it.
    fn give_up(&self) {
        let _ = kill(self.inner, Signal::SIGKILL);
        let _ = waitpid(self.inner, None);
        self.disconnect();
    }

    fn disconnect(&self) {
        self.network.iter().for_each(net::disconnect);
    }
}

/// Lets the inner half take its next step.
fn go_on(lifeline: &OwnedFd) -> io::Result<()> {
    match write(lifeline.as_fd(), b"g") {
        // It ended meanwhile.
        Ok(_) | Err(Errno::EPIPE) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Ends the inner half. Whether it had already, and so has said why.
fn has_failed(inner: Pid) -> bool {
    let _ = kill(inner, Signal::SIGKILL);
    let seen = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    matches!(waitid(Id::Pid(inner), seen), Ok(WaitStatus::Exited(_, _)))
}

/// Passes signals on until the child has ended; its status as a shell counts it.
pub fn watch(inner: Pid, arrivals: &SignalFd, pass_on: impl Fn(Signal)) -> io::Result<i32> {
    loop {
        match waitpid(inner, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, status)) => return Ok(status),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(128 + signal as i32),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if let Some(arrived) = arrivals.read_signal()?
            && let Some(signal) = reap::passed_on(&arrived)
        {
            pass_on(signal);
        }
    }
}

/// Nothing of the dyno may stay: what still runs is ended, and its group removed.
fn tidy(spec: &Spec) {
    if !spec.level.has_own_tree() {
        reap::end_descendants();
    }
    if let Some(cgroup) = spec.cgroup.as_ref().filter(|_| spec.host.is_none()) {
        cgroup::end(cgroup);
    }
}
