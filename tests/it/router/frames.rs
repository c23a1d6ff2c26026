//! HTTP/2 frame by frame (RFC 9113), for what no client library lets one say.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::HANG;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const INITIAL_WINDOW_SIZE: u16 = 4;
const CANCEL: u32 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// A visitor by HTTP/2 who may say anything.
pub struct Frames {
    stream: TlsStream<TcpStream>,
    /// What has come of the next frames.
    read: Vec<u8>,
    /// Bytes of bodies that have come.
    pub taken: usize,
}

/// How a stream ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    Answered(u16),
    Reset,
    /// With the whole connection, and the reason that was given for it.
    Gone(Option<u32>),
}

/// A header as bytes.
pub type Field = (Vec<u8>, Vec<u8>);

impl Frames {
    pub async fn open(stream: TlsStream<TcpStream>) -> Frames {
        Frames::with(stream, &[]).await
    }

    /// One who has room for so many bytes of each answer, until he makes more.
    pub async fn with_room(stream: TlsStream<TcpStream>, room: u32) -> Frames {
        let settings = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &room.to_be_bytes()];
        Frames::with(stream, &settings.concat()).await
    }

    async fn with(stream: TlsStream<TcpStream>, settings: &[u8]) -> Frames {
        let mut frames = Frames {
            stream,
            read: Vec::new(),
            taken: 0,
        };
        frames.write(PREFACE).await;
        frames.frame(SETTINGS, 0, 0, settings).await;
        frames
    }

    async fn write(&mut self, bytes: &[u8]) {
        // Whoever has hung up meanwhile is noticed by reading.
        let writing = self.stream.write_all(bytes);
        timeout(HANG, writing).await.expect("nobody reads").ok();
        timeout(HANG, self.stream.flush())
            .await
            .expect("hangs")
            .ok();
    }

    async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.write(&frame).await;
    }

    pub async fn headers(&mut self, stream: u32, fields: &[Field], is_last: bool) {
        let mut block = Vec::new();
        for (name, value) in fields {
            // A literal that nobody remembers, with a name of its own (RFC 7541, 6.2.2).
            block.push(0);
            string(&mut block, name);
            string(&mut block, value);
        }
        let flags = END_HEADERS | if is_last { END_STREAM } else { 0 };
        self.frame(HEADERS, flags, stream, &block).await;
    }

    pub async fn data(&mut self, stream: u32, data: &[u8], is_last: bool) {
        let flags = if is_last { END_STREAM } else { 0 };
        self.frame(DATA, flags, stream, data).await;
    }

    /// Makes room for more of an answer, or of all of them together: those of stream 0.
    pub async fn room(&mut self, stream: u32, bytes: u32) {
        self.frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
            .await;
    }

    /// Wants no more of an answer.
    pub async fn cancel(&mut self, stream: u32) {
        self.frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
            .await;
    }

    /// Asks whether anybody is there.
    pub async fn ping(&mut self) {
        self.frame(PING, 0, 0, &[0; 8]).await;
    }

    /// Kind, flags, stream and payload of the next frame; nothing at the end of the connection. Cancelling it loses nothing.
    async fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        loop {
            if let Some(&[a, b, c, kind, flags, d, e, f, g]) = self.read.first_chunk() {
                let end = 9 + usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap();
                if self.read.len() >= end {
                    let payload = self.read.drain(..end).skip(9).collect();
                    let stream = u32::from_be_bytes([d, e, f, g]) & 0x7fff_ffff;
                    return Some((kind, flags, stream, payload));
                }
            }
            let reading = self.stream.read_buf(&mut self.read);
            let count = timeout(HANG, reading).await.expect("hangs");
            count.ok().filter(|count| *count > 0)?;
        }
    }

    /// Waits for the head of an answer.
    pub async fn head(&mut self, stream: u32) {
        while let Some((kind, _, of, _)) = self.next().await {
            if kind == HEADERS && of == stream {
                return;
            }
        }
        panic!("no head");
    }

    /// Hears everything to the end of the connection, and does nothing about it.
    pub async fn ignore(&mut self) {
        while self.next().await.is_some() {}
    }

    /// Waits for the end of a stream, and meanwhile does what is due to the other side.
    pub async fn end(&mut self, stream: u32) -> End {
        let mut status = 0;
        let mut reason = None;
        while let Some((kind, flags, of, payload)) = self.next().await {
            if kind == DATA {
                self.taken += payload.len();
            }
            match kind {
                SETTINGS if flags & ACK == 0 => self.frame(SETTINGS, ACK, 0, &[]).await,
                PING if flags & ACK == 0 => self.frame(PING, ACK, 0, &payload).await,
                GOAWAY => reason = payload[4..8].try_into().ok().map(u32::from_be_bytes),
                RST_STREAM if of == stream => return End::Reset,
                HEADERS if of == stream => {
                    if status == 0 {
                        status = self::status(&payload);
                    }
                    if flags & END_STREAM != 0 {
                        return End::Answered(status);
                    }
                }
                DATA if of == stream && flags & END_STREAM != 0 => return End::Answered(status),
                _ => {}
            }
        }
        End::Gone(reason)
    }
}

/// A string as it is (RFC 7541, 5.2).
fn string(block: &mut Vec<u8>, text: &[u8]) {
    match u8::try_from(text.len()) {
        Ok(length @ ..127) => block.push(length),
        _ => {
            block.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                block.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            block.push(u8::try_from(rest).unwrap());
        }
    }
    block.extend(text);
}

/// The status, which is the first header of an answer: by its number in the static table, or spelled out behind the number of its
/// name (RFC 7541, 6 and appendix A).
fn status(block: &[u8]) -> u16 {
    // Sizes of tables come first.
    let at = block.iter().position(|byte| byte & 0xe0 != 0x20).unwrap();
    match block[at] {
        indexed @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        _ => {
            let length = usize::from(block[at + 1] & 0x7f);
            let text = &block[at + 2..at + 2 + length];
            match block[at + 1] & 0x80 {
                0 => std::str::from_utf8(text).unwrap().parse().unwrap(),
                _ => digits(text),
            }
        }
    }
}

/// Three digits by Huffman's code: 0 to 2 have five bits, the others six (RFC 7541, appendix B).
fn digits(text: &[u8]) -> u16 {
    let bits: Vec<u8> = text
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
        .collect();
    let number = |bits: &[u8]| bits.iter().fold(0, |sum, bit| sum * 2 + u16::from(*bit));
    let (mut at, mut read) = (0, 0);
    for _ in 0..3 {
        let short = number(&bits[at..at + 5]);
        let (digit, length) = match short {
            0..=2 => (short, 5),
            _ => (number(&bits[at..at + 6]) - 0b011001 + 3, 6),
        };
        read = read * 10 + digit;
        at += length;
    }
    read
}
