//! Those who take their time, on either side: what they may hold up, and how much is kept for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use penstock::name::Id;
use penstock::router::{Options, TableSource, Web};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::encrypted::{Encrypted, get};
use super::{Edge, HANG, HOST, dyno, get_with, has, ok, options, said, status};

/// Long enough for whoever does not take his time, and waited for where somebody does.
const SOON: Duration = Duration::from_secs(2);
/// What sockets on this machine may hold between two that are not read, on two hops, and no more.
const HELD: usize = 48 << 20;

#[tokio::test]
async fn a_head_that_does_not_end_is_not_waited_for() {
    let short = Options {
        header_read: SOON,
        ..options()
    };
    let edge = Edge::with(Web::Blank, short);
    let mut wires = Vec::new();
    for begun in [
        "",
        "G",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: app.test\r\nX-A: b",
    ] {
        let mut wire = edge.connect().await;
        wire.write(begun).await;
        wires.push(wire);
    }
    for mut wire in wires {
        let answer = wire.rest().await;
        assert!(answer.is_empty() || status(&answer) == 408, "{answer}");
    }
    // Nor is the next one of a visitor who had an answer.
    let mut wire = edge.connect().await;
    wire.write(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"))
        .await;
    wire.until("</html>\n").await;
    assert_eq!(wire.rest().await, "");
}

#[tokio::test]
async fn a_dyno_is_held_back_while_its_visitor_takes_nothing() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let endless = dyno(move |mut wire| {
        let sent = counted.clone();
        async move {
            wire.head().await;
            wire.write("HTTP/1.1 200 OK\r\n\r\n").await;
            let piece = vec![b'x'; 1 << 16];
            while wire.0.write_all(&piece).await.is_ok() {
                sent.fetch_add(piece.len(), Ordering::SeqCst);
            }
        }
    })
    .await;
    let short = Options {
        idle: SOON,
        ..options()
    };
    let mut edge = Edge::with(Web::Up(vec![endless]), short);
    let mut wire = edge.connect().await;
    wire.write(get_with("")).await;
    has(&edge.line().await, "code=H15");
    let sent = sent.load(Ordering::SeqCst);
    assert!((1..HELD).contains(&sent), "{sent} bytes for nobody");
}

#[tokio::test]
async fn a_visitor_is_held_back_while_the_dyno_takes_nothing() {
    let deaf = dyno(|wire| async move {
        let _open = wire;
        std::future::pending::<()>().await;
    })
    .await;
    let short = Options {
        first_byte: SOON,
        idle: SOON,
        ..options()
    };
    let mut edge = Edge::with(Web::Up(vec![deaf]), short);
    let mut socket = edge.connect().await.0;
    let head = format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10000000000\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![b'x'; 1 << 16];
    let mut sent = 0;
    let sending = async {
        while sent < 10 * HELD && socket.write_all(&piece).await.is_ok() {
            sent += piece.len();
        }
    };
    tokio::select! {
        () = sending => {}
        line = edge.line() => has(&line, "code=H12"),
    }
    assert!(sent < HELD, "{sent} bytes for nobody");
}

#[tokio::test]
async fn events_arrive_one_by_one_by_http_2_too() {
    let go = Arc::new(Notify::new());
    let wait = go.clone();
    let events = dyno(move |mut wire| {
        let wait = wait.clone();
        async move {
            wire.head().await;
            wire.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
                .await;
            for number in 0..3 {
                wire.write(format!("data: {number}\n\n")).await;
                wait.notified().await;
            }
        }
    })
    .await;
    let visited = Encrypted::with(Web::Up(vec![events]), options());
    let mut sender = visited.http2().await;
    let response = sender.send_request(get("/")).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    for number in 0..3 {
        let frame = timeout(HANG, body.frame()).await.expect("hangs");
        let data = frame.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data, format!("data: {number}\n\n"));
        go.notify_one();
    }
    let rest = timeout(HANG, body.collect()).await.expect("hangs");
    assert!(rest.unwrap().to_bytes().is_empty());
}

/// Where the table comes from, with a fault.
struct Faulty;

impl TableSource for Faulty {
    fn caught_up(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn wake(&self, _: Id) {
        panic!("a fault of the platform's own");
    }
}

#[tokio::test]
async fn a_fault_of_the_platforms_own_is_h99_and_others_are_served() {
    said::listen();
    let mut edge = Edge::new(Web::Idle);
    let faulty = Arc::new(Faulty);
    edge.router.follow(&faulty);
    let id = "a-fault-of-the-platforms-own";
    let page = edge
        .send(get_with(&format!("X-Request-Id: {id}\r\n")))
        .await;
    assert_eq!(status(&page), 503);
    has(&page, "H99");
    let line = edge.line().await;
    has(&line, "at=error code=H99 desc=\"Platform error\"");
    has(&line, " status=503 ");
    // The page promises so.
    let said = said::with(id);
    assert!(
        said.iter()
            .any(|line| line.contains("of the platform's own")),
        "{said:?}"
    );
    let says = dyno(|mut wire| async move {
        wire.head().await;
        wire.write(ok("well")).await;
    })
    .await;
    edge.router.replace(vec![super::route(Web::Up(vec![says]))]);
    has(&edge.get().await, "well");
}
