//! A shim's end of its connection to a server.
//!
//! It never waits: what cannot be sent now is held until it can. It must not know what is said.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::PollFlags;
use rustix::io::Errno;

use super::wire::{Frames, FromShim, ToShim};
use crate::error::Result;

/// Read at once, in bytes.
const CHUNK: usize = 16 * 1024;

/// A connection that may be lost at any time.
pub struct Connection {
    stream: UnixStream,
    received: Frames,
    unsent: Vec<u8>,
}

impl Connection {
    pub fn new(stream: UnixStream) -> io::Result<Connection> {
        stream.set_nonblocking(true)?;
        Ok(Connection {
            stream,
            received: Frames::default(),
            unsent: Vec::new(),
        })
    }

    /// The first connection, of which there is only the descriptor.
    pub fn from_descriptor(descriptor: OwnedFd) -> io::Result<Connection> {
        Connection::new(UnixStream::from(descriptor))
    }

    /// Whether whoever is at the other end runs as the user that this process runs as.
    pub fn is_of_own_user(&self) -> bool {
        rustix::net::sockopt::socket_peercred(&self.stream)
            .is_ok_and(|peer| peer.uid == rustix::process::geteuid())
    }

    /// Waits for frames, for as long as it takes.
    pub fn wait(&self) -> io::Result<()> {
        let mut poll = [rustix::event::PollFd::new(&self.stream, PollFlags::IN)];
        loop {
            match rustix::event::poll(&mut poll, None) {
                Err(Errno::INTR) => {}
                other => return Ok(other.map(drop)?),
            }
        }
    }

    /// What is to be waited for.
    pub fn wanted(&self) -> (BorrowedFd<'_>, PollFlags) {
        let sending = match self.unsent.is_empty() {
            true => PollFlags::empty(),
            false => PollFlags::OUT,
        };
        (self.stream.as_fd(), PollFlags::IN | sending)
    }

    /// Whether all that was said is on its way.
    pub fn is_clear(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Says something. False when the other end is gone.
    pub fn say(&mut self, frame: &FromShim) -> bool {
        match frame.encode() {
            Ok(bytes) => self.unsent.extend_from_slice(&bytes),
            Err(_) => return false,
        }
        self.flush()
    }

    /// Sends what it can. False when the other end is gone.
    pub fn flush(&mut self) -> bool {
        while !self.unsent.is_empty() {
            match rustix::net::send(&self.stream, &self.unsent, rustix::net::SendFlags::NOSIGNAL) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        self.unsent = Vec::new();
        true
    }

    /// Takes in what has come. False when nothing more can come: what did is still to be read with [`Connection::next`].
    pub fn receive(&mut self) -> bool {
        let mut chunk = [0; CHUNK];
        loop {
            match rustix::io::read(&self.stream, &mut chunk[..]) {
                Ok(0) => return false,
                Ok(count) => self.received.feed(&chunk[..count]),
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// The next thing that the server has said.
    pub fn next(&mut self) -> Result<Option<ToShim>> {
        self.received.next_to_shim()
    }
}
