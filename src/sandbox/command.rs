//! Starting the launcher: the one way in which a spec gets to it.

use std::io::{self, PipeReader, Read, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::libc;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::fcntl_dupfd_cloexec;

use super::{BEGUN_FD, SPEC_FD, SUBCOMMAND, Spec};

/// The launcher, as the program `penstock`, of the dyno that the spec describes. Its environment is empty, and nothing that comes
/// from a dyno's owner may be set in it. Its standard streams are still to be connected, and are the dyno's too.
pub fn command(penstock: &Path, spec: &Spec) -> io::Result<(Command, Begun)> {
    let mut command = Command::new(penstock);
    command.arg(SUBCOMMAND).env_clear();
    let begun = hand_over(&mut command, spec)?;
    Ok((command, begun))
}

/// Gives a command the spec at [`SPEC_FD`]: the launcher, or one that becomes it.
pub fn hand_over(command: &mut Command, spec: &Spec) -> io::Result<Begun> {
    let spec = written(&spec.to_json())?;
    let (reader, writer) = io::pipe()?;
    let writer = fcntl_dupfd_cloexec(&writer, 10)?;
    let place = move || {
        for (descriptor, number) in [(&spec, SPEC_FD), (&writer, BEGUN_FD)] {
            #[expect(
                unsafe_code,
                reason = "this is the one call that gives a descriptor a number of one's choice"
            )]
            let placed = unsafe { libc::dup2(descriptor.as_raw_fd(), number) };
            Errno::result(placed)?;
        }
        Ok(())
    };
    #[expect(
        unsafe_code,
        reason = "between fork and exec only two system calls are made, and nothing is allocated"
    )]
    unsafe {
        command.pre_exec(place)
    };
    Ok(Begun(reader))
}

/// Learns when the command runs.
pub struct Begun(PipeReader);

impl Begun {
    /// Blocks until the command runs or cannot be run, which its status says. The launcher has to be started, and the [`Command`]
    /// that started it dropped, which has the pipe's other end.
    pub fn wait(mut self) {
        // Nothing is ever written.
        let _ = self.0.read(&mut [0]);
    }
}

/// A file of no name, read from its start. Its number is none that a child could want for something else.
fn written(text: &[u8]) -> io::Result<OwnedFd> {
    let mut file = std::fs::File::from(memfd_create("dyno", MemfdFlags::CLOEXEC)?);
    file.write_all(text)?;
    file.rewind()?;
    Ok(fcntl_dupfd_cloexec(&file, 10)?)
}
