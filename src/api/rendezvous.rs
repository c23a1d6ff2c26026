//! `GET /rendezvous`: the way to a one-off dyno for clients who reach no other port than the API's, and so for whoever sits behind a
//! proxy that passes on HTTP alone.
//!
//! It is a WebSocket that leads to where clients meet their dynos. What is carried is the client's TLS, with the secret of its
//! dyno in it, so nothing is asked and nothing learned here. `penstock connect` is such a client.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex, split};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::call::{Call, Visit};
use crate::error::{Error, ErrorId, Result};
use crate::tunnel;

/// Bytes on their way, each way.
const ROOM: usize = 64 * 1024;
const CHUNK: usize = 16 * 1024;
/// Clients at once that come this way: fewer than are met, so that there is room for those who come by the other port.
static PLACES: Semaphore = Semaphore::const_new(256);
/// For the connection to this very machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the caller meets the dyno with this secret: at the forward that its request came by, if that carries such connections, and
/// else where this server listens. Only addresses of the caller's own machine are such forwards.
pub fn url(call: &Call, secret: &str) -> String {
    let forward = call.request.headers().get(tunnel::HEADER);
    let forward = forward.and_then(|value| value.to_str().ok()?.parse::<SocketAddr>().ok());
    match forward.filter(|at| at.ip().is_loopback()) {
        Some(at) => format!("rendezvous://{at}/{secret}"),
        None => call.platform.urls.rendezvous(secret),
    }
}

/// By which a WebSocket's client knows that it was understood.
fn key(headers: &HeaderMap) -> Result<&HeaderValue> {
    let asks = headers
        .get(header::UPGRADE)
        .is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| asks);
    key.ok_or_else(|| {
        Error::bad_request(
            "This takes a WebSocket, as `penstock connect` opens it for `heroku run`.",
        )
    })
}

/// 400 for whatever is no WebSocket's request.
pub async fn open(visit: Visit) -> Result<HttpResponse> {
    let key = key(visit.request.headers())?;
    let accept = tunnel::accept(key.as_bytes());
    let meeting = tunnel::here(visit.platform.urls.rendezvous_at);
    let place = PLACES.try_acquire().map_err(|_| busy())?;
    let dyno = match timeout(PATIENCE, TcpStream::connect(meeting)).await {
        Ok(Ok(dyno)) => dyno,
        _ => return Err(busy()),
    };
    dyno.set_nodelay(true)?;
    let (socket, client) = duplex(ROOM);
    tokio::spawn(async move {
        tunnel::deliver(socket, dyno).await;
        drop(place);
    });
    let (reader, writer) = split(client);
    actix_web::rt::spawn(receive(visit.payload, writer));
    Ok(HttpResponse::SwitchingProtocols()
        .upgrade("websocket")
        .insert_header((header::SEC_WEBSOCKET_ACCEPT, accept))
        .streaming(sent(reader)))
}

fn busy() -> Error {
    Error::new(
        ErrorId::Unavailable,
        "The server takes no clients of dynos at the moment. Try again.",
    )
}

/// What the client sends, until it is gone.
async fn receive(mut payload: Payload, mut writer: impl AsyncWrite + Unpin) {
    while let Some(Ok(chunk)) = payload.next().await {
        if writer.write_all(&chunk).await.is_err() {
            return;
        }
    }
    let _ = writer.shutdown().await;
}

/// What it is sent.
fn sent(reader: impl AsyncRead + Unpin) -> impl Stream<Item = std::io::Result<Bytes>> {
    stream::unfold(reader, |mut reader| async {
        let mut buffer = vec![0; CHUNK];
        match reader.read(&mut buffer).await {
            Ok(0) => None,
            Ok(length) => {
                buffer.truncate(length);
                Some((Ok(Bytes::from(buffer)), reader))
            }
            Err(cause) => Some((Err(cause), reader)),
        }
    })
}
