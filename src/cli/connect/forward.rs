//! The forward: plain HTTP on a port of this machine alone, answered by a server elsewhere within TLS.
//!
//! The official CLI sends its token to this machine and to Heroku, and to nobody else. What it sends here is passed on as it is: no
//! credential is added, so a page in a browser that finds the port has none. Who begins a
//! TLS handshake is a client of a one-off dyno, and is carried to where the server meets those. Who takes the port for a proxy means
//! one of the hosts that are written into the CLI, in whose place the server answers. It must not know what is asked.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::fixed_hosts;
use crate::transport::{Connection, HANDSHAKE};
use crate::tunnel;

/// While a server is being restarted, nobody answers at its address.
const RESTART: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_millis(300);
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Of a body that is held, to be sent once more where the server was not there. Larger ones are sent as they come, once.
const HELD: u64 = 1 << 20;
/// What is about the connection and not about the request (RFC 9110, 7.6.1).
const OF_A_CONNECTION: [HeaderName; 8] = [
    header::CONNECTION,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

type Answer = Response<UnsyncBoxBody<Bytes, reqwest::Error>>;

/// Where requests go.
pub struct Upstream {
    pub client: reqwest::Client,
    /// `https://paas.example.com`.
    pub url: String,
    /// Where is listened.
    pub at: SocketAddr,
    /// Shown to whoever means one of the hosts that the CLI asks wherever it is pointed.
    pub fixed_hosts: TlsAcceptor,
}

/// Passes on what comes to the listener until `end` resolves.
pub async fn run(listener: TcpListener, upstream: Upstream, end: impl Future<Output = ()>) {
    let upstream = Arc::new(upstream);
    let mut connections = JoinSet::new();
    let mut end = std::pin::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve(stream, upstream.clone()))),
                // No descriptor is free, or the visitor has gone already.
                Err(_) => sleep(AGAIN).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, upstream: Arc<Upstream>) {
    let _ = stream.set_nodelay(true);
    // Whoever breaks off knows it.
    let _ = begin(stream, upstream).await;
}

/// Learns from a client's first bytes what it is.
async fn begin(mut stream: TcpStream, upstream: Arc<Upstream>) -> io::Result<()> {
    let mut first = [0];
    if timeout(HEAD_TIMEOUT, stream.peek(&mut first)).await?? == 0 {
        return Ok(());
    }
    if first == [HANDSHAKE] {
        upstream.carry(stream).await;
        return Ok(());
    }
    if !fixed_hosts::are_asked_for(&stream).await? {
        converse(TokioIo::new(stream), upstream, false).await;
        return Ok(());
    }
    let own = upstream
        .names()
        .map(|name| name.split(':').next().unwrap_or_default().to_owned());
    timeout(HEAD_TIMEOUT, fixed_hosts::open(&mut stream, &own)).await??;
    let accepted = Connection::accept(stream, Some(&upstream.fixed_hosts));
    let connection = timeout(HEAD_TIMEOUT, accepted).await??;
    converse(TokioIo::new(connection), upstream, true).await;
    Ok(())
}

/// `is_meant` where the client has named its host before, which no page in a browser can.
async fn converse<C>(connection: TokioIo<C>, upstream: Arc<Upstream>, is_meant: bool)
where
    C: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn(move |request| {
        let upstream = upstream.clone();
        async move { Ok::<_, Infallible>(upstream.pass(request, is_meant).await) }
    });
    // Whoever breaks off knows it.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(connection, service)
        .await;
}

