//! Gzip, decoded under limits, with every byte of the file accounted for.
//!
//! It knows nothing of tar. A file may have several members one after another, as parallel compressors write them; anything
//! else after the first is refused, and so is a member with a wrong checksum or a missing end.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

use super::Limits;
use crate::error::{Error, Result};

/// Bytes that go out at a time. Large enough that the hop to another thread is not felt.
const CHUNK: usize = 128 * 1024;

/// Members in one file. bgzip writes one for each 64 KiB; millions of empty ones would only burn time.
const MEMBERS: u64 = 65_536;

/// Decodes all of `reader`. `take` is given the bytes in turn, and says whether it wants more.
pub(super) fn gunzip(
    reader: impl Read,
    limits: &Limits,
    mut take: impl FnMut(Vec<u8>) -> bool,
) -> Result<()> {
    let mut input = Input::new(reader, limits.compressed);
    looks_right(input.peek(512)?)?;
    let mut out = 0;
    for _ in 0..MEMBERS {
        let mut member = GzDecoder::new(input);
        loop {
            let mut chunk = vec![0; CHUNK];
            let length = match member.read(&mut chunk) {
                Ok(length) => length,
                Err(error) => return Err(unreadable(error, member.get_ref())),
            };
            if length == 0 {
                break;
            }
            out += length as u64;
            expands_fairly(out, member.get_ref().used(), limits)?;
            chunk.truncate(length);
            if !take(chunk) {
                return Ok(());
            }
        }
        input = member.into_inner();
        match input.peek(2)? {
            [] => return Ok(()),
            [0x1f, 0x8b] => {}
            _ => {
                return Err(Error::invalid(
                    "There are other bytes after the end of the archive's gzip data. Make the archive anew, and send it as it is.",
                ));
            }
        }
    }
    Err(Error::invalid(format!(
        "The archive is made of more than {MEMBERS} gzip members. Compress it in one go."
    )))
}

fn expands_fairly(out: u64, used: u64, limits: &Limits) -> Result<()> {
    if out > limits.total_bytes {
        return Err(Error::invalid(format!(
            "The archive is larger than {} bytes when decompressed. Leave out what the build can make, such as node_modules.",
            limits.total_bytes
        )));
    }
    if out > limits.ratio_from && out > used.saturating_mul(limits.ratio) {
        return Err(Error::invalid(format!(
            "The archive grows more than {}-fold when decompressed, as no source code does. Leave out its large empty files.",
            limits.ratio
        )));
    }
    Ok(())
}

fn unreadable<R>(error: io::Error, input: &Input<R>) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => ours,
        Err(_) if input.starved => Error::invalid(
            "The archive is cut short: it stops in the middle of its gzip data. Send it again.",
        ),
        Err(_) => Error::invalid(
            "The archive is damaged: its gzip data cannot be read, or do not match their checksum. Make it anew, and send it again.",
        ),
    }
}

/// Says what a file is that does not start as gzip does.
fn looks_right(start: &[u8]) -> Result<()> {
    let text: Vec<u8> = start
        .trim_ascii_start()
        .iter()
        .take(9)
        .map(u8::to_ascii_lowercase)
        .collect();
    let kind = match start {
        [0x1f, 0x8b, ..] => return Ok(()),
        [] => "it is empty",
        [b'P', b'K', 3..=8, 4..=9, ..] => "it looks like a zip file",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "it looks like xz",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "it looks like zstd",
        [b'B', b'Z', b'h', ..] => "it looks like bzip2",
        _ if start.get(257..262) == Some(b"ustar") => {
            "it looks like a tar file that is not compressed"
        }
        _ if text.starts_with(b"<!doctype") || text.starts_with(b"<html") => {
            "it looks like an HTML page, perhaps an error page"
        }
        _ => "it starts like neither gzip nor anything else that is known here",
    };
    Err(Error::invalid(format!(
        "The archive is not a gzip tar file: {kind}. Make it with `tar czf`."
    )))
}

/// The compressed bytes: counted, bounded, and buffered such that their beginning can be looked at.
struct Input<R> {
    reader: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Bytes read so far.
    taken: u64,
    limit: u64,
    /// Whether someone wanted bytes after the last one.
    starved: bool,
}

impl<R: Read> Input<R> {
    fn new(reader: R, limit: u64) -> Input<R> {
        Input {
            reader,
            buffer: vec![0; 64 * 1024].into(),
            start: 0,
            end: 0,
            taken: 0,
            limit,
            starved: false,
        }
    }

    /// Bytes that have been decoded, which says more of them than how many were read ahead.
    fn used(&self) -> u64 {
        self.taken - (self.end - self.start) as u64
    }

    /// The next `length` bytes, or as many as are left.
    fn peek(&mut self, length: usize) -> Result<&[u8]> {
        if self.end - self.start < length {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            while self.end < length && self.more()? > 0 {}
        }
        let end = self.end.min(self.start + length);
        Ok(&self.buffer[self.start..end])
    }

    fn more(&mut self) -> Result<usize> {
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(length) => {
                    self.end += length;
                    self.taken += length as u64;
                    if self.taken > self.limit {
                        return Err(Error::invalid(format!(
                            "The archive is larger than {} bytes. Leave out what the build can make, such as node_modules.",
                            self.limit
                        )));
                    }
                    return Ok(length);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(into)?;
        self.consume(length);
        Ok(length)
    }
}

impl<R: Read> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            // Our own errors go through flate2 as they are, so that a failing disk is not taken for a damaged archive.
            self.starved = self.more().map_err(io::Error::other)? == 0;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, amount: usize) {
        self.start = self.end.min(self.start + amount);
    }
}
