//! Starting the launcher: the one way in which a spec gets to it.

use std::io::{self, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::libc;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::fcntl_dupfd_cloexec;

use super::{SPEC_FD, SUBCOMMAND, Spec};

/// The launcher, as the program `penstock`, of the dyno that the spec describes. Its environment is empty: what is set there is the
/// dyno's. Its standard streams are still to be connected, and are the dyno's too.
pub fn command(penstock: &Path, spec: &Spec) -> io::Result<Command> {
    let mut command = Command::new(penstock);
    command.arg(SUBCOMMAND).env_clear();
    hand_over(&mut command, spec)?;
    Ok(command)
}

/// Gives a command the spec at [`SPEC_FD`]: the launcher, or one that becomes it.
pub fn hand_over(command: &mut Command, spec: &Spec) -> io::Result<()> {
    let descriptor = written(&spec.to_json())?;
    let place = move || {
        #[expect(
            unsafe_code,
            reason = "this is the one call that gives a descriptor a number of one's choice"
        )]
        let placed = unsafe { libc::dup2(descriptor.as_raw_fd(), SPEC_FD) };
        Errno::result(placed).map(drop).map_err(io::Error::from)
    };
    #[expect(
        unsafe_code,
        reason = "between fork and exec only one system call is made, and nothing is allocated"
    )]
    unsafe {
        command.pre_exec(place)
    };
    Ok(())
}

/// A file of no name, read from its start. Its number is none that a child could want for something else.
fn written(text: &[u8]) -> io::Result<OwnedFd> {
    let mut file = std::fs::File::from(memfd_create("dyno", MemfdFlags::CLOEXEC)?);
    file.write_all(text)?;
    file.rewind()?;
    Ok(fcntl_dupfd_cloexec(&file, 10)?)
}
