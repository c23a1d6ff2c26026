//! What a tail that comes back is told of lines that went while it was away.

use penstock::runtime::Parting;
use penstock::serve;
use serde_json::{Value, json};

use super::{LATER, Servers, Tail, client, say};
use crate::harness::id;

/// Says so much that what was said before is deleted. How many lines that took.
fn flood(servers: &Servers, server: &serve::Server, app: &Value) -> u64 {
    let dir = servers.place.data().join("logs").join(id(app));
    let names = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap());
    let names = names.map(|entry| entry.file_name().into_string().unwrap());
    let newest = names.filter(|name| name.ends_with(".log")).max().unwrap();
    let mut lines = 0;
    while dir.join(&newest).exists() {
        say(server, app, &"x".repeat(9_000));
        lines += 1;
        // Somebody may still be taken for a reader, and then more is kept.
        assert!(lines < 10_000, "nothing is deleted");
    }
    lines
}

#[tokio::test]
async fn a_tail_that_comes_back_is_told_once_how_much_it_has_missed() {
    let servers = Servers::new();
    let server = servers.start().await;
    let app = client(&server).create_app("app").await;
    say(&server, &app, "before");
    let wanted = json!({"lines": 1, "tail": true});
    let session = client(&server).post("/apps/app/log-sessions", wanted).await;
    let url = session.expect(201)["logplex_url"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut tail = Tail::new(url);
    assert_eq!(tail.connect().await, 200);
    tail.until("before").await;
    tail.response = None;
    let said = flood(&servers, &server, &app) + 1;
    say(&server, &app, "one");
    assert_eq!(tail.connect().await, 200);
    tail.until("one").await;
    let told = "Error L11 (Tail buffer overflow) -> This tail session dropped ";
    let dropped = tail.said[1].strip_prefix(told).expect(&tail.said[1]);
    let (dropped, since) = dropped.split_once(' ').unwrap();
    assert!(
        since.starts_with("messages since 2026-01-31T12:"),
        "{since}"
    );
    let dropped: u64 = dropped.parse().unwrap();
    assert_eq!(dropped + tail.said.len() as u64 - 2, said);
    // The next server does not know how many there were.
    let server = servers.restart(server, LATER, &mut tail).await;
    flood(&servers, &server, &app);
    say(&server, &app, "two");
    assert_eq!(tail.connect().await, 200);
    tail.until("two").await;
    let server = servers.restart(server, LATER, &mut tail).await;
    assert_eq!(tail.connect().await, 200);
    say(&server, &app, "three");
    tail.until("three").await;
    let told = tail.said.iter().filter(|said| said.contains("Error L11"));
    let told: Vec<&String> = told.collect();
    let [_, second] = told[..] else {
        panic!("{told:?}");
    };
    assert!(
        second.contains("This tail session may have dropped messages since 2026-01-31T12:"),
        "{second}"
    );
    server.stop(Parting::End).await;
}
