//! Changing dynos under load, and stopping.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use penstock::name::Id;
use penstock::router::{Dyno, Options, Router, TableSource, Web};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::{
    APP, Edge, HANG, HOST, Lines, Wire, dyno, get_with, has, mirror, ok, options, route, status,
};

/// A dyno that, once killed, hangs up on whoever still talks to it.
struct Mortal {
    dyno: Dyno,
    dead: Arc<AtomicBool>,
}

async fn mortal() -> Mortal {
    let dead = Arc::new(AtomicBool::new(false));
    let seen = dead.clone();
    let dyno = dyno(move |mut wire| {
        let dead = seen.clone();
        async move {
            while !wire.head().await.is_empty() && !dead.load(Ordering::SeqCst) {
                tokio::task::yield_now().await;
                if dead.load(Ordering::SeqCst) {
                    return;
                }
                wire.write(ok("alive")).await;
            }
        }
    })
    .await;
    Mortal { dyno, dead }
}

#[tokio::test]
async fn a_hundred_swaps_under_load_lose_no_request() {
    let mut current = mortal().await;
    let mut edge = Edge::new(Web::Up(vec![current.dyno.clone()]));
    let enough = Arc::new(AtomicBool::new(false));
    let mut visitors = Vec::new();
    for _ in 0..16 {
        let (enough, mut wire) = (enough.clone(), edge.connect().await);
        visitors.push(tokio::spawn(async move {
            let mut answers = 0;
            while !enough.load(Ordering::SeqCst) {
                // A POST, since it is never tried twice.
                wire.write(format!(
                    "POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n"
                ))
                .await;
                assert_eq!(status(&wire.until("\r\n\r\nalive").await), 200);
                answers += 1;
            }
            answers
        }));
    }
    for _ in 0..100 {
        let next = mortal().await;
        edge.router
            .replace(vec![route(Web::Up(vec![next.dyno.clone()]))]);
        edge.router.drain(current.dyno.id, HANG).await;
        current.dead.store(true, Ordering::SeqCst);
        current = next;
    }
    enough.store(true, Ordering::SeqCst);
    let mut answers = 0;
    for visitor in visitors {
        answers += visitor.await.unwrap();
    }
    assert!(answers > 0);
    for _ in 0..answers {
        has(&edge.line().await, "status=200 bytes=5");
    }
}

/// A dyno that begins an answer, and ends it when told to.
async fn begins(arrived: &Arc<Notify>, go: &Arc<Notify>) -> Dyno {
    let (arrived, go) = (arrived.clone(), go.clone());
    dyno(move |mut wire: Wire| {
        let (arrived, go) = (arrived.clone(), go.clone());
        async move {
            wire.head().await;
            wire.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
                .await;
            arrived.notify_one();
            go.notified().await;
            wire.write("half").await;
        }
    })
    .await
}

#[tokio::test]
async fn a_drain_waits_for_what_is_still_streaming() {
    let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let dyno = begins(&arrived, &go).await;
    let edge = Edge::new(Web::Up(vec![dyno.clone()]));
    let mut wire = edge.connect().await;
    wire.write(get_with("")).await;
    wire.until("half").await;
    edge.router.replace(vec![route(Web::NoWebDynos)]);
    assert_eq!(status(&edge.get().await), 503);
    let mut drain = Box::pin(edge.router.drain(dyno.id, HANG));
    assert!(pending(drain.as_mut()).await);
    go.notify_one();
    assert_eq!(wire.rest().await, "half");
    drain.await;
}

#[tokio::test]
async fn a_drain_gives_up_at_its_deadline_and_a_tunnel_is_drained_too() {
    let digs = dyno(|mut wire| async move {
        wire.head().await;
        wire.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
            .await;
        wire.rest().await;
    })
    .await;
    let edge = Edge::new(Web::Up(vec![digs.clone()]));
    let mut wire = edge.connect().await;
    wire.write(get_with("Upgrade: x\r\n").replace("close", "upgrade"))
        .await;
    assert_eq!(status(&wire.head().await), 101);
    edge.router.replace(Vec::new());
    edge.router.drain(digs.id, Duration::from_millis(10)).await;
    let mut drain = Box::pin(edge.router.drain(digs.id, HANG));
    assert!(pending(drain.as_mut()).await);
    drop(wire);
    drain.await;
}

#[tokio::test]
async fn a_dyno_nobody_knows_needs_no_draining() {
    let edge = Edge::new(Web::Blank);
    edge.router.drain(penstock::name::Id::new(), HANG).await;
}

