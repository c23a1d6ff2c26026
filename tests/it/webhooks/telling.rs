//! What is told: each change that somebody asked for, as the API shows it, and no other.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::receiver::{Does, Receiver};
use super::{subscribe, subscribed};
use crate::addons;
use crate::harness::{Client, id, web_app};

const EVENTS: &str = "/apps/harbour/webhook-events";

async fn events(client: &Client) -> Vec<Value> {
    let mut list = client.get(EVENTS).await.list();
    list.iter_mut()
        .map(|event| event["payload"].take())
        .collect()
}

#[tokio::test]
async fn a_release_is_told_of_in_herokus_words() {
    let (server, ann, mut receiver) = subscribed(&["api:release"], "notify").await;
    ann.patch("/apps/harbour/config-vars", json!({"A": "1"}))
        .await
        .ok();
    server.settle().await;
    let received = receiver.next().await;
    let release = ann.newest_release("harbour").await;
    let body = &received.body;
    assert_eq!(body["action"], "create");
    assert_eq!(body["resource"], "release");
    assert_eq!(body["data"], release);
    assert_eq!(body["previous_data"], json!({}));
    assert_eq!(body["actor"], release["user"]);
    assert_eq!(body["version"], "application/vnd.heroku+json; version=3");
    let event = ann.get(EVENTS).await.list().remove(0);
    assert_eq!(event["id"], body["id"]);
    assert_eq!(event["include"], "api:release");
    assert_eq!(event["payload"]["data"], release);
    let found = ann.get(format!("{EVENTS}/{}", id(&event))).await.ok();
    assert_eq!(found, event);
    let delivery = ann.get("/apps/harbour/webhook-deliveries").await.list();
    assert_eq!(delivery.len(), 1);
    let delivery = &delivery[0];
    let metadata = &body["webhook_metadata"];
    assert_eq!(metadata["delivery"]["id"], delivery["id"]);
    assert_eq!(metadata["attempt"]["id"], delivery["last_attempt"]["id"]);
    assert_eq!(metadata["webhook"]["id"], delivery["webhook"]["id"]);
    assert_eq!(metadata["event"], delivery["event"]);
    assert_eq!(delivery["status"], "succeeded");
    assert_eq!(delivery["last_attempt"]["code"], 200);
    assert_eq!(delivery["num_attempts"], 1);
    assert!(delivery["next_attempt_at"].is_null());
    assert_eq!(receiver.all().len(), 0);
}

#[tokio::test]
async fn an_update_tells_what_was_otherwise_before() {
    let (server, ann, _receiver) = subscribed(&["api:formation", "api:app"], "notify").await;
    server.deploy(&ann, "harbour", &web_app()).await;
    let path = "/apps/harbour/formation/web";
    let before = ann.get(path).await.ok();
    let after = ann.patch(path, json!({"quantity": 3})).await.ok();
    let told = events(&ann).await;
    assert_eq!(told.len(), 1, "a new process type is not told of: {told:?}");
    assert_eq!(told[0]["action"], "update");
    assert_eq!(told[0]["resource"], "formation");
    assert_eq!(told[0]["data"], after);
    assert_eq!(told[0]["previous_data"]["quantity"], before["quantity"]);
    assert!(told[0]["previous_data"].get("type").is_none());
    // Nothing changes, so there is nothing to tell.
    ann.patch(path, json!({"quantity": 3})).await.ok();
    let on = json!({"maintenance": true});
    ann.patch("/apps/harbour", on.clone()).await.ok();
    ann.patch("/apps/harbour", on).await.ok();
    let told = events(&ann).await;
    assert_eq!(told.len(), 2);
    assert_eq!(told[1]["previous_data"]["maintenance"], false);
    assert_eq!(told[1]["data"]["maintenance"], true);
}

#[tokio::test]
async fn what_goes_is_told_of_as_it_was() {
    let (server, ann, mut receiver) =
        subscribed(&["api:domain", "api:collaborator", "api:app"], "notify").await;
    server.account("bob").await;
    let body = json!({"hostname": "www.example.com"});
    let domain = ann.post("/apps/harbour/domains", body).await.created();
    let body = json!({"user": "bob@example.com"});
    ann.post("/apps/harbour/collaborators", body)
        .await
        .created();
    ann.delete("/apps/harbour/domains/www.example.com")
        .await
        .ok();
    server.settle().await;
    let told = receiver.all();
    let what: Vec<String> = told.iter().map(|received| received.what()).collect();
    assert_eq!(
        what,
        ["create domain", "create collaborator", "destroy domain"]
    );
    assert_eq!(told[0].body["data"], domain);
    assert_eq!(told[2].body["data"], domain);
    let app = ann.delete("/apps/harbour").await.ok();
    server.settle().await;
    let told = receiver.all();
    let end = told
        .iter()
        .find(|received| received.what() == "destroy app");
    let end = end.expect("nobody is told that the app is no more");
    assert_eq!(end.body["data"], app);
    assert_eq!(end.body["actor"]["email"], "ann@example.com");
    let collaborators = told
        .iter()
        .filter(|told| told.what() == "destroy collaborator");
    assert_eq!(collaborators.count(), 2);
    server.sweep().await;
    server.pass(std::time::Duration::from_secs(8 * 24 * 60 * 60));
    server.sweep().await;
    server.sweep().await;
    let dump = server.dump();
    assert!(!dump.contains("app_webhook"), "{dump}");
}

