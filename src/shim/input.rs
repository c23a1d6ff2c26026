//! What is on its way into a dyno: its standard input, or what is typed at its terminal.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a terminal takes for the end of its input.
const END_OF_TRANSMISSION: u8 = 4;
/// A server waits until what it sent is taken, so more than this at once is not meant well.
const MOST: usize = 1 << 20;

/// The input of one dyno.
pub struct Input {
    /// None when the dyno has no input, or will read no more of it.
    stream: Option<OwnedFd>,
    is_terminal: bool,
    waiting: VecDeque<u8>,
    /// Nothing more comes after what is waiting.
    over: bool,
    taken: u64,
}

impl Input {
    pub fn new(stream: Option<OwnedFd>, is_terminal: bool) -> io::Result<Input> {
        if let Some(stream) = &stream {
            rustix::io::ioctl_fionbio(stream, true)?;
        }
        Ok(Input {
            stream,
            is_terminal,
            waiting: VecDeque::new(),
            over: false,
            taken: 0,
        })
    }

    /// False when it is far too much.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        if self.over {
            // Whoever types on after the end of the input is no reason to do anything to the dyno.
            self.taken += bytes.len() as u64;
            return true;
        }
        if self.waiting.len() + bytes.len() > MOST {
            return false;
        }
        self.waiting.extend(bytes);
        self.write();
        true
    }

    /// Ends it, as far as the dyno can be told.
    pub fn end(&mut self) {
        if self.is_terminal {
            self.push(&[END_OF_TRANSMISSION]);
            return;
        }
        self.over = true;
        self.write();
    }

    /// What to wait for before [`Input::write`] is called again.
    pub fn blocked(&self) -> Option<BorrowedFd<'_>> {
        match self.waiting.is_empty() {
            true => None,
            false => self.stream.as_ref().map(AsFd::as_fd),
        }
    }

    /// Passes on what the dyno takes now.
    pub fn write(&mut self) {
        while !self.waiting.is_empty() {
            let Some(stream) = &self.stream else {
                // Nobody reads it.
                self.taken += self.waiting.len() as u64;
                self.waiting.clear();
                break;
            };
            match rustix::io::write(stream, self.waiting.as_slices().0) {
                Ok(count) => {
                    self.waiting.drain(..count);
                    self.taken += count as u64;
                }
                Err(rustix::io::Errno::AGAIN) => return,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => self.stream = None,
            }
        }
        self.waiting = VecDeque::new();
        if self.over {
            self.stream = None;
        }
    }

    /// Counts anew, for another server.
    pub fn recount(&mut self) {
        self.taken = 0;
    }

    /// Bytes that have gone in, in all.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// The dyno has ended.
    pub fn close(&mut self) {
        self.stream = None;
        self.write();
    }
}
