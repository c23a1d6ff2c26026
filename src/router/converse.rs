//! A visitor's connection from its first byte to its end: within TLS if it begins so, and HTTP/1.1 or HTTP/2 as both sides agree.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::answer::Answer;
use super::forward::Origin;
use super::posting::Posting;
use super::proxy::{self, Proxy};
use super::stream::VisitorStream;
use super::visitor::{FAREWELL, Visitor};
use crate::transport::Connection;

/// The protocols that are spoken within TLS, the best first (RFC 7301).
pub const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];
const HTTP2: &[u8] = b"h2";
/// That of an authority who only looks at the certificate (RFC 8737).
pub const ACME_PROTOCOL: &[u8] = b"acme-tls/1";

/// Requests that one connection may have in flight by HTTP/2. Browsers expect about so many.
const STREAMS: u32 = 100;
/// Bytes of an upload, and of all uploads of a connection, that may be on their way by HTTP/2.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// Bytes of an answer that wait for a visitor who takes nothing.
const SEND_BUFFER: usize = 64 * 1024;

/// What is too large is still parsed up to here, so that its visitor gets a page, and its app a line, that say so. What is larger
/// yet gets neither: the parser refuses it by itself.
pub(super) const BEYOND: usize = 2;
const PARSED_HEADERS: usize = 512;

/// A connection as it was accepted.
pub(super) struct Arrival {
    pub socket: TcpStream,
    pub peer: SocketAddr,
    /// Where it came in.
    pub port: u16,
}

/// Serves one connection to its end.
pub(super) async fn converse(proxy: Arc<Proxy>, arrival: Arrival) {
    // A socket that cannot be told this works all the same, only more slowly.
    let _ = arrival.socket.set_nodelay(true);
    let Some(connection) = begun(&proxy, arrival.socket).await else {
        return;
    };
    let scheme = match connection.is_encrypted() {
        true => "https",
        false => "http",
    };
    let origin = Origin::new(arrival.peer.ip().to_canonical(), scheme, arrival.port);
    if connection.protocol() == Some(ACME_PROTOCOL) {
        return;
    }
    if let Some(beside) = &proxy.options.beside
        && connection
            .server_name()
            .is_some_and(|host| beside.has(host))
    {
        return beside.carry(connection, arrival.peer).await;
    }
    let is_http2 = connection.protocol() == Some(HTTP2);
    let posting = Posting::new(connection, proxy.outbox.clone());
    let visitor = Visitor::new(origin, is_http2, proxy.open.clone(), posting.way());
    let visitor = Arc::new(visitor);
    let stream = VisitorStream::new(posting, visitor.clone(), proxy.options.idle);
    match is_http2 {
        true => by_http2(proxy, visitor, stream).await,
        false => by_http1(proxy, visitor, stream).await,
    }
}

/// The connection once it is known how it is spoken on; `None` if the visitor takes too long over it or goes away, or the router
/// is to stop meanwhile.
async fn begun(proxy: &Proxy, socket: TcpStream) -> Option<Connection> {
    let stopping = async {
        proxy.open.closed().await;
        tokio::time::sleep(proxy.options.first_word).await;
    };
    // A request that is there already, or on its way, is still answered.
    tokio::select! {
        biased;
        connection = accepted(proxy, socket) => connection,
        () = stopping => None,
    }
}

async fn accepted(proxy: &Proxy, socket: TcpStream) -> Option<Connection> {
    let Some(tls) = &proxy.options.tls else {
        return Some(Connection::Plain(socket));
    };
    let accepting = async {
        let Some(beside) = &proxy.options.beside else {
            return Connection::accept(socket, Some(&TlsAcceptor::from(tls.clone()))).await;
        };
        let chosen = |host: Option<&str>| match host {
            Some(host) if beside.has(host) => beside.tls.clone(),
            _ => tls.clone(),
        };
        Connection::accept_for(socket, chosen).await
    };
    let accepted = tokio::time::timeout(proxy.options.header_read, accepting).await;
    accepted.ok()?.ok()
}

