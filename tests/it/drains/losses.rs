//! Lines that never come, because they were refused or waited too long: who is told of them, and how often.

use std::collections::BTreeSet;
use std::time::Duration;

use penstock::drains::Limits;
use penstock::log::{Cursor, Line, Lost};
use penstock::name::Id;
use penstock::time::Timestamp;
use tokio::time::timeout;

use super::World;
use super::receiver::{Does, Receiver};
use crate::binary::HANG;
use crate::harness::id;

/// Seldom, as a real server does.
fn telling_seldom(limits: &mut Limits) {
    limits.telling = Limits::default().telling;
}

/// How many lines are said to be lost, and since when, in what the app's log says of this drain.
fn missed(told: &str, token: &str) -> (usize, String) {
    let lost = told.strip_prefix(&format!("Drain {token} missed "));
    let lost = lost.and_then(|lost| lost.split_once(" messages since "));
    let (lines, since) = lost.unwrap_or_else(|| panic!("{told}"));
    let since = since.strip_suffix('.').unwrap();
    (lines.parse().unwrap(), since.to_owned())
}

/// The same in Heroku's words, where a message is about that.
fn dropped(message: &str) -> Option<(usize, String)> {
    let begin = " host heroku logplex - Error L10 (output buffer overflow): ";
    let (_, told) = message.split_once(begin)?;
    let (lines, since) = told.split_once(" messages dropped since ").unwrap();
    let since = since.strip_suffix('.').unwrap();
    Some((lines.parse().unwrap(), since.to_owned()))
}

/// All messages up to the one that is given.
async fn until(receiver: &mut Receiver, last: &str) -> Vec<String> {
    let mut came: Vec<String> = Vec::new();
    while came.last().is_none_or(|message| !message.ends_with(last)) {
        came.push(receiver.message().await);
    }
    came
}

/// Waits until the app's log tells of a loss.
async fn refused(receiver: &mut Receiver, world: &World) {
    let refusing = async {
        while world.told().is_empty() {
            receiver.frame().await;
        }
    };
    timeout(HANG, refusing).await.expect("the loss is not told");
}

