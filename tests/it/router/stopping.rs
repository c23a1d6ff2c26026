//! A router that makes room for the next one: who is waited for, who is told, and who is not kept waiting by them.

use std::sync::Arc;
use std::time::Duration;

use penstock::router::{Dyno, Options, UnderWay, Web};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::encrypted::{Encrypted, get, text};
use super::{Edge, HANG, HOST, Wire, dyno, get_with, has, ok, options, status};

/// What would be waited for: longer than anything may take here. The end of a test that fails waits for it, too.
pub const FOREVER: Duration = Duration::from_secs(80);

/// A dyno that answers `/slow` when told to, and everything else at once.
async fn slow(arrived: &Arc<Notify>, go: &Arc<Notify>) -> Dyno {
    let (arrived, go) = (arrived.clone(), go.clone());
    dyno(move |mut wire| {
        let (arrived, go) = (arrived.clone(), go.clone());
        async move {
            loop {
                let head = wire.head().await;
                if head.is_empty() {
                    return;
                }
                if head.starts_with("GET /slow ") {
                    arrived.notify_one();
                    go.notified().await;
                }
                wire.write(ok("answered")).await;
            }
        }
    })
    .await
}

/// A dyno that says this to every request, and nothing more until the router hangs up.
async fn goes_on(start: &'static str) -> Dyno {
    dyno(move |mut wire| async move {
        wire.head().await;
        wire.write(start).await;
        wire.rest().await;
    })
    .await
}

pub fn stop(edge: &Edge, grace: Duration) -> JoinHandle<()> {
    let router = edge.router.clone();
    tokio::task::spawn_blocking(move || router.stop(grace))
}

#[tokio::test]
async fn who_comes_while_a_slow_request_is_waited_for_is_served() {
    let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let edge = Edge::new(Web::Up(vec![slow(&arrived, &go).await]));
    let mut waiting = edge.connect().await;
    waiting
        .write(get_with("").replace("GET / ", "GET /slow "))
        .await;
    arrived.notified().await;
    let under_way = edge.router.under_way().to_vec();
    let settled = tokio::spawn(async move { UnderWay::settle(&under_way, FOREVER).await });
    for _ in 0..20 {
        has(&edge.get().await, "answered");
    }
    assert!(
        !settled.is_finished(),
        "the slow request was not waited for"
    );
    go.notify_one();
    has(&waiting.rest().await, "answered");
    tokio::time::timeout(HANG, settled).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_router_without_requests_has_nothing_to_wait_for() {
    let edge = Edge::new(Web::Up(vec![goes_on("").await]));
    let _idle = edge.connect().await;
    let settling = UnderWay::settle(edge.router.under_way(), FOREVER);
    tokio::time::timeout(HANG, settling).await.unwrap();
}

/// What begins an answer that has no end, and how its visitor sees it end.
const ENDLESS: [(&str, &str, &str); 2] = [
    (
        "Connection: upgrade\r\nUpgrade: x\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello",
        "",
    ),
    (
        "",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "\r\n0\r\n\r\n",
    ),
];

#[tokio::test]
async fn tunnels_and_streams_of_events_keep_nobody_waiting() {
    for (wish, start, end) in ENDLESS {
        let patient = Options {
            last_call: FOREVER,
            ..options()
        };
        let mut edge = Edge::with(Web::Up(vec![goes_on(start).await]), patient);
        let mut wire = edge.connect().await;
        let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{wish}\r\n");
        wire.write(request).await;
        wire.until("hello").await;
        let settling = UnderWay::settle(edge.router.under_way(), FOREVER);
        tokio::time::timeout(HANG, settling).await.unwrap();
        let stopped = tokio::time::timeout(HANG, stop(&edge, FOREVER)).await;
        stopped.expect("it was waited for").unwrap();
        assert_eq!(wire.rest().await, end);
        let line = edge.line().await;
        has(&line, "code=H24 desc=\"Forced close\"");
    }
}

#[tokio::test]
async fn who_has_no_answer_when_the_time_is_over_gets_the_page_that_says_so() {
    let mut edge = Edge::new(Web::Up(vec![goes_on("").await]));
    let mut wires: Vec<Wire> = Vec::new();
    for _ in 0..2 {
        let mut wire = edge.connect().await;
        wire.write(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"))
            .await;
        wires.push(wire);
    }
    // Both are at the dyno.
    while edge.router.visits(super::APP).1 < 2 {
        tokio::task::yield_now().await;
    }
    let stopping = stop(&edge, Duration::from_millis(50));
    for mut wire in wires {
        let answer = wire.rest().await;
        assert_eq!(status(&answer), 503, "{answer}");
        has(&answer, "H24");
        has(&answer, "connection: close");
        let line = edge.line().await;
        has(&line, "at=error code=H24 desc=\"Forced close\"");
        has(&line, "status=503");
    }
    stopping.await.unwrap();
}

#[tokio::test]
async fn visitors_by_http_2_are_told_the_same() {
    for (start, ends_well) in [
        ("", false),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nhello",
            true,
        ),
    ] {
        let web = Web::Up(vec![goes_on(start).await]);
        let mut visited = Encrypted::with(web, options());
        let mut sender = visited.http2().await;
        let answer = tokio::spawn(sender.send_request(get("/")));
        while visited.edge.router.visits(super::APP).1 == 0 {
            tokio::task::yield_now().await;
        }
        let answer = match ends_well {
            true => Ok(answer.await.unwrap().unwrap()),
            false => Err(answer),
        };
        let stopping = stop(&visited.edge, Duration::from_millis(50));
        let answer = match answer {
            Ok(begun) => begun,
            Err(waiting) => waiting.await.unwrap().unwrap(),
        };
        assert_eq!(answer.status() == 200, ends_well);
        let body = tokio::time::timeout(HANG, text(answer)).await.unwrap();
        has(&body, if ends_well { "hello" } else { "H24" });
        has(&visited.edge.line().await, "code=H24");
        stopping.await.unwrap();
    }
}
