//! The API's port: HTTP/1.1, plain or within TLS, whichever a client begins with.
//!
//! The official CLI makes each git remote `https://`, with the API's own host and port, whatever the API's own scheme is. It must
//! not know what is asked.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, KeepAlive};
use actix_server::{Server, ServerHandle};
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::{App, HttpRequest, web};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::Platform;
use crate::api::Api;
use crate::error::Result;
use crate::store::Courier;
use crate::transport::Connection;

/// The whole head of a request has to be there within this time, and so has a TLS handshake.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Connections that are held at once, over all workers.
const MAX_CONNECTIONS: usize = 8_192;
const WORKERS: usize = 2;
/// How long requests that are under way may take to end when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(10);

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
    stream.set_nodelay(true)?;
    let accepted = timeout(HEAD_TIMEOUT, Connection::accept(stream, tls.as_ref())).await;
    let connection = accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    Ok((connection, peer))
}
