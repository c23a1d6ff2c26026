//! Visitors whose connections are kept: what they ask when the router makes room for the next one is answered, and they are told to come
//! again by another connection. Nobody is waited for who takes nothing any more.

use std::sync::Arc;
use std::time::Duration;

use penstock::router::{Dyno, Options, Web};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::encrypted::{Encrypted, get};
use super::frames::Frames;
use super::stopping::{FOREVER, stop};
use super::{APP, Edge, HANG, HOST, Wire, dyno, has, lacks, ok, options, status};

/// A stream of events that ends by itself.
const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 5\r\n\r\nhello";

/// Answers uploads of four bytes, and everything else; of `/slow` the second half when told to.
async fn well(go: &Arc<Notify>) -> Dyno {
    let go = go.clone();
    dyno(move |mut wire| {
        let go = go.clone();
        async move {
            loop {
                let head = wire.head().await;
                if head.is_empty() {
                    return;
                }
                if head.starts_with("POST ") {
                    wire.exactly(4).await;
                }
                if head.starts_with("GET /slow ") {
                    let half = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nansw";
                    wire.write(half).await;
                    go.notified().await;
                    wire.write("ered").await;
                } else if head.starts_with("GET /events ") {
                    wire.write(EVENTS).await;
                } else {
                    wire.write(ok("answered")).await;
                }
            }
        }
    })
    .await
}

async fn edge(options: Options) -> (Edge, Arc<Notify>) {
    let go = Arc::new(Notify::new());
    (Edge::with(Web::Up(vec![well(&go).await]), options), go)
}

fn ask(what: &str, body: &str) -> String {
    format!("{what} HTTP/1.1\r\nHost: {HOST}\r\n{body}\r\n")
}

fn upload() -> String {
    ask("POST /", "Content-Length: 4\r\n") + "body"
}

/// A visitor who has had an answer, and may ask more by the same connection.
async fn kept(edge: &Edge) -> Wire {
    let mut wire = edge.connect().await;
    wire.write(ask("GET /", "")).await;
    lacks(&wire.until("answered").await, "connection:");
    wire
}

/// What tells when a router of one thread has stopped to let anybody in: a visitor who has said nothing is not waited for there, and
/// one who has may take his time.
fn telling() -> Options {
    Options {
        threads: 1,
        first_word: Duration::ZERO,
        last_call: FOREVER,
        ..options()
    }
}

/// Stops it, and resolves when that has reached all of its connections.
async fn stopped(edge: &Edge) -> JoinHandle<()> {
    stopped_with(edge, 1).await
}

/// The same, where it has so many connections.
async fn stopped_with(edge: &Edge, connections: usize) -> JoinHandle<()> {
    let mut silent = edge.connect().await;
    let traffic = edge.router.traffic();
    while traffic().connections <= connections {
        tokio::task::yield_now().await;
    }
    let stopping = stop(edge, FOREVER);
    assert_eq!(silent.rest().await, "");
    stopping
}

/// The last answer that the visitor has on this connection.
#[track_caller]
fn is_the_last(answer: &str) {
    assert_eq!(status(answer), 200, "{answer:?}");
    has(answer, "connection: close\r\n");
    assert!(answer.ends_with("answered"), "{answer:?}");
}

#[tokio::test]
async fn an_upload_by_a_kept_connection_is_answered_when_nobody_is_let_in_any_more() {
    let (edge, _) = edge(telling()).await;
    let mut wire = kept(&edge).await;
    let stopping = stopped(&edge).await;
    wire.write(upload()).await;
    is_the_last(&wire.rest().await);
    timeout(HANG, stopping).await.expect("it goes on").unwrap();
}

#[tokio::test]
async fn a_body_that_is_still_being_sent_is_waited_for_and_answered() {
    let (edge, _) = edge(telling()).await;
    let mut wire = kept(&edge).await;
    wire.write(upload().strip_suffix("dy").unwrap()).await;
    while edge.router.visits(APP).1 == 0 {
        tokio::task::yield_now().await;
    }
    let stopping = stopped(&edge).await;
    wire.write("dy").await;
    is_the_last(&wire.rest().await);
    timeout(HANG, stopping).await.expect("it goes on").unwrap();
}

/// The head of the answer had come before, and said nothing of an end.
#[tokio::test]
async fn who_was_still_reading_an_answer_may_ask_once_more() {
    let (edge, go) = edge(telling()).await;
    let mut wire = kept(&edge).await;
    wire.write(ask("GET /slow", "")).await;
    lacks(&wire.until("answ").await, "connection:");
    let stopping = stopped(&edge).await;
    go.notify_one();
    wire.until("ered").await;
    wire.write(upload()).await;
    is_the_last(&wire.rest().await);
    timeout(HANG, stopping).await.expect("it goes on").unwrap();
}

#[tokio::test]
async fn who_has_read_a_stream_of_events_to_its_end_may_ask_once_more() {
    let (edge, _) = edge(telling()).await;
    let mut wire = kept(&edge).await;
    wire.write(ask("GET /events", "")).await;
    wire.until("hello").await;
    let stopping = stopped(&edge).await;
    wire.write(upload()).await;
    is_the_last(&wire.rest().await);
    timeout(HANG, stopping).await.expect("it goes on").unwrap();
}

#[tokio::test]
async fn who_asks_nothing_more_is_not_waited_for_long() {
    let short = Options {
        last_call: Duration::from_millis(50),
        ..options()
    };
    let (edge, _) = edge(short).await;
    let mut idle = kept(&edge).await;
    let stopping = stop(&edge, FOREVER);
    timeout(HANG, stopping).await.expect("it goes on").unwrap();
    assert_eq!(idle.rest().await, "");
}

