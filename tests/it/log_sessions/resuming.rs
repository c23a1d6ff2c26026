//! Tails that are cut off and go on, as the official CLI does it: it comes back to the same URL with the id of the last event.

mod missing;

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use penstock::api::log_sessions::{Ids, PING_EVERY, as_events};
use penstock::blob::signed::SignedUrls;
use penstock::config::Config;
use penstock::data_dir::DataDir;
use penstock::error::{ErrorId, Result};
use penstock::log::{Place as Stand, Source};
use penstock::name::Id;
use penstock::runtime::Parting;
use penstock::sandbox::Settings;
use penstock::secret::SigningKey;
use penstock::serve;
use penstock::time::{Clock, Timestamp};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use super::Harbour;
use crate::binary::{Client, HANG, Place, ports};
use crate::harness::{self, id};

/// Longer than a session may be opened by its URL.
const LATER: Duration = Duration::from_secs(7 * 60);
const DAYS: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// Servers that follow one another at the same address, under a clock that stands still.
struct Servers {
    place: Place,
    clock: Clock,
    port: u16,
}

impl Servers {
    fn new() -> Servers {
        Servers {
            place: Place::new(),
            clock: Clock::held(Timestamp::parse(harness::T0).unwrap()),
            port: ports::port(),
        }
    }

    async fn start(&self) -> serve::Server {
        let begun = Instant::now();
        loop {
            match self.try_start().await {
                Ok(server) => return server,
                // What this process has let go of, one that another test is just starting has for a moment longer.
                Err(error) => assert!(
                    error.id == ErrorId::Conflict && begun.elapsed() < HANG,
                    "{error}"
                ),
            }
        }
    }

    async fn try_start(&self) -> Result<serve::Server> {
        let data = DataDir::open(&self.place.data()).unwrap();
        let config = Config {
            listen: ([127, 0, 0, 1], self.port).into(),
            isolation: Settings {
                dyno_forwarding: false,
                ..Settings::default()
            },
            ..harness::config(&data)
        };
        let options = serve::Options {
            clock: self.clock.clone(),
            shim: Some(env!("CARGO_BIN_EXE_penstock").into()),
            ..serve::Options::default()
        };
        serve::Server::start(config, options).await
    }

    /// So much later one server ends, as at SIGTERM, and the next one starts. Whoever follows is let go cleanly.
    async fn restart(
        &self,
        server: serve::Server,
        later: Duration,
        tail: &mut Tail,
    ) -> serve::Server {
        self.clock.advance(later);
        tokio::join!(server.stop(Parting::Leave), tail.ends());
        self.start().await
    }
}

fn client(server: &serve::Server) -> Client {
    Client::new(&server.ready.api_url, 0, &server.ready.api_key)
}

fn say(server: &serve::Server, app: &Value, message: &str) {
    let app = Id::parse(&id(app)).unwrap();
    let logs = &server.platform.logs;
    logs.append(app, Source::App, "web.1", message);
}

/// What one process says from here on, after so many lines of history.
async fn session(client: &Client, lines: u32) -> String {
    let wanted = json!({"dyno": "web.1", "lines": lines, "tail": true});
    let session = client.post("/apps/app/log-sessions", wanted).await;
    let session = session.expect(201);
    session["logplex_url"].as_str().unwrap().to_owned()
}

/// Whoever reads server-sent events.
struct Tail {
    url: String,
    /// The id that it was given last.
    last: Option<String>,
    /// What lines said.
    said: Vec<String>,
    response: Option<reqwest::Response>,
    /// What has come of the next event.
    rest: String,
}

impl Tail {
    fn new(url: String) -> Tail {
        Tail {
            url,
            last: None,
            said: Vec::new(),
            response: None,
            rest: String::new(),
        }
    }

    /// The status of the answer.
    async fn connect(&mut self) -> u16 {
        let mut request = harness::http().get(&self.url);
        request = request.header("accept", "text/event-stream");
        if let Some(last) = &self.last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (self.response, self.rest) = (Some(response), String::new());
        status
    }

