//! Visitors by HTTP/2 who take of an answer what they like, when they like, or say no more than that they are there: what the log tells of
//! them, and how long a router waits for them that takes its leave.

use std::time::{Duration, Instant};

use penstock::router::{Dyno, Options, Web};
use tokio::time::timeout;

use super::downgrade::usual;
use super::encrypted::Encrypted;
use super::frames::{End, Frames};
use super::stopping::{FOREVER, stop};
use super::{HANG, dyno, has, lacks, ok, options, status};

/// Between two deeds of somebody who takes his time.
const NOW_AND_THEN: Duration = Duration::from_millis(100);
/// For longer than anybody is waited for who takes nothing.
const LONG: Duration = Duration::from_secs(8);
/// Less than a hundredth of what a dyno is asked for at once.
const LITTLE: u32 = 64;
const MUCH: usize = 1 << 20;

/// Answers with so many bytes.
async fn with_body(length: usize) -> Dyno {
    dyno(move |mut wire| async move {
        while !wire.head().await.is_empty() {
            wire.write(ok(&"x".repeat(length))).await;
        }
    })
    .await
}

/// A visitor who has room for so many bytes of an answer, of which there is the head.
async fn asking(visited: &Encrypted, room: u32) -> Frames {
    let stream = visited.connect(b"h2").await;
    let mut frames = Frames::with_room(stream, room).await;
    frames.headers(1, &usual("GET"), true).await;
    frames.head(1).await;
    frames
}

#[tokio::test]
async fn who_takes_a_little_now_and_then_is_waited_for() {
    let patient = Options {
        first_byte: FOREVER,
        ..options()
    };
    let mut visited = Encrypted::with(Web::Up(vec![with_body(MUCH).await]), patient);
    let mut frames = asking(&visited, LITTLE).await;
    let stopping = stop(&visited.edge, FOREVER);
    let begun = Instant::now();
    while begun.elapsed() < LONG {
        frames.room(1, LITTLE).await;
        let ended = timeout(NOW_AND_THEN, frames.end(1)).await;
        assert!(ended.is_err(), "{ended:?}");
    }
    for stream in [0, 1] {
        frames.room(stream, u32::try_from(MUCH).unwrap()).await;
    }
    let end = frames.end(1).await;
    assert!(matches!(end, End::Answered(_)), "{end:?}");
    assert_eq!(frames.taken, MUCH);
    let line = visited.edge.line().await;
    lacks(&line, "code=");
    has(&line, &format!(" status=200 bytes={MUCH} "));
    drop(frames);
    timeout(HANG, stopping).await.expect("it goes on").unwrap();
}

/// Neither goes when told to, nor wants anything.
#[tokio::test]
async fn who_only_says_that_he_is_there_is_not_waited_for() {
    let visited = Encrypted::with(Web::Up(vec![with_body(5).await]), options());
    let mut fresh = Frames::open(visited.connect(b"h2").await).await;
    fresh.ping().await;
    let mut used = asking(&visited, LITTLE).await;
    assert!(matches!(used.end(1).await, End::Answered(_)));
    let stopping = stop(&visited.edge, FOREVER);
    let pinging = [fresh, used].map(|frames| tokio::spawn(ping(frames)));
    let stopped = timeout(HANG, stopping).await;
    stopped.expect("it is waited for").unwrap();
    for visitor in pinging {
        visitor.await.unwrap();
    }
}

async fn ping(mut frames: Frames) {
    while timeout(NOW_AND_THEN, frames.ignore()).await.is_err() {
        frames.ping().await;
    }
}

#[tokio::test]
async fn an_answer_of_which_the_end_is_never_taken_is_h15() {
    let short = Options {
        idle: Duration::from_millis(200),
        ..options()
    };
    for (length, room) in [(5, 0), (5, 4), (MUCH, 0)] {
        let web = Web::Up(vec![with_body(length).await]);
        let mut visited = Encrypted::with(web, short.clone());
        let mut waits = asking(&visited, room).await;
        let line = visited.edge.line().await;
        has(&line, "at=error code=H15 ");
        has(&line, " dyno=web.1 ");
        has(&line, " status=503 ");
        // Whoever comes back to it is not told that this was all.
        waits.room(1, LITTLE).await;
        assert_eq!(waits.end(1).await, End::Reset);
    }
}

/// Their dyno has long answered, and they are no visitors of their own.
#[tokio::test]
async fn answers_that_one_does_not_take_keep_nobody_out() {
    let few = Options {
        max_connections: 3,
        ..options()
    };
    let visited = Encrypted::with(Web::Up(vec![with_body(5).await]), few);
    let mut waits = asking(&visited, 0).await;
    for stream in [3, 5, 7, 9] {
        waits.headers(stream, &usual("GET"), true).await;
        waits.head(stream).await;
    }
    assert_eq!(status(&visited.edge.get().await), 200);
}

#[tokio::test]
async fn who_leaves_before_the_end_of_an_answer_is_told_of() {
    let mut visited = Encrypted::with(Web::Up(vec![with_body(5).await]), options());
    let mut leaves = asking(&visited, 4).await;
    leaves.cancel(1).await;
    has(&visited.edge.line().await, "code=H27 ");
    drop(asking(&visited, 4).await);
    has(&visited.edge.line().await, "code=H27 ");
    // The others took all of it.
    let mut takes = asking(&visited, 5).await;
    assert_eq!(takes.end(1).await, End::Answered(0));
    lacks(&visited.edge.line().await, "code=");
}

#[tokio::test]
async fn a_dyno_is_free_when_it_has_answered_whoever_takes_his_time() {
    let one = Options {
        max_in_flight: 1,
        ..options()
    };
    let mut visited = Encrypted::with(Web::Up(vec![with_body(5).await]), one);
    let waits = asking(&visited, 0).await;
    // The head may be here before the dyno's place is given back.
    let others = async { while status(&visited.edge.get().await) != 200 {} };
    timeout(HANG, others).await.expect("the dyno is not free");
    assert_eq!(visited.edge.router.visits(super::APP).1, 1);
    drop(waits);
    loop {
        let line = visited.edge.line().await;
        if line.contains("code=H27 ") {
            return has(&line, " dyno=web.1 ");
        }
    }
}
