//! Which addresses are somebody's on this machine: one server alone draws each, before its cable is there, and nobody else does until
//! after that is gone. Only who holds the dyno that it was drawn for, and a server that takes this up, have it as well.
//!
//! A server marks those that it has in a file that all servers share, one byte each, by locks that the kernel takes back when the
//! server ends. So does whoever holds a dyno, who gets a mark of its own from the server: a dyno that is just being started when that
//! ends has no cable yet by which it would be known. It must not know what an address is for.
//!
//! To draw an address is to lock its byte for oneself alone, which works where nobody has it. Then the lock is made one that others may
//! share.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::{CABLES, name, open};
use crate::error::{Error, ErrorId, Result};
use crate::sandbox::Pool;
use crate::secret;

/// What one server has.
#[derive(Default)]
pub struct Claims {
    /// Opened with the first claim.
    marks: Option<File>,
    /// Marks of one's own are in nobody's way.
    held: HashSet<Ipv4Addr>,
}

impl Claims {
    /// One of the pool that nobody has. It is this server's until it is given back.
    pub fn draw(&mut self, pool: Pool) -> Result<Ipv4Addr> {
        // From anywhere on, so that one that was given back rests, and servers are seldom in each other's way.
        let first = u32::from_ne_bytes(secret::random()?) % pool.size();
        for number in 0..pool.size() {
            let address = pool.address(first + number);
            if !self.take(address)? {
                continue;
            }
            // A dyno runs on when its server has ended.
            if !Path::new(CABLES).join(name(address)).exists() {
                return Ok(address);
            }
            self.give_back(address);
        }
        Err(Error::new(
            ErrorId::Unavailable,
            "All addresses for dynos are in use. Give the server a larger --dyno-network, or scale some apps down.",
        ))
    }

    /// Whether this address was nobody's, and is this server's from now on.
    pub fn take(&mut self, address: Ipv4Addr) -> io::Result<bool> {
        if self.held.contains(&address) {
            return Ok(false);
        }
        let marks = match self.marks.take() {
            Some(marks) => marks,
            None => open()?,
        };
        let marks = self.marks.insert(marks);
        match mark(marks, libc::F_WRLCK, address.to_bits(), 1) {
            Ok(()) => {}
            Err(Errno::EAGAIN | Errno::EACCES) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        }
        if let Err(errno) = mark(marks, libc::F_RDLCK, address.to_bits(), 1) {
            // It would be nobody's to give back.
            let _ = mark(marks, libc::F_UNLCK, address.to_bits(), 1);
            return Err(errno.into());
        }
        Ok(self.held.insert(address))
    }

    /// Has an address from now on that something runs at, whose holder may have it as well.
    pub fn share(&mut self, address: Ipv4Addr) -> io::Result<()> {
        let marks = match self.marks.take() {
            Some(marks) => marks,
            None => open()?,
        };
        mark(
            self.marks.insert(marks),
            libc::F_RDLCK,
            address.to_bits(),
            1,
        )?;
        self.held.insert(address);
        Ok(())
    }

    /// From now on it is nobody's.
    pub fn give_back(&mut self, address: Ipv4Addr) {
        if self.held.remove(&address)
            && let Some(marks) = &self.marks
        {
            // It is the server's own mark, so nothing can be in the way.
            let _ = mark(marks, libc::F_UNLCK, address.to_bits(), 1);
        }
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that is being started may still have it open, too.
        if let Some(marks) = &self.marks {
            let _ = mark(marks, libc::F_UNLCK, 0, 0);
        }
    }
}

/// A mark of this address for somebody else, who has it for as long as he has this open. It has to be somebody's already.
pub fn mark_for_holder(address: Ipv4Addr) -> io::Result<File> {
    let marks = open()?;
    mark(&marks, libc::F_RDLCK, address.to_bits(), 1)?;
    Ok(marks)
}

/// Marks so many bytes from there on, or takes the mark away; of no bytes, all that follow.
fn mark(marks: &File, kind: i32, from: u32, length: i64) -> nix::Result<()> {
    let lock = libc::flock {
        l_type: i16::try_from(kind).unwrap_or_default(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: from.into(),
        l_len: length,
        l_pid: 0,
    };
    fcntl(marks, FcntlArg::F_OFD_SETLK(&lock)).map(drop)
}
