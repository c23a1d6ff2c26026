//! What is told when a dyno, or a visitor, does not keep its side.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use penstock::router::{Options, Web};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{
    Edge, HOST, Wire, dyno, get_with, has, mirror, ok, options, route, says, status, web_1,
};

const SOON: Duration = Duration::from_millis(60);

/// An address that refuses connections, for as long as the test lasts.
fn closed() -> SocketAddr {
    ([127, 0, 0, 1], crate::binary::ports::port()).into()
}

#[tokio::test]
async fn a_dyno_that_refuses_the_connection_is_h21() {
    let mut edge = Edge::new(Web::Up(vec![web_1(closed())]));
    assert_eq!(status(&edge.get().await), 503);
    let line = edge.line().await;
    assert!(
        line.starts_with("at=error code=H21 desc=\"Backend connection refused\" "),
        "{line}"
    );
    let (_, rest) = line.split_once(" dyno=web.1 connect=").unwrap();
    let (connect, rest) = rest.split_once("ms ").unwrap();
    assert!(connect.parse::<u32>().is_ok(), "{line}");
    assert!(rest.starts_with("service= status=503 bytes= "), "{line}");
}

#[tokio::test]
async fn requests_go_elsewhere_while_one_dyno_refuses() {
    let edge = Edge::new(Web::Up(vec![web_1(closed()), mirror().await]));
    for _ in 0..20 {
        assert_eq!(status(&edge.get().await), 200);
    }
}

#[tokio::test]
async fn an_upload_goes_elsewhere_whole_when_one_dyno_refuses() {
    let takes = dyno(|mut wire| async move {
        wire.head().await;
        let body = wire.exactly(5).await;
        wire.write(ok(&String::from_utf8(body).unwrap())).await;
    })
    .await;
    for turn in 0..2 {
        let mut dynos = vec![web_1(closed()), takes.clone()];
        dynos.rotate_left(turn);
        let edge = Edge::new(Web::Up(dynos));
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nContent-Length: 5\r\n\r\nwhole"
        );
        has(&edge.send(request).await, "\r\n\r\nwhole");
    }
}

#[tokio::test]
async fn a_dyno_that_takes_no_connection_in_time_is_h19() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    let soon = 10 * SOON;
    while let Ok(connection) = timeout(soon, TcpStream::connect(address)).await {
        queue.push(connection);
    }
    let short = Options {
        connect: soon,
        ..options()
    };
    let mut edge = Edge::with(Web::Up(vec![web_1(address)]), short);
    assert_eq!(status(&edge.get().await), 503);
    has(
        &edge.line().await,
        "code=H19 desc=\"Backend connection timeout\"",
    );
}

#[tokio::test]
async fn a_dyno_that_says_nothing_is_h12() {
    let silent = dyno(|mut wire| async move {
        wire.rest().await;
    })
    .await;
    let short = Options {
        first_byte: SOON,
        ..options()
    };
    let mut edge = Edge::with(Web::Up(vec![silent]), short);
    assert_eq!(status(&edge.get().await), 503);
    let line = edge.line().await;
    has(&line, "at=error code=H12 desc=\"Request timeout\"");
    has(&line, " status=503 bytes=0 ");
}

