//! The frames that a server and a shim exchange, to and from bytes.
//!
//! A frame is its kind in one byte, the length of its body in four (little-endian), and the body. A server and a shim may be of
//! different versions, since a shim outlives the binary that started it: so a kind never changes its meaning, bodies of JSON
//! only gain fields with defaults, and a frame of an unknown kind is skipped. It does no I/O.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Hello, Size, Spec};
use crate::error::{Error, Result};

/// The longest body, in bytes: a launch with config vars of 64 KB, in JSON, several times over.
const MAX_BODY: usize = 4 << 20;
const HEAD: usize = 5;

/// What a server tells a shim.
#[derive(Debug)]
pub enum ToShim {
    /// Start this. The first frame, and only on the connection that the shim is started with.
    Launch(Box<Spec>),
    /// Whether the dyno shall end as soon as no server is connected.
    Tie(bool),
    /// All output before this offset is kept elsewhere.
    Ack(u64),
    /// End the dyno: SIGTERM, and SIGKILL after the grace; at once if that is zero.
    Stop(Duration),
    /// Send a signal, by its number, to every process of the dyno.
    Signal(i32),
    /// For the dyno's standard input or its terminal.
    Input(Vec<u8>),
    /// Nothing more comes for standard input.
    InputEnd,
    /// The terminal has another size.
    Resize(Size),
    /// The exit status is kept elsewhere: the shim may go.
    Release,
}

/// What a shim tells a server.
#[derive(Debug)]
pub enum FromShim {
    /// The first frame on every connection.
    Hello(Hello),
    /// In place of a [`Hello`]: the command could not be started, and the shim goes.
    Failed(String),
    /// Output that no server was there for and that did not fit: so many lines, the first at that time.
    Dropped {
        /// To be acknowledged with this offset.
        until: u64,
        lines: u64,
        /// In microseconds since 1970.
        since: i64,
    },
    Output {
        /// Of its first byte in all that the dyno has printed.
        offset: u64,
        /// When it was read, in microseconds since 1970.
        time: i64,
        bytes: Vec<u8>,
    },
    /// So many bytes of input have gone into the dyno, in all of this connection.
    Taken(u64),
    /// Nothing of the dyno is left, and all of its output has been sent.
    Exited {
        /// As a shell counts it: 128 and more for a signal.
        status: i32,
        /// SIGKILL was needed after a grace.
        killed: bool,
    },
}

mod kind {
    pub const LAUNCH: u8 = 1;
    pub const TIE: u8 = 2;
    pub const ACK: u8 = 3;
    pub const STOP: u8 = 4;
    pub const SIGNAL: u8 = 5;
    pub const INPUT: u8 = 6;
    pub const INPUT_END: u8 = 7;
    pub const RESIZE: u8 = 8;
    pub const RELEASE: u8 = 9;
    pub const HELLO: u8 = 65;
    pub const FAILED: u8 = 66;
    pub const DROPPED: u8 = 67;
    pub const OUTPUT: u8 = 68;
    pub const TAKEN: u8 = 69;
    pub const EXITED: u8 = 70;
}

impl ToShim {
    pub fn encode(&self) -> Result<Vec<u8>> {
        Ok(match self {
            ToShim::Launch(spec) => frame(kind::LAUNCH, &[&json(spec)?]),
            ToShim::Tie(tied) => frame(kind::TIE, &[&[u8::from(*tied)]]),
            ToShim::Ack(offset) => frame(kind::ACK, &[&offset.to_le_bytes()]),
            ToShim::Stop(grace) => frame(kind::STOP, &[&millis(*grace).to_le_bytes()]),
            ToShim::Signal(signal) => frame(kind::SIGNAL, &[&signal.to_le_bytes()]),
            ToShim::Input(bytes) => frame(kind::INPUT, &[bytes]),
            ToShim::InputEnd => frame(kind::INPUT_END, &[]),
            ToShim::Resize(size) => {
                let (rows, columns) = (size.rows.to_le_bytes(), size.columns.to_le_bytes());
                frame(kind::RESIZE, &[&rows, &columns])
            }
            ToShim::Release => frame(kind::RELEASE, &[]),
        })
    }

