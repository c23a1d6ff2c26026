//! One-off dynos that somebody sits in front of: made over the API, and met over TLS as the official CLI does it.

pub mod client;
mod inside;
mod sitting;
mod waiting;

use penstock::rendezvous::Limits;
use serde_json::{Value, json};

use self::client::Attached;
use crate::binary::sample::idle_app;
use crate::binary::{Client, Place, Server, processes};
use crate::here::Here;

/// A server with an app of which nothing runs.
struct Harbour<S = Server> {
    server: S,
    client: Client,
    ca_file: String,
}

impl Harbour {
    async fn new(place: &Place) -> Harbour {
        Harbour::of(place.start()).await
    }

    async fn of(server: Server) -> Harbour {
        let harbour = Harbour::again(server);
        harbour.furnish().await;
        harbour
    }

    /// On a server that has the app.
    fn again(server: Server) -> Harbour {
        Harbour {
            client: server.client(),
            ca_file: server.ready.ca_file.clone(),
            server,
        }
    }

    /// Waits for a process whose command begins so.
    fn process(&self, command: &str) -> i32 {
        processes::running(self.server.data(), command, 1)[0].pid
    }
}

impl Harbour<Here> {
    /// On a server whose sessions wait otherwise.
    async fn within(change: impl FnOnce(&mut Limits)) -> Harbour<Here> {
        let server = Here::start(|_, options| change(&mut options.attached)).await;
        let harbour = Harbour {
            client: server.client(),
            ca_file: server.server.ready.ca_file.clone(),
            server,
        };
        harbour.furnish().await;
        harbour
    }

    async fn end(self) {
        drop(self.client);
        self.server.end().await;
    }
}

impl<S> Harbour<S> {
    async fn furnish(&self) {
        self.client.create_app("app").await;
        self.client.deploy("app", idle_app()).await;
    }

    /// What the CLI sends. `terminal` are lines and columns.
    async fn ask(&self, command: &str, terminal: Option<(u16, u16)>) -> Value {
        let mut env = json!({"TERM": "xterm"});
        if let Some((lines, columns)) = terminal {
            env["LINES"] = json!(lines);
            env["COLUMNS"] = json!(columns);
        }
        let body = json!({"command": command, "attach": true, "env": env});
        self.client.post("/apps/app/dynos", body).await.expect(201)
    }

    /// Runs a command, and sits in front of it, greeted.
    async fn run(&self, command: &str, terminal: Option<(u16, u16)>) -> Attached {
        let dyno = self.ask(command, terminal).await;
        let mut attached = self.connect(&dyno).await;
        attached.greeting().await;
        attached
    }

    /// Connects, and says which dyno is meant.
    async fn connect(&self, dyno: &Value) -> Attached {
        let url = dyno["attach_url"].as_str().unwrap();
        Attached::connect(&self.ca_file, url).await
    }

    /// Waits until the log has a line with this text.
    async fn said(&self, text: &str) {
        let mut tail = self.client.tail("app", 1_500).await.unwrap();
        tail.until(text).await;
    }

    /// Waits until no one-off dyno is there.
    async fn gone(&self) {
        let none = async |dynos: &Value| dynos.as_array().unwrap().is_empty();
        self.client
            .watch("app", "/apps/app/dynos", none)
            .await
            .unwrap();
    }
}
