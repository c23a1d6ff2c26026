//! What a visitor sees when no dyno is asked.

use std::time::Duration;

use penstock::name::Id;
use penstock::router::{Options, Pages, Route, Web};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use super::{APP, Edge, HANG, HOST, Wire, get_with, has, lacks, mirror, options, route, status};

#[tokio::test]
async fn an_unknown_host_gets_a_page_that_says_so() {
    let mut edge = Edge::new(Web::Blank);
    let answer = edge
        .send("GET / HTTP/1.1\r\nHost: <b>.evil-host.test\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(status(&answer), 400);
    lacks(&answer, "evil-host");
    let answer = edge
        .send("GET /evil-path HTTP/1.1\r\nHost: evil-host.test\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(status(&answer), 404);
    has(&answer, "No such app");
    has(&answer, "heroku apps");
    has(&answer, "heroku domains");
    has(&answer, "x-content-type-options: nosniff");
    lacks(&answer, "evil");
    assert!(edge.lines.try_recv().is_err(), "it belongs to no app");
}

#[tokio::test]
async fn every_page_stands_alone_and_names_its_code() {
    for (web, code, shown) in [
        (Web::Blank, "H81", 502),
        (Web::Unreleased, "H14", 503),
        (Web::Undeclared, "H14", 503),
        (Web::NoWebDynos, "H14", 503),
        (Web::Crashed, "H10", 503),
        (Web::Up(Vec::new()), "H14", 503),
    ] {
        let mut edge = Edge::new(web);
        let answer = edge.get().await;
        assert_eq!(status(&answer), shown);
        has(&answer, code);
        has(&answer, "content-type: text/html; charset=utf-8");
        has(&answer, "prefers-color-scheme: dark");
        has(&answer, "If this is your app, ");
        for outside in ["http://", "https://", "src=", "<script", "{{"] {
            lacks(&answer, outside);
        }
        let line = edge.line().await;
        has(&line, &format!("code={code} desc=\""));
        has(
            &line,
            &format!(" dyno= connect= service= status={shown} bytes= "),
        );
    }
}

#[tokio::test]
async fn codes_have_herokus_words_and_levels() {
    for (web, start) in [
        (
            Web::Blank,
            "at=info code=H81 desc=\"Blank app\" method=GET ",
        ),
        (
            Web::NoWebDynos,
            "at=error code=H14 desc=\"No web processes running\" method=GET ",
        ),
        (
            Web::Crashed,
            "at=error code=H10 desc=\"App crashed\" method=GET ",
        ),
    ] {
        let mut edge = Edge::new(web);
        edge.get().await;
        let line = edge.line().await;
        assert!(line.starts_with(start), "{line}");
    }
}

#[tokio::test]
async fn maintenance_goes_before_everything_else() {
    let mut edge = Edge::new(Web::Blank);
    edge.router.replace(vec![Route {
        maintenance: true,
        https_only: false,
        ..route(Web::Up(vec![mirror().await]))
    }]);
    let answer = edge.get().await;
    assert_eq!(status(&answer), 503);
    has(&answer, "Back soon");
    has(
        &edge.line().await,
        "at=info code=H80 desc=\"Maintenance mode\"",
    );
}

#[tokio::test]
async fn a_request_waits_for_a_starting_app() {
    let mut edge = Edge::new(Web::Starting);
    let up = mirror().await;
    let (answer, ()) = tokio::join!(edge.get(), async {
        // A table that changes nothing for it leaves it waiting.
        edge.router.replace(vec![route(Web::Starting)]);
        tokio::task::yield_now().await;
        edge.router.replace(vec![route(Web::Up(vec![up]))]);
    });
    assert_eq!(status(&answer), 200);
    has(&edge.line().await, "at=info method=GET");
}

#[tokio::test]
async fn an_app_that_does_not_wake_up_is_given_up() {
    let short = Options {
        boot_queue: Duration::from_millis(30),
        ..options()
    };
    let mut edge = Edge::with(Web::Idle, short);
    assert_eq!(status(&edge.get().await), 503);
    has(&edge.line().await, "code=H20 desc=\"App boot timeout\"");
}

#[tokio::test]
async fn an_app_that_never_starts_is_given_up() {
    let short = Options {
        boot_queue: Duration::from_millis(30),
        ..options()
    };
    let mut edge = Edge::with(Web::Starting, short);
    assert_eq!(status(&edge.get().await), 503);
    has(
        &edge.line().await,
        "at=error code=H20 desc=\"App boot timeout\"",
    );
}

#[tokio::test]
async fn the_queue_for_starting_apps_has_an_end() {
    let none = Options {
        max_queued: 0,
        ..options()
    };
    let mut edge = Edge::with(Web::Starting, none);
    assert_eq!(status(&edge.get().await), 503);
    has(&edge.line().await, "code=H11 desc=\"Backlog too deep\"");
}

#[tokio::test]
async fn an_app_that_never_starts_leaves_others_their_place_in_the_queue() {
    let few = Options {
        max_queued: 3,
        max_queued_of_one: 2,
        ..options()
    };
    let mut edge = Edge::with(Web::Starting, few);
    let other = |web| Route {
        hosts: vec!["other.test".to_owned()],
        app: Id::fixed(2),
        ..route(web)
    };
    edge.router
        .replace(vec![route(Web::Starting), other(Web::Starting)]);
    let queued = |count: usize| {
        let traffic = edge.router.traffic();
        async move {
            while traffic().queued < count {
                tokio::task::yield_now().await;
            }
        }
    };
    let mut waiting = Vec::new();
    for count in 1..=2 {
        let mut wire = edge.connect().await;
        wire.write(get_with("")).await;
        waiting.push(wire);
        timeout(HANG, queued(count)).await.expect("hangs");
    }
    assert_eq!(status(&edge.get().await), 503);
    let mut patient = edge.connect().await;
    patient
        .write(get_with("").replace(HOST, "other.test"))
        .await;
    timeout(HANG, queued(3))
        .await
        .expect("the other app's waits");
    has(&edge.line().await, "code=H11 desc=\"Backlog too deep\"");
    edge.router.replace(vec![
        route(Web::Starting),
        other(Web::Up(vec![mirror().await])),
    ]);
    assert_eq!(status(&patient.rest().await), 200);
}

#[tokio::test]
async fn a_host_is_found_in_any_spelling_and_under_a_wildcard() {
    let edge = Edge::new(Web::Blank);
    edge.router.replace(vec![Route {
        hosts: vec![HOST.to_owned(), "*.wild.test".to_owned()],
        app: APP,
        maintenance: false,
        https_only: false,
        pages: Pages::default(),
        web: Web::Up(vec![mirror().await]),
    }]);
    for (host, expected) in [
        ("APP.Test", 200),
        ("app.test:5000", 200),
        ("app.test.", 200),
        ("a.wild.test", 200),
        ("a.b.wild.test", 200),
        ("wild.test", 404),
        ("app.test.evil.test", 404),
    ] {
        let request = get_with("").replace(HOST, host);
        assert_eq!(status(&edge.send(request).await), expected, "{host}");
    }
}

#[tokio::test]
async fn a_visitor_beyond_the_limit_is_told_so() {
    let none = Options {
        max_connections: 0,
        ..options()
    };
    let edge = Edge::with(Web::Blank, none);
    let answer = edge.connect().await.rest().await;
    assert_eq!(status(&answer), 503);
    has(&answer, "H22");
}

#[tokio::test]
async fn who_is_turned_away_in_the_midst_of_an_upload_can_read_why() {
    let none = Options {
        max_connections: 0,
        ..options()
    };
    let edge = Edge::with(Web::Blank, none);
    for _ in 0..20 {
        let mut wire = edge.connect().await;
        let upload = "x".repeat(100_000);
        wire.write(get_with(&format!("Content-Length: {}\r\n", upload.len())) + &upload)
            .await;
        let mut answer = Vec::new();
        // A connection that is reset is an error.
        wire.0.read_to_end(&mut answer).await.unwrap();
        has(&String::from_utf8(answer).unwrap(), "H22");
    }
}

#[tokio::test]
async fn nobody_takes_all_connections() {
    let one = Options {
        max_connections_of_one: 1,
        ..options()
    };
    let edge = Edge::with(Web::Blank, one);
    let mut first = edge.connect().await;
    first
        .write(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"))
        .await;
    first.until("</html>\n").await;
    let second = edge.connect().await.rest().await;
    assert_eq!(status(&second), 503);
    has(&second, "H22");
    // There is room for others.
    let other = TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let other = other.connect(edge.router.addresses()[0]).await.unwrap();
    let mut other = Wire(other);
    other.write(get_with("")).await;
    assert_eq!(status(&other.rest().await), 502);
}

#[tokio::test]
async fn a_refused_upload_still_sees_its_page() {
    let edge = Edge::new(Web::Blank);
    let mut socket = edge.connect().await.0;
    let head = format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 600000\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    // Had the router closed for good, what it is still sent would be answered with a reset.
    for _ in 0..60 {
        socket.write_all(&[b'x'; 10_000]).await.unwrap();
    }
    assert_eq!(status(&answer), 502);
    has(&answer, "connection: close");
    has(&answer, "</html>");
}

#[tokio::test]
async fn a_page_leaves_the_connection_open_for_more() {
    let edge = Edge::new(Web::Blank);
    let mut wire = edge.connect().await;
    for _ in 0..2 {
        wire.write(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"))
            .await;
        assert_eq!(status(&wire.until("</html>\n").await), 502);
    }
    wire.write(format!(
        "HEAD / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    ))
    .await;
    let head = wire.rest().await;
    assert_eq!(status(&head), 502);
    assert!(head.ends_with("\r\n\r\n"), "a body for HEAD: {head}");
}
