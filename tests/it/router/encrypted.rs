//! Visitors within TLS, by HTTP/1.1 and HTTP/2.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::SendRequest;
use hyper::{Request, Response, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use penstock::router::{Options, PROTOCOLS, Web};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Edge, HANG, HOST, Wire, dyno, get_with, has, mirror, ok, options, route, status};

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// A router that visitors come to within TLS too, and what they have to know for it.
pub struct Encrypted {
    pub edge: Edge,
    trust: Arc<RootCertStore>,
}

impl Encrypted {
    pub fn with(web: Web, options: Options) -> Encrypted {
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let own = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
        let mut trust = RootCertStore::empty();
        trust.add(own.cert.der().clone()).unwrap();
        let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
        let mut config = ServerConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        let options = Options {
            tls: Some(Arc::new(config)),
            ..options
        };
        Encrypted {
            edge: Edge::with(web, options),
            trust: Arc::new(trust),
        }
    }

    pub async fn connect(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.trust.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let socket = self.edge.connect().await.0;
        let name = ServerName::try_from(HOST).unwrap();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, socket);
        let stream = timeout(HANG, connecting).await.expect("hangs").unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
        stream
    }

    /// What comes back for these bytes, by HTTP/1.1.
    async fn send(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect(b"http/1.1").await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        let mut answer = Vec::new();
        let reading = timeout(HANG, stream.read_to_end(&mut answer)).await;
        reading.expect("hangs").unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub async fn http2(&self) -> SendRequest<Body> {
        self.busy_http2().await.0
    }

    /// By a connection on which there is always something going on, and how that ends.
    async fn busy_http2(&self) -> (SendRequest<Body>, JoinHandle<hyper::Result<()>>) {
        let stream = TokioIo::new(self.connect(b"h2").await);
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_millis(20))
            .keep_alive_while_idle(true)
            .keep_alive_timeout(HANG)
            .handshake(stream)
            .await
            .unwrap();
        (sender, tokio::spawn(connection))
    }
}

fn url(path: &str) -> Uri {
    format!("https://{HOST}{path}").parse().unwrap()
}

fn nothing() -> Body {
    Full::new(Bytes::new()).boxed_unsync()
}

pub fn get(path: &str) -> Request<Body> {
    Request::get(url(path)).body(nothing()).unwrap()
}

pub async fn text(response: Response<hyper::body::Incoming>) -> String {
    let body = timeout(HANG, response.into_body().collect()).await;
    let body = body.expect("hangs").unwrap().to_bytes();
    String::from_utf8_lossy(&body).into_owned()
}

#[tokio::test]
async fn one_port_takes_visitors_within_tls_and_without() {
    let web = Web::Up(vec![mirror().await]);
    let mut visited = Encrypted::with(web, options());
    let port = visited.edge.router.addresses()[0].port();
    let answer = visited.send(get_with("")).await;
    assert_eq!(status(&answer), 200);
    has(&answer, "\r\nx-forwarded-proto: https\r\n");
    has(&answer, &format!("\r\nx-forwarded-port: {port}\r\n"));
    has(&visited.edge.line().await, " protocol=https");
    let plain = visited.edge.get().await;
    has(&plain, "\r\nx-forwarded-proto: http\r\n");
    has(&visited.edge.line().await, " protocol=http");
}

#[tokio::test]
async fn a_dyno_gets_by_http_1_what_a_visitor_sends_by_http_2() {
    let web = Web::Up(vec![mirror().await]);
    let visited = Encrypted::with(web, options());
    let mut sender = visited.http2().await;
    let request = Request::get(url("/some/where?a=b"))
        .header("cookie", "one=1")
        .header("cookie", "two=2")
        .header("x-own", "kept")
        .body(nothing())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.version(), hyper::Version::HTTP_2);
    let seen = text(response).await;
    has(&seen, "GET /some/where?a=b HTTP/1.1\r\n");
    has(&seen, &format!("\r\nhost: {HOST}\r\n"));
    has(&seen, "\r\ncookie: one=1; two=2\r\n");
    has(&seen, "\r\nx-own: kept\r\n");
    has(&seen, "\r\nx-forwarded-proto: https\r\n");
    has(&seen, "\r\nvia: 2.0 penstock\r\n");
    for host in ["other.test", "a, b"] {
        let request = Request::get(url("/")).header("host", host).body(nothing());
        let response = sender.send_request(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), 400, "{host}");
    }
}

#[tokio::test]
async fn many_requests_share_one_connection_and_each_has_its_answer() {
    let web = Web::Up(vec![mirror().await]);
    let visited = Encrypted::with(web, options());
    let sender = visited.http2().await;
    let asking = (0..40).map(|number| {
        let mut sender = sender.clone();
        async move {
            let response = sender
                .send_request(get(&format!("/{number}")))
                .await
                .unwrap();
            has(
                &text(response).await,
                &format!("GET /{number} HTTP/1.1\r\n"),
            );
        }
    });
    futures_util::future::join_all(asking).await;
}

#[tokio::test]
async fn an_upload_of_unknown_length_reaches_the_dyno_whole() {
    // Reads a chunked body and says how long it was.
    let counting = dyno(|mut wire| async move {
        let head = wire.head().await;
        has(&head, "\r\ntransfer-encoding: chunked\r\n");
        let mut total = 0;
        loop {
            let line = wire.until("\r\n").await;
            let length = usize::from_str_radix(line.trim(), 16).unwrap();
            wire.exactly(length + 2).await;
            total += length;
            if length == 0 {
                break;
            }
        }
        wire.write(ok(&total.to_string())).await;
    })
    .await;
    let visited = Encrypted::with(Web::Up(vec![counting]), options());
    let mut sender = visited.http2().await;
    let piece = Bytes::from(vec![b'x'; 16 * 1024]);
    let pieces = (0..200).map(move |_| Ok(Frame::data(piece.clone())));
    let body = StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync();
    let request = Request::post(url("/")).body(body).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(text(response).await, (200 * 16 * 1024).to_string());
}

