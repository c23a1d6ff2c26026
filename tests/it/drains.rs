//! Drains: what is sent where, that nothing is lost as long as the log has it, and that what is lost is told.

mod hanging_up;
mod losses;
mod receiver;
mod rsyslog;
mod syslog;
mod telemetry;
mod troubles;

use penstock::log::Source;
use penstock::name::Id;
use serde_json::{Value, json};

use crate::harness::{Client, Server, id};
use receiver::{Does, Receiver};

/// An app whose log is drained somewhere.
struct World {
    server: Server,
    ann: Client,
    app: Id,
    drain: Value,
}

impl World {
    /// With a drain that leads to the URL.
    async fn new(url: &str) -> World {
        let mut world = World::without().await;
        world.drain = world.add(url).await;
        world
    }

    /// Without any.
    async fn without() -> World {
        let server = Server::start().await;
        let ann = server.account("ann").await;
        let app = Id::parse(&id(&ann.app("harbour").await)).unwrap();
        World {
            server,
            ann,
            app,
            drain: Value::Null,
        }
    }

    async fn add(&self, url: &str) -> Value {
        let body = json!({ "url": url });
        self.ann
            .post("/apps/harbour/log-drains", body)
            .await
            .created()
    }

    fn print(&self, text: &str) {
        let logs = &self.server.platform.logs;
        logs.append(self.app, Source::App, "web.1", text);
    }

    /// Lines from this number up to and without that one, a few at a time.
    fn print_numbers(&self, numbers: std::ops::Range<u32>) -> Vec<String> {
        let lines: Vec<String> = numbers.map(|number| format!("line {number}")).collect();
        for some in lines.chunks(7) {
            self.print(&some.join("\n"));
        }
        lines
    }

    /// What `heroku[logplex]` has said in the app's log.
    fn told(&self) -> Vec<String> {
        let logs = &self.server.platform.logs;
        let filter = penstock::log::Filter {
            process: Some("logplex".to_owned()),
            ..Default::default()
        };
        let lines = logs.read(self.app, &filter, 1_500).unwrap();
        let text = |line: &String| line.split_once("]: ").unwrap().1.to_owned();
        lines.iter().map(text).collect()
    }
}

/// What `GET /metrics` says.
struct Numbers(String);

impl Numbers {
    async fn read(admin: &Client) -> Numbers {
        Numbers(admin.get("/metrics").await.text())
    }

    fn of(&self, name: &str) -> f64 {
        let mut lines = self.0.lines();
        let found = lines.find_map(|line| line.strip_prefix("penstock_")?.strip_prefix(name));
        found
            .unwrap_or_else(|| panic!("{name} is not there"))
            .trim()
            .parse()
            .unwrap()
    }
}

#[tokio::test]
async fn lines_arrive_over_https_in_order_as_logplex_sends_them() {
    let mut receiver = Receiver::https(Does::Answer(204)).await;
    let mut world = World::new(&receiver.url).await;
    world.server.drain(receiver.roots.clone());
    world.print("first\nsecond \u{e9}");
    let logs = &world.server.platform.logs;
    logs.append_each(world.app, Source::Heroku, "router", &["at=info\nforged"]);
    let frame = receiver.frame().await;
    let token = world.drain["token"].as_str().unwrap();
    assert_eq!(frame.path, "/in?key=value");
    assert_eq!(frame.header("content-type"), "application/logplex-1");
    assert_eq!(frame.header("logplex-drain-token"), token);
    assert!(frame.header("user-agent").starts_with("Logplex/"));
    // user:rose bud
    assert_eq!(frame.header("authorization"), "Basic dXNlcjpyb3NlIGJ1ZA==");
    assert_eq!(frame.header("logplex-frame-id").len(), 32);
    let mut messages = frame.messages();
    assert_eq!(
        frame.header("logplex-msg-count"),
        messages.len().to_string()
    );
    while !messages.last().unwrap().contains("router") {
        messages.push(receiver.message().await);
    }
    let app = messages
        .iter()
        .position(|message| message.ends_with(" - first"));
    let of_dyno = &messages[app.unwrap()..];
    let parts: Vec<(&str, &str)> = of_dyno
        .iter()
        .map(|message| {
            let (priority, rest) = message.split_once(" 2026-01-31T12:00:00.").unwrap();
            (priority, rest.split_once("+00:00 ").unwrap().1)
        })
        .collect();
    assert_eq!(
        parts,
        [
            ("<190>1", "host app web.1 - first"),
            ("<190>1", "host app web.1 - second \u{e9}"),
            ("<158>1", "host heroku router - at=info\\nforged"),
        ]
    );
    let wanted = world.print_numbers(0..500);
    assert_eq!(receiver.printed_until("line 499").await, wanted);
}

#[tokio::test]
async fn a_drain_goes_on_after_a_restart_where_it_was() {
    let mut receiver = Receiver::plain(Does::Answer(200)).await;
    let mut world = World::new(&receiver.url).await;
    world.server.drain(Vec::new());
    let first = world.print_numbers(0..100);
    assert_eq!(receiver.printed_until("line 99").await, first);
    receiver.does(Does::Nothing);
    world.print("under way");
    receiver.frame().await;
    world.server.stop_draining().await;
    let more = world.print_numbers(100..200);
    receiver.does(Does::Answer(200));
    world.server.drain(Vec::new());
    // What was not acknowledged comes once more, and what was does not.
    let wanted: Vec<String> = [vec!["under way".to_owned()], more].concat();
    assert_eq!(receiver.printed_until("line 199").await, wanted);
}

#[tokio::test]
async fn a_drain_begins_with_what_is_said_after_it_was_added_and_ends_with_its_removal() {
    let mut receiver = Receiver::plain(Does::Answer(200)).await;
    let mut world = World::without().await;
    world.print("before");
    world.server.pass(std::time::Duration::from_secs(60));
    let drain = world.add(&receiver.url).await;
    // The server is killed before the drain has begun.
    world.print("between");
    world.server.drain(Vec::new());
    world.print("after");
    assert_eq!(receiver.printed_until("after").await, ["between", "after"]);
    let path = format!("/apps/harbour/log-drains/{}", id(&drain));
    world.ann.delete(path).await.ok();
    world.server.stop_draining().await;
    world.server.drain(Vec::new());
    world.print("nobody's");
    let again = world.add(&receiver.url).await;
    assert_ne!(again["token"], drain["token"]);
    world.server.pass(std::time::Duration::from_secs(60));
    world.print("the new one's");
    let frame = receiver.frame().await;
    assert_eq!(
        frame.header("logplex-drain-token"),
        again["token"].as_str().unwrap()
    );
}
