//! Log sessions: an app's log under a URL, as text and as server-sent events.

mod resuming;

use std::time::Duration;

use penstock::log::Source;
use penstock::name::Id;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Client, Server, id};

/// Long enough that only a hang takes so long.
const HANG: Duration = Duration::from_secs(10);

struct Harbour {
    server: Server,
    ann: Client,
    app: Id,
}

impl Harbour {
    async fn new() -> Harbour {
        let server = Server::start().await;
        let ann = server.account("ann").await;
        let app = Id::parse(&id(&ann.app("harbour").await)).unwrap();
        Harbour { server, ann, app }
    }

    fn say(&self, process: &str, message: &str) {
        let logs = &self.server.platform.logs;
        logs.append(self.app, Source::App, process, message);
    }

    async fn url(&self, wanted: Value) -> String {
        let session = self.ann.post("/apps/harbour/log-sessions", wanted).await;
        let session = session.created();
        session["logplex_url"].as_str().unwrap().to_owned()
    }

    async fn text(&self, wanted: Value) -> String {
        let url = self.url(wanted).await;
        let answer = self.server.nobody().get(url).await;
        assert!(answer.header("content-type").starts_with("text/plain"));
        answer.text()
    }

    async fn messages(&self, wanted: Value) -> Vec<String> {
        let text = self.text(wanted).await;
        let messages = text.lines().map(|line| line.split_once(": ").unwrap().1);
        messages.map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn a_session_shows_the_log_in_order_and_ends() {
    let harbour = Harbour::new().await;
    harbour.say("web.1", "one\ntwo");
    let text = harbour.text(json!({})).await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 6, "{text}");
    let time = "2026-01-31T12:00:00.000000+00:00";
    assert_eq!(
        lines[0],
        format!("{time} app[api]: Initial release by user ann@example.com")
    );
    assert!(lines[4].ends_with("+00:00 app[web.1]: one"));
    assert!(lines[5].ends_with("+00:00 app[web.1]: two"));
    assert!(lines.is_sorted(), "{text}");
}

#[tokio::test]
async fn what_an_app_colours_or_hides_ends_with_its_line() {
    let harbour = Harbour::new().await;
    let said = [
        "\x1b[31mred",
        "\x1b[1;32mgreen\x1b[0m",
        "plain",
        "\x1b[0m\x1b[8mhidden",
    ];
    for line in said {
        harbour.say("web.1", line);
    }
    let shown = harbour.messages(json!({"lines": 4})).await;
    let ended = said.map(
        |line| match line.contains("red") || line.contains("hidden") {
            true => format!("{line}\x1b[0m"),
            false => line.to_owned(),
        },
    );
    assert_eq!(shown, ended);
    let url = harbour.url(json!({"lines": 1})).await;
    let request = harbour.server.nobody().request("GET", &url);
    let events = request.header("accept", "text/event-stream").send().await;
    assert!(events.text().contains("\x1b[8mhidden\x1b[0m\n"));
    // What is kept, and goes to drains, is what was printed.
    let logs = &harbour.server.platform.logs;
    let kept = logs.read(harbour.app, &Default::default(), 4).unwrap();
    let kept: Vec<&str> = kept
        .iter()
        .map(|line| line.split_once(": ").unwrap().1)
        .collect();
    assert_eq!(kept, said);
}

#[tokio::test]
async fn a_session_shows_the_last_lines_that_were_asked_for() {
    let harbour = Harbour::new().await;
    for at in 0..1_600 {
        harbour.say("web.1", &format!("line {at}"));
    }
    assert_eq!(
        harbour.messages(json!({"lines": 2})).await,
        ["line 1598", "line 1599"]
    );
    assert_eq!(harbour.messages(json!({"lines": 0})).await.len(), 0);
    assert_eq!(harbour.messages(json!({})).await.len(), 100);
    assert_eq!(harbour.messages(json!({"lines": 5_000})).await.len(), 1_500);
}

#[tokio::test]
async fn a_session_shows_one_dyno_one_type_or_one_source() {
    let harbour = Harbour::new().await;
    harbour.say("web.1", "first");
    harbour.say("web.2", "second");
    harbour.say("worker.1", "third");
    let logs = &harbour.server.platform.logs;
    logs.append(harbour.app, Source::Heroku, "web.1", "platform");
    for (wanted, messages) in [
        (json!({"dyno": "web.2"}), vec!["second"]),
        (json!({"dyno_name": "worker.1"}), vec!["third"]),
        (json!({"type": "worker"}), vec!["third"]),
        (json!({"dyno": "web"}), vec!["first", "second", "platform"]),
        (
            json!({"dyno": "web", "source": "app"}),
            vec!["first", "second"],
        ),
        (json!({"source": "heroku"}), vec!["platform"]),
        (json!({"dyno": "we"}), vec![]),
    ] {
        assert_eq!(harbour.messages(wanted.clone()).await, messages, "{wanted}");
    }
}

#[tokio::test]
async fn a_tail_goes_on_with_what_is_said_later() {
    let harbour = Harbour::new().await;
    harbour.say("web.1", "before");
    let url = harbour.url(json!({"tail": true, "lines": 1})).await;
    let mut tail = harbour.server.nobody().request("GET", &url).stream().await;
    tail.until("app[web.1]: before\n").await;
    harbour.say("web.1", "after");
    tail.until("app[web.1]: after\n").await;
    harbour
        .ann
        .patch("/apps/harbour", json!({"maintenance": true}))
        .await
        .ok();
    tail.until("Maintenance mode enabled").await;
    assert!(!tail.text.contains("Initial release"));
    // The app's end is the log's.
    harbour.ann.delete("/apps/harbour").await.ok();
    harbour.server.sweep().await;
    tail.rest().await;
}

#[tokio::test]
async fn a_browser_gets_events_whose_data_is_the_lines() {
    let harbour = Harbour::new().await;
    harbour.say("web.1", "one\ntwo");
    let url = harbour.url(json!({"lines": 2})).await;
    let request = harbour.server.nobody().request("GET", &url);
    let events = request.header("accept", "text/event-stream").send().await;
    assert!(
        events
            .header("content-type")
            .starts_with("text/event-stream")
    );
    let text = events.text();
    let data: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    assert_eq!(data.len(), 2, "{text}");
    assert!(data[0].ends_with("app[web.1]: one"));
    assert!(data[1].ends_with("app[web.1]: two"));
    assert!(
        text.contains("\nid: ") || text.starts_with("id: "),
        "{text}"
    );
}

#[tokio::test]
async fn events_go_on_after_the_last_one_that_was_seen() {
    let harbour = Harbour::new().await;
    harbour.say("web.1", "seen");
    let url = harbour.url(json!({"lines": 100})).await;
    let events = |last: Option<String>| {
        let request = harbour.server.nobody().request("GET", &url);
        let request = request.header("accept", "text/event-stream");
        match last {
            Some(last) => request.header("last-event-id", &last),
            None => request,
        }
    };
    let text = events(None).send().await.text();
    let mut ids = text.lines().filter_map(|line| line.strip_prefix("id: "));
    let last = ids.next_back().unwrap().to_owned();
    harbour.say("web.1", "unseen");
    let text = events(Some(last)).send().await.text();
    assert!(text.contains("app[web.1]: unseen"), "{text}");
    assert!(!text.contains("app[web.1]: seen"), "{text}");
}

#[tokio::test]
async fn a_session_can_be_opened_for_six_minutes() {
    let harbour = Harbour::new().await;
    let url = harbour.url(json!({})).await;
    let nobody = harbour.server.nobody();
    harbour.server.pass(Duration::from_secs(359));
    assert_eq!(nobody.get(&url).await.status, 200);
    harbour.server.pass(Duration::from_secs(1));
    nobody.get(&url).await.refused(403, "forbidden", "expired");
}

#[tokio::test]
async fn a_session_shows_its_own_app_and_what_it_was_made_for() {
    let harbour = Harbour::new().await;
    let url = harbour.url(json!({"dyno": "web.1"})).await;
    let other = harbour.ann.app("marina").await;
    let nobody = harbour.server.nobody();
    for altered in [
        url.replace(&harbour.app.to_string(), &id(&other)),
        url.split_once('?').unwrap().0.to_owned(),
        url.replace("/streams/logs/", "/streams/logs//"),
    ] {
        let refused = nobody.get(&altered).await;
        assert!(matches!(refused.status, 401 | 403), "{refused:?}");
    }
}

#[tokio::test]
async fn a_silent_tail_ends_when_whoever_followed_it_has_hung_up() {
    let harbour = Harbour::new().await;
    let url = harbour.url(json!({"tail": true})).await;
    let (host, path) = url.trim_start_matches("http://").split_once('/').unwrap();
    let mut socket = TcpStream::connect(host).await.unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    socket.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    socket.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(HANG, socket.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "nobody listens, and the session goes on");
}

#[tokio::test]
async fn what_is_no_session_is_refused() {
    let harbour = Harbour::new().await;
    let before = harbour.server.dump();
    for (body, words) in [
        (json!({"source": "router"}), "app or heroku"),
        (json!({"lines": -1}), "lines"),
        (json!({"lines": "many"}), "lines"),
        (json!({"tail": "yes"}), "tail"),
        (json!({"dyno": "x".repeat(200)}), "dyno"),
    ] {
        let refused = harbour.ann.post("/apps/harbour/log-sessions", body).await;
        refused.invalid(words);
    }
    assert_eq!(harbour.server.dump(), before);
}

/// Ann's app, somebody who may see it, and the URL that he asked for.
async fn followed_by_bob(harbour: &Harbour) -> (Client, String) {
    let bob = harbour.server.account("bob").await;
    let body = json!({"user": "bob@example.com", "permissions": ["view"]});
    let collaborators = "/apps/harbour/collaborators";
    harbour.ann.post(collaborators, body).await.created();
    let session = json!({"tail": true});
    let session = bob.post("/apps/harbour/log-sessions", session).await;
    let url = session.created()["logplex_url"]
        .as_str()
        .unwrap()
        .to_owned();
    (bob, url)
}

#[tokio::test]
async fn a_tail_ends_when_whoever_follows_may_see_the_app_no_more() {
    let harbour = Harbour::new().await;
    let (_bob, url) = followed_by_bob(&harbour).await;
    let nobody = harbour.server.nobody();
    let mut text = nobody.request("GET", &url).stream().await;
    let events = nobody.request("GET", &url);
    let mut events = events.header("accept", "text/event-stream").stream().await;
    harbour.say("web.1", "before");
    text.until("before").await;
    events.until("before").await;
    let gone = "/apps/harbour/collaborators/bob@example.com";
    harbour.ann.delete(gone).await.ok();
    for tail in [&mut text, &mut events] {
        let ended = tokio::time::timeout(HANG, tail.rest()).await;
        assert!(ended.is_ok(), "the tail goes on");
    }
    let again = nobody.get(&url).await;
    again.refused(403, "forbidden", "session is over");
}

#[tokio::test]
async fn a_tail_ends_with_the_token_that_it_was_asked_for_with() {
    let harbour = Harbour::new().await;
    let given = json!({"scope": ["read"]});
    let authorizations = "/oauth/authorizations";
    let given = harbour.ann.post(authorizations, given).await.created();
    let token = given["access_token"]["token"].as_str().unwrap();
    let lesser = harbour.ann.with_token(token);
    let session = json!({"tail": true});
    let session = lesser.post("/apps/harbour/log-sessions", session).await;
    let url = session.created()["logplex_url"]
        .as_str()
        .unwrap()
        .to_owned();
    let nobody = harbour.server.nobody();
    let mut tail = nobody.request("GET", &url).stream().await;
    harbour.say("web.1", "before");
    tail.until("before").await;
    let path = format!("{authorizations}/{}", id(&given));
    harbour.ann.delete(path).await.ok();
    let ended = tokio::time::timeout(HANG, tail.rest()).await;
    assert!(ended.is_ok(), "the tail goes on");
    let again = nobody.get(&url).await;
    again.refused(403, "forbidden", "session is over");
}
