//! Which addresses are somebody's on this machine: each is one server's alone from before its cable is there until after it is gone.
//!
//! A server marks those that it has in a file that all servers share, one byte each, by locks that the kernel takes back when the
//! server ends. Who runs on then is known by the cable; a dyno that was just being started when its server ended has neither for a
//! moment, and one whose address is drawn by another server then is started anew. It must not know what an address is for.

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
        let marked = mark(
            self.marks.insert(marks),
            libc::F_WRLCK,
            address.to_bits(),
            1,
        );
        match marked {
            Ok(()) => Ok(self.held.insert(address)),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
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
