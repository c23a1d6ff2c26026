//! Bodies, tunnels and connections: what flows, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use penstock::router::{Dyno, Options, Web};
use tokio::sync::mpsc;

use super::{Edge, HOST, Wire, dyno, get_with, has, lacks, ok, options, says, status};

#[tokio::test]
async fn an_upload_reaches_the_dyno_while_it_is_sent() {
    let (sender, mut seen) = mpsc::unbounded_channel();
    let reads = dyno(move |mut wire| {
        let sender = sender.clone();
        async move {
            wire.head().await;
            sender.send(wire.until("first\r\n").await).unwrap();
            wire.until("0\r\n\r\n").await;
            wire.write(ok("thanks")).await;
        }
    })
    .await;
    let edge = Edge::new(Web::Up(vec![reads]));
    let mut wire = edge.connect().await;
    wire.write(format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
    ))
    .await;
    has(&seen.recv().await.unwrap(), "first");
    wire.write("0\r\n\r\n").await;
    has(&wire.until("thanks").await, "200 OK");
}

#[tokio::test]
async fn an_answer_reaches_the_visitor_while_it_is_sent() {
    let (go, wait) = tokio::sync::oneshot::channel::<()>();
    let wait = Arc::new(tokio::sync::Mutex::new(Some(wait)));
    let streams = dyno(move |mut wire| {
        let wait = wait.clone();
        async move {
            wire.head().await;
            wire.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
                .await;
            wait.lock().await.take().unwrap().await.unwrap();
            wire.write("4\r\nlast\r\n0\r\n\r\n").await;
        }
    })
    .await;
    let mut edge = Edge::new(Web::Up(vec![streams]));
    let mut wire = edge.connect().await;
    wire.write(get_with("")).await;
    wire.until("first").await;
    go.send(()).unwrap();
    has(&wire.rest().await, "last");
    has(&edge.line().await, "status=200 bytes=9");
}

#[tokio::test]
async fn large_bodies_pass_unharmed_in_both_directions() {
    const LENGTH: usize = 20_000_000;
    let echoes = dyno(|mut wire| async move {
        wire.head().await;
        wire.write(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"
        ))
        .await;
        let (mut read, mut write) = wire.0.split();
        tokio::io::copy(&mut read, &mut write).await.ok();
    })
    .await;
    let mut edge = Edge::new(Web::Up(vec![echoes]));
    let body: Vec<u8> = (0..LENGTH)
        .map(|at| b'a' + u8::try_from(at % 23).unwrap())
        .collect();
    let Wire(socket) = edge.connect().await;
    let (read, mut write) = socket.into_split();
    let sent = body.clone();
    tokio::spawn(async move {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {LENGTH}\r\nConnection: close\r\n\r\n"
        );
        tokio::io::AsyncWriteExt::write_all(&mut write, head.as_bytes())
            .await
            .unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut write, &sent)
            .await
            .unwrap();
        std::future::pending::<()>().await;
    });
    let mut answer = Vec::new();
    let mut read = read;
    tokio::io::AsyncReadExt::read_to_end(&mut read, &mut answer)
        .await
        .unwrap();
    assert!(answer.ends_with(&body));
    has(&edge.line().await, &format!("status=200 bytes={LENGTH}"));
}

/// A dyno that agrees to leave HTTP, and then says everything twice.
async fn twice() -> Dyno {
    dyno(|mut wire| async move {
        let head = wire.head().await;
        has(&head.to_lowercase(), "connection: upgrade\r\n");
        has(&head.to_lowercase(), "upgrade: websocket\r\n");
        wire.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello").await;
        loop {
            let said = wire.until("!").await;
            if said.is_empty() {
                return;
            }
            wire.write(format!("{said}{said}")).await;
        }
    })
    .await
}

const WEBSOCKET: &str =
    "GET /chat HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[tokio::test]
async fn a_websocket_is_a_tunnel() {
    let mut edge = Edge::new(Web::Up(vec![twice().await]));
    let mut wire = edge.connect().await;
    wire.write(WEBSOCKET).await;
    let head = wire.head().await;
    assert_eq!(status(&head), 101);
    has(&head, "upgrade: websocket");
    has(&head, "connection: upgrade");
    wire.until("hello").await;
    wire.write("ping!").await;
    wire.until("ping!ping!").await;
    drop(wire);
    has(
        &edge.line().await,
        "method=GET path=\"/chat\" host=app.test",
    );
}

