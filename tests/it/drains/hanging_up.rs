//! Receivers of syslog that hang up, or whose machine takes nothing any more. Nobody says that a line of syslog was read, so all
//! that is known is what becomes of the connection.

use std::time::{Duration, Instant};

use penstock::drains::Limits;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::{Numbers, World};
use crate::binary::HANG;

/// Somebody who listens, and an app that has said something and is to be drained there.
async fn world() -> (World, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let world = World::new(&format!("syslog://127.0.0.1:{port}")).await;
    (world, listener)
}

async fn accept(listener: &TcpListener) -> TcpStream {
    let accepted = timeout(HANG, listener.accept()).await;
    accepted.expect("nobody connects").unwrap().0
}

/// Reads up to a text, and returns all that was read.
async fn read_until(socket: &mut TcpStream, wanted: &str) -> String {
    let (mut all, mut some) = (String::new(), [0; 64 * 1024]);
    while !all.contains(wanted) {
        let read = timeout(HANG, socket.read(&mut some)).await;
        let read = read.expect("nothing more comes").unwrap();
        assert_ne!(read, 0, "{wanted:?} does not come");
        all.push_str(std::str::from_utf8(&some[..read]).unwrap());
    }
    all
}

#[tokio::test]
async fn a_receiver_that_reads_and_hangs_up_is_told_of_and_tried_less_and_less_often() {
    let (mut world, listener) = world().await;
    let admin = world.server.admin("root").await;
    world.print("of some weight");
    let limits = |limits: &mut Limits| {
        limits.first_wait = Duration::from_millis(20);
        limits.longest_wait = Duration::from_secs(60);
        limits.telling = Limits::default().telling;
    };
    world.server.drain_within(Vec::new(), limits);
    let mut accepted = Vec::new();
    for _ in 0..5 {
        let mut socket = accept(&listener).await;
        accepted.push(Instant::now());
        read_until(&mut socket, "of some weight").await;
    }
    let waits = accepted.windows(2).map(|pair| pair[1] - pair[0]);
    for (wait, least) in waits.zip([20, 40, 80, 160]) {
        assert!(wait >= Duration::from_millis(least), "{wait:?} < {least}");
    }
    let token = world.drain["token"].as_str().unwrap();
    let told =
        format!("Drain {token} takes no lines: ConnectionBroken. They wait, and are sent again.");
    assert_eq!(world.told(), [told]);
    world.server.pass(Duration::from_secs(60));
    let numbers = Numbers::read(&admin).await;
    assert_eq!(numbers.of("drain_lines_total"), 0.0);
    assert_eq!(numbers.of("drains_behind"), 1.0);
    assert!(numbers.of("drain_lag_seconds") > 59.0);
    assert!(numbers.of("drain_failures_total") >= 4.0);
    // Somebody is there again.
    let mut socket = accept(&listener).await;
    read_until(&mut socket, "of some weight").await;
    let catching_up = async { while Numbers::read(&admin).await.of("drain_lag_seconds") > 0.0 {} };
    timeout(HANG, catching_up).await.expect("it stays behind");
    let numbers = Numbers::read(&admin).await;
    assert!(numbers.of("drain_lines_total") > 0.0);
    assert_eq!(numbers.of("drains_behind"), 0.0);
}

#[tokio::test]
async fn what_the_other_machine_does_not_acknowledge_is_not_delivered_and_sent_again() {
    let (mut world, listener) = world().await;
    let admin = world.server.admin("root").await;
    // More than the other machine takes while nobody reads there, and less than this one keeps for it.
    let (lines, long) = (60, "x".repeat(9_000));
    for number in 0..lines {
        world.print(&format!("{number} {long}"));
    }
    let limits = |limits: &mut Limits| {
        limits.settle = Duration::from_millis(300);
        // Who is silent is waited for this long, and who reads afterwards has as much.
        limits.attempt = Duration::from_secs(3);
    };
    world.server.drain_within(Vec::new(), limits);
    let _silent = accept(&listener).await;
    let mut next = accept(&listener).await;
    let numbers = Numbers::read(&admin).await;
    // What the machine has for a reader has come to it, and is not sent again.
    let taken = numbers.of("drain_lines_total") as usize;
    assert!(taken < lines, "{taken} lines");
    assert!(numbers.of("drain_failures_total") >= 1.0);
    let last = format!(" app web.1 - - {} {long}", lines - 1);
    let came = read_until(&mut next, &last).await;
    let came = came.split(" app web.1 - - ").skip(1).map(|line| {
        let (number, _) = line.split_once(' ').unwrap();
        number.parse::<usize>().unwrap()
    });
    let came: Vec<usize> = came.collect();
    assert!(came[0] <= taken, "{} lines are missing", came[0] - taken);
    assert_eq!(came, (came[0]..lines).collect::<Vec<_>>());
    let all = lines as f64;
    let delivering = async { while Numbers::read(&admin).await.of("drain_lines_total") < all {} };
    timeout(HANG, delivering)
        .await
        .expect("some are not delivered");
}

#[test]
fn a_drain_rests_twice_as_long_after_each_failure_up_to_a_minute() {
    let limits = Limits::default();
    let waits = (1..=9).map(|failures| limits.wait(failures).as_secs());
    assert_eq!(waits.collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert_eq!(limits.wait(u32::MAX), Duration::from_secs(60));
}