    /// Takes the next event, or whatever comes instead of one; false at the end.
    async fn next(&mut self) -> bool {
        loop {
            if let Some((event, rest)) = self.rest.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.rest = rest;
                self.take(&event);
                return true;
            }
            let response = self.response.as_mut().unwrap();
            let chunk = timeout(HANG, response.chunk()).await.expect("it is silent");
            let Some(chunk) = chunk.expect("it broke off") else {
                return false;
            };
            self.rest.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    fn take(&mut self, event: &str) {
        let is_shown = !event.lines().any(|line| line.starts_with("event:"));
        for line in event.lines() {
            if let Some(id) = line.strip_prefix("id: ") {
                self.last = Some(id.to_owned());
            }
            if let Some(line) = line.strip_prefix("data: ").filter(|_| is_shown) {
                self.said.push(line.split_once("]: ").unwrap().1.to_owned());
            }
        }
    }

    async fn until(&mut self, message: &str) {
        while !self.said.iter().any(|said| said == message) {
            assert!(self.next().await, "it ended without {message}");
        }
    }

    /// Until it knows where it stands.
    async fn until_opened(&mut self) {
        while self.last.is_none() {
            assert!(self.next().await, "it ended before it began");
        }
    }

    async fn ends(&mut self) {
        while self.next().await {}
    }
}

#[tokio::test]
async fn a_tail_goes_on_after_a_restart_however_long_it_was_open() {
    let servers = Servers::new();
    let server = servers.start().await;
    let app = client(&server).create_app("app").await;
    say(&server, &app, "before");
    let mut tail = Tail::new(session(&client(&server), 1).await);
    assert_eq!(tail.connect().await, 200);
    say(&server, &app, "one");
    tail.until("one").await;
    let server = servers.restart(server, LATER, &mut tail).await;
    say(&server, &app, "two");
    assert_eq!(tail.connect().await, 200);
    say(&server, &app, "three");
    tail.until("three").await;
    // Nothing was said since then.
    let server = servers.restart(server, DAYS, &mut tail).await;
    assert_eq!(tail.connect().await, 200);
    let server = servers.restart(server, LATER, &mut tail).await;
    assert_eq!(tail.connect().await, 200);
    say(&server, &app, "four");
    tail.until("four").await;
    assert_eq!(tail.said, ["before", "one", "two", "three", "four"]);
    drop(tail);
    server.stop(Parting::End).await;
}

#[tokio::test]
async fn a_tail_goes_on_though_nothing_was_said_before_it_was_cut_off() {
    let servers = Servers::new();
    let mut server = servers.start().await;
    let app = client(&server).create_app("app").await;
    for (lines, first, second) in [(100, "one", "two"), (0, "three", "four")] {
        // What was said before has its own time.
        servers.clock.advance(Duration::from_secs(1));
        let mut tail = Tail::new(session(&client(&server), lines).await);
        assert_eq!(tail.connect().await, 200);
        tail.until_opened().await;
        server = servers.restart(server, LATER, &mut tail).await;
        say(&server, &app, first);
        assert_eq!(tail.connect().await, 200);
        say(&server, &app, second);
        tail.until(second).await;
        assert_eq!(tail.said, [first, second]);
    }
    server.stop(Parting::End).await;
}

#[tokio::test]
async fn a_tail_whose_token_was_revoked_does_not_go_on() {
    let servers = Servers::new();
    let server = servers.start().await;
    let owner = client(&server);
    let app = owner.create_app("app").await;
    let authorizations = "/oauth/authorizations";
    let given = json!({"scope": ["read"]});
    let given = owner.post(authorizations, given).await.expect(201);
    let token = given["access_token"]["token"].as_str().unwrap();
    let mut tail = Tail::new(session(&owner.with_token(token), 100).await);
    assert_eq!(tail.connect().await, 200);
    say(&server, &app, "before");
    tail.until("before").await;
    let server = servers.restart(server, LATER, &mut tail).await;
    let path = format!("{authorizations}/{}", id(&given));
    client(&server).delete(path).await.expect(200);
    assert_eq!(tail.connect().await, 403);
    server.stop(Parting::End).await;
}

/// Asks for a session's events as somebody who was there at this id.
async fn back(harbour: &Harbour, url: &str, last: &str) -> harness::Answer {
    let nobody = harbour.server.nobody();
    let request = nobody.request("GET", url);
    let request = request.header("accept", "text/event-stream");
    request.header("last-event-id", last).send().await
}

/// The first id that a session gives.
async fn first_id(url: &str) -> String {
    let mut tail = Tail::new(url.to_owned());
    assert_eq!(tail.connect().await, 200);
    tail.until_opened().await;
    tail.last.unwrap()
}

#[tokio::test]
async fn who_was_never_in_a_session_opens_none_that_has_expired() {
    let harbour = Harbour::new().await;
    harbour.say("web.1", "one");
    let url = harbour.url(json!({"tail": true, "dyno": "web.1"})).await;
    let other = harbour.url(json!({"tail": true, "dyno": "web"})).await;
    let twin = harbour.url(json!({"tail": true, "dyno": "web.1"})).await;
    let ended = harbour.url(json!({"dyno": "web.1"})).await;
    let id = first_id(&url).await;
    let (place, signature) = id.split_once('/').unwrap();
    let time = "2026-01-31T12:00:00.000000+00:00";
    let forged = [
        String::new(),
        time.to_owned(),
        place.to_owned(),
        format!("{place}/"),
        format!("{time}/{signature}"),
        format!("{place}/{}", &signature[1..]),
        first_id(&other).await,
        first_id(&twin).await,
    ];
    let own = first_id(&ended).await;
    harbour.server.pass(LATER);
    for last in forged {
        let refused = back(&harbour, &url, &last).await;
        refused.refused(403, "forbidden", "expired");
    }
    // One that shows what there is, and ends, has no break to come back from.
    let refused = back(&harbour, &ended, &own).await;
    refused.refused(403, "forbidden", "expired");
    // To open it as text is to open it.
    let nobody = harbour.server.nobody();
    let text = nobody.request("GET", &url).header("last-event-id", &id);
    text.send().await.refused(403, "forbidden", "expired");
    let mut tail = Tail::new(url);
    tail.last = Some(id);
    assert_eq!(tail.connect().await, 200);
}

#[tokio::test]
async fn events_begin_with_how_soon_a_client_may_come_back() {
    let harbour = Harbour::new().await;
    harbour.say("web.1", "one");
    let url = harbour.url(json!({"lines": 1})).await;
    let whole = back(&harbour, &url, "").await.text();
    // The CLI lingers for that long once it has all there is.
    assert!(whole.starts_with("retry: 1\n\nid: "), "{whole}");
    let url = harbour.url(json!({"lines": 1, "tail": true})).await;
    let request = harbour.server.nobody().request("GET", &url);
    let request = request.header("accept", "text/event-stream");
    let mut tail = request.stream().await;
    tail.until("]: one\n\n").await;
    let text = &tail.text;
    assert!(text.starts_with("retry: 3000\n\nevent: opened\n"), "{text}");
    // The CLI shows events without a name alone, and each line of theirs.
    let events: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 3, "{text}");
    assert!(events[1].ends_with("\ndata:"), "{text}");
}

