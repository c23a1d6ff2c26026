//! Decoding ahead: one thread decompresses while another reads the tar file and writes the tree.
//!
//! Decoding takes about as long as writing, so on two cores this halves the time. What is decoded, and what for, it does not know.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::Limits;
use super::gunzip::gunzip;
use crate::error::{Error, Result};

/// Chunks that may wait between the two threads: a megabyte or so.
const WAITING: usize = 64;

enum Decoded {
    Bytes(Vec<u8>),
    End,
    Failed(Error),
}

/// Gives `read` the decoded bytes of `reader`. They must be read to the end for the checksum to have been checked.
pub(super) fn ahead<R: Read + Send, T>(
    reader: R,
    limits: &Limits,
    read: impl FnOnce(Ahead) -> Result<T>,
) -> Result<T> {
    let (sender, receiver) = sync_channel(WAITING);
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("gunzip".to_owned())
            .spawn_scoped(scope, move || decode(reader, limits, &sender))?;
        // The receiver goes when `read` returns, which stops a decoder that nobody listens to any more.
        read(Ahead {
            receiver,
            chunk: Vec::new(),
            at: 0,
            total: 0,
            ended: false,
        })
    })
}

fn decode(reader: impl Read, limits: &Limits, sender: &SyncSender<Decoded>) {
    let end = match gunzip(reader, limits, |bytes| {
        sender.send(Decoded::Bytes(bytes)).is_ok()
    }) {
        Ok(()) => Decoded::End,
        Err(error) => Decoded::Failed(error),
    };
    // No listener means that the archive has already been refused.
    let _ = sender.send(end);
}

/// The decoded bytes. A failure of the decoder comes as an `io::Error` around an [`Error`].
pub(super) struct Ahead {
    receiver: Receiver<Decoded>,
    chunk: Vec<u8>,
    at: usize,
    total: u64,
    ended: bool,
}

impl Ahead {
    /// Bytes received so far.
    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

impl BufRead for Ahead {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.chunk.len() && !self.ended {
            match self.receiver.recv() {
                Ok(Decoded::Bytes(bytes)) => {
                    self.total += bytes.len() as u64;
                    self.chunk = bytes;
                    self.at = 0;
                }
                Ok(Decoded::End) => self.ended = true,
                Ok(Decoded::Failed(error)) => return Err(io::Error::other(error)),
                Err(gone) => return Err(io::Error::other(Error::internal(gone))),
            }
        }
        Ok(&self.chunk[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at = self.chunk.len().min(self.at + amount);
    }
}

impl Read for Ahead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(into)?;
        self.consume(length);
        Ok(length)
    }
}
