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
/// Refuse if it is there.
pub const EXCLUSIVE: u16 = 0x200;
/// Behind what is there.
pub const APPEND: u16 = 0x800;
/// An attribute that holds attributes.
const NESTED: u16 = 1 << 15;
/// The message is the answer to one of ours.
const ERROR: u16 = 2;

/// One message, as it is being written.
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
        let mut bytes = Vec::new();
        for (number, mut message) in (1_u32..).zip(messages) {
            let length = u32::try_from(message.bytes.len()).map_err(io::Error::other)?;
            message.bytes[..4].copy_from_slice(&length.to_ne_bytes());
            message.bytes[8..12].copy_from_slice(&number.to_ne_bytes());
            bytes.extend_from_slice(&message.bytes);
        }
        send(self.0.as_raw_fd(), &bytes, MsgFlags::empty())?;
        let mut answer = vec![0; 32 * 1024];
        while awaited > 0 {
            let length = recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty())?;
            awaited = awaited.saturating_sub(answers(&answer[..length])?);
        }
        Ok(())
    }
}

/// How many messages were agreed to. What was asked for comes in messages of its own, in front of that.
fn answers(mut bytes: &[u8]) -> io::Result<usize> {
    let mut agreed = 0;
    while bytes.len() >= HEADER + 4 {
        let length = usize::try_from(u32_at(bytes, 0)).map_err(io::Error::other)?;
        let kind = u16::from_ne_bytes([bytes[4], bytes[5]]);
        if kind == ERROR {
            match u32_at(bytes, HEADER).cast_signed() {
                0 => agreed += 1,
                error => return Err(io::Error::from_raw_os_error(-error)),
            }
        }
        bytes = bytes
            .get(length.next_multiple_of(4).max(HEADER)..)
            .unwrap_or_default();
    }
    Ok(agreed)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
