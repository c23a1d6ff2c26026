//! A receiver of drains on loopback, with TLS or without, which answers, refuses, is silent or breaks off as a test says.

use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::binary::HANG;

/// What is done with a frame once it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    Answer(u16),
    /// Closes the connection without a word.
    BreakOff,
    /// Keeps the connection and says nothing.
    Nothing,
}

/// A frame as it came.
#[derive(Debug)]
pub struct Frame {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Frame {
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// Its messages, without their lengths and newlines.
    pub fn messages(&self) -> Vec<String> {
        let mut messages = Vec::new();
        let mut rest = self.body.as_slice();
        while !rest.is_empty() {
            let space = rest.iter().position(|byte| *byte == b' ').unwrap();
            let length: usize = std::str::from_utf8(&rest[..space])
                .unwrap()
                .parse()
                .unwrap();
            let message = &rest[space + 1..][..length];
            let message = std::str::from_utf8(message).unwrap();
            messages.push(message.strip_suffix('\n').unwrap().to_owned());
            rest = &rest[space + 1 + length..];
        }
        messages
    }
}

pub struct Receiver {
    pub url: String,
    /// Whom to trust for it.
    pub roots: Vec<CertificateDer<'static>>,
    does: Arc<Mutex<Does>>,
    frames: mpsc::UnboundedReceiver<Frame>,
    /// Of a frame that is not looked at to its end.
    messages: std::collections::VecDeque<String>,
}

impl Receiver {
    pub async fn plain(does: Does) -> Receiver {
        Receiver::start(does, None).await
    }

    pub async fn https(does: Does) -> Receiver {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = own.signing_key.serialize_der().try_into().unwrap();
        let roots = vec![own.cert.der().clone()];
        let config = rustls::ServerConfig::builder_with_provider(
            rustls::crypto::ring::default_provider().into(),
        )
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(roots.clone(), key)
        .unwrap();
        let mut receiver = Receiver::start(does, Some(TlsAcceptor::from(Arc::new(config)))).await;
        receiver.roots = roots;
        receiver
    }

    async fn start(does: Does, tls: Option<TlsAcceptor>) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let does = Arc::new(Mutex::new(does));
        let (sender, frames) = mpsc::unbounded_channel();
        let script = does.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (script, sender, tls) = (script.clone(), sender.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(socket, script, sender).await,
                        Some(tls) => {
                            if let Ok(socket) = tls.accept(socket).await {
                                serve(socket, script, sender).await;
                            }
                        }
                    }
                });
            }
        });
        Receiver {
            url: format!("{scheme}://user:rose%20bud@localhost:{port}/in?key=value"),
            roots: Vec::new(),
            does,
            frames,
            messages: Default::default(),
        }
    }

    /// From here on.
    pub fn does(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    /// The next frame, once it has come.
    pub async fn frame(&mut self) -> Frame {
        let next = timeout(HANG, self.frames.recv()).await;
        next.expect("nothing was sent").unwrap()
    }

    /// How many frames have come that nobody has looked at.
    pub fn frames_left(&self) -> usize {
        self.frames.len()
    }

    /// The next message, once it has come.
    pub async fn message(&mut self) -> String {
        while self.messages.is_empty() {
            self.messages = self.frame().await.messages().into();
        }
        self.messages.pop_front().unwrap()
    }

    /// What the app has printed, up to the line that is given.
    pub async fn printed_until(&mut self, last: &str) -> Vec<String> {
        let mut printed = Vec::new();
        while printed.last().is_none_or(|line| line != last) {
            let message = self.message().await;
            let line = message.split_once(" host app web.1 - ");
            printed.extend(line.map(|(_, line)| line.to_owned()));
        }
        printed
    }
}

async fn serve(
    socket: impl AsyncRead + AsyncWrite + Unpin + 'static,
    does: Arc<Mutex<Does>>,
    frames: mpsc::UnboundedSender<Frame>,
) {
    let answer = |request: Request<Incoming>| {
        let (does, frames) = (does.clone(), frames.clone());
        async move {
            let (head, body) = request.into_parts();
            let frame = Frame {
                path: head.uri.to_string(),
                headers: head.headers,
                body: body.collect().await.unwrap().to_bytes().to_vec(),
            };
            let does = *does.lock().unwrap();
            frames.send(frame).ok();
            match does {
                Does::Answer(status) => Response::builder()
                    .status(status)
                    .body(Full::new(Bytes::from_static(b"ok")))
                    .map_err(|_| "no such status"),
                Does::BreakOff => Err("broken off"),
                Does::Nothing => std::future::pending().await,
            }
        }
    };
    let connection =
        http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(answer));
    // The other side may break off, too.
    let _ = connection.await;
}
