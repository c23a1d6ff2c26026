//! A tar file as headers and contents, in blocks of 512 bytes.
//!
//! It does the counting by itself, so that whatever is wrong with a header can be told with the name of its entry, and so that
//! one reading of a size decides where the next header is. What the headers mean it does not know.

use std::io::{self, BufRead, Read};

use tar::Header;

use super::ahead::Ahead;
use super::path::refuse;
use crate::error::{Error, Result};

const BLOCK: usize = 512;

/// Reading from it reads the contents of the current entry. They are as long as its header says, or reading fails.
pub(super) struct Blocks {
    decoded: Ahead,
    /// Bytes of the current entry's contents that are not read yet.
    left: u64,
    /// Bytes that fill up its last block.
    padding: u64,
    /// The name of the current entry, for saying where an archive is damaged.
    pub(super) name: Vec<u8>,
}

impl Blocks {
    pub(super) fn new(decoded: Ahead) -> Blocks {
        Blocks {
            decoded,
            left: 0,
            padding: 0,
            name: Vec::new(),
        }
    }

    /// The next header and the size of its contents; `None` at the end. What is left of the current entry is skipped.
    pub(super) fn next(&mut self) -> Result<Option<(Header, u64)>> {
        io::copy(self, &mut io::sink())?;
        let mut header = Header::new_old();
        let padding = usize::try_from(self.padding).unwrap_or(0);
        if self.fill(&mut [0; BLOCK][..padding])? < padding {
            return Err(cut_short(&self.name));
        }
        match self.fill(header.as_mut_bytes())? {
            0 => return Ok(None),
            BLOCK => {}
            _ => return Err(self.damaged()),
        }
        if header.as_bytes().iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        if !header.cksum().is_ok_and(|sum| sum == checksum(&header)) {
            return Err(self.damaged());
        }
        self.name = header.path_bytes().into_owned();
        let size = plain_size(&header, &self.name)?;
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(Some((header, size)))
    }

    /// Reads on to the end of the archive, which may be padded with zeros, and with nothing else: another reader might go on
    /// there. Only there is gzip's checksum known to be right.
    pub(super) fn end(mut self) -> Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.fill(&mut buffer)? {
                0 if self.decoded.total() == 0 => {
                    return Err(Error::invalid(
                        "The archive is empty. Make it with `tar czf`.",
                    ));
                }
                0 => return Ok(()),
                length if buffer[..length].iter().all(|&byte| byte == 0) => {}
                _ => {
                    return Err(Error::invalid(
                        "There are other bytes after the end of the tar file. Make the archive in one go.",
                    ));
                }
            }
        }
    }

    /// Fills `into` as far as there are bytes, and says how far.
    fn fill(&mut self, into: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < into.len() {
            match self.decoded.read(&mut into[filled..])? {
                0 => break,
                length => filled += length,
            }
        }
        Ok(filled)
    }

    fn damaged(&self) -> Error {
        if self.name.is_empty() {
            Error::invalid(
                "The archive's gzip data do not hold a tar file, or a damaged one. Make it with `tar czf`.",
            )
        } else {
            refuse(
                &self.name,
                "is the last that can be read: the archive is damaged or cut short after it. Make it anew, and send it again.",
            )
        }
    }
}

impl BufRead for Blocks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let decoded = self.decoded.fill_buf()?;
        if decoded.is_empty() {
            return Err(io::Error::other(cut_short(&self.name)));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        Ok(&decoded[..decoded.len().min(most)])
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount as u64);
        self.decoded.consume(amount);
    }
}

impl Read for Blocks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(into)?;
        self.consume(length);
        Ok(length)
    }
}

/// The refusal of an archive that ends where `entry` should go on.
pub(super) fn cut_short(entry: &[u8]) -> Error {
    refuse(
        entry,
        "is the last: the archive is cut short in it or right after it. Make it anew, and send it again.",
    )
}

/// The sum of a header's bytes, with blanks in place of the sum itself.
fn checksum(header: &Header) -> u32 {
    let bytes = header.as_bytes();
    let sum: u32 = bytes.iter().map(|&byte| u32::from(byte)).sum();
    let itself: u32 = bytes[148..156].iter().map(|&byte| u32::from(byte)).sum();
    sum - itself + 8 * u32::from(b' ')
}

/// The size in a header, in octal digits and nothing else. Readers differ on signs and on sizes in binary, which only files
/// beyond every limit here need.
fn plain_size(header: &Header, name: &[u8]) -> Result<u64> {
    let field = &header.as_old().size;
    let digits = field.trim_ascii_start();
    let end = digits
        .iter()
        .position(|byte| !(b'0'..=b'7').contains(byte))
        .unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    let octal = std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| u64::from_str_radix(digits, 8).ok());
    match octal {
        Some(size) if rest.iter().all(|&byte| byte == 0 || byte == b' ') => Ok(size),
        _ if field[0] & 0x80 != 0 => {
            Err(refuse(name, "has a size beyond every limit. Leave it out."))
        }
        _ => Err(refuse(
            name,
            "has a size that is no number. Make the archive anew, with GNU tar.",
        )),
    }
}
