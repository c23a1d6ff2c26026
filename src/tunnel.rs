//! A connection carried within a WebSocket, whose binary messages are its bytes: what reaches a server that lets nobody in but HTTP.
//!
//! Both ends are here. It must not know what is said on the connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
pub use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// What a client asks a server for.
pub const PATH: &str = "/rendezvous";
/// Where, on the client's own machine, it is listened for what is to be carried: a header of its requests.
pub const HEADER: &str = "penstock-forward";
/// Bytes that are read at once, and so of a message.
const CHUNK: usize = 16 * 1024;
/// Of a message of whoever writes larger ones.
const LONGEST: usize = 1 << 20;
/// Proxies end what is quiet for a minute.
const QUIET: Duration = Duration::from_secs(25);
/// For the other direction, once one is over.
const LAST: Duration = Duration::from_secs(5);
/// For whoever is at the other end to take some of what is sent.
const STALLED: Duration = Duration::from_secs(60);

/// The answer to a client's key, by which it knows that it was understood (RFC 6455, 4.2.2).
pub fn accept(key: &[u8]) -> String {
    derive_accept_key(key)
}

/// The same port on this very machine, where it is listened on every address.
pub fn here(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}

/// The client's end: carries `local` over what a server has switched to a WebSocket, until either is over.
pub async fn carry<S, L>(switched: S, local: L)
where
    S: AsyncRead + AsyncWrite + Unpin,
    L: AsyncRead + AsyncWrite,
{
    run(switched, Role::Client, local).await;
}

/// The server's end, likewise.
pub async fn deliver<S, L>(switched: S, local: L)
where
    S: AsyncRead + AsyncWrite + Unpin,
    L: AsyncRead + AsyncWrite,
{
    run(switched, Role::Server, local).await;
}

async fn run<S, L>(switched: S, role: Role, local: L)
where
    S: AsyncRead + AsyncWrite + Unpin,
    L: AsyncRead + AsyncWrite,
{
    let limits = WebSocketConfig::default()
        .max_message_size(Some(LONGEST))
        .max_frame_size(Some(LONGEST));
    let socket = WebSocketStream::from_raw_socket(switched, role, Some(limits)).await;
    let (sink, messages) = socket.split();
    let (reader, writer) = split(local);
    let mut inwards = std::pin::pin!(unpack(messages, writer));
    let mut outwards = std::pin::pin!(pack(reader, sink));
    // What the one direction still has to say is heard, unless nobody comes to an end.
    tokio::select! {
        () = &mut inwards => drop(timeout(LAST, outwards).await),
        () = &mut outwards => drop(timeout(LAST, inwards).await),
    }
}

/// Messages into bytes.
async fn unpack(
    mut messages: impl Stream<Item = Result<Message, Error>> + Unpin,
    mut writer: impl AsyncWrite + Unpin,
) {
    while let Some(Ok(message)) = messages.next().await {
        let written = match message {
            Message::Binary(bytes) => writer.write_all(&bytes).await,
            Message::Close(_) => break,
            _ => Ok(()),
        };
        if written.is_err() {
            break;
        }
    }
    let _ = writer.shutdown().await;
}

/// Bytes into messages, with a ping wherever there were none for a while.
async fn pack(mut reader: impl AsyncRead + Unpin, mut sink: impl Sink<Message> + Unpin) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let message = match timeout(QUIET, reader.read(&mut buffer)).await {
            Err(_) => Message::Ping(Bytes::new()),
            Ok(Ok(length)) if length > 0 => {
                Message::Binary(Bytes::copy_from_slice(&buffer[..length]))
            }
            Ok(_) => break,
        };
        if !matches!(timeout(STALLED, sink.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
    let _ = timeout(STALLED, sink.send(Message::Close(None))).await;
}