#[tokio::test]
async fn what_the_platform_does_by_itself_is_told_too() {
    let (server, ann, mut receiver) =
        subscribed(&["api:build", "api:release", "api:dyno", "dyno"], "sync").await;
    let build = server.deploy(&ann, "harbour", &web_app()).await;
    server.settle().await;
    let told = receiver.all();
    let what: Vec<String> = told.iter().map(|received| received.what()).collect();
    let first = |wanted: &str| {
        let at = what.iter().position(|what| what == wanted);
        at.unwrap_or_else(|| panic!("{wanted} is not among {what:?}"))
    };
    assert_eq!(first("create build"), 0);
    assert_eq!(told[0].body["data"]["status"], "pending");
    let ended = &told[first("update build")].body;
    let mut shown = build.clone();
    for url in ["/output_stream_url", "/source_blob/url"] {
        let url = shown.pointer_mut(url).unwrap();
        // What is signed opens something, and is for who looks himself.
        *url = json!(url.as_str().unwrap().split('?').next());
    }
    assert_eq!(ended["data"], shown);
    assert_eq!(ended["previous_data"]["status"], "pending");
    assert_eq!(ended["actor"]["email"], "ann@example.com");
    let release = &told[first("create release")].body;
    assert_eq!(release["data"]["slug"], build["slug"]);
    let dyno = &told[first("create dyno")].body;
    assert_eq!(dyno["data"]["state"], "starting");
    assert_eq!(dyno["data"]["name"], "web.1");
    let up = &told[first("update dyno")].body;
    assert_eq!(up["data"]["state"], "up");
    let includes = |wanted: &str| {
        let told = told.iter();
        let of = told.filter(|told| told.body["webhook_metadata"]["event"]["include"] == wanted);
        of.count()
    };
    assert_eq!(includes("api:dyno"), 1);
    assert!(includes("dyno") >= 2);
}

#[tokio::test]
async fn nobody_is_told_of_what_he_did_not_ask_for_or_what_did_not_happen() {
    let (server, ann, mut receiver) = subscribed(&["api:release"], "notify").await;
    ann.app("marina").await;
    ann.patch("/apps/marina/config-vars", json!({"A": "1"}))
        .await
        .ok();
    ann.patch("/apps/harbour", json!({"maintenance": true}))
        .await
        .ok();
    let slug = json!({"slug": penstock::name::Id::new().to_string()});
    let refused = ann.post("/apps/harbour/releases", slug).await;
    assert_eq!(refused.status, 404);
    server.settle().await;
    assert_eq!(receiver.told(), [""; 0]);
    assert_eq!(events(&ann).await.len(), 0);
    let webhook = ann.get("/apps/harbour/webhooks").await.list().remove(0);
    ann.delete(format!("/apps/harbour/webhooks/{}", id(&webhook)))
        .await
        .ok();
    ann.patch("/apps/harbour/config-vars", json!({"A": "1"}))
        .await
        .ok();
    server.settle().await;
    assert_eq!(receiver.told(), [""; 0]);
}

#[tokio::test]
async fn each_of_several_receivers_is_told_of_what_it_asked_for() {
    let (server, ann, mut all) = subscribed(&["api:release", "api:app"], "notify").await;
    let mut some = Receiver::start(Does::Answer(200)).await;
    subscribe(&ann, &some, &["api:app"], "sync").await;
    ann.patch("/apps/harbour/config-vars", json!({"A": "1"}))
        .await
        .ok();
    ann.patch("/apps/harbour", json!({"name": "marina"}))
        .await
        .ok();
    server.settle().await;
    assert_eq!(all.told(), ["create release", "update app"]);
    let told = some.all();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].body["data"]["name"], "marina");
    assert_eq!(told[0].body["previous_data"]["name"], "harbour");
}

