//! Who is let in to a dyno, and until when.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Harbour;
use super::client::{Attached, parts};
use crate::binary::Place;
use crate::harness::Server;

#[tokio::test]
async fn a_dyno_waits_for_its_client_and_is_run_for_nobody_else() {
    let place = Place::new();
    let harbour = Harbour::new(&place).await;
    let dyno = harbour.ask("echo for me", None).await;
    assert_eq!(dyno["state"], "starting");
    let url = dyno["attach_url"].as_str().unwrap();
    let (address, secret) = parts(url);
    assert_eq!(secret.len(), 36);
    let ca = &harbour.server.ready.ca_file;
    for wrong in ["", "x", &secret[1..], &"x".repeat(1_000)] {
        let mut stranger = Attached::open(ca, address).await;
        let _ = stranger.send(format!("{wrong}\r\n")).await;
        assert_eq!(stranger.rest().await, b"");
    }
    // The secret is shown once, to whoever asked.
    let path = format!("/apps/app/dynos/{}", dyno["name"].as_str().unwrap());
    let seen = harbour.client.get(path).await.expect(200);
    assert_eq!(seen["state"], "starting");
    assert_eq!(seen["attach_url"], Value::Null);
    let mut own = Attached::connect(ca, url).await;
    own.greeting().await;
    assert_eq!(own.text().await, "for me\n");
    let mut late = Attached::connect(ca, url).await;
    assert_eq!(late.rest().await, b"");
}

#[tokio::test]
async fn without_a_client_it_is_gone_after_a_minute_and_never_ran() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    server.running_app(&ann, "harbour").await;
    let body = json!({"command": "sh", "attach": true, "env": {"TERM": "xterm", "LINES": 24, "COLUMNS": 80}});
    let dyno = ann.post("/apps/harbour/dynos", body).await.created();
    let url = dyno["attach_url"].as_str().unwrap();
    assert!(url.starts_with("rendezvous://127.0.0.1:5001/"), "{url}");
    let secret = url.rsplit('/').next().unwrap();
    assert!(!server.dump().contains(secret));
    server.pass(Duration::from_secs(59));
    server.settle().await;
    assert_eq!(server.dynos.of("harbour"), ["web.1 v3"]);
    let path = format!("/apps/harbour/dynos/{}", dyno["name"].as_str().unwrap());
    ann.get(&path).await.ok();
    server.pass(Duration::from_secs(1));
    server.settle().await;
    ann.get(&path).await.missing("dyno");
    assert_eq!(server.dynos.launches(), 1);
    let session = ann
        .post("/apps/harbour/log-sessions", json!({"lines": 1_500}))
        .await;
    let log = ann
        .get(session.created()["logplex_url"].as_str().unwrap())
        .await
        .text();
    assert!(log.contains("Error R13 (Attach error)"), "{log}");
}

#[tokio::test]
async fn the_certificate_is_the_same_authoritys_after_each_start() {
    let place = Place::new();
    let server = place.start();
    let ca = server.ready.ca_file.clone();
    let before = std::fs::read(&ca).unwrap();
    server.stop();
    let server = place.start();
    assert_eq!(std::fs::read(&ca).unwrap(), before);
    let harbour = Harbour::of(server).await;
    let mut run = harbour.run("hello", None).await;
    assert_eq!(run.text().await, "hello\n");
}

#[tokio::test]
async fn whatever_is_typed_and_printed_puts_the_end_of_a_session_off() {
    let idle = Duration::from_secs(4);
    let harbour = Harbour::within(|limits| limits.idle = idle).await;
    let echo = "while read line; do sleep 0.2; echo $line; done";
    let mut echo = harbour.run(echo, None).await;
    let begun = Instant::now();
    while begun.elapsed() < idle * 3 / 2 {
        echo.send("x\n").await;
        echo.until("x\n").await;
    }
    drop(echo);
    harbour.end().await;
}

#[tokio::test]
async fn a_client_and_a_dyno_that_say_nothing_for_too_long_are_parted() {
    let harbour = Harbour::within(|limits| limits.idle = Duration::from_millis(500)).await;
    let mut cat = harbour.run("cat", None).await;
    let said = cat.text().await;
    assert!(
        said.contains("Nothing was typed or printed for too long."),
        "{said}"
    );
    let mut tail = harbour.client.tail("app", 1_500).await.unwrap();
    tail.until("Client connection closed. Sending SIGHUP to all processes")
        .await;
    tail.until("State changed from up to complete").await;
    drop(tail);
    harbour.end().await;
}
