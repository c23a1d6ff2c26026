//! What is counted for whoever watches the server: requests of no app, visitors who are turned away, and how long answers take.

use penstock::router::{Options, Web};

use super::{Edge, HOST, get_with, has, mirror, options, said, says, status};

#[tokio::test]
async fn an_answer_for_no_app_is_counted_by_its_status() {
    let mut edge = Edge::new(Web::Blank);
    for (request, expected) in [
        (get_with("").replace(HOST, "unknown.test"), 404),
        (get_with("Host: other.test\r\n"), 400),
        (get_with("").replace("GET /", "CONNECT app.test:80"), 405),
        // The parser's own.
        (get_with("bad header\r\n"), 400),
        (get_with(&format!("X-A: {}\r\n", "x".repeat(200_000))), 431),
        (
            get_with("").replace("GET /", &format!("GET /{}", "x".repeat(70_000))),
            414,
        ),
    ] {
        let answer = edge.send(request).await;
        assert_eq!(status(&answer), expected);
        let count = edge.count().await;
        assert_eq!((count.app, count.code), (None, None));
        assert_eq!(count.status, expected);
    }
    assert!(edge.counts.try_recv().is_err(), "more than was asked");
}

#[tokio::test]
async fn who_is_turned_away_is_counted_and_the_server_says_so_once() {
    said::listen();
    let none = Options {
        max_connections: 0,
        ..options()
    };
    let mut edge = Edge::with(Web::Blank, none);
    for _ in 0..3 {
        has(&edge.get().await, "H22");
        let count = edge.count().await;
        assert_eq!((count.app, count.status), (None, 503));
        assert_eq!(count.code, Some("H22"));
    }
    let port = edge.router.addresses()[0].port();
    let said = said::with(&format!("port={port} "));
    assert_eq!(said.len(), 1, "{said:?}");
    has(&said[0], "(H22)");
}

/// What is said in the clear would be taken for a part of the handshake, and be no reason that anybody could read.
#[tokio::test]
async fn who_is_turned_away_in_a_handshake_is_told_nothing() {
    let none = Options {
        max_connections: 0,
        ..options()
    };
    let edge = Edge::with(Web::Blank, none);
    let mut wire = edge.connect().await;
    wire.write([0x16, 3, 1, 0, 200, 1]).await;
    assert_eq!(wire.rest().await, "");
}

#[tokio::test]
async fn how_long_a_stream_of_events_goes_on_is_not_counted_as_the_time_of_an_answer() {
    let events = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n";
    for (dyno, timed) in [(mirror().await, true), (says(events).await, false)] {
        let mut edge = Edge::new(Web::Up(vec![dyno]));
        assert_eq!(status(&edge.get().await), 200);
        let count = edge.count().await;
        assert_eq!((count.status, count.took.is_some()), (200, timed));
    }
}
