//! What a hook and the server say to each other: frames of a kind, a length (four bytes, the greatest first) and as many bytes.
//!
//! The hook begins with [`Kind::Push`]. The server lets it go on or not, takes the source in [`Kind::Source`]s, ended by an empty
//! one, then sends what the build prints, and ends with its verdict. The hook that comes after it begins with [`Kind::Moved`], and
//! hears of the release in the same way.

use std::io::{self, ErrorKind, Read, Write};

/// Bytes of a frame at most.
pub const MAX: usize = 64 * 1024;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// From the hook: the key of the push and the commit, as JSON.
    Push = 1,
    /// From the hook: bytes of the source's tar.gz.
    Source = 2,
    /// From the server: the push may go on. The hook sends its source, if something is to be built.
    Continue = 3,
    /// From the server: text for the person who pushes.
    Text = 4,
    /// From the server: the build has succeeded, or there is no more to be told of the release.
    Accepted = 5,
    /// From the server: the push is refused, with the reason.
    Rejected = 6,
    /// From the hook that comes after: the refs have moved; the key of the push, as JSON.
    Moved = 7,
}

impl Kind {
    fn parse(byte: u8) -> Option<Kind> {
        use Kind::{Accepted, Continue, Moved, Push, Rejected, Source, Text};
        [Push, Source, Continue, Text, Accepted, Rejected, Moved]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// What a hook begins with.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Begin {
    pub key: String,
    /// The commit that is to be built, as git names it; `None` when nothing of what is pushed is built.
    pub commit: Option<String>,
}

/// The head of a frame: its kind, and how many bytes follow.
pub fn parse(head: [u8; 5]) -> io::Result<(Kind, usize)> {
    let [kind, length @ ..] = head;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    match Kind::parse(kind) {
        Some(kind) if length <= MAX => Ok((kind, length)),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

/// A whole frame. What is longer than [`MAX`] is cut.
pub fn frame(kind: Kind, bytes: &[u8]) -> Vec<u8> {
    let bytes = &bytes[..bytes.len().min(MAX)];
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut frame = Vec::with_capacity(5 + bytes.len());
    frame.push(kind as u8);
    frame.extend(length.to_be_bytes());
    frame.extend(bytes);
    frame
}

/// Sends a frame, and blocks.
pub fn send(to: &mut impl Write, kind: Kind, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&frame(kind, bytes))
}

/// Takes the next frame, and blocks.
pub fn receive(from: &mut impl Read) -> io::Result<(Kind, Vec<u8>)> {
    let mut head = [0; 5];
    from.read_exact(&mut head)?;
    let (kind, length) = parse(head)?;
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok((kind, bytes))
}
