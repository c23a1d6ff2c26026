//! Messages to the kernel over netlink: a header, a fixed part, attributes within attributes.
//!
//! See `man 7 netlink`. It knows no interfaces and no rules.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, connect, recv, send,
    socket,
};

const HEADER: usize = 16;
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
/// Make it if it is not there.
pub const CREATE: u16 = 0x400;
/// Take the place of the one that is there.
pub const REPLACE: u16 = 0x100;
/// Refuse if it is there.
pub const EXCLUSIVE: u16 = 0x200;
/// Behind what is there.
pub const APPEND: u16 = 0x800;
/// All that there are.
pub const DUMP: u16 = 0x300;
/// What was to be shown changed meanwhile.
const INTERRUPTED: u16 = 0x10;
/// An attribute that holds attributes.
const NESTED: u16 = 1 << 15;
/// The message is the answer to one of ours.
const ERROR: u16 = 2;
/// Nothing more comes.
const DONE: u16 = 3;
/// Of a message about packet filters.
const FIXED: usize = 4;
/// How often something is asked for that changes all the time.
const ATTEMPTS: usize = 10;
/// Bytes of an answer; the kernel splits longer ones.
const BUFFER: usize = 32 * 1024;

/// One message, as it is being written.
#[derive(Clone)]
pub struct Message {
    bytes: Vec<u8>,
    asks: bool,
}

impl Message {
    /// One that the kernel answers.
    pub fn new(kind: u16, flags: u16, fixed: &[u8]) -> Message {
        let mut message = Message::silent(kind, flags | ACK, fixed);
        message.asks = true;
        message
    }

    /// One that it answers only if it fails.
    pub fn silent(kind: u16, flags: u16, fixed: &[u8]) -> Message {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(REQUEST | flags).to_ne_bytes());
        bytes.extend_from_slice(fixed);
        Message { bytes, asks: false }
    }

    pub fn put(mut self, kind: u16, value: &[u8]) -> Message {
        put(&mut self.bytes, kind, value);
        self
    }

    pub fn text(self, kind: u16, text: &str) -> Message {
        self.put(kind, &terminated(text))
    }

    pub fn nest(mut self, kind: u16, attributes: &Attributes) -> Message {
        put(&mut self.bytes, kind | NESTED, &attributes.0);
        self
    }
}

/// Attributes that go into another one.
#[derive(Clone, Default)]
pub struct Attributes(Vec<u8>);

impl Attributes {
    pub fn new() -> Attributes {
        Attributes::default()
    }

    /// Behind a fixed part.
    pub fn after(fixed: &[u8]) -> Attributes {
        Attributes(fixed.to_vec())
    }

    pub fn put(mut self, kind: u16, value: &[u8]) -> Attributes {
        put(&mut self.0, kind, value);
        self
    }

    pub fn text(self, kind: u16, text: &str) -> Attributes {
        self.put(kind, &terminated(text))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The first one of this kind.
    pub fn get(&self, kind: u16) -> Option<&[u8]> {
        let mut bytes = self.0.as_slice();
        while bytes.len() >= 4 {
            let length = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]])).max(4);
            if u16::from_ne_bytes([bytes[2], bytes[3]]) & !NESTED == kind {
                return bytes.get(4..length);
            }
            bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        None
    }

    pub fn nest(mut self, kind: u16, attributes: &Attributes) -> Attributes {
        put(&mut self.0, kind | NESTED, &attributes.0);
        self
    }
}

fn put(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn terminated(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// A line to one part of the kernel.
pub struct Netlink(OwnedFd);

impl Netlink {
    /// Interfaces, addresses and routes.
    pub fn route() -> io::Result<Netlink> {
        Netlink::open(SockProtocol::NetlinkRoute)
    }

    /// Packet filters.
    pub fn filter() -> io::Result<Netlink> {
        Netlink::open(SockProtocol::NetlinkNetFilter)
    }

    fn open(protocol: SockProtocol) -> io::Result<Netlink> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        connect(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Netlink(socket))
    }

    /// Sends all messages at once, and waits for the answer to each that has one. The first refusal is the error.
    pub fn say(&self, messages: Vec<Message>) -> io::Result<()> {
        let mut awaited = messages.iter().filter(|message| message.asks).count();
        self.send(messages)?;
        let mut answer = vec![0; BUFFER];
        while awaited > 0 {
            let length = recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty())?;
            awaited = awaited.saturating_sub(answers(&answer[..length])?);
        }
        Ok(())
    }

    /// What the kernel has of a packet filter: the attributes of each thing that was asked for.
    pub fn ask(&self, message: &Message) -> io::Result<Vec<Attributes>> {
        for _ in 0..ATTEMPTS {
            self.send(vec![message.clone()])?;
            if let Some(found) = self.list()? {
                return Ok(found);
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// To the end of the answer; `None` if it is of before and after a change.
    fn list(&self) -> io::Result<Option<Vec<Attributes>>> {
        let (mut found, mut is_whole) = (Vec::new(), true);
        let mut answer = vec![0; BUFFER];
        loop {
            let length = recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty())?;
            for message in received(&answer[..length]) {
                is_whole &= message.flags & INTERRUPTED == 0;
                if message.kind == ERROR || message.kind == DONE {
                    message.error()?;
                    return Ok(is_whole.then_some(found));
                }
                found.push(Attributes::after(
                    message.body.get(FIXED..).unwrap_or_default(),
                ));
            }
        }
    }

    fn send(&self, messages: Vec<Message>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (number, mut message) in (1_u32..).zip(messages) {
            let length = u32::try_from(message.bytes.len()).map_err(io::Error::other)?;
            message.bytes[..4].copy_from_slice(&length.to_ne_bytes());
            message.bytes[8..12].copy_from_slice(&number.to_ne_bytes());
            bytes.extend_from_slice(&message.bytes);
        }
        send(self.0.as_raw_fd(), &bytes, MsgFlags::empty())?;
        Ok(())
    }
}

/// One message of the kernel's.
struct Received<'a> {
    kind: u16,
    flags: u16,
    body: &'a [u8],
}

impl Received<'_> {
    /// Zero for what was agreed to, and for the end of a list.
    fn error(&self) -> io::Result<()> {
        match self.body.first_chunk() {
            Some(code) if *code != [0; 4] => {
                let error = i32::from_ne_bytes(*code);
                Err(io::Error::from_raw_os_error(error.saturating_neg()))
            }
            _ => Ok(()),
        }
    }
}

fn received(mut bytes: &[u8]) -> Vec<Received<'_>> {
    let mut all = Vec::new();
    while let Some(header) = bytes.first_chunk::<HEADER>() {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX).max(HEADER);
        all.push(Received {
            kind: u16::from_ne_bytes([header[4], header[5]]),
            flags: u16::from_ne_bytes([header[6], header[7]]),
            body: bytes.get(HEADER..length).unwrap_or_default(),
        });
        let next = length.checked_next_multiple_of(4).unwrap_or(length);
        bytes = bytes.get(next..).unwrap_or_default();
    }
    all
}

/// How many messages were agreed to. What was asked for comes in messages of its own, in front of that.
fn answers(bytes: &[u8]) -> io::Result<usize> {
    let mut agreed = 0;
    for message in received(bytes) {
        if message.kind == ERROR {
            message.error()?;
            agreed += 1;
        }
    }
    Ok(agreed)
}