#[tokio::test]
async fn stopping_lets_answers_end_and_takes_no_more() {
    let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let options = Options {
        first_word: Duration::ZERO,
        ..options()
    };
    let edge = Edge::with(Web::Up(vec![begins(&arrived, &go).await]), options);
    let mut idle = edge.connect().await;
    let mut wire = edge.connect().await;
    wire.write(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"))
        .await;
    wire.until("half").await;
    let router = edge.router.clone();
    let stop = tokio::task::spawn_blocking(move || router.stop(HANG));
    assert_eq!(idle.rest().await, "");
    go.notify_one();
    assert_eq!(wire.rest().await, "half");
    stop.await.unwrap();
    assert!(
        tokio::net::TcpStream::connect(edge.router.addresses()[0])
            .await
            .is_err()
    );
}

#[tokio::test]
async fn who_came_just_before_it_stops_is_answered() {
    let options = Options {
        first_word: HANG,
        ..options()
    };
    let edge = Edge::with(Web::Up(vec![mirror().await]), options);
    let mut late = edge.connect().await;
    // It was accepted after the other one, and has been served.
    let mut served = edge.connect().await;
    served
        .write(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"))
        .await;
    assert_eq!(status(&served.head().await), 200);
    let router = edge.router.clone();
    let stop = tokio::task::spawn_blocking(move || router.stop(HANG));
    served.rest().await;
    late.write(get_with("")).await;
    assert_eq!(status(&late.rest().await), 200);
    stop.await.unwrap();
}

#[tokio::test]
async fn visitors_who_come_while_routers_follow_one_another_are_all_answered() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dyno = mirror().await;
    let start = || {
        let (lines, _) = tokio::sync::mpsc::unbounded_channel();
        let (counts, _) = tokio::sync::mpsc::unbounded_channel();
        let log = Arc::new(Lines(lines, counts));
        let listeners = vec![listener.try_clone().unwrap()];
        let router = Router::start(listeners, log, options()).unwrap();
        router.replace(vec![route(Web::Up(vec![dyno.clone()]))]);
        router
    };
    let mut router = start();
    for _ in 0..10 {
        let visits = (0..30).map(|_| async {
            let socket = TcpStream::connect(listener.local_addr().unwrap()).await;
            let mut wire = Wire(socket.unwrap());
            wire.write(get_with("")).await;
            status(&wire.rest().await)
        });
        let next = async {
            let stopping = router.clone();
            tokio::task::spawn_blocking(move || stopping.stop(HANG))
                .await
                .unwrap();
            start()
        };
        let (statuses, next) = tokio::join!(join_all(visits), next);
        assert_eq!(statuses, [200; 30]);
        router = next;
    }
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut_off_as_h24() {
    let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut edge = Edge::new(Web::Up(vec![begins(&arrived, &go).await]));
    let mut wire = edge.connect().await;
    wire.write(get_with("")).await;
    wire.until("half").await;
    let router = edge.router.clone();
    tokio::task::spawn_blocking(move || router.stop(Duration::ZERO))
        .await
        .unwrap();
    has(
        &edge.line().await,
        "at=error code=H24 desc=\"Forced close\"",
    );
    assert_eq!(wire.rest().await, "");
}

/// Whether the future, asked once, has not ended.
async fn pending<F: Future<Output = ()>>(mut future: std::pin::Pin<&mut F>) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

/// Makes its table only when it is asked for, as one does that is always a moment late.
struct Late {
    router: Router,
    dyno: Dyno,
}

impl TableSource for Late {
    fn caught_up(&self) -> BoxFuture<'_, ()> {
        let up = Web::Up(vec![self.dyno.clone()]);
        self.router.replace(vec![route(up)]);
        Box::pin(async {})
    }

    fn wake(&self, app: Id) {
        assert_eq!(app, APP);
        let up = Web::Up(vec![self.dyno.clone()]);
        self.router.replace(vec![route(up)]);
    }
}

#[tokio::test]
async fn an_app_that_sleeps_is_woken_and_its_visitor_waits() {
    let dyno = dyno(|mut wire| async move {
        wire.head().await;
        wire.write(ok("awake")).await;
    })
    .await;
    let edge = Edge::new(Web::Idle);
    let source = Arc::new(Late {
        router: edge.router.clone(),
        dyno,
    });
    assert_eq!(edge.router.visits(APP), (0, 0));
    edge.router.follow(&source);
    let answer = edge.get().await;
    assert!(answer.ends_with("awake"), "{answer}");
    assert_eq!(edge.router.visits(APP).0, 1);
}

#[tokio::test]
async fn nobody_is_turned_away_by_a_table_that_is_behind() {
    let dyno = dyno(|mut wire| async move {
        wire.head().await;
        wire.write(ok("deployed")).await;
    })
    .await;
    for behind in [
        vec![],
        vec![route(Web::Blank)],
        vec![route(Web::NoWebDynos)],
        vec![route(Web::Crashed)],
    ] {
        let edge = Edge::new(Web::Blank);
        let source = Arc::new(Late {
            router: edge.router.clone(),
            dyno: dyno.clone(),
        });
        edge.router.follow(&source);
        edge.router.replace(behind);
        let answer = edge.get().await;
        assert!(answer.ends_with("deployed"), "{answer}");
    }
}