#[tokio::test]
async fn a_large_answer_passes_by_http_2_and_a_visitor_who_leaves_ends_it() {
    const LENGTH: usize = 8 << 20;
    let large = dyno(|mut wire| async move {
        wire.head().await;
        wire.write(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"
        ))
        .await;
        wire.write(vec![b'x'; LENGTH]).await;
    })
    .await;
    let mut visited = Encrypted::with(Web::Up(vec![large]), options());
    let mut sender = visited.http2().await;
    let response = sender.send_request(get("/")).await.unwrap();
    assert_eq!(text(response).await.len(), LENGTH);
    has(&visited.edge.line().await, &format!(" bytes={LENGTH} "));
    let response = sender.send_request(get("/")).await.unwrap();
    drop(response);
    has(&visited.edge.line().await, "code=H27");
    // The connection goes on.
    let response = sender.send_request(get("/")).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_visitor_who_takes_nothing_of_an_answer_loses_it_and_the_dyno_is_free() {
    let endless = dyno(|mut wire| async move {
        let head = wire.head().await;
        if head.starts_with("GET /small ") {
            return wire.write(ok("small")).await;
        }
        wire.write("HTTP/1.1 200 OK\r\n\r\n").await;
        for _ in 0..10_000 {
            wire.write(vec![b'x'; 64 * 1024]).await;
        }
    })
    .await;
    let options = Options {
        idle: Duration::from_millis(200),
        max_in_flight: 1,
        ..options()
    };
    let mut visited = Encrypted::with(Web::Up(vec![endless]), options);
    let (mut sender, _connection) = visited.busy_http2().await;
    let stalled = sender.send_request(get("/")).await.unwrap();
    has(&visited.edge.line().await, "code=H15");
    // The connection is good for more, and the dyno too.
    let response = sender.send_request(get("/small")).await.unwrap();
    assert_eq!(text(response).await, "small");
    let broken = timeout(HANG, stalled.into_body().collect()).await;
    assert!(broken.expect("hangs").is_err());
}

#[tokio::test]
async fn a_connection_without_requests_is_closed_whatever_else_comes_by_it() {
    // The handshake and the first request have no more than this, either.
    let options = Options {
        header_read: Duration::from_secs(2),
        ..options()
    };
    let web = Web::Up(vec![mirror().await]);
    let visited = Encrypted::with(web, options);
    let (mut sender, connection) = visited.busy_http2().await;
    let response = sender.send_request(get("/")).await.unwrap();
    assert_eq!(response.status(), 200);
    text(response).await;
    let _ = timeout(HANG, connection).await.expect("it stays open");
}

#[tokio::test]
async fn cookies_in_pieces_are_no_longer_than_in_one() {
    let web = Web::Up(vec![mirror().await]);
    let visited = Encrypted::with(web, options());
    let mut sender = visited.http2().await;
    let mut request = Request::get(url("/"));
    for number in 0..20 {
        request = request.header("cookie", format!("c{number}={}", "x".repeat(500)));
    }
    let response = sender.send_request(request.body(nothing()).unwrap()).await;
    assert_eq!(response.unwrap().status(), 431);
}

#[tokio::test]
async fn a_web_socket_is_opened_within_tls() {
    let echo = dyno(|mut wire| async move {
        has(&wire.head().await, "\r\nupgrade: websocket\r\n");
        wire.write(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        )
        .await;
        let bytes = wire.exactly(5).await;
        wire.write(bytes).await;
    })
    .await;
    let visited = Encrypted::with(Web::Up(vec![echo]), options());
    let mut stream = visited.connect(b"http/1.1").await;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let mut answer = Vec::new();
    let reading = timeout(HANG, stream.read_to_end(&mut answer)).await;
    reading.expect("hangs").unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[tokio::test]
async fn visitors_without_tls_are_sent_to_come_within_it_where_the_app_wants_that() {
    let web = Web::Up(vec![mirror().await]);
    let mut visited = Encrypted::with(web.clone(), options());
    let https_only = penstock::router::Route {
        https_only: true,
        ..route(web)
    };
    visited.edge.router.replace(vec![https_only]);
    let port = visited.edge.router.addresses()[0].port();
    let head = |method: &str| {
        format!("{method} /a?b=c%20d HTTP/1.1\r\nHost: {HOST}:80\r\nConnection: close\r\n\r\n")
    };
    for (method, expected) in [("GET", 301), ("POST", 308)] {
        let answer = visited.edge.send(head(method)).await;
        assert_eq!(status(&answer), expected);
        let place = format!("\r\nlocation: https://{HOST}:{port}/a?b=c%20d\r\n");
        has(&answer, &place);
        let line = visited.edge.line().await;
        has(&line, &format!("status={expected} "));
        has(&line, "at=info ");
    }
    assert_eq!(status(&visited.send(head("GET")).await), 200);
}

#[tokio::test]
async fn whoever_begins_a_handshake_and_does_not_go_on_is_let_go() {
    let options = Options {
        header_read: Duration::from_millis(50),
        ..options()
    };
    let visited = Encrypted::with(Web::Blank, options);
    for begun in [&b""[..], b"\x16\x03\x01"] {
        let mut wire: Wire = visited.edge.connect().await;
        wire.write(begun).await;
        assert_eq!(wire.rest().await, "");
    }
    // Something that only begins like one is no better.
    let mut wire = visited.edge.connect().await;
    wire.write(b"\x16GET / HTTP/1.1\r\n\r\n").await;
    wire.rest().await;
}