impl Upstream {
    async fn pass(&self, request: Request<Incoming>, is_meant: bool) -> Answer {
        if !is_meant && !self.is_asked(request.headers()) {
            return refusal(
                StatusCode::FORBIDDEN,
                "forbidden",
                "This forward answers to its own address and to localhost only.",
            );
        }
        match self.send(request).await {
            Ok(Some(answer)) => passed_back(answer),
            Ok(None) => refusal(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "The request's body broke off, so nothing of it was passed on.",
            ),
            Err(cause) => refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "service_unavailable",
                &format!(
                    "{} cannot be reached ({}). Look whether it runs, and try again.",
                    self.url,
                    innermost(&cause)
                ),
            ),
        }
    }

    /// A name that somebody else has pointed at this machine is not asked for here.
    fn is_asked(&self, headers: &HeaderMap) -> bool {
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let own = self.names();
        host.is_some_and(|host| own.iter().any(|own| own.eq_ignore_ascii_case(host)))
    }

    /// What this is called on this machine.
    fn names(&self) -> [String; 2] {
        [self.at.to_string(), format!("localhost:{}", self.at.port())]
    }

    /// What the server answers; `None` when the client went before it had said all.
    async fn send(
        &self,
        request: Request<Incoming>,
    ) -> Result<Option<reqwest::Response>, reqwest::Error> {
        let (head, body) = request.into_parts();
        let target = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let url = format!("{}{target}", self.url);
        let mut headers = without_connection(&head.headers);
        if let Ok(at) = HeaderValue::from_str(&self.at.to_string()) {
            headers.insert(tunnel::HEADER, at);
        }
        if let Some(origin) = headers.get_mut(header::ORIGIN) {
            self.name_origin(origin);
        }
        let begin = || {
            let request = self.client.request(head.method.clone(), &url);
            request.headers(headers.clone())
        };
        if body.size_hint().upper().is_none_or(|most| most > HELD) {
            let body = reqwest::Body::wrap_stream(body.into_data_stream());
            return begin().body(body).send().await.map(Some);
        }
        let Ok(held) = body.collect().await.map(|body| body.to_bytes()) else {
            return Ok(None);
        };
        let since = Instant::now();
        loop {
            let sent = match held.is_empty() {
                true => begin().send().await,
                false => begin().body(held.clone()).send().await,
            };
            match sent {
                // Nothing was sent, so it may be sent again.
                Err(cause)
                    if cause.is_connect() && is_absent(&cause) && since.elapsed() < RESTART =>
                {
                    sleep(AGAIN).await;
                }
                sent => return sent.map(Some),
            }
        }
    }

    /// A client of a one-off dyno, who begins a handshake with the server itself: it comes by the same way as everything else.
    async fn carry(&self, stream: TcpStream) {
        let asked = self
            .client
            .get(format!("{}{}", self.url, tunnel::PATH))
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, tunnel::generate_key());
        let answer = match asked.send().await {
            Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => answer,
            Ok(answer) => {
                return eprintln!(
                    "{} answers {} where `heroku run` goes. If a proxy stands before it, have it pass WebSockets on.",
                    self.url,
                    answer.status()
                );
            }
            Err(cause) => {
                return eprintln!("{} cannot be reached: {}.", self.url, innermost(&cause));
            }
        };
        // Whoever breaks off knows it.
        if let Ok(switched) = answer.upgrade().await {
            tunnel::carry(switched, stream).await;
        }
    }

    /// A form of a page that came through the forward has the forward for its origin; to the server it is its own.
    fn name_origin(&self, origin: &mut HeaderValue) {
        let own = self.names().map(|name| format!("http://{name}"));
        if own.iter().any(|own| own.as_bytes() == origin.as_bytes())
            && let Ok(theirs) = HeaderValue::from_str(&self.url)
        {
            *origin = theirs;
        }
    }
}

/// Whether nobody listens, as while a server is being restarted; a name or a certificate that is wrong stays so.
fn is_absent(cause: &reqwest::Error) -> bool {
    let mut next = std::error::Error::source(cause);
    while let Some(cause) = next {
        if let Some(cause) = cause.downcast_ref::<std::io::Error>()
            && matches!(
                cause.kind(),
                std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::ConnectionReset
            )
        {
            return true;
        }
        next = cause.source();
    }
    false
}

/// What went wrong, without the layers that only say that something did.
pub fn innermost(cause: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = cause;
    while let Some(next) = innermost.source() {
        innermost = next;
    }
    innermost.to_string()
}

fn without_connection(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let mut kept = HeaderMap::new();
    for (name, value) in headers {
        if !OF_A_CONNECTION.contains(name)
            && name != "keep-alive"
            && !named.iter().any(|named| named == name.as_str())
        {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

fn passed_back(answer: reqwest::Response) -> Answer {
    let (status, headers) = (answer.status(), without_connection(answer.headers()));
    let frames = answer.bytes_stream().map_ok(Frame::data);
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn refusal(status: StatusCode, id: &str, message: &str) -> Answer {
    let text = json!({ "id": id, "message": message }).to_string();
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
