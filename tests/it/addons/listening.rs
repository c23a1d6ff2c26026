//! What a provider hears of the app that its add-on is for: webhooks of its own, and the app's log.

use serde_json::{Value, json};

use super::partner::partner;
use super::provider::{Provider, answer};
use super::{ADDONS, acme, world};
use crate::harness::{Client, Server, id};
use crate::webhooks::receiver::{Does, Receiver};

/// Ann's add-on, its provider, and the path of the add-on.
async fn with_addon() -> (Server, Client, Provider, Client, String) {
    let (server, ann, provider) = world().await;
    let addon = json!({ "plan": "acme", "name": "mine" });
    let addon = ann.addon("harbour", addon).await;
    let partner = partner(&server, &provider).await;
    let path = format!("/addons/{}", id(&addon));
    (server, ann, provider, partner, path)
}

fn body(url: &str, include: &[&str]) -> Value {
    json!({ "include": include, "level": "notify", "url": url })
}

#[tokio::test]
async fn a_provider_is_told_what_happens_to_the_app_of_its_add_on() {
    let (server, ann, _provider, partner, path) = with_addon().await;
    let mut receiver = Receiver::start(Does::Answer(200)).await;
    let made = partner
        .post(
            format!("{path}/webhooks"),
            body(&receiver.url, &["api:app", "api:addon"]),
        )
        .await
        .created();
    assert_eq!(made["addon"]["name"], "mine");
    assert!(made.get("app").is_none());
    let maintenance = json!({ "maintenance": true });
    ann.patch("/apps/harbour", maintenance).await.ok();
    ann.patch(format!("{ADDONS}/mine"), json!({ "name": "yours" }))
        .await
        .ok();
    server.settle().await;
    assert_eq!(receiver.told(), ["update app", "update addon"]);
    let events = partner.get(format!("{path}/webhook-events")).await.list();
    let deliveries = partner.get(format!("{path}/webhook-deliveries")).await;
    let deliveries = deliveries.list();
    assert_eq!((events.len(), deliveries.len()), (2, 2));
    for (event, delivery) in events.iter().zip(&deliveries) {
        let shown = partner.get(format!("{path}/webhook-events/{}", id(event)));
        assert_eq!(shown.await.ok(), *event);
        let shown = partner.get(format!("{path}/webhook-deliveries/{}", id(delivery)));
        assert_eq!(shown.await.ok(), *delivery);
        assert_eq!(delivery["event"]["id"], event["id"]);
        assert_eq!(delivery["status"], "succeeded");
        assert_eq!(delivery["webhook"]["id"], made["id"]);
    }
}

#[tokio::test]
async fn a_providers_webhook_is_changed_and_removed_by_its_provider() {
    let (_server, _ann, _provider, partner, path) = with_addon().await;
    let all = format!("{path}/webhooks");
    let made = partner
        .post(&all, body("http://127.0.0.1:9/a", &["api:app"]))
        .await
        .created();
    let one = format!("{all}/{}", id(&made));
    assert_eq!(partner.get(&one).await.ok(), made);
    let changed = partner.patch(&one, json!({ "level": "sync" })).await.ok();
    assert_eq!(changed["level"], "sync");
    assert_eq!(partner.get(&all).await.each("id"), [id(&made)]);
    partner.delete(&one).await.ok();
    partner.get(&one).await.missing("webhook");
}

