//! Syslog, over TCP and TLS, to a real server.

use super::World;
use super::rsyslog::Rsyslog;

async fn drained(encrypted: bool) -> Option<(World, Rsyslog)> {
    let rsyslog = Rsyslog::start(encrypted)?;
    let mut world = World::new(&rsyslog.url()).await;
    world.server.drain(rsyslog.roots.clone());
    Some((world, rsyslog))
}

async fn every_line_arrives(encrypted: bool) {
    let Some((world, rsyslog)) = drained(encrypted).await else {
        return;
    };
    world.print("a line | with \u{e9} and \u{1f600}\n<13>1 forged");
    let token = world.drain["token"].as_str().unwrap();
    // The host is the drain's token: 190 is local7.info.
    let begin = format!("190|1|{token}|app|web.1|");
    for text in ["a line | with \u{e9} and \u{1f600}", "<13>1 forged"] {
        let line = rsyslog.next();
        let (head, said) = line.split_at(begin.len());
        assert_eq!((head, said.trim()), (begin.as_str(), text));
    }
    let wanted = world.print_numbers(0..3_000);
    assert_eq!(rsyslog.printed_until("line 2999"), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn rsyslog_gets_every_line_over_tcp() {
    every_line_arrives(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rsyslog_gets_every_line_over_tls() {
    every_line_arrives(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_said_while_rsyslog_is_down_arrive_once_it_is_back() {
    let Some((world, mut rsyslog)) = drained(false).await else {
        return;
    };
    let first = world.print_numbers(0..100);
    assert_eq!(rsyslog.printed_until("line 99"), first);
    rsyslog.kill();
    world.print_numbers(100..200);
    rsyslog.run();
    let mut printed = rsyslog.printed_until("line 199");
    // What was written shortly before the connection broke is sent once more: nobody acknowledges a line of syslog.
    let begin = printed.iter().position(|line| line == "line 100").unwrap();
    let wanted: Vec<String> = (100..200).map(|number| format!("line {number}")).collect();
    assert_eq!(printed.split_off(begin), wanted);
}
