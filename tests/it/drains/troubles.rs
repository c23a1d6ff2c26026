//! Receivers that break off, are silent, slow or dead, or are not who they say.

use std::time::Duration;

use penstock::drains::Limits;
use penstock::name::Id;
use serde_json::{Value, json};

use super::receiver::{Does, Receiver};
use super::{Source, World};
use crate::binary::HANG;
use crate::harness::id;

#[tokio::test]
async fn what_is_not_taken_is_sent_again_as_the_same_frame() {
    for trouble in [
        Does::BreakOff,
        Does::Nothing,
        Does::Answer(500),
        Does::Answer(429),
    ] {
        let mut receiver = Receiver::https(trouble).await;
        let mut world = World::new(&receiver.url).await;
        world.print("first");
        let roots = receiver.roots.clone();
        world.server.drain_within(roots, |limits| {
            if matches!(trouble, Does::Nothing) {
                limits.attempt = Duration::from_secs(2);
            }
        });
        let frame = receiver.frame().await;
        world.print("second");
        let again = receiver.frame().await;
        assert_eq!(frame.body, again.body, "{trouble:?}");
        let id = "logplex-frame-id";
        assert_eq!(frame.header(id), again.header(id), "{trouble:?}");
        receiver.does(Does::Answer(200));
        let mut printed = receiver.printed_until("second").await;
        printed.dedup();
        assert_eq!(printed, ["first", "second"], "{trouble:?}");
    }
}

#[tokio::test]
async fn a_slow_drain_keeps_neither_the_app_nor_other_drains_waiting() {
    let mut slow = Receiver::plain(Does::Nothing).await;
    let mut quick = Receiver::plain(Does::Answer(200)).await;
    let mut world = World::new(&slow.url).await;
    world.add(&quick.url).await;
    world.server.drain(Vec::new());
    world.print("first");
    slow.frame().await;
    let wanted = world.print_numbers(0..2_000);
    let printed = quick.printed_until("line 1999").await;
    assert_eq!(printed[1..], wanted);
}

#[tokio::test]
async fn the_dead_receivers_of_one_account_keep_no_other_account_waiting() {
    let mut alive = Receiver::plain(Does::Answer(200)).await;
    let mut dead = Receiver::plain(Does::Nothing).await;
    let mut world = World::new(&alive.url).await;
    let bob = world.server.account("bob").await;
    let app = Id::parse(&id(&bob.app("graveyard").await)).unwrap();
    for number in 0..5 {
        let body = json!({"url": format!("{}&number={number}", dead.url)});
        bob.post("/apps/graveyard/log-drains", body).await.created();
    }
    let logs = &world.server.platform.logs;
    logs.append(app, Source::App, "web.1", "for nobody");
    let patient = |limits: &mut Limits| limits.attempt = 10 * HANG;
    world.server.drain_within(Vec::new(), patient);
    // All that one account may have on the way is on the way, and stays there.
    dead.frame().await;
    dead.frame().await;
    world.print("for somebody");
    alive.printed_until("for somebody").await;
    assert_eq!(dead.frames_left(), 0);
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_is_told_of_and_the_lines_wait() {
    let mut receiver = Receiver::https(Does::Answer(200)).await;
    let mut world = World::new(&receiver.url).await;
    world.print("secret");
    let logs = world.server.platform.logs.clone();
    let mut tail = logs.session(world.app, Default::default(), 0, true);
    // Somebody else's authority.
    let other = Receiver::https(Does::Nothing).await;
    world.server.drain(other.roots.clone());
    let told = tail.next().await.unwrap();
    let told = String::from_utf8(told.text.to_vec()).unwrap();
    let error = "heroku[logplex]: Error L14 (certificate validation): error=\"the certificate is not trusted\" uri=\"https://localhost:";
    assert!(told.contains(error), "{told}");
    // Word for word: the URI is the last that Heroku says.
    let (_, port) = told.split_once(error).unwrap();
    let port = port.trim_end().strip_suffix('"').unwrap();
    assert!(
        receiver.url.contains(&format!("localhost:{port}/")),
        "{told}"
    );
    assert!(!told.contains("rose") && !told.contains("/in"), "{told}");
    world.server.stop_draining().await;
    world.server.drain(receiver.roots.clone());
    assert_eq!(receiver.printed_until("secret").await, ["secret"]);
}

#[tokio::test]
async fn no_drain_is_sent_to_a_private_address_by_whatever_name() {
    let receiver = Receiver::plain(Does::Answer(200)).await;
    let port = receiver.url.rsplit(':').next().unwrap();
    let port = port.split('/').next().unwrap().to_owned();
    for scheme in ["http", "syslog", "syslog+tls"] {
        let mut world = World::new(&format!("{scheme}://localhost:{port}")).await;
        let logs = world.server.platform.logs.clone();
        let mut tail = logs.session(world.app, Default::default(), 0, true);
        logs.append(world.app, Source::App, "web.1", "secret");
        world.server.drain_publicly();
        let mut told = String::new();
        while !told.contains("takes no lines") {
            let batch = tail.next().await.unwrap();
            told = String::from_utf8(batch.text.to_vec()).unwrap();
        }
        assert!(told.contains("PrivateAddress"), "{scheme}: {told}");
        assert_ne!(world.drain, Value::Null);
    }
}
