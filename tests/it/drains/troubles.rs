//! Receivers that break off, are silent, refuse, fall behind, or are not who they say.

use penstock::name::Id;
use serde_json::{Value, json};

use super::receiver::{Does, Receiver};
use super::{Source, World};
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
        world.server.drain(receiver.roots.clone());
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
async fn lines_that_are_refused_are_dropped_and_told_of() {
    let mut receiver = Receiver::plain(Does::Answer(403)).await;
    let mut world = World::new(&receiver.url).await;
    world.print("unwanted");
    world.server.drain(Vec::new());
    receiver.frame().await;
    receiver.does(Does::Answer(200));
    // The loss is told in the log, and so to the drain, too.
    let message = loop {
        let message = receiver.message().await;
        assert!(!message.contains("unwanted"), "{message}");
        if message.contains("logplex") {
            break message;
        }
    };
    let token = world.drain["token"].as_str().unwrap();
    assert!(message.starts_with("<172>1 "), "{message}");
    let told = world.told();
    assert!(
        told[0].starts_with("Error L10 (output buffer overflow): "),
        "{told:?}"
    );
    assert!(told[0].ends_with(&format!("drain={token}")), "{told:?}");
    assert!(message.ends_with(&told[0]), "{message}");
}

#[tokio::test]
async fn lines_that_were_refused_are_told_of_by_the_server_after_the_one_that_was_killed() {
    let mut receiver = Receiver::plain(Does::Answer(403)).await;
    let mut world = World::new(&receiver.url).await;
    world.server.drain_telling_seldom();
    // The first loss is told at once, and the next ones would be in a minute.
    while world.told().is_empty() {
        receiver.frame().await;
    }
    world.print("one\ntwo\nthree");
    while !receiver.message().await.ends_with("three") {}
    // Who sends the next frame is done with the one before.
    world.print("four");
    while !receiver.message().await.ends_with("four") {}
    world.server.stop_draining().await;
    assert_eq!(world.told().len(), 1, "{:?}", world.told());
    while receiver.frames_left() > 0 {
        receiver.frame().await;
    }
    receiver.does(Does::Answer(200));
    world.server.drain_telling_seldom();
    world.print("last");
    let mut came: Vec<String> = Vec::new();
    let has = |came: &[String], text: &str| came.iter().any(|message| message.contains(text));
    while !has(&came, "Error L10") || !has(&came, " - last") {
        came.push(receiver.message().await);
    }
    let all = world
        .server
        .platform
        .logs
        .read(world.app, &Default::default(), 1_500);
    let own = |line: &&String| !line.contains("heroku[logplex]");
    let (said, told) = (all.unwrap().iter().filter(own).count(), world.told());
    assert_eq!(told.len(), 2, "{told:?}");
    let counted = told.iter().map(|line| {
        let (_, rest) = line.split_once("overflow): ").unwrap();
        rest.split(' ').next().unwrap().parse::<usize>().unwrap()
    });
    let lost: usize = counted.sum();
    came.retain(|message| !message.contains(" heroku logplex "));
    assert_eq!(lost + came.len(), said, "{told:?} {came:?}");
}

#[tokio::test]
async fn a_drain_that_falls_behind_is_told_how_much_it_missed() {
    let mut receiver = Receiver::plain(Does::Answer(503)).await;
    let mut world = World::new(&receiver.url).await;
    world.server.drain(Vec::new());
    receiver.frame().await;
    // More than the 16 MiB that are kept for readers.
    let long = "x".repeat(9_000);
    let lines = 2_500;
    for number in 0..lines {
        world.print(&format!("{number} {long}"));
    }
    receiver.does(Does::Answer(200));
    let (mut lost, mut came) = (0_usize, Vec::new());
    while came.last() != Some(&(lines - 1)) {
        let message = receiver.message().await;
        if let Some((_, told)) = message.split_once("(output buffer overflow): ") {
            // In the app's log stands the drain's token too.
            if !told.contains("drain=") {
                lost += told.split(' ').next().unwrap().parse::<usize>().unwrap();
            }
        }
        let line = message.split_once(" host app web.1 - ");
        came.extend(line.map(|(_, line)| {
            let number = line.split(' ').next().unwrap();
            number.parse::<usize>().unwrap()
        }));
    }
    assert!(lost > 0);
    // The platform's own lines about the app's first two releases are among those that are lost.
    let own = 4;
    assert!(
        (lines..=lines + own).contains(&(lost + came.len())),
        "{lost} and {}",
        came.len()
    );
    assert!(came.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    let told = world.told();
    assert!(
        told.iter()
            .any(|line| line.contains(&format!(": {lost} messages dropped since"))),
        "{told:?}"
    );
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
    world.server.drain(Vec::new());
    // All that one account may have on the way is on the way, and stays there.
    let begun = std::time::Instant::now();
    dead.frame().await;
    dead.frame().await;
    world.print("for somebody");
    alive.printed_until("for somebody").await;
    // After the time that an attempt may take others of them have their turn.
    if begun.elapsed() < std::time::Duration::from_secs(2) {
        assert_eq!(dead.frames_left(), 0);
    }
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