#[tokio::test]
async fn neither_the_owner_nor_another_sees_the_webhooks_of_a_provider() {
    let (server, ann, _provider, partner, path) = with_addon().await;
    let all = format!("{path}/webhooks");
    let new = body("http://127.0.0.1:9/a", &["api:app"]);
    partner.post(&all, new.clone()).await.created();
    ann.get(&all)
        .await
        .refused(403, "forbidden", "Only the provider");
    let own = ann.get("/apps/harbour/webhooks").await;
    assert_eq!(own.list(), [] as [Value; 0]);
    let bob = server.account("bob").await;
    assert_eq!(bob.get(&all).await.status, 404);
    let before = server.dump();
    for path in ["/apps/harbour/webhooks", "/apps/harbour/webhook-events"] {
        partner
            .get(path)
            .await
            .refused(403, "forbidden", "a provider's");
    }
    ann.post(&all, new)
        .await
        .refused(403, "forbidden", "Only the provider");
    assert_eq!(server.dump(), before);
    ann.patch("/apps/harbour", json!({ "maintenance": true }))
        .await
        .ok();
    for path in ["webhook-events", "webhook-deliveries"] {
        let own = ann.get(format!("/apps/harbour/{path}")).await;
        assert_eq!(own.list(), [] as [Value; 0], "{path}");
    }
}

#[tokio::test]
async fn a_provider_is_told_of_its_own_add_on_alone() {
    let (server, ann, _provider, partner, path) = with_addon().await;
    let mut receiver = Receiver::start(Does::Answer(200)).await;
    let include = ["api:addon", "api:addon-attachment"];
    partner
        .post(format!("{path}/webhooks"), body(&receiver.url, &include))
        .await
        .created();
    let other = json!({ "plan": "acme", "name": "other" });
    ann.addon("harbour", other).await;
    ann.app("marina").await;
    for (addon, app) in [("other", "marina"), ("mine", "marina")] {
        let body = json!({ "addon": addon, "app": app });
        ann.post("/addon-attachments", body).await.created();
    }
    let gone = ann
        .request("DELETE", &format!("{ADDONS}/mine"))
        .json(&json!({ "force": true }));
    gone.send().await.ok();
    server.settle().await;
    let told = receiver.all();
    let what: Vec<String> = told.iter().map(|told| told.what()).collect();
    let attached = "create addon-attachment";
    let detached = "destroy addon-attachment";
    assert_eq!(what[0], attached);
    assert_eq!(what.iter().filter(|what| *what == attached).count(), 1);
    assert_eq!(what.iter().filter(|what| *what == detached).count(), 2);
    assert!(what.contains(&"destroy addon".to_owned()), "{what:?}");
    for told in &told {
        let text = told.body["data"].to_string();
        assert!(text.contains("\"mine\""), "{text}");
    }
}

#[tokio::test]
async fn a_provider_that_gave_its_add_on_up_hears_no_more_of_the_app() {
    let (server, ann, _provider, partner, path) = with_addon().await;
    let mut receiver = Receiver::start(Does::Answer(200)).await;
    partner
        .post(
            format!("{path}/webhooks"),
            body(&receiver.url, &["api:app"]),
        )
        .await
        .created();
    let give_up = partner.post(format!("{path}/actions/deprovision"), json!({}));
    give_up.await.ok();
    ann.patch("/apps/harbour", json!({ "maintenance": true }))
        .await
        .ok();
    server.settle().await;
    assert_eq!(receiver.told(), [] as [&str; 0]);
}

/// A server whose add-ons of `acme` are sent the log of their app.
async fn draining() -> (Server, Client, Provider) {
    let (server, ann, provider) = world().await;
    let mut manifest = acme(&provider.url);
    manifest["requires"] = json!(["syslog_drain"]);
    server.register(&manifest).await;
    (server, ann, provider)
}

const LOGS: &str = "syslog+tls://logs.acme.example.com:6514";

fn made(url: &str) -> Value {
    json!({ "id": "acme-1", "config": {}, "log_drain_url": url })
}