#[tokio::test]
async fn events_say_that_they_are_alive_while_nothing_is_said() {
    let batches = stream::once(async { batch("one\n") }).chain(stream::pending());
    let ids = Ids::new(SignedUrls::new(SigningKey::new([7; 32])), "/streams/logs");
    let opening = Bytes::from_static(b"retry: 3000\n\n");
    let (stand, stands) = watch::channel(None);
    let events = as_events(opening, batches, stands, ids, Duration::from_millis(1));
    let mut events = Box::pin(events);
    let mut next = async || timeout(HANG, events.next()).await.unwrap().unwrap();
    assert_eq!(next().await, "retry: 3000\n\n");
    let event = next().await;
    assert!(event.ends_with(b"\ndata: one\n\n"), "{event:?}");
    assert_eq!(next().await, ": ping\n\n");
    assert_eq!(next().await, ": ping\n\n");
    // Where lines went by that are not shown, it says so, once.
    let place = batch("").place;
    stand.send_replace(Some(place));
    let event = next().await;
    let start = format!("event: opened\nid: {place}/");
    assert!(event.starts_with(start.as_bytes()), "{event:?}");
    assert_eq!(next().await, ": ping\n\n");
    // Oftener than the CLI and proxies give up, and seldom enough to cost nothing.
    let seconds = PING_EVERY.as_secs();
    assert!((15..=30).contains(&seconds), "{seconds}");
}

fn batch(text: &'static str) -> penstock::log::session::Batch {
    penstock::log::session::Batch {
        text: Bytes::from_static(text.as_bytes()),
        last: Timestamp::parse(harness::T0).unwrap(),
        place: Stand {
            at: Timestamp::parse(harness::T0).unwrap(),
            counted: None,
        },
        lost: 0,
    }
}