#[tokio::test]
async fn a_tunnel_that_falls_silent_is_h15() {
    let short = Options {
        idle: Duration::from_millis(60),
        ..options()
    };
    let mut edge = Edge::with(Web::Up(vec![twice().await]), short);
    let mut wire = edge.connect().await;
    wire.write(WEBSOCKET).await;
    wire.rest().await;
    has(&edge.line().await, "code=H15 desc=\"Idle connection\"");
}

#[tokio::test]
async fn a_tunnel_is_dug_only_when_the_dyno_agrees() {
    let (sender, mut seen) = mpsc::unbounded_channel();
    let declines = dyno(move |mut wire| {
        let sender = sender.clone();
        async move {
            wire.head().await;
            wire.write(ok("no")).await;
            sender.send(wire.rest().await).unwrap();
        }
    })
    .await;
    let edge = Edge::new(Web::Up(vec![declines]));
    let mut wire = edge.connect().await;
    wire.write(format!(
        "{WEBSOCKET}early bytes, GET /admin HTTP/1.1\r\n\r\n"
    ))
    .await;
    has(&wire.until("no").await, "200 OK");
    drop(wire);
    drop(edge);
    assert_eq!(seen.recv().await.unwrap(), "");
}

#[tokio::test]
async fn http2_is_not_tunnelled() {
    let (sender, mut seen) = mpsc::unbounded_channel();
    let notes = dyno(move |mut wire| {
        let sender = sender.clone();
        async move {
            sender.send(wire.head().await).unwrap();
            wire.write(ok("plain")).await;
        }
    })
    .await;
    let edge = Edge::new(Web::Up(vec![notes]));
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n"
    );
    let mut wire = edge.connect().await;
    wire.write(request).await;
    has(&wire.until("plain").await, "200 OK");
    lacks(&seen.recv().await.unwrap(), "h2c");
}

#[tokio::test]
async fn an_early_answer_to_an_upload_arrives_and_its_connection_is_not_used_again() {
    let early = dyno(|mut wire| async move {
        wire.head().await;
        wire.write("HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\n\r\nno")
            .await;
        lacks(&wire.rest().await, "GET ");
    })
    .await;
    let edge = Edge::new(Web::Up(vec![early]));
    for _ in 0..3 {
        let mut wire = edge.connect().await;
        wire.write(format!(
            "POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 500000\r\n\r\n"
        ))
        .await;
        wire.write("x".repeat(200_000)).await;
        let answer = wire.rest().await;
        assert_eq!(status(&answer), 413);
        assert!(answer.ends_with("\r\n\r\nno"), "{answer}");
    }
}

#[tokio::test]
async fn interim_answers_are_not_taken_for_the_answer() {
    let dyno = says(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nreal").await;
    let edge = Edge::new(Web::Up(vec![dyno]));
    let answer = edge.get().await;
    assert_eq!(status(&answer), 200);
    has(&answer, "real");
}

#[tokio::test]
async fn uploads_leave_both_connections_fit_for_more() {
    let one = Options {
        threads: 1,
        pool_trial: Duration::ZERO,
        ..options()
    };
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let reads = dyno(move |mut wire| {
        counter.fetch_add(1, Ordering::SeqCst);
        async move {
            loop {
                let head = wire.head().await;
                match head.contains("chunked") {
                    _ if head.is_empty() => return,
                    true => drop(wire.until("0\r\n\r\n").await),
                    false => drop(wire.exactly(3).await),
                }
                wire.write(ok("x")).await;
            }
        }
    })
    .await;
    let edge = Edge::with(Web::Up(vec![reads]), one);
    let mut wire = edge.connect().await;
    for _ in 0..20 {
        for body in [
            "Content-Length: 3\r\n\r\nabc",
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ] {
            wire.write(format!("POST / HTTP/1.1\r\nHost: {HOST}\r\n{body}"))
                .await;
            has(&wire.until("\r\n\r\nx").await, "200 OK");
        }
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}
