//! Connections to dynos, which are used again, and what becomes of a request when the dyno closes one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use penstock::router::{Dyno, Options, Web};
use tokio::sync::mpsc;

use super::{Edge, HOST, dyno, has, ok, options, status};

/// A dyno that answers each request, and counts its connections. Each is closed, unannounced, after `answers`.
async fn counting(answers: usize) -> (Dyno, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let dyno = dyno(move |mut wire| {
        counter.fetch_add(1, Ordering::SeqCst);
        async move {
            for _ in 0..answers {
                if wire.head().await.is_empty() {
                    return;
                }
                wire.write(ok("x")).await;
            }
            // It takes one more request, and closes on it.
            wire.head().await;
        }
    })
    .await;
    (dyno, count)
}

fn one_thread() -> Options {
    Options {
        threads: 1,
        ..options()
    }
}

/// How many connections it takes for so many requests, where each is closed after `answers`.
async fn connections(requests: usize, answers: usize) -> usize {
    let (dyno, count) = counting(answers).await;
    let edge = Edge::with(Web::Up(vec![dyno]), one_thread());
    let mut wire = edge.connect().await;
    for _ in 0..requests {
        wire.write(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"))
            .await;
        has(&wire.until("\r\n\r\nx").await, "200 OK");
    }
    count.load(Ordering::SeqCst)
}

#[tokio::test]
async fn connections_to_a_dyno_are_used_again() {
    assert_eq!(connections(50, usize::MAX).await, 1);
}

#[tokio::test]
async fn a_dyno_that_closes_an_old_connection_on_a_get_is_asked_again() {
    assert_eq!(connections(30, 3).await, 10);
}

#[tokio::test]
async fn what_is_asked_again_is_asked_in_the_same_words() {
    let (heads, mut heard) = mpsc::unbounded_channel();
    let dyno = dyno(move |mut wire| {
        let heads = heads.clone();
        async move {
            // Whoever asks first is answered, and who follows on the same connection is not.
            let _ = heads.send(wire.head().await);
            wire.write(ok("x")).await;
            let _ = heads.send(wire.head().await);
        }
    })
    .await;
    let edge = Edge::with(Web::Up(vec![dyno]), one_thread());
    let mut wire = edge.connect().await;
    let more = "X-A: 1\r\nX-A:\r\nX-B: : b\r\nX-A: 2\r\n";
    for method in ["GET", "DELETE"] {
        wire.write(format!(
            "{method} /a?b=%20c HTTP/1.1\r\nHost: {HOST}\r\n{more}\r\n"
        ))
        .await;
        has(&wire.until("\r\n\r\nx").await, "200 OK");
    }
    heard.recv().await;
    let (lost, repeated) = (heard.recv().await, heard.recv().await);
    let lost = lost.unwrap_or_default();
    has(&lost, "DELETE /a?b=%20c HTTP/1.1\r\n");
    has(
        &lost.to_lowercase(),
        "x-a: 1\r\nx-a: \r\nx-a: 2\r\nx-b: : b\r\n",
    );
    assert_eq!(repeated, Some(lost));
}

#[tokio::test]
async fn an_old_connection_is_not_trusted_with_what_must_not_be_sent_twice() {
    let never = Options {
        pool_idle_unrepeatable: Duration::ZERO,
        ..one_thread()
    };
    let (dyno, count) = counting(1).await;
    let edge = Edge::with(Web::Up(vec![dyno]), never);
    for _ in 0..5 {
        let post = format!(
            "POST / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nContent-Length: 1\r\n\r\nb"
        );
        assert_eq!(status(&edge.send(post).await), 200);
    }
    assert_eq!(count.load(Ordering::SeqCst), 5);
}

/// Many simple servers do.
#[tokio::test]
async fn uploads_to_a_dyno_that_closes_each_connection_without_saying_so_are_all_answered() {
    let closes = dyno(|mut wire| async move {
        wire.until("\r\n\r\nb").await;
        wire.write(ok("x")).await;
    })
    .await;
    let edge = Edge::new(Web::Up(vec![closes]));
    let visitors = (0..8).map(|_| async {
        let mut wire = edge.connect().await;
        for _ in 0..50 {
            wire.write(format!(
                "POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1\r\n\r\nb"
            ))
            .await;
            has(&wire.until("\r\n\r\nx").await, "200 OK");
        }
    });
    join_all(visitors).await;
}