#[tokio::test]
async fn lines_that_are_refused_are_dropped_and_told_of_once() {
    let mut receiver = Receiver::plain(Does::Answer(403)).await;
    let mut other = Receiver::plain(Does::Answer(200)).await;
    let mut world = World::new(&receiver.url).await;
    world.add(&other.url).await;
    world.print("unwanted");
    world.server.drain(Vec::new());
    receiver.frame().await;
    receiver.does(Does::Answer(200));
    let telling = async {
        while world.told().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(HANG, telling).await.expect("the loss is not told");
    world.print("wanted");
    let came = until(&mut receiver, " - wanted").await;
    assert!(!came.iter().any(|message| message.contains("unwanted")));
    let told = world.told();
    let token = world.drain["token"].as_str().unwrap();
    // The app's log says which drain it was, and the drain itself hears it as Heroku says it.
    let own: Vec<&String> = came
        .iter()
        .filter(|message| message.contains(" heroku logplex "))
        .collect();
    assert_eq!((told.len(), own.len()), (1, 1), "{told:?} {own:?}");
    assert!(own[0].starts_with("<172>1 "), "{own:?}");
    assert_eq!(dropped(own[0]), Some(missed(&told[0], token)));
    // Others are not told that they have lost anything.
    let came = until(&mut other, " - wanted").await;
    assert!(came.iter().any(|message| message.ends_with(&told[0])));
    assert_eq!(came.iter().find_map(|message| dropped(message)), None);
}

#[tokio::test]
async fn lines_that_were_refused_are_told_of_by_the_server_after_the_one_that_was_killed() {
    let mut receiver = Receiver::plain(Does::Answer(403)).await;
    let mut world = World::new(&receiver.url).await;
    world.server.drain_within(Vec::new(), telling_seldom);
    // The first loss is told at once, and the next ones would be in a minute.
    refused(&mut receiver, &world).await;
    world.print("one\ntwo\nthree");
    until(&mut receiver, "three").await;
    // Who sends the next frame is done with the one before.
    world.print("four");
    until(&mut receiver, "four").await;
    world.server.stop_draining().await;
    assert_eq!(world.told().len(), 1, "{:?}", world.told());
    while receiver.frames_left() > 0 {
        receiver.frame().await;
    }
    receiver.does(Does::Answer(200));
    world.server.drain_within(Vec::new(), telling_seldom);
    world.print("last");
    let mut came = until(&mut receiver, " - last").await;
    let logs = &world.server.platform.logs;
    let all = logs.read(world.app, &Default::default(), 1_500);
    let own = |line: &&String| !line.contains("heroku[logplex]");
    let (said, told) = (all.unwrap().iter().filter(own).count(), world.told());
    assert_eq!(told.len(), 2, "{told:?}");
    let token = world.drain["token"].as_str().unwrap();
    let lost: usize = told.iter().map(|line| missed(line, token).0).sum();
    let dropped: Vec<usize> = came
        .iter()
        .filter_map(|message| Some(dropped(message)?.0))
        .collect();
    assert_eq!(dropped, [lost], "{told:?} {came:?}");
    came.retain(|message| !message.contains(" heroku logplex "));
    assert_eq!(lost + came.len(), said, "{told:?} {came:?}");
}

#[tokio::test]
async fn a_server_that_was_killed_when_it_had_just_told_of_a_loss_does_not_tell_of_it_again() {
    let mut receiver = Receiver::plain(Does::Answer(403)).await;
    let mut world = World::new(&receiver.url).await;
    world.server.drain(Vec::new());
    refused(&mut receiver, &world).await;
    world.server.stop_draining().await;
    receiver.does(Does::Answer(200));
    let told = world.told();
    let token = world.drain["token"].as_str().unwrap().to_owned();
    let (lines, since) = missed(&told[0], &token);
    let since = Timestamp::parse(&since).unwrap();
    let drain = Id::parse(&id(&world.drain)).unwrap();
    let logs = world.server.platform.logs.clone();
    let last = logs.cursor(world.app, drain).unwrap().last;
    // It is told of what its predecessor has not told of.
    for (more, wanted) in [(0, 1), (1, 2)] {
        let lines = lines as u64 + more;
        let cursor = Cursor {
            last,
            lost: Some(Lost { lines, since }),
            owed: None,
        };
        logs.delivered(world.app, drain, &cursor);
        world.server.drain(Vec::new());
        let last = format!("after {more}");
        world.print(&last);
        until(&mut receiver, &last).await;
        assert_eq!(world.told().len(), wanted, "{:?}", world.told());
        world.server.stop_draining().await;
    }
}

/// When the oldest line was said that is kept for drains.
async fn oldest_kept(world: &World) -> Timestamp {
    let logs = &world.server.platform.logs;
    let mut lines = logs.drain(world.app, Id::new(), Timestamp::from_micros(1));
    loop {
        let batch = lines.next().await.unwrap();
        let text = String::from_utf8_lossy(&batch.text);
        // The first of all tells of those that are kept no more.
        if !text.contains("heroku[logplex]") {
            let first = text.lines().find_map(Line::parse).unwrap();
            return first.timestamp().unwrap();
        }
    }
}

/// Whoever goes on where a file of the log begins may have lost what was before it, and is told so; but not where the next line shows that
/// there was nothing between.
#[tokio::test]
async fn a_drain_that_has_lost_nothing_is_not_told_so_and_a_kill_costs_it_no_line() {
    let mut receiver = Receiver::plain(Does::Answer(200)).await;
    let mut world = World::new(&receiver.url).await;
    let (long, lines) = ("x".repeat(9_000), 300);
    for number in 0..lines {
        world.print(&format!("{number} {long}"));
    }
    let cursor = Cursor {
        last: oldest_kept(&world).await.minus(Duration::from_micros(1)),
        lost: None,
        owed: None,
    };
    let drain = Id::parse(&id(&world.drain)).unwrap();
    let logs = world.server.platform.logs.clone();
    logs.delivered(world.app, drain, &cursor);
    world.server.drain(Vec::new());
    let mut came = receiver.frame().await.messages();
    receiver.does(Does::Nothing);
    // Who sends the next frame is done with the one before.
    came.extend(receiver.frame().await.messages());
    world.server.stop_draining().await;
    while receiver.frames_left() > 0 {
        came.extend(receiver.frame().await.messages());
    }
    receiver.does(Does::Answer(200));
    world.server.drain(Vec::new());
    world.print("last");
    came.extend(until(&mut receiver, " - last").await);
    assert_eq!(came.iter().find_map(|message| dropped(message)), None);
    assert_eq!(world.told(), [""; 0]);
    let printed = came
        .iter()
        .filter_map(|message| message.split_once(" host app web.1 - "));
    let numbers = printed.filter_map(|(_, line)| line.split(' ').next()?.parse().ok());
    let numbers: BTreeSet<i32> = numbers.collect();
    let first = *numbers.first().unwrap();
    assert!(0 < first && first < lines - 100, "{first}");
    assert!(numbers.into_iter().eq(first..lines));
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
        lost += dropped(&message).map_or(0, |(lines, _)| lines);
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
    // The app's log names the drain, and the drain has heard of it already.
    let token = world.drain["token"].as_str().unwrap();
    let told = world.told();
    let about = |line: &&String| line.contains(" missed ");
    let told: Vec<usize> = told
        .iter()
        .filter(about)
        .map(|line| missed(line, token).0)
        .collect();
    assert_eq!(told, [lost]);
    world.print("the end");
    let came = until(&mut receiver, " - the end").await;
    let logplex = |message: &&String| message.contains(" heroku logplex ");
    assert_eq!(came.iter().find(logplex), None);
}
