//! The audit trail: who did what, and the archives of past months.

use std::io::Read;
use std::time::Duration;

use penstock::blob::Digest;
use serde_json::{Value, json};

use crate::harness::{Answer, Client, Server, id};

const EVENTS: &str = "/enterprise-accounts/penstock/events";
const ARCHIVES: &str = "/enterprise-accounts/penstock/archives";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What was done, in a few words each.
fn deeds(answer: &Answer) -> Vec<String> {
    let deed = |event: &Value| {
        let name = |of: &Value, key: &str| of[key].as_str().unwrap_or("-").to_owned();
        format!(
            "{} {} {} by {}",
            name(event, "action"),
            name(event, "type"),
            name(&event["app"], "name"),
            name(&event["actor"], "email").trim_end_matches("@example.com"),
        )
    };
    let events: Vec<Value> = serde_json::from_slice(&answer.body).unwrap();
    events.iter().map(deed).collect()
}

async fn asked(client: &Client, query: &str) -> Vec<String> {
    deeds(&client.get(format!("{EVENTS}?{query}")).await)
}

/// The archive of an earlier month of the audit trail.
pub async fn archived(server: &Server) -> Value {
    let month = 40 * DAY;
    server.go_back(month);
    let earl = server.admin("earl").await;
    earl.app("wreck").await;
    earl.delete("/apps/wreck").await.ok();
    server.pass(month);
    server.sweep().await;
    earl.get(ARCHIVES).await.list().remove(0)
}

#[tokio::test]
async fn what_is_done_is_told_with_who_did_it_to_what_and_from_where() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let ada = server.admin("ada").await;
    let app = ann.app("harbour").await;
    let vars = json!({"KEY": "a-secret-value"});
    ann.patch("/apps/harbour/config-vars", vars).await.ok();
    let collaborator = json!({"user": "bob@example.com"});
    ann.post("/apps/harbour/collaborators", collaborator)
        .await
        .created();
    let drain = json!({"url": "https://user:pass@logs.example.com/in"});
    ann.post("/apps/harbour/log-drains", drain).await.created();
    let encoded = "https%3A%2F%2Fuser%3Apass%40logs.example.com%2Fin";
    ann.delete(format!("/apps/harbour/log-drains/{encoded}"))
        .await
        .ok();
    bob.post("/apps/harbour/dynos/actions/restart-all", json!({}))
        .await;
    ann.patch("/apps/harbour", json!({"name": "haven"}))
        .await
        .ok();
    ann.post("/teams", json!({"name": "docks"})).await.created();
    let team_app = json!({"name": "quay", "team": "docks"});
    ann.post("/teams/apps", team_app).await.created();
    ann.delete("/apps/haven").await.ok();
    let all = ada.get(EVENTS).await;
    assert_eq!(
        deeds(&all),
        [
            "create app harbour by ann",
            "update config-var harbour by ann",
            "create collaborator harbour by ann",
            "create log-drain harbour by ann",
            "destroy log-drain harbour by ann",
            "update app harbour by ann",
            "create team - by ann",
            "create app quay by ann",
            "destroy app haven by ann",
        ]
    );
    let events = all.list();
    let first = &events[0];
    assert_eq!(first["app"]["id"], app["id"]);
    assert_eq!(first["owner"], app["owner"]);
    assert_eq!(first["request"], json!({"ip_address": "127.0.0.1"}));
    assert_eq!(first["data"]["operation"], "POST /apps");
    assert_eq!(first["enterprise_account"]["name"], "penstock");
    assert_eq!(events[7]["team"]["name"], "docks");
    assert_eq!(events[7]["owner"], Value::Null);
    assert_eq!(events[8]["data"]["parameters"], json!({"app": "haven"}));
    // It stays when its app has gone, and tells no secret.
    for secret in ["a-secret-value", "user:pass"] {
        assert!(!all.text().contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn it_is_asked_for_by_day_order_actor_action_and_type() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let ada = server.admin("ada").await;
    ann.app("harbour").await;
    server.pass(DAY);
    bob.app("marina").await;
    ann.app("quay").await;
    ann.patch("/apps/quay", json!({"maintenance": true}))
        .await
        .ok();
    let today = [
        "create app marina by bob",
        "create app quay by ann",
        "update app quay by ann",
    ];
    assert_eq!(asked(&ada, "").await, today);
    assert_eq!(asked(&ada, "day=2026-02-01").await, today);
    assert_eq!(
        asked(&ada, "day=2026-01-31").await,
        ["create app harbour by ann"]
    );
    assert!(asked(&ada, "day=2026-01-30").await.is_empty());
    let backwards: Vec<&str> = today.iter().rev().copied().collect();
    assert_eq!(asked(&ada, "order=desc").await, backwards);
    assert_eq!(asked(&ada, "actor=ann@example.com").await, today[1..]);
    let bob_id = bob.id.unwrap();
    assert_eq!(asked(&ada, &format!("actor={bob_id}")).await, today[..1]);
    let query = "order=asc&actor=ann@example.com&action=create&type=app";
    assert_eq!(asked(&ada, query).await, today[1..2]);
    ada.get(format!("{EVENTS}?day=yesterday"))
        .await
        .invalid("day=2026-01-31");
    ada.get(format!("{EVENTS}?order=up"))
        .await
        .invalid("asc or desc");
    let page = ada.range(EVENTS, "created_at ..; max=2").await;
    assert_eq!((page.status, deeds(&page).len()), (206, 2));
    let next = ada.range(EVENTS, page.header("next-range")).await;
    assert_eq!(deeds(&next), today[2..]);
}

#[tokio::test]
async fn what_fails_or_changes_nothing_leaves_no_trace() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let ada = server.admin("ada").await;
    ann.app("harbour").await;
    ann.post("/apps", json!({"name": "harbour"})).await;
    bob.delete("/apps/harbour").await.missing("app");
    ann.patch("/apps/harbour/config-vars", json!({})).await.ok();
    ann.get("/apps/harbour").await.ok();
    assert_eq!(asked(&ada, "").await, ["create app harbour by ann"]);
}

