//! The same with a provider of add-ons and a receiver of webhooks: what they are asked and told outlives the server that began it.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Round, each_commit, evidence};
use crate::addons::acme;
use crate::addons::provider::Provider;
use crate::binary::{Client, HANG, Lost, Place, Server, penstock};
use crate::webhooks::receiver::{Does, Receiver};

/// Fewer commits than this would mean that most of the scenario was not tried. On a busy machine several writes are one commit.
const AT_LEAST: u64 = 12;
const APP: &str = "crash";
const ADDONS: &str = "/apps/crash/addons";

#[test]
fn every_commit_with_a_provider_and_a_receiver_is_a_safe_place_to_be_killed() {
    each_commit(AT_LEAST, async |commit| play(Round(commit)).await);
}

/// As in the scenario without them.
async fn play(round: Round) -> bool {
    let place = Place::new();
    let mut session = Session::new(&place).await;
    let status = match Server::try_start(round.command(&place), &place.log()) {
        Err(status) => status,
        Ok(server) => match session.run(&server.client()).await {
            Err(Lost) => server.ended(),
            Ok(()) => server.terminated(),
        },
    };
    evidence::check(&place.data());
    if status.success() {
        return false;
    }
    assert_eq!(status.signal(), Some(9), "it ended with {status}");
    let server = place.start();
    session.run(&server.client()).await.unwrap();
    session.has_converged(&server.client()).await;
    server.stop();
    evidence::check(&place.data());
    true
}

/// What one client knows, and those that its server talks to.
struct Session {
    provider: Provider,
    receiver: Receiver,
    /// The end of a second add-on was asked for.
    second_over: bool,
}

impl Session {
    async fn new(place: &Place) -> Session {
        let provider = Provider::start();
        let manifest = place.path("manifest.json");
        std::fs::write(&manifest, acme(&provider.url).to_string()).unwrap();
        // There is nowhere to register it before.
        place.start().stop();
        let mut register = penstock(&["addon", "register"]);
        register.arg(manifest).arg("--data-dir").arg(place.data());
        let registered = register.output().unwrap();
        assert!(registered.status.success(), "{registered:?}");
        Session {
            provider,
            receiver: Receiver::start(Does::Answer(200)).await,
            second_over: false,
        }
    }

    /// From wherever it stands to the end.
    async fn run(&mut self, client: &Client) -> Result<(), Lost> {
        let app = client.try_call("GET", "/apps/crash", Value::Null).await?;
        if app.status == 404 {
            let new = json!({ "name": APP });
            client.try_call("POST", "/apps", new).await?.expect(201);
        }
        let path = "/apps/crash/webhooks";
        if list(client, path).await?.is_empty() {
            let include = ["api:addon", "api:release"];
            let new = json!({"include": include, "level": "sync", "url": self.receiver.url});
            client.try_call("POST", path, new).await?.expect(201);
        }
        if find(client, "mine").await?.is_none() {
            let new = json!({"plan": "acme", "name": "mine"});
            client.try_call("POST", ADDONS, new).await?.expect(201);
        }
        let mine = "/apps/crash/addons/mine";
        let made = async |addon: &Value| addon["state"] == "provisioned";
        let made = client.watch(APP, mine, made).await?;
        if made["plan"]["name"] != "acme:pro" {
            let change = json!({"plan": "acme:pro"});
            client.try_call("PATCH", mine, change).await?;
        }
        let moved = async |addon: &Value| addon["plan"]["name"] == "acme:pro";
        client.watch(APP, mine, moved).await?;
        let vars = "/apps/crash/config-vars";
        let set = async |vars: &Value| vars["ACME_URL"] == "acme://pro.test/1";
        client.watch(APP, vars, set).await?;
        self.come_and_go(client).await
    }

    /// A second add-on, which is made and destroyed.
    async fn come_and_go(&mut self, client: &Client) -> Result<(), Lost> {
        let there = find(client, "gone").await?.is_some();
        if !there && !self.second_over {
            let new = json!({"plan": "acme", "name": "gone"});
            client.try_call("POST", ADDONS, new).await?.expect(201);
        }
        if there || !self.second_over {
            self.second_over = true;
            let path = format!("{ADDONS}/gone");
            client
                .try_call("DELETE", path, json!({"force": true}))
                .await?
                .expect(200);
        }
        Ok(())
    }

    /// The provider has what the app has, and the receiver knows all that happened.
    async fn has_converged(&mut self, client: &Client) {
        let mine = find(client, "mine").await.unwrap().unwrap();
        let addons = list(client, ADDONS).await.unwrap();
        assert_eq!(addons.len(), 1);
        let only = BTreeSet::from([mine["id"].as_str().unwrap().to_owned()]);
        let told = async {
            // It is told by and by.
            while self.provider.has() != only {
                client.get("/apps/crash").await.expect(200);
            }
        };
        let told = timeout(HANG, told).await;
        assert!(told.is_ok(), "{:?} is not {only:?}", self.provider.has());
        let events = list(client, "/apps/crash/webhook-events").await.unwrap();
        let made = |event: &&Value| {
            let payload = &event["payload"];
            payload["action"] == "create" && payload["data"]["name"] == "mine"
        };
        assert_eq!(events.iter().filter(made).count(), 1, "{events:?}");
        let ids = events.iter().map(|event| event["id"].as_str().unwrap());
        let mut untold: BTreeSet<String> = ids.map(str::to_owned).collect();
        while !untold.is_empty() {
            let told = self.receiver.next().await;
            untold.remove(told.body["id"].as_str().unwrap());
        }
    }
}

async fn list(client: &Client, path: &str) -> Result<Vec<Value>, Lost> {
    let list = client.try_call("GET", path, Value::Null).await?;
    Ok(list.expect(200).as_array().unwrap().clone())
}

/// An add-on of the app, by its name.
async fn find(client: &Client, name: &str) -> Result<Option<Value>, Lost> {
    let addons = list(client, ADDONS).await?;
    Ok(addons.into_iter().find(|addon| addon["name"] == name))
}