/// Writes are committed in groups; one must be told of as it follows on the other.
#[tokio::test]
async fn of_changes_at_once_each_is_told_as_it_came() {
    let (server, ann, _receiver) = subscribed(&["api:formation"], "sync").await;
    server.deploy(&ann, "harbour", &web_app()).await;
    let scale = |quantity: i64| {
        let (ann, body) = (ann.clone(), json!({ "quantity": quantity }));
        async move { ann.patch("/apps/harbour/formation/web", body).await.ok() }
    };
    join_all((2..30).map(scale)).await;
    let told = events(&ann).await;
    assert_eq!(told.len(), 28);
    let mut quantity = json!(1);
    for event in told {
        assert_eq!(event["previous_data"]["quantity"], quantity);
        quantity = event["data"]["quantity"].clone();
    }
}

#[tokio::test]
async fn add_ons_are_told_of_as_they_are_made_attached_and_destroyed() {
    let (server, ann, _provider) = addons::world().await;
    let mut receiver = Receiver::start(Does::Answer(200)).await;
    let include = ["api:addon", "api:addon-attachment"];
    subscribe(&ann, &receiver, &include, "notify").await;
    let addon = ann.addon("harbour", json!({"plan": "acme"})).await;
    let attachment = ann.get("/apps/harbour/addon-attachments").await.list();
    server.settle().await;
    let told = receiver.all();
    let what: Vec<String> = told.iter().map(|received| received.what()).collect();
    let made = ["create addon", "create addon-attachment", "update addon"];
    assert_eq!(what, made);
    assert_eq!(told[0].body["data"]["state"], "provisioning");
    assert_eq!(told[1].body["data"]["id"], attachment[0]["id"]);
    assert_eq!(told[2].body["previous_data"]["state"], "provisioning");
    let mut shown = addon.clone();
    // It opens the provider's pages to whoever has it, so it is Ann's alone.
    assert!(shown["web_url"].is_string());
    shown["web_url"] = Value::Null;
    assert_eq!(told[2].body["data"], shown);
    assert_eq!(told[2].body["actor"]["email"], "ann@example.com");
    ann.delete(format!("{}/{}", addons::ADDONS, id(&addon)))
        .await
        .ok();
    server.settle().await;
    let told = receiver.all();
    let mut what: Vec<String> = told.iter().map(|received| received.what()).collect();
    what.sort();
    assert_eq!(what, ["destroy addon", "destroy addon-attachment"]);
    let end = told.iter().find(|told| told.what() == "destroy addon");
    assert_eq!(end.unwrap().body["data"]["id"], addon["id"]);
}

#[tokio::test]
async fn a_build_is_told_of_without_what_opens_its_source_or_its_output() {
    let (server, ann, mut receiver) = subscribed(&["api:build"], "notify").await;
    let url = "http://ann:correct-horse@127.0.0.1:1/app.tar.gz?token=battery";
    let body = json!({"source_blob": {"url": url}});
    let build = ann.post("/apps/harbour/builds", body).await.created();
    server.settle().await;
    let told = receiver.all();
    let what: Vec<String> = told.iter().map(|told| told.what()).collect();
    assert_eq!(what, ["create build", "update build"]);
    for told in told {
        let data = &told.body["data"];
        assert_eq!(data["source_blob"]["url"], "http://127.0.0.1:1/app.tar.gz");
        let whole = build["output_stream_url"].as_str().unwrap();
        let output = data["output_stream_url"].as_str().unwrap();
        assert_eq!(Some(output), whole.split('?').next());
        let refused = server.nobody().get(output).await;
        refused.refused(403, "forbidden", "not complete");
        let text = told.body.to_string();
        for secret in ["correct-horse", "battery", "signature"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[tokio::test]
async fn a_renamed_add_on_is_told_of_by_its_attachments_too() {
    let (server, ann, mut receiver) = subscribed(&["api:addon-attachment"], "notify").await;
    let provider = crate::addons::provider::Provider::start();
    server.register(&crate::addons::acme(&provider.url)).await;
    ann.addon("harbour", json!({"plan": "acme", "name": "mine"}))
        .await;
    ann.app("marina").await;
    let elsewhere = json!({"addon": "mine", "app": "marina"});
    ann.post("/addon-attachments", elsewhere).await.created();
    server.settle().await;
    assert_eq!(receiver.told(), ["create addon-attachment"]);
    let rename = json!({"name": "yours"});
    ann.patch("/apps/harbour/addons/mine", rename).await.ok();
    server.settle().await;
    let told = receiver.next().await;
    assert_eq!(told.what(), "update addon-attachment");
    assert_eq!(told.body["data"]["addon"]["name"], "yours");
    assert_eq!(told.body["previous_data"]["addon"]["name"], "mine");
}
