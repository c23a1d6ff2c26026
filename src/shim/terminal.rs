//! A terminal for a dyno: opened, and given another size.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::Size;

/// A new terminal: the shim's side, and the dyno's.
pub fn open(size: Size) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let own = openpt(flags)?;
    grantpt(&own)?;
    unlockpt(&own)?;
    // By the descriptor: the path would be looked up in whatever is mounted at /dev.
    let other = ioctl_tiocgptpeer(&own, flags)?;
    resize(&own, size)?;
    Ok((own, other))
}

/// Whoever runs in the foreground of the terminal gets SIGWINCH.
pub fn resize(own: impl AsFd, size: Size) -> io::Result<()> {
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(tcsetwinsize(own, size)?)
}
