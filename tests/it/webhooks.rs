//! Webhooks: who is told of what, in which words, and that it is told for certain.

mod delivering;
pub mod receiver;
mod telling;

use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use self::receiver::{Does, Receiver};
use crate::harness::{Client, Server, id};

const WEBHOOKS: &str = "/apps/harbour/webhooks";

/// A server with Ann's app, and a receiver that is told of these.
async fn subscribed(include: &[&str], level: &str) -> (Server, Client, Receiver) {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let receiver = Receiver::start(Does::Answer(200)).await;
    subscribe(&ann, &receiver, include, level).await;
    (server, ann, receiver)
}

async fn subscribe(client: &Client, receiver: &Receiver, include: &[&str], level: &str) -> Value {
    let body = json!({"include": include, "level": level, "url": receiver.url});
    client.post(WEBHOOKS, body).await.created()
}

fn body() -> Value {
    json!({"include": ["api:release"], "level": "notify", "url": "http://127.0.0.1:9/hooks"})
}

fn signature(secret: &str, raw: &[u8]) -> String {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(raw);
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

#[tokio::test]
async fn a_webhook_is_made_shown_changed_and_removed() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let app = ann.app("harbour").await;
    let made = ann.post(WEBHOOKS, body()).await.created();
    assert_eq!(made["include"], json!(["api:release"]));
    assert_eq!(made["app"]["id"], app["id"]);
    let path = format!("{WEBHOOKS}/{}", id(&made));
    assert_eq!(ann.get(&path).await.ok(), made);
    assert_eq!(ann.get(WEBHOOKS).await.each("id"), [id(&made)]);
    let change = json!({"level": "sync", "include": ["api:app", "dyno", "api:app"]});
    let changed = ann.patch(&path, change).await.ok();
    assert_eq!(changed["level"], "sync");
    assert_eq!(changed["include"], json!(["api:app", "dyno"]));
    assert_eq!(changed["url"], made["url"]);
    ann.delete(&path).await.ok();
    ann.get(&path).await.missing("webhook");
}

#[tokio::test]
async fn what_cannot_be_a_webhook_is_refused() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let before = server.dump();
    for (name, value, words) in [
        ("include", json!([]), "include"),
        ("include", json!(["api:spaceship"]), "api:release"),
        ("include", Value::Null, "include"),
        ("level", json!("often"), "sync"),
        ("url", json!("ftp://example.com"), "https"),
        ("url", json!("hooks"), "https"),
        ("secret", json!(""), "secret"),
        ("secret", json!("x".repeat(5_000)), "secret"),
        ("authorization", json!("a\r\nHost: b"), "authorization"),
        ("more", json!(1), "more"),
    ] {
        let mut body = body();
        body[name] = value;
        ann.post(WEBHOOKS, body).await.invalid(words);
    }
    assert_eq!(server.dump(), before);
    for _ in 0..10 {
        ann.post(WEBHOOKS, body()).await.created();
    }
    ann.post(WEBHOOKS, body()).await.invalid("10 webhooks");
}

#[tokio::test]
async fn a_secret_is_said_once_where_nobody_gave_one() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let made = ann.post(WEBHOOKS, body()).await;
    let generated = made.header("heroku-webhook-secret").to_owned();
    assert_eq!(generated.len(), 64);
    let path = format!("{WEBHOOKS}/{}", id(&made.created()));
    let shown = ann.get(&path).await;
    assert_eq!(shown.header("heroku-webhook-secret"), "");
    let other = ann.patch(&path, json!({"secret": null})).await;
    let other = other.header("heroku-webhook-secret").to_owned();
    assert!(other.len() == 64 && other != generated);
    let mut given = body();
    given["secret"] = json!("a secret of mine");
    given["authorization"] = json!("Bearer of bad news");
    given["url"] = json!("http://me:password@127.0.0.1:9/hooks");
    let answer = ann.post(WEBHOOKS, given).await;
    answer.created();
    assert_eq!(answer.header("heroku-webhook-secret"), "");
    let dump = server.dump();
    for secret in [
        "a secret of mine",
        "of bad news",
        "password@",
        &generated,
        &other,
    ] {
        let words = hex::encode(secret);
        assert!(!dump.contains(secret) && !dump.contains(&words), "{secret}");
        let told = secret != "password@";
        assert!(!told || !answer.text().contains(secret));
    }
}

#[tokio::test]
async fn a_delivery_is_signed_and_authorized_as_the_webhook_says() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let mut receiver = Receiver::start(Does::Answer(204)).await;
    let mut body = body();
    body["url"] = json!(receiver.url);
    let made = ann.post(WEBHOOKS, body).await;
    let generated = made.header("heroku-webhook-secret").to_owned();
    let set = async |value: &str| {
        let vars = json!({ "A": value });
        ann.patch("/apps/harbour/config-vars", vars).await.ok();
        server.settle().await;
    };
    set("1").await;
    let first = receiver.next().await;
    let header = "heroku-webhook-hmac-sha256";
    assert_eq!(first.header(header), signature(&generated, &first.raw));
    assert_eq!(first.header("content-type"), "application/json");
    assert_eq!(first.header("authorization"), "");
    assert!(first.head.starts_with("POST /hooks?a=b HTTP/1.1"));
    let path = format!("{WEBHOOKS}/{}", id(&made.created()));
    let change = json!({"secret": "mine", "authorization": "Bearer 1"});
    ann.patch(&path, change).await.ok();
    set("2").await;
    let second = receiver.next().await;
    assert_eq!(second.header(header), signature("mine", &second.raw));
    assert_eq!(second.header("authorization"), "Bearer 1");
    ann.patch(&path, json!({"authorization": null})).await.ok();
    set("3").await;
    assert_eq!(receiver.next().await.header("authorization"), "");
}

#[tokio::test]
async fn an_authorization_is_not_shown_to_another_receiver() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let mut receiver = Receiver::start(Does::Answer(204)).await;
    let mut body = body();
    body["url"] = json!("https://example.com/hooks");
    body["authorization"] = json!("Bearer 1");
    let made = ann.post(WEBHOOKS, body).await.created();
    let path = format!("{WEBHOOKS}/{}", id(&made));
    let moved = json!({"url": receiver.url});
    ann.patch(&path, moved.clone()).await.ok();
    let vars = json!({ "A": "1" });
    ann.patch("/apps/harbour/config-vars", vars).await.ok();
    server.settle().await;
    assert_eq!(receiver.next().await.header("authorization"), "");
    let again = json!({"url": receiver.url, "authorization": "Bearer 2"});
    ann.patch(&path, again).await.ok();
    // The same URL once more takes nothing away.
    ann.patch(&path, moved).await.ok();
    let vars = json!({ "A": "2" });
    ann.patch("/apps/harbour/config-vars", vars).await.ok();
    server.settle().await;
    assert_eq!(receiver.next().await.header("authorization"), "Bearer 2");
}