#[tokio::test]
async fn it_is_for_admins_alone_and_of_this_server_alone() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let ada = server.admin("ada").await;
    for path in [EVENTS, ARCHIVES] {
        let elsewhere = path.replace("penstock", "acme");
        ann.get(path).await.missing("enterprise_account");
        ann.get(&elsewhere).await.missing("enterprise_account");
        ada.get(&elsewhere).await.missing("enterprise_account");
        ada.get(path).await.ok();
    }
}

#[tokio::test]
async fn a_month_that_is_over_is_kept_in_an_archive_after_its_events_are_forgotten() {
    let server = Server::start().await;
    let ada = server.admin("ada").await;
    ada.app("harbour").await;
    ada.app("marina").await;
    let january = ada.get(EVENTS).await.list();
    server.pass(2 * DAY);
    ada.app("quay").await;
    server.sweep().await;
    let archives = ada.get(ARCHIVES).await.list();
    assert_eq!(archives.len(), 1);
    let archive = &archives[0];
    assert_eq!(
        (&archive["year"], &archive["month"]),
        (&json!(2026), &json!("01"))
    );
    let path = format!("{ARCHIVES}/2026/01");
    assert_eq!(ada.get(&path).await.ok()["checksum"], archive["checksum"]);
    for absent in ["2026/02", "2026/1", "2026/13", "x/y"] {
        ada.get(format!("{ARCHIVES}/{absent}"))
            .await
            .missing("archive");
    }
    // Long after, when its events have gone.
    server.pass(120 * DAY);
    server.sweep().await;
    let day = ada.get(format!("{EVENTS}?day=2026-01-31")).await;
    assert!(day.list().is_empty());
    assert_eq!(ada.get(ARCHIVES).await.list().len(), 2);
    let archive = ada.get(&path).await.ok();
    let file = ada.get(archive["url"].as_str().unwrap()).await;
    assert_eq!(file.status, 200);
    let bytes = file.body.as_ref();
    assert_eq!(archive["checksum"], Digest::of(bytes).checksum());
    assert_eq!(archive["size"], bytes.len());
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes)
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(serde_json::from_str::<Vec<Value>>(&text).unwrap(), january);
}

#[tokio::test]
async fn a_request_that_writes_twice_is_told_of_once() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let ada = server.admin("ada").await;
    ann.app("harbour").await;
    let build = server
        .deploy(&ann, "harbour", &crate::harness::web_app())
        .await;
    assert!(!id(&build).is_empty());
    let builds = asked(&ada, "type=build").await;
    assert_eq!(builds, ["create build harbour by ann"]);
}