#[tokio::test]
async fn a_dyno_that_hangs_up_without_a_word_is_h13() {
    let mut edge = Edge::new(Web::Up(vec![says(b"").await]));
    assert_eq!(status(&edge.get().await), 503);
    has(
        &edge.line().await,
        "at=error code=H13 desc=\"Connection closed without response\"",
    );
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_h17() {
    for nonsense in [
        &b"hello\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ] {
        let mut edge = Edge::new(Web::Up(vec![says(nonsense).await]));
        assert_eq!(status(&edge.get().await), 503);
        has(
            &edge.line().await,
            "code=H17 desc=\"Poorly formatted HTTP response\"",
        );
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_passed_on_is_h25_by_its_kind() {
    let length = "Content-Length: 0\r\n";
    let answer = |phrase: &str, headers: &str| format!("HTTP/1.1 200 {phrase}\r\n{headers}\r\n");
    for (answer, kind) in [
        (
            answer("OK", "Content-Length: 3\r\nContent-Length: 4\r\n"),
            "invalid content length",
        ),
        (
            answer("OK", "Content-Length: some\r\n"),
            "invalid content length",
        ),
        (answer(&"x".repeat(9_000), length), "oversized status line"),
        (
            answer(&"x".repeat(200_000), length),
            "oversized status line",
        ),
        (
            answer(
                "OK",
                &format!("{length}Set-Cookie: a={}\r\n", "x".repeat(10_000)),
            ),
            "oversized cookie",
        ),
        (
            answer("OK", &format!("{length}X-A: {}\r\n", "x".repeat(150_000))),
            "oversized header",
        ),
    ] {
        let answer: &'static [u8] = Box::leak(answer.into_bytes().into_boxed_slice());
        let mut edge = Edge::new(Web::Up(vec![says(answer).await]));
        let page = edge.get().await;
        assert_eq!(status(&page), 502, "{kind}");
        has(&page, "H25");
        let line = edge.line().await;
        has(
            &line,
            &format!("at=error code=H25 desc=\"HTTP restriction: {kind}\" "),
        );
        has(&line, " status=502 ");
    }
}

#[tokio::test]
async fn an_answer_with_endless_headers_is_h25() {
    let endless = dyno(|mut wire| async move {
        wire.head().await;
        wire.write("HTTP/1.1 200 OK\r\n").await;
        wire.write("X-More: and more\r\n".repeat(20_000)).await;
    })
    .await;
    let mut edge = Edge::new(Web::Up(vec![endless]));
    assert_eq!(status(&edge.get().await), 502);
    has(&edge.line().await, "code=H25");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_h18() {
    for half in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalfway",
    ] {
        let mut edge = Edge::new(Web::Up(vec![says(half).await]));
        let answer = edge.get().await;
        assert!(!answer.ends_with("0\r\n\r\n"), "it looks whole: {answer}");
        let line = edge.line().await;
        assert!(
            line.starts_with("sock=backend at=error code=H18 desc=\"Server Request Interrupted\" "),
            "{line}"
        );
        has(&line, " status=503 bytes=4 ");
    }
}

#[tokio::test]
async fn an_answer_that_falls_silent_is_h15() {
    let stuck = dyno(|mut wire| async move {
        wire.head().await;
        wire.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
            .await;
        wire.rest().await;
    })
    .await;
    let short = Options {
        idle: SOON,
        ..options()
    };
    let mut edge = Edge::with(Web::Up(vec![stuck]), short);
    has(&edge.get().await, "half");
    has(
        &edge.line().await,
        "at=error code=H15 desc=\"Idle connection\"",
    );
}

#[tokio::test]
async fn a_visitor_who_takes_nothing_is_h15() {
    let endless = dyno(|mut wire| async move {
        wire.head().await;
        wire.write("HTTP/1.1 200 OK\r\n\r\n").await;
        let piece = vec![b'x'; 1 << 16];
        while tokio::io::AsyncWriteExt::write_all(&mut wire.0, &piece)
            .await
            .is_ok()
        {}
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
}

#[tokio::test]
async fn a_visitor_who_leaves_is_h27_and_the_dyno_learns_of_it() {
    let arrived = Arc::new(Notify::new());
    let closed = Arc::new(Notify::new());
    let waits = {
        let (arrived, closed) = (arrived.clone(), closed.clone());
        dyno(move |mut wire: Wire| {
            let (arrived, closed) = (arrived.clone(), closed.clone());
            async move {
                wire.head().await;
                arrived.notify_one();
                wire.rest().await;
                closed.notify_one();
            }
        })
        .await
    };
    let mut edge = Edge::new(Web::Up(vec![waits]));
    let mut wire = edge.connect().await;
    wire.write(get_with("")).await;
    arrived.notified().await;
    drop(wire);
    let line = edge.line().await;
    assert!(
        line.starts_with("sock=client at=warning code=H27 desc=\"Client Request Interrupted\" "),
        "{line}"
    );
    has(&line, " status=499 bytes=0 ");
    closed.notified().await;
}

#[tokio::test]
async fn a_visitor_who_stops_in_mid_upload_is_h28() {
    let reads = dyno(|mut wire| async move {
        wire.rest().await;
    })
    .await;
    let short = Options {
        idle: SOON,
        ..options()
    };
    let mut edge = Edge::with(Web::Up(vec![reads]), short);
    let answer = edge
        .send(format!(
            "POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 9\r\n\r\nhalf"
        ))
        .await;
    assert_eq!(status(&answer), 408);
    has(
        &edge.line().await,
        "at=warning code=H28 desc=\"Client Connection Idle\"",
    );
}

#[tokio::test]
async fn a_broken_chunk_is_h26_with_its_cause() {
    let reads = dyno(|mut wire| async move {
        wire.rest().await;
    })
    .await;
    let mut edge = Edge::new(Web::Up(vec![reads]));
    edge.send(format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\nzzz\r\n"
    ))
    .await;
    has(
        &edge.line().await,
        "at=error code=H26 desc=\"Request Error\" cause=\"bad chunk\"",
    );
}

#[tokio::test]
async fn more_requests_than_a_dyno_may_have_are_h11() {
    let go = Arc::new(Notify::new());
    let arrived = Arc::new(Notify::new());
    let slow = {
        let (go, arrived) = (go.clone(), arrived.clone());
        dyno(move |mut wire: Wire| {
            let (go, arrived) = (go.clone(), arrived.clone());
            async move {
                wire.head().await;
                arrived.notify_one();
                go.notified().await;
                wire.write(ok("at last")).await;
            }
        })
        .await
    };
    let one = Options {
        max_in_flight: 1,
        ..options()
    };
    let mut edge = Edge::with(Web::Up(vec![slow]), one);
    let mut first = edge.connect().await;
    first.write(get_with("")).await;
    arrived.notified().await;
    assert_eq!(status(&edge.get().await), 503);
    has(&edge.line().await, "code=H11 desc=\"Backlog too deep\"");
    go.notify_one();
    has(&first.rest().await, "at last");
}

#[tokio::test]
async fn the_least_busy_dyno_gets_the_next_request() {
    let arrived = Arc::new(Notify::new());
    let busy = {
        let arrived = arrived.clone();
        dyno(move |mut wire: Wire| {
            let arrived = arrived.clone();
            async move {
                wire.head().await;
                arrived.notify_one();
                wire.rest().await;
            }
        })
        .await
    };
    let edge = Edge::new(Web::Up(vec![busy.clone()]));
    let mut first = edge.connect().await;
    first.write(get_with("")).await;
    arrived.notified().await;
    edge.router
        .replace(vec![route(Web::Up(vec![busy, mirror().await]))]);
    for _ in 0..10 {
        assert_eq!(status(&edge.get().await), 200);
    }
}