#[tokio::test]
async fn an_add_on_that_asks_for_the_log_gets_a_drain_which_goes_with_it() {
    let (server, ann, provider) = draining().await;
    provider.next([answer(201, made(LOGS))]);
    let addon = json!({ "plan": "acme", "name": "mine" });
    let addon = ann.addon("harbour", addon).await;
    let token = provider.last().body["log_drain_token"].clone();
    let token = token.as_str().unwrap().to_owned();
    let shown = ann.get("/apps/harbour/log-drains").await.list();
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0]["url"], LOGS);
    assert_eq!(shown[0]["token"], token);
    assert_eq!(shown[0]["addon"]["name"], "mine");
    assert_eq!(shown[0]["addon"]["app"]["name"], "harbour");
    let path = format!("/addons/{}/log-drains", id(&addon));
    assert_eq!(ann.get(&path).await.list(), shown);
    let own = format!("/apps/harbour/log-drains/{token}");
    ann.delete(&own)
        .await
        .refused(403, "forbidden", "belongs to the add-on");
    let partner = partner(&server, &provider).await;
    assert_eq!(partner.get(&path).await.list(), shown);
    let elsewhere = json!({ "url": "https://logs.acme.example.com/in" });
    for which in [token.clone(), id(&shown[0])] {
        let one = format!("{path}/{which}");
        let moved = partner.request("PUT", &one).json(&elsewhere);
        let moved = moved.send().await.ok();
        assert_eq!(moved["url"], elsewhere["url"]);
        assert_eq!(moved["id"], shown[0]["id"]);
    }
    let by_owner = ann.request("PUT", &format!("{path}/{token}"));
    let by_owner = by_owner.json(&elsewhere).send().await;
    by_owner.refused(403, "forbidden", "Only the provider");
    let local = json!({ "url": "gopher://logs.example.com" });
    let refused = partner.request("PUT", &format!("{path}/{token}"));
    refused.json(&local).send().await.invalid("scheme");
    ann.delete(format!("{ADDONS}/mine")).await.ok();
    let left = ann.get("/apps/harbour/log-drains").await;
    assert_eq!(left.list(), [] as [Value; 0]);
}

#[tokio::test]
async fn a_provider_that_takes_its_time_says_later_where_the_log_goes() {
    let (server, ann, provider) = draining().await;
    provider.next([answer(202, json!({ "id": "acme-1" }))]);
    let addon = json!({ "plan": "acme", "name": "mine" });
    let addon = ann.addon("harbour", addon).await;
    let drains = "/apps/harbour/log-drains";
    assert_eq!(ann.get(drains).await.list(), [] as [Value; 0]);
    let token = provider.last().body["log_drain_token"].clone();
    let partner = partner(&server, &provider).await;
    let path = format!("/addons/{}", id(&addon));
    let put = async |token: &str| {
        let put = format!("{path}/log-drains/{token}");
        let put = partner.request("PUT", &put).json(&json!({ "url": LOGS }));
        put.send().await
    };
    put("d.another").await.missing("log drain");
    put(token.as_str().unwrap()).await.ok();
    assert_eq!(ann.get(drains).await.each("url"), [LOGS]);
    let give_up = partner.post(format!("{path}/actions/deprovision"), json!({}));
    give_up.await.ok();
    assert_eq!(ann.get(drains).await.list(), [] as [Value; 0]);
    put(token.as_str().unwrap()).await.invalid("deprovisioned");
}

#[tokio::test]
async fn a_log_goes_to_no_provider_that_did_not_ask_for_it_and_to_no_url_that_is_none() {
    let (server, ann, provider) = world().await;
    provider.next([answer(201, made(LOGS))]);
    ann.addon("harbour", json!({ "plan": "acme" })).await;
    assert_eq!(provider.last().body.get("log_drain_token"), None);
    let drains = ann.get("/apps/harbour/log-drains").await;
    assert_eq!(drains.list(), [] as [Value; 0]);
    let mut manifest = acme(&provider.url);
    manifest["requires"] = json!(["syslog_drain"]);
    server.register(&manifest).await;
    provider.next([answer(201, made("gopher://logs.example.com"))]);
    let body = json!({ "plan": "acme" });
    let refused = ann.post(ADDONS, body).await;
    refused.invalid("log_drain_url");
    server.settle().await;
    assert_eq!(provider.last().method, "DELETE");
}
