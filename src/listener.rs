//! The API's port: HTTP/1.1, plain or within TLS, whichever a client begins with.
//!
//! The official CLI makes each git remote `https://`, with the API's own host and port, whatever the API's own scheme is. It must
//! not know what is asked.

mod client;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{ConnectionType, HttpService, KeepAlive};
use actix_server::{Server, ServerHandle};
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, web};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use self::client::Client;
use crate::Platform;
use crate::api::{Api, sending};
use crate::error::Result;
use crate::fixed_hosts;
use crate::router::{Handed, UnderWay};
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

/// How long clients whose connections rest may take to ask once more, before a server that makes room lets nobody in any more.
const LAST_CALL: Duration = Duration::from_secs(1);

/// Those who use the API at the moment. Clones are the same.
#[derive(Clone, Default)]
pub struct Clients {
    /// Requests that have not been answered, or not whole.
    pub asked: Arc<UnderWay>,
    connections: Arc<UnderWay>,
    parting: Arc<AtomicBool>,
}

impl Clients {
    /// As [`Router::take_leave`](crate::router::Router::take_leave): from here on each answer is the last one of its connection, and
    /// says so, since a request that meets the end of its connection on its way is lost.
    pub async fn take_leave(&self) {
        self.parting.store(true, Ordering::SeqCst);
        UnderWay::settle(std::slice::from_ref(&self.connections), LAST_CALL).await;
    }

    fn last(&self, mut answer: HttpResponse) -> HttpResponse {
        let keeps = answer.status() != StatusCode::SWITCHING_PROTOCOLS;
        if keeps && self.parting.load(Ordering::SeqCst) {
            answer.head_mut().set_connection_type(ConnectionType::Close);
        }
        answer
    }
}

/// What clients that begin a TLS handshake are shown.
pub struct Certificates {
    /// Those who mean this server.
    pub own: Arc<rustls::ServerConfig>,
    /// Those who mean one of the hosts that the CLI asks wherever it is pointed.
    pub fixed_hosts: Arc<rustls::ServerConfig>,
    /// The names of this server.
    pub names: Vec<String>,
}

#[derive(Clone)]
struct Tls {
    own: TlsAcceptor,
    fixed_hosts: TlsAcceptor,
    names: Arc<[String]>,
}

/// Serves the API on the listener to its clients; within TLS too, where there are certificates, and to those whom the router has
/// handed over.
pub fn serve(
    platform: &Arc<Platform>,
    listener: TcpListener,
    certificates: Option<Certificates>,
    (handed, clients): (Handed, Clients),
) -> Result<(ServerHandle, JoinHandle<io::Result<()>>)> {
    let (api, platform) = (Arc::new(Api::new(platform.clone())?), platform.clone());
    let address = listener.local_addr()?;
    let tls = certificates.map(|certificates| Tls {
        own: certificates.own.into(),
        fixed_hosts: certificates.fixed_hosts.into(),
        names: certificates.names.into(),
    });
    let server = Server::build()
        .workers(WORKERS)
        .max_concurrent_connections(MAX_CONNECTIONS / WORKERS)
        .shutdown_timeout(STOP_GRACE.as_secs())
        .disable_signals()
        .listen("api", listener, move || {
            // This runs once on each worker's own thread.
            actix_web::rt::spawn(Courier::enlist().run());
            let (api, platform) = (api.clone(), platform.clone());
            let (tls, handed, host) = (tls.clone(), handed.clone(), platform.clone());
            let (asking, connected) = (clients.clone(), clients.connections.clone());
            let answer = move |request: HttpRequest, payload: web::Payload| {
                let (api, clients, turn) = (api.clone(), asking.clone(), asking.asked.begin());
                async move {
                    let answer = api.answer(request, payload).await;
                    sending::held(clients.last(answer), turn)
                }
            };
            let app = App::new().default_service(web::to(answer));
            // Nothing of ours asks actix under which name it is served.
            let config = |()| AppConfig::default();
            let http = HttpService::build()
                .on_connect_ext(move |_: &Client, data| drop(data.insert(connected.begin())))
                .graceful_shutdown_signal(move || stopping(platform.clone()))
                .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
                .client_request_timeout(HEAD_TIMEOUT)
                // Else a client that has hung up is noticed only by the next byte for it, and a quiet log has none.
                .h1_allow_half_closed(false)
                .local_addr(address)
                .h1(map_config(app, config));
            let accepted = move |stream| {
                let (tls, handed) = (tls.clone(), handed.clone());
                let leaving = host.leaving.subscribe();
                async move {
                    let (connection, peer) = accept(stream, tls, handed).await?;
                    Ok::<_, DispatchError>((Client::new(connection, leaving), peer))
                }
            };
            fn_service(accepted).and_then(http)
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
    tls: Option<Tls>,
    handed: Handed,
) -> std::result::Result<(Connection, Option<SocketAddr>), DispatchError> {
    let peer = stream.peer_addr().ok();
    // Who came by the router is known by the address that he has there.
    let peer = peer.map(|peer| handed.visitor(peer).unwrap_or(peer));
    stream.set_nodelay(true)?;
    let accepted = timeout(HEAD_TIMEOUT, connection(stream, tls)).await;
    let connection = accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    Ok((connection, peer))
}

async fn connection(mut stream: TcpStream, tls: Option<Tls>) -> io::Result<Connection> {
    let Some(tls) = tls else {
        return Connection::accept(stream, None).await;
    };
    if fixed_hosts::are_asked_for(&stream).await? {
        fixed_hosts::open(&mut stream, &tls.names).await?;
        return Connection::accept(stream, Some(&tls.fixed_hosts)).await;
    }
    Connection::accept(stream, Some(&tls.own)).await
}
