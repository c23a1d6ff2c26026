//! The first process of a dyno: the one place that builds its command and starts it.
//!
//! It must not know what is done with its output, nor when it is ended.

use std::fs::File;
use std::io::{self, PipeWriter};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::SigSet;
use rustix::process::{Pid, Signal, ioctl_tiocsctty, set_parent_process_death_signal, setsid};

use super::{Program, Streams, terminal};
use crate::error::{Error, Result};
use crate::sandbox::{self, Begun};

/// A first process that was started, and the shim's ends of its streams.
pub struct Child {
    /// It leads a session and a process group.
    pub pid: Pid,
    /// What the dyno prints. A terminal's own side, if there is one.
    pub output: OwnedFd,
    /// Where its input goes, if it has any.
    pub input: Option<OwnedFd>,
    /// The input is the terminal's.
    pub is_terminal: bool,
    /// A signal for the first process reaches all others through it, save SIGKILL. Else each has to be sent its own.
    pub passes_signals_on: bool,
}

/// Starts the program. 422 when it cannot be, with the reason.
pub fn start(program: &Program, streams: Streams) -> Result<Child> {
    let (mut command, begun) = command(program)?;
    let (output, input) = connect(&mut command, streams)?;
    let is_terminal = matches!(streams, Streams::Terminal(_));
    // A launcher leaves the terminal to the command that it starts.
    let takes_terminal = is_terminal && program.sandbox.is_none();
    let prepare = move || prepare(takes_terminal);
    #[expect(
        unsafe_code,
        reason = "the shim has one thread, so what is done between fork and exec cannot meet a lock that is held"
    )]
    unsafe {
        command.pre_exec(prepare)
    };
    let child = command
        .spawn()
        .map_err(|cause| Error::invalid(format!("The command could not be started: {cause}.")))?;
    // With it go this process's ends of what the child has.
    drop(command);
    if let Some(begun) = begun {
        begun.wait();
    }
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    Ok(Child {
        pid: pid.ok_or_else(|| Error::internal("a process without a number"))?,
        output,
        input,
        is_terminal,
        passes_signals_on: program.sandbox.is_some(),
    })
}

/// What is executed. Nothing of this process's environment is in it.
fn command(program: &Program) -> Result<(Command, Option<Begun>)> {
    if let Some(spec) = &program.sandbox {
        let (mut command, begun) = sandbox::command(Path::new("/proc/self/exe"), spec)?;
        command
            .envs(program.environment.iter().cloned())
            .current_dir(&program.folder);
        return Ok((command, Some(begun)));
    }
    let mut command = Command::new(&program.path);
    command
        .args(&program.arguments)
        .env_clear()
        .envs(
            program
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        )
        .current_dir(&program.folder);
    Ok((command, None))
}

/// Connects the command's streams; the shim's ends of output and input.
fn connect(command: &mut Command, streams: Streams) -> Result<(OwnedFd, Option<OwnedFd>)> {
    if let Streams::Terminal(size) = streams {
        let (own, other) = terminal::open(size)?;
        command
            .stdin(other.try_clone()?)
            .stdout(other.try_clone()?)
            .stderr(other);
        let input = own.try_clone()?;
        return Ok((own, Some(input)));
    }
    let (reader, writer) = io::pipe()?;
    prints_to(command, writer)?;
    if streams == Streams::Output {
        command.stdin(Stdio::null());
        return Ok((reader.into(), None));
    }
    let (stdin, input) = io::pipe()?;
    command.stdin(stdin);
    Ok((reader.into(), Some(input.into())))
}

/// One pipe takes both, so their order is the order of writing.
fn prints_to(command: &mut Command, writer: PipeWriter) -> Result<()> {
    command.stdout(writer.try_clone()?).stderr(writer);
    Ok(())
}

/// In the new process, before it becomes the command.
fn prepare(has_terminal: bool) -> io::Result<()> {
    // The shim takes its own signals another way.
    SigSet::empty().thread_set_mask()?;
    sandbox::heed_signals()?;
    setsid()?;
    if has_terminal {
        ioctl_tiocsctty(io::stdin().as_fd())?;
    }
    // Nobody would be left to end it.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

/// Takes what the shim was started with as its standard streams: the listening socket, the first connection, and what is only kept open.
/// Nothing is left in their place, so that they close when they are dropped, and no child has them.
pub fn take_streams() -> io::Result<(OwnedFd, OwnedFd, OwnedFd)> {
    let listener = io::stdin().as_fd().try_clone_to_owned()?;
    let connection = io::stdout().as_fd().try_clone_to_owned()?;
    let kept = io::stderr().as_fd().try_clone_to_owned()?;
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::stdio::dup2_stderr(&nothing)?;
    Ok((listener, connection, kept))
}
