//! The launcher's inner half: it walks into the sandbox, locks the door behind itself, and is the dyno's init.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, Pid, execve, fork, read, sethostname, write};

use super::cgroup::Birth;
use super::init::{complain, signals, step};
use super::reap::{self, Reaper};
use super::{FAILED, Level, Spec, confine, filter, landlock, net, root};

/// As a shell says it: there is no such program, or it cannot be run.
const NOT_FOUND: i32 = 127;
const NOT_RUNNABLE: i32 = 126;

/// The inner half's ends of the pipes to the outer one.
pub struct Door {
    pub ready: OwnedFd,
    pub lifeline: OwnedFd,
    /// Goes when the command runs.
    pub begun: Option<OwnedFd>,
}

/// Everything from the first namespace to the end of the last process. The dyno's status.
pub fn main(spec: &Spec, birth: Birth, door: Door) -> i32 {
    let entered = enter(spec, birth, &door).and_then(|()| launch(spec));
    drop((door.ready, door.begun));
    match entered {
        Ok(Some(first)) => Reaper::new(first, spec.level.has_own_tree(), door.lifeline).run(),
        Ok(None) => FAILED,
        Err(error) => {
            complain(&error);
            FAILED
        }
    }
}

/// Builds the sandbox around this process. From the last step on it has no more rights than the dyno's command.
fn enter(spec: &Spec, birth: Birth, door: &Door) -> io::Result<()> {
    if spec.level.has_own_tree() {
        // The kernel ends the whole namespace with this process, and this one with the outer half.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
    } else {
        // Here it is this process that has to end the others, and so has to outlive the outer half.
        prctl::set_child_subreaper(true)?;
    }
    birth
        .complete()
        .map_err(|error| step("enter its control group", error))?;
    separate(spec)?;
    write(door.ready.as_fd(), b"r")?;
    if spec.level.has_own_tree() {
        sethostname(&spec.hostname).map_err(|error| step("set its host name", error))?;
        root::enter(spec)?;
    }
    wait(door)?;
    if let Some(network) = &spec.network {
        net::configure(network).map_err(|error| step("set up its network", error))?;
        write(door.ready.as_fd(), b"c")?;
    }
    confine::take_streams(spec)?;
    confine::limit(spec)?;
    if spec.level.has_own_tree() {
        lock(spec)?;
        // Changing the user has cleared it.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
    }
    if spec.network.is_some() {
        wait(door)?;
    }
    Ok(())
}

/// Waits until the outer half has done its part.
fn wait(door: &Door) -> io::Result<()> {
    match read(door.lifeline.as_fd(), &mut [0])? {
        0 => Err(io::Error::other("the launcher's outer half is gone")),
        _ => Ok(()),
    }
}

fn separate(spec: &Spec) -> io::Result<()> {
    if !spec.level.has_own_tree() {
        return Ok(());
    }
    // Of control groups it sees those that it is in by now, and what is below.
    let mut flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    if spec.network.is_some() {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    unshare(flags).map_err(|error| step("make its namespaces", error))?;
    if spec.network.is_some() {
        net::prepare().map_err(|error| step("prepare its network", error))?;
    }
    Ok(())
}

/// After this nothing can be gained any more, not by an exec either.
pub fn lock(spec: &Spec) -> io::Result<()> {
    landlock::restrict(spec).map_err(|error| step("restrict it with Landlock", error))?;
    confine::drop_rights(spec.ids).map_err(|error| step("drop its rights", error))?;
    filter::apply(spec.level.has_own_tree()).map_err(|error| step("filter its system calls", error))
}

/// Starts the dyno's command as a child; `None` if it could not be.
fn launch(spec: &Spec) -> io::Result<Option<Pid>> {
    let command = Command::of(spec)?;
    #[expect(
        unsafe_code,
        reason = "this process has one thread, so the child may do anything"
    )]
    let forked = unsafe { fork() }?;
    match forked {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => {
            let begun = become_leader(spec)
                .and_then(|()| match spec.level {
                    // Here the init itself stays outside, so that a dyno cannot end it.
                    Level::Landlock => lock(spec),
                    _ => Ok(()),
                })
                .and_then(|()| command.run());
            reap::leave(begun.unwrap_or_else(|error| {
                complain(&error);
                FAILED
            }))
        }
    }
}

/// What is executed, in the form that the kernel takes.
pub struct Command {
    home: PathBuf,
    replaces: Option<String>,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Command {
    pub fn of(spec: &Spec) -> io::Result<Command> {
        let environment = spec.env.iter();
        let environment = environment.map(|(name, value)| format!("{name}={value}"));
        Ok(Command {
            home: spec.cwd.clone().unwrap_or_else(|| spec.home()),
            replaces: spec.replaces.clone(),
            arguments: terminated(spec.argv.iter().cloned())?,
            environment: terminated(environment)?,
        })
    }

    /// In the place of this process. Comes back only if that fails, with the status that tells so.
    pub fn run(&self) -> io::Result<i32> {
        nix::unistd::chdir(&self.home).map_err(|error| step("enter its home", error))?;
        if let Some(folder) = &self.replaces {
            replace(Path::new(folder)).map_err(|error| step("replace a folder", error))?;
        }
        Ok(exec(&self.arguments, &self.environment))
    }
}

/// As `rm -r` and `mkdir` do, and each of those would take as long as all else that a sandbox is tried with.
fn replace(folder: &Path) -> io::Result<()> {
    fs::remove_dir_all(folder)?;
    fs::create_dir(folder)?;
    match fs::read_dir(folder)?.next() {
        None => fs::write(folder.join("file"), ""),
        Some(_) => Err(io::Error::other("what was removed is still there")),
    }
}

fn terminated(texts: impl Iterator<Item = String>) -> io::Result<Vec<CString>> {
    let texts: Result<_, _> = texts.map(CString::new).collect();
    texts.map_err(io::Error::other)
}

pub fn become_leader(spec: &Spec) -> io::Result<()> {
    nix::unistd::setsid()?;
    if spec.tty {
        confine::take_terminal().map_err(|error| step("take its terminal", error))?;
    }
    if spec.background {
        confine::make_way();
    }
    // What came while they were blocked shall be heeded too.
    confine::heed_signals().map_err(|error| step("heed signals", error))?;
    signals().thread_unblock()?;
    confine::close_descriptors().map_err(|error| step("close descriptors", error))
}

/// Only comes back if that fails.
fn exec(arguments: &[CString], environment: &[CString]) -> i32 {
    let Some(program) = arguments.first() else {
        return NOT_FOUND;
    };
    let Err(errno) = execve(program, arguments, environment);
    eprintln!("penstock: {}: {}", program.to_string_lossy(), errno.desc());
    match errno {
        nix::errno::Errno::ENOENT => NOT_FOUND,
        _ => NOT_RUNNABLE,
    }
}