    /// `None` for a kind that only a later version knows.
    fn decode(kind: u8, body: Vec<u8>) -> Result<Option<ToShim>> {
        let mut fields = Fields(&body);
        Ok(Some(match kind {
            kind::LAUNCH => ToShim::Launch(parse(&body)?),
            kind::TIE => ToShim::Tie(fields.take::<1>()? != [0]),
            kind::ACK => ToShim::Ack(fields.u64()?),
            kind::STOP => ToShim::Stop(Duration::from_millis(fields.u64()?)),
            kind::SIGNAL => ToShim::Signal(i32::from_le_bytes(fields.take()?)),
            kind::INPUT => ToShim::Input(body),
            kind::INPUT_END => ToShim::InputEnd,
            kind::RESIZE => ToShim::Resize(Size {
                rows: u16::from_le_bytes(fields.take()?),
                columns: u16::from_le_bytes(fields.take()?),
            }),
            kind::RELEASE => ToShim::Release,
            _ => return Ok(None),
        }))
    }
}

impl FromShim {
    pub fn encode(&self) -> Result<Vec<u8>> {
        Ok(match self {
            FromShim::Hello(hello) => frame(kind::HELLO, &[&json(hello)?]),
            FromShim::Failed(message) => frame(kind::FAILED, &[message.as_bytes()]),
            FromShim::Dropped {
                until,
                lines,
                since,
            } => {
                let (until, lines) = (until.to_le_bytes(), lines.to_le_bytes());
                frame(kind::DROPPED, &[&until, &lines, &since.to_le_bytes()])
            }
            FromShim::Output {
                offset,
                time,
                bytes,
            } => {
                let (offset, time) = (offset.to_le_bytes(), time.to_le_bytes());
                frame(kind::OUTPUT, &[&offset, &time, bytes])
            }
            FromShim::Taken(bytes) => frame(kind::TAKEN, &[&bytes.to_le_bytes()]),
            FromShim::Exited { status, killed } => {
                let killed = [u8::from(*killed)];
                frame(kind::EXITED, &[&status.to_le_bytes(), &killed])
            }
        })
    }

    fn decode(kind: u8, body: Vec<u8>) -> Result<Option<FromShim>> {
        let mut fields = Fields(&body);
        Ok(Some(match kind {
            kind::HELLO => FromShim::Hello(parse(&body)?),
            kind::FAILED => FromShim::Failed(String::from_utf8_lossy(&body).into_owned()),
            kind::DROPPED => FromShim::Dropped {
                until: fields.u64()?,
                lines: fields.u64()?,
                since: fields.i64()?,
            },
            kind::OUTPUT => FromShim::Output {
                offset: fields.u64()?,
                time: fields.i64()?,
                bytes: fields.0.to_vec(),
            },
            kind::TAKEN => FromShim::Taken(fields.u64()?),
            kind::EXITED => FromShim::Exited {
                status: i32::from_le_bytes(fields.take()?),
                killed: fields.take::<1>()? != [0],
            },
            _ => return Ok(None),
        }))
    }
}

/// Frames put together from bytes that arrive in pieces.
#[derive(Default)]
pub struct Frames {
    bytes: Vec<u8>,
}

impl Frames {
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame from a server; `None` until more has come.
    pub fn next_to_shim(&mut self) -> Result<Option<ToShim>> {
        self.next(ToShim::decode)
    }

    /// The next frame from a shim; `None` until more has come.
    pub fn next_from_shim(&mut self) -> Result<Option<FromShim>> {
        self.next(FromShim::decode)
    }

    fn next<T>(&mut self, decode: fn(u8, Vec<u8>) -> Result<Option<T>>) -> Result<Option<T>> {
        while let &[kind, a, b, c, d, ..] = &self.bytes[..] {
            let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            if length > MAX_BODY {
                return Err(Error::internal(format!("a frame of {length} bytes")));
            }
            if self.bytes.len() < HEAD + length {
                break;
            }
            let body = self.bytes[HEAD..HEAD + length].to_vec();
            self.bytes.drain(..HEAD + length);
            if let Some(frame) = decode(kind, body)? {
                return Ok(Some(frame));
            }
        }
        // Held for a dyno's whole life, which is mostly silence.
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
        Ok(None)
    }
}

/// The numbers at the front of a body.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let short = || Error::internal("a frame is too short");
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or_else(short)?;
        self.0 = rest;
        Ok(*field)
    }

    fn u64(&mut self) -> Result<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Result<i64> {
        self.take().map(i64::from_le_bytes)
    }
}

fn frame(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut frame = Vec::with_capacity(HEAD + length);
    frame.push(kind);
    // What is longer than the limit is refused by whoever reads it.
    frame.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    frame
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(Error::internal)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(Error::internal)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
