//! A dyno that took no connection is left alone for a while, and not for ever.

use std::io::ErrorKind;
use std::time::Duration;

use penstock::router::{Dyno, Options, Web};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::timeout;

use super::{Edge, HANG, has, mirror, options, route, status, web_1};

const LISTENERS: u32 = 64;

/// A router that has met a dyno which refused its connection and listens now, beside one that is well.
async fn refused(aside: Duration) -> (Edge, TcpListener) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let dyno: Dyno = web_1(socket.local_addr().unwrap());
    let options = Options { aside, ..options() };
    let mut edge = Edge::with(Web::Up(vec![dyno.clone()]), options);
    assert_eq!(status(&edge.get().await), 503);
    has(&edge.line().await, "code=H21");
    let listener = socket.listen(LISTENERS).unwrap();
    edge.router
        .replace(vec![route(Web::Up(vec![dyno, mirror().await]))]);
    (edge, listener)
}

#[tokio::test]
async fn a_dyno_that_refused_is_not_tried_again_while_there_is_another() {
    let (edge, listener) = refused(Duration::from_secs(3600)).await;
    for _ in 0..20 {
        assert_eq!(status(&edge.get().await), 200);
    }
    let tried = listener.into_std().unwrap().accept();
    assert!(tried.is_err_and(|none| none.kind() == ErrorKind::WouldBlock));
}

#[tokio::test]
async fn a_dyno_that_refused_is_tried_again_after_a_while() {
    let (edge, listener) = refused(Duration::from_millis(1)).await;
    let visiting = async {
        loop {
            edge.get().await;
        }
    };
    let tried = async {
        tokio::select! {
            tried = listener.accept() => tried.is_ok(),
            () = visiting => false,
        }
    };
    assert!(timeout(HANG, tried).await.expect("it is never tried"));
}
