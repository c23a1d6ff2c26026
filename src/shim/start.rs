//! From a process that was started as a shim to one that holds a dyno.

use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::process::{getpid, set_child_subreaper, setsid};

use super::connection::Connection;
use super::holder::Holder;
use super::wire::{FromShim, ToShim};
use super::{SOCKET, Spec, child};
use crate::descriptors;
use crate::error::{Error, Result};

/// Runs the shim in this process. `folder` is the dyno's.
pub fn run(folder: &Path) -> Result<()> {
    // What the server had open and had itself inherited from somebody who did not mean to.
    descriptors::close_all()?;
    let (listener, first, _kept) = child::take_streams()?;
    // What the terminal sends to the server's session, or its end, is nothing to the dyno.
    setsid()?;
    set_child_subreaper(Some(getpid()))?;
    let signals = catch_signals()?;
    let mut connection = Connection::from_descriptor(first)?;
    let Some(spec) = receive_launch(&mut connection)? else {
        return Ok(());
    };
    let leavings = spec
        .program
        .sandbox
        .as_ref()
        .map(|sandbox| sandbox.leavings());
    let started = child::start(&spec.program, spec.streams);
    let child = match started {
        Ok(child) => child,
        Err(error) => {
            connection.say(&FromShim::Failed(error.message.to_string()));
            return Ok(());
        }
    };
    let listener = UnixListener::from(listener);
    listener.set_nonblocking(true)?;
    let mut holder = Holder::new(listener, signals, spec, child, folder.join(SOCKET))?;
    holder.begin(connection);
    let held = holder.hold();
    // A launcher that had to be killed could not.
    if let Some(leavings) = leavings {
        leavings.remove();
    }
    // The server takes the end of the connection for the end of this process, which it may never outlive: so it is the kernel that
    // closes it.
    std::mem::forget(holder);
    held
}

/// None when the server went before it had said what to run.
fn receive_launch(connection: &mut Connection) -> Result<Option<Spec>> {
    loop {
        if let Some(ToShim::Launch(spec)) = connection.next()? {
            return Ok(Some(*spec));
        }
        connection.wait()?;
        if !connection.receive() {
            return Ok(None);
        }
    }
}

/// Those that are news. They do not reach any other code.
fn catch_signals() -> Result<SignalFd> {
    let mut caught = SigSet::empty();
    for signal in [
        Signal::SIGCHLD,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
    ] {
        caught.add(signal);
    }
    caught.thread_block().map_err(Error::internal)?;
    SignalFd::with_flags(&caught, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
        .map_err(Error::internal)
}