/// Whoever stops a server that has no successor does not wait for browsers.
#[tokio::test]
async fn nobody_is_waited_for_when_nobody_follows() {
    let patient = Options {
        last_call: FOREVER,
        ..options()
    };
    let (edge, _) = edge(patient).await;
    let mut idle = kept(&edge).await;
    edge.router.hurry();
    let stopping = stop(&edge, FOREVER);
    timeout(HANG, stopping).await.expect("it goes on").unwrap();
    assert_eq!(idle.rest().await, "");
}

#[tokio::test]
async fn who_asks_while_the_router_takes_its_leave_is_told_and_others_are_served() {
    let patient = Options {
        last_call: FOREVER,
        ..options()
    };
    let (edge, _) = edge(patient).await;
    let (mut wire, idle) = (kept(&edge).await, kept(&edge).await);
    let router = edge.router.clone();
    let leaving = tokio::spawn(async move { router.take_leave().await });
    let mut answer = String::new();
    while !answer.contains("connection: close") {
        wire.write(upload()).await;
        answer = wire.until("answered").await;
        assert_eq!(status(&answer), 200, "{answer:?}");
    }
    assert_eq!(wire.rest().await, "");
    let mut fresh = edge.connect().await;
    fresh.write(upload()).await;
    is_the_last(&fresh.rest().await);
    assert!(!leaving.is_finished(), "one has not been told");
    drop(idle);
    timeout(HANG, leaving)
        .await
        .expect("all have gone")
        .unwrap();
}

#[tokio::test]
async fn pages_are_the_last_answer_as_well() {
    let edge = Edge::new(Web::Blank);
    let mut wires = [edge.connect().await, edge.connect().await];
    // Without any rest between, nobody is waited for.
    timeout(Duration::ZERO, edge.router.take_leave()).await.ok();
    for (wire, host) in wires.iter_mut().zip([HOST, "unknown.test"]) {
        wire.write(ask("GET /", "").replace(HOST, host)).await;
        has(&wire.rest().await, "connection: close\r\n");
    }
}

/// What has come of the head was said before the end, or at it.
#[tokio::test]
async fn a_head_that_is_on_its_way_is_waited_for_and_answered() {
    let (edge, _) = edge(telling()).await;
    let (begun, rest) = ("GET / HTTP/1.1\r\nHo", format!("st: {HOST}\r\n\r\n"));
    let mut wire = edge.connect().await;
    wire.write(begun).await;
    let mut kept = kept(&edge).await;
    let stopping = stopped_with(&edge, 2).await;
    kept.write(begun).await;
    for wire in [&mut wire, &mut kept] {
        wire.write(&rest).await;
        is_the_last(&wire.rest().await);
    }
    timeout(HANG, stopping).await.expect("it goes on").unwrap();
}

/// A visitor who says a little of a head now and then would keep everybody waiting who comes.
#[tokio::test]
async fn a_head_that_never_ends_is_not_waited_for() {
    for hurried in [false, true] {
        let short = Options {
            last_call: Duration::from_millis(50),
            first_word: Duration::from_millis(50),
            ..options()
        };
        let (edge, _) = edge(short).await;
        let (mut fresh, mut used) = (edge.connect().await, kept(&edge).await);
        for wire in [&mut fresh, &mut used] {
            wire.write(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX: "))
                .await;
        }
        if hurried {
            edge.router.hurry();
        }
        let stopping = stop(&edge, FOREVER);
        let dripping = [fresh, used].map(|wire| tokio::spawn(drip(wire)));
        timeout(HANG, stopping).await.expect("it goes on").unwrap();
        for wire in dripping {
            assert_eq!(wire.await.unwrap(), "");
        }
    }
}

/// Says a letter now and then, for as long as the other side listens.
async fn drip(mut wire: Wire) -> String {
    for _ in 0..5_000 {
        match timeout(Duration::from_millis(5), wire.rest()).await {
            Ok(said) => return said,
            Err(_) => wire.write("x").await,
        }
    }
    panic!("somebody still listens");
}

/// Answers with more than anybody takes.
async fn endless() -> Dyno {
    dyno(|mut wire| async move {
        wire.head().await;
        wire.write("HTTP/1.1 200 OK\r\n\r\n").await;
        let piece = vec![b'x'; 1 << 16];
        while wire.0.write_all(&piece).await.is_ok() {}
    })
    .await
}

/// A visitor who has gone to sleep over a download would keep a router for as long as it waits for anything.
#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_not_waited_for() {
    let mut edge = Edge::new(Web::Up(vec![endless().await]));
    let mut wire = edge.connect().await;
    wire.write(ask("GET /", "")).await;
    wire.until("x").await;
    let stopping = stop(&edge, FOREVER);
    let stopped = timeout(HANG, stopping).await;
    stopped.expect("it is waited for").unwrap();
    has(&edge.line().await, "code=H15");
}

/// By HTTP/2 the machine of such a visitor may still be there, and one that sleeps does not say good-bye.
#[tokio::test]
async fn who_takes_nothing_by_http_2_is_not_waited_for_either() {
    let web = Web::Up(vec![endless().await]);
    let mut visited = Encrypted::with(web, options());
    let mut sender = visited.http2().await;
    let _untaken = sender.send_request(get("/")).await.unwrap();
    let _asleep = Frames::open(visited.connect(b"h2").await).await;
    let stopping = stop(&visited.edge, FOREVER);
    let stopped = timeout(HANG, stopping).await;
    stopped.expect("it is waited for").unwrap();
    has(&visited.edge.line().await, "code=H15");
}
