//! The router, over real sockets, against dynos that do what each test has them do.

mod aside;
mod codes;
mod corpus;
mod counts;
mod downgrade;
mod encrypted;
mod failures;
mod frames;
mod heads;
mod leaving;
mod long;
mod pages;
mod reuse;
mod said;
mod slow;
mod smuggling;
mod stopping;
mod streams;
mod strict;
mod swap;
mod taking;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use penstock::name::Id;
use penstock::router::{Dyno, Options, Pages, RequestLog, Route, Router, Web};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Long enough that only a hang takes so long.
pub const HANG: Duration = Duration::from_secs(20);
pub const HOST: &str = "app.test";
pub const APP: Id = Id::fixed(1);

/// A router with its log, and with what it counts.
pub struct Edge {
    pub router: Router,
    pub lines: mpsc::UnboundedReceiver<(Id, String)>,
    pub counts: mpsc::UnboundedReceiver<Count>,
}

/// A request in numbers, of an app or of none.
#[derive(Debug)]
pub struct Count {
    pub app: Option<Id>,
    pub status: u16,
    pub code: Option<&'static str>,
    pub took: Option<Duration>,
}

struct Lines(
    mpsc::UnboundedSender<(Id, String)>,
    mpsc::UnboundedSender<Count>,
);

impl RequestLog for Lines {
    fn requests(&self, app: Id, lines: &[&str]) {
        for line in lines {
            self.0.send((app, (*line).to_owned())).ok();
        }
    }

    fn counted(&self, app: Id, status: u16, code: Option<&'static str>, took: Option<Duration>) {
        let app = Some(app);
        let count = Count {
            app,
            status,
            code,
            took,
        };
        self.1.send(count).ok();
    }

    fn unrouted(&self, status: u16, code: Option<&'static str>) {
        let count = Count {
            app: None,
            status,
            code,
            took: None,
        };
        self.1.send(count).ok();
    }
}

pub fn options() -> Options {
    Options {
        threads: 2,
        ..Options::default()
    }
}

impl Edge {
    /// With one app at [`HOST`].
    pub fn with(web: Web, options: Options) -> Edge {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (sender, lines) = mpsc::unbounded_channel();
        let (counting, counts) = mpsc::unbounded_channel();
        let log = Arc::new(Lines(sender, counting));
        let router = Router::start(vec![listener], log, options).unwrap();
        router.replace(vec![route(web)]);
        Edge {
            router,
            lines,
            counts,
        }
    }

    pub fn new(web: Web) -> Edge {
        Edge::with(web, options())
    }

    /// The next log line.
    pub async fn line(&mut self) -> String {
        let next = timeout(HANG, self.lines.recv()).await;
        next.expect("no log line").unwrap().1
    }

    /// What is counted next.
    pub async fn count(&mut self) -> Count {
        let next = timeout(HANG, self.counts.recv()).await;
        next.expect("nothing is counted").unwrap()
    }

    pub async fn connect(&self) -> Wire {
        Wire(
            TcpStream::connect(self.router.addresses()[0])
                .await
                .unwrap(),
        )
    }

    /// Sends the bytes on a connection of their own and returns all that comes back until it is closed.
    pub async fn send(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut wire = self.connect().await;
        wire.write(bytes).await;
        wire.rest().await
    }

    /// `GET /` of the app.
    pub async fn get(&self) -> String {
        self.send(get_with("")).await
    }
}

/// A request for the app, with more header lines, each ended by CRLF, after which the connection closes.
pub fn get_with(headers: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{headers}\r\n")
}

pub fn route(web: Web) -> Route {
    Route {
        hosts: vec![HOST.to_owned()],
        app: APP,
        maintenance: false,
        https_only: false,
        pages: Pages::default(),
        web,
    }
}

pub fn web_1(address: SocketAddr) -> Dyno {
    Dyno {
        id: Id::new(),
        name: "web.1".to_owned(),
        address,
    }
}

/// A connection that fails the test instead of hanging.
pub struct Wire(pub TcpStream);

impl Wire {
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(HANG, self.0.write_all(bytes.as_ref()))
            .await
            .expect("nobody reads")
            .ok();
    }

    /// All up to the end of the head.
    pub async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    pub async fn until(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            match timeout(HANG, self.0.read_u8()).await {
                Ok(Ok(byte)) => read.push(byte),
                Ok(Err(_)) => break,
                Err(_) => panic!("hangs after {:?}", String::from_utf8_lossy(&read)),
            }
        }
        String::from_utf8_lossy(&read).into_owned()
    }

    /// At most so much of what comes next; nothing at the end.
    pub async fn some(&mut self, most: usize) -> String {
        let mut read = vec![0; most];
        let count = timeout(HANG, self.0.read(&mut read)).await.expect("hangs");
        read.truncate(count.unwrap_or(0));
        String::from_utf8_lossy(&read).into_owned()
    }

    pub async fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut read = vec![0; length];
        timeout(HANG, self.0.read_exact(&mut read))
            .await
            .expect("hangs")
            .unwrap();
        read
    }

    /// All until the other side closes or breaks off.
    pub async fn rest(&mut self) -> String {
        let mut read = Vec::new();
        let end = timeout(HANG, self.0.read_to_end(&mut read)).await;
        assert!(
            end.is_ok(),
            "hangs after {:?}",
            String::from_utf8_lossy(&read)
        );
        String::from_utf8_lossy(&read).into_owned()
    }
}

/// A dyno that does `script` with each of its connections.
pub async fn dyno<S, F>(script: S) -> Dyno
where
    S: Fn(Wire) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(script(Wire(socket)));
        }
    });
    web_1(address)
}

/// A dyno that answers each request with the head it received, for as long as the connection lasts.
pub async fn mirror() -> Dyno {
    dyno(|mut wire| async move {
        loop {
            let head = wire.head().await;
            if !head.ends_with("\r\n\r\n") {
                return;
            }
            wire.write(ok(&head)).await;
        }
    })
    .await
}

/// A dyno that reads a head, writes these bytes and closes.
pub async fn says(bytes: &'static [u8]) -> Dyno {
    dyno(move |mut wire| async move {
        wire.head().await;
        wire.write(bytes).await;
    })
    .await
}

/// A whole 200 answer.
pub fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub fn status(answer: &str) -> u16 {
    let status = answer.split(' ').nth(1).and_then(|text| text.parse().ok());
    status.unwrap_or_else(|| panic!("not an answer: {answer:?}"))
}

/// Whether a log line or head has this part, with a message that shows what it has.
#[track_caller]
pub fn has(text: &str, part: &str) {
    assert!(text.contains(part), "no {part:?} in {text:?}");
}

#[track_caller]
pub fn lacks(text: &str, part: &str) {
    assert!(!text.contains(part), "{part:?} in {text:?}");
}