/// Answers the requests of a connection.
fn service(
    proxy: Arc<Proxy>,
    visitor: Arc<Visitor>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Answer>,
    Error = Infallible,
    Future: Future<Output = Result<Response<Answer>, Infallible>> + Send,
> {
    service_fn(move |request| proxy::serve(proxy.clone(), visitor.clone(), request))
}

async fn by_http1(proxy: Arc<Proxy>, visitor: Arc<Visitor>, stream: VisitorStream) {
    let options = &proxy.options;
    let connection = http1::Builder::new()
        .timer(visitor.alarm.clone())
        .header_read_timeout(options.header_read)
        .max_headers(PARSED_HEADERS)
        .max_buf_size(options.max_head.max(8 * 1024) * BEYOND)
        .serve_connection(
            TokioIo::new(stream),
            service(proxy.clone(), visitor.clone()),
        )
        .with_upgrades();
    let connection = std::pin::pin!(connection);
    let conversing = see_through(&proxy, &visitor, connection, |connection| {
        connection.graceful_shutdown();
    });
    let end = conversing.await;
    // A tunnel may outlast this by days.
    visitor.alarm.rest();
    if let Some(Err(error)) = end
        && let Some(status) = told_by_parser(&error)
    {
        proxy.lines.log.unrouted(status, None);
    }
}

/// The status of what the parser has answered by itself. It says nothing to who took too long over a head.
fn told_by_parser(error: &hyper::Error) -> Option<u16> {
    if error.is_parse_version_h2() || !error.is_parse() {
        return None;
    }
    // The parser has no other word for a target that is too long, which it finds too large as well.
    match error.is_parse_too_large() {
        true if error.to_string().contains("URI too long") => Some(414),
        true => Some(431),
        false => Some(400),
    }
}

async fn by_http2(proxy: Arc<Proxy>, visitor: Arc<Visitor>, stream: VisitorStream) {
    let options = &proxy.options;
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(options.max_head * BEYOND).unwrap_or(u32::MAX))
        .serve_connection(
            TokioIo::new(stream),
            service(proxy.clone(), visitor.clone()),
        );
    let mut connection = std::pin::pin!(connection);
    // Longer than any request may be silent on its way, so none is under way then that will still come to something.
    let silence = options.boot_queue + options.idle;
    let conversing = see_through(&proxy, &visitor, connection.as_mut(), |connection| {
        connection.graceful_shutdown();
    });
    tokio::select! {
        biased;
        _ = conversing => return,
        () = visitor.activity.silence(silence) => {}
        // Whatever bytes come, that of a head that never ends among them.
        () = visitor.unused(options.header_read) => {}
    }
    // Told so, the visitor knows that a request which crosses this on its way was not looked at, and sends it again elsewhere.
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(FAREWELL, connection).await;
}

/// Waits for the end of a connection, which is told to end when the router stops, but not before its visitor could ask for
/// something. `None` if it had to be dropped: of a request whose head does not come to its end, nothing was taken in.
async fn see_through<C: Future>(
    proxy: &Proxy,
    visitor: &Visitor,
    mut connection: Pin<&mut C>,
    shut_down: impl Fn(Pin<&mut C>),
) -> Option<C::Output> {
    if let Some(end) = until_left(proxy, connection.as_mut()).await {
        return Some(end);
    }
    // Asked once more, it looks whether its visitor takes anything.
    let close = async {
        proxy.open.closed().await;
        visitor.last_call(&proxy.options).await;
    };
    tokio::select! {
        biased;
        end = connection.as_mut() => return Some(end),
        () = close => {}
        () = proxy.open.cut() => {}
    }
    shut_down(connection.as_mut());
    tokio::select! {
        biased;
        end = connection.as_mut() => return Some(end),
        () = visitor.falls_silent(&proxy.options) => return None,
        () = proxy.open.cut() => {}
    }
    // Asked once more, whatever it waits for finds that the time is over.
    Some(connection.await)
}

/// The end of a connection, or `None` once the router takes its leave. A connection is asked again for each piece that comes or goes,
/// so the other question is put but once, and then when its answer is there.
async fn until_left<C: Future>(proxy: &Proxy, mut connection: Pin<&mut C>) -> Option<C::Output> {
    let mut left = std::pin::pin!(proxy.open.left());
    let mut is_asked = false;
    poll_fn(|cx| {
        if let Poll::Ready(end) = connection.as_mut().poll(cx) {
            return Poll::Ready(Some(end));
        }
        let may_have_left = proxy.open.leaving().is_some();
        if (may_have_left || !std::mem::replace(&mut is_asked, true))
            && left.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await
}
