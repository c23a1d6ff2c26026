//! The API's port: HTTP/1.1, plain or within TLS, whichever a client begins with.
//!
//! The official CLI makes each git remote `https://`, with the API's own host and port, whatever the API's own scheme is. So the
//! first byte of a connection decides: no request of HTTP begins with that of a TLS handshake. It must not know what is asked.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::{HttpService, KeepAlive};
use actix_server::{Server, ServerHandle};
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::{App, HttpRequest, web};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::Platform;
use crate::api::Api;
use crate::error::Result;
use crate::store::Courier;

/// The whole head of a request has to be there within this time, and so has a TLS handshake.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Connections that are held at once, over all workers.
const MAX_CONNECTIONS: usize = 8_192;
const WORKERS: usize = 2;
/// How long requests that are under way may take to end when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// What a TLS handshake begins with (RFC 8446, 5.1).
const HANDSHAKE: u8 = 0x16;

/// Serves the API on the listener; within TLS too, where there is a certificate.
pub fn serve(
    platform: &Arc<Platform>,
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
) -> Result<(ServerHandle, JoinHandle<io::Result<()>>)> {
    let (api, platform) = (Arc::new(Api::new(platform.clone())?), platform.clone());
    let address = listener.local_addr()?;
    let tls = tls.map(TlsAcceptor::from);
    let server = Server::build()
        .workers(WORKERS)
        .max_concurrent_connections(MAX_CONNECTIONS / WORKERS)
        .shutdown_timeout(STOP_GRACE.as_secs())
        .disable_signals()
        .listen("api", listener, move || {
            // This runs once on each worker's own thread.
            actix_web::rt::spawn(Courier::enlist().run());
            let (api, platform, tls) = (api.clone(), platform.clone(), tls.clone());
            let answer = move |request: HttpRequest, payload: web::Payload| {
                api.clone().answer(request, payload)
            };
            let app = App::new().default_service(web::to(answer));
            // Nothing of ours asks actix under which name it is served.
            let config = |()| AppConfig::default();
            let http = HttpService::build()
                .graceful_shutdown_signal(move || stopping(platform.clone()))
                .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
                .client_request_timeout(HEAD_TIMEOUT)
                // Else a client that has hung up is noticed only by the next byte for it, and a quiet log has none.
                .h1_allow_half_closed(false)
                .local_addr(address)
                .h1(map_config(app, config));
            fn_service(move |stream| accept(stream, tls.clone())).and_then(http)
        })?
        .run();
    Ok((server.handle(), tokio::spawn(server)))
}

/// Connections that are kept alive end then.
async fn stopping(platform: Arc<Platform>) {
    let mut stopping = platform.stopping.subscribe();
    // The sender lives as long as the platform.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

async fn accept(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
) -> std::result::Result<(Connection, Option<SocketAddr>), actix_http::error::DispatchError> {
    let peer = stream.peer_addr().ok();
    let accepted = timeout(HEAD_TIMEOUT, begun(stream, tls)).await;
    let connection = accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    Ok((connection, peer))
}

async fn begun(stream: TcpStream, tls: Option<TlsAcceptor>) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    stream.peek(&mut first).await?;
    match tls {
        Some(tls) if first == [HANDSHAKE] => {
            Ok(Connection::Tls(Box::new(tls.accept(stream).await?)))
        }
        _ => Ok(Connection::Plain(stream)),
    }
}

/// What a client has connected by.
enum Connection {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Connection::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Connection::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_flush(context),
            Connection::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Connection::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
