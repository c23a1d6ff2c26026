//! Authorizations, their tokens, what their scopes open, and when they end.

mod clients;
mod consent;
mod scopes;

use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};

use crate::harness::{Client, Server, id};

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

async fn authorize(client: &Client, body: Value) -> Value {
    client.post("/oauth/authorizations", body).await.created()
}

#[tokio::test]
async fn a_token_is_shown_once_and_opens_the_account_until_its_authorization_is_deleted() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let made = authorize(
        &ann,
        json!({"description": "a laptop", "scope": ["global"]}),
    )
    .await;
    let token = text(&made["access_token"]["token"]);
    assert!(token.starts_with("HRKU-") && token.len() == 41, "{token}");
    assert_eq!(made["access_token"]["expires_in"], Value::Null);
    assert_eq!(made["user"]["email"], "ann@example.com");
    let laptop = ann.with_token(token);
    assert_eq!(laptop.get("/account").await.ok()["id"], json!(ann.id));
    let path = format!("/oauth/authorizations/{}", id(&made));
    let later = ann.get(&path).await.ok();
    let hint = format!("{}**********{}", &token[..9], &token[37..]);
    assert_eq!(later["access_token"]["token"], hint);
    assert_eq!(later["description"], "a laptop");
    assert_eq!(ann.delete(&path).await.ok()["id"], made["id"]);
    assert_eq!(laptop.get("/account").await.status, 401);
    ann.get(&path).await.missing("authorization");
}

#[tokio::test]
async fn no_secret_that_was_given_out_is_in_the_database() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let client = json!({"name": "Quay", "redirect_uri": "https://quay.example.com/"});
    let client = ann.post("/oauth/clients", client).await.created();
    let direct = authorize(&ann, json!({"scope": ["read"]})).await;
    let granted = authorize(&ann, json!({"client": id(&client)})).await;
    let dump = server.dump();
    assert!(dump.contains("Quay"));
    for secret in [
        &client["secret"],
        &direct["access_token"]["token"],
        &granted["grant"]["code"],
    ] {
        assert!(!dump.contains(text(secret)), "{secret}");
        assert!(!dump.contains(&hex::encode(text(secret))), "{secret}");
    }
}

#[tokio::test]
async fn an_authorization_tells_how_long_its_token_still_lives_and_then_opens_nothing() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    // Heroku's CLI sends a number when it logs in, and text for authorizations:create.
    for expires_in in [json!(3600), json!("3600")] {
        let made = authorize(&ann, json!({"expires_in": expires_in})).await;
        assert_eq!(made["access_token"]["expires_in"], 3600);
        let passing = ann.with_token(text(&made["access_token"]["token"]));
        server.pass(Duration::from_secs(3599));
        passing.get("/account").await.ok();
        let path = format!("/oauth/authorizations/{}", id(&made));
        assert_eq!(ann.get(&path).await.ok()["access_token"]["expires_in"], 1);
        server.pass(Duration::from_secs(1));
        let refused = passing.get("/account").await;
        refused.refused(401, "unauthorized", "Invalid credentials");
        let unknown = ann.with_token("HRKU-none").get("/account").await;
        assert_eq!(refused.body, unknown.body);
    }
}

#[tokio::test]
async fn an_authorization_can_be_described_anew_and_its_tokens_renewed() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let made = authorize(
        &ann,
        json!({"scope": ["read", "identity"], "expires_in": 60}),
    )
    .await;
    let path = format!("/oauth/authorizations/{}", id(&made));
    server.pass(Duration::from_secs(30));
    let body = json!({"description": "the build machine"});
    let described = ann.patch(&path, body).await.ok();
    assert_eq!(described["description"], "the build machine");
    assert_ne!(described["updated_at"], made["updated_at"]);
    assert_eq!(described["scope"], json!(["identity", "read"]));
    let renewed = format!("{path}/actions/regenerate-tokens");
    let renewed = ann.post(renewed, json!({})).await.ok();
    assert_eq!(renewed["id"], made["id"]);
    assert_eq!(renewed["access_token"]["expires_in"], 60);
    let (old, new) = (
        &made["access_token"]["token"],
        &renewed["access_token"]["token"],
    );
    assert_eq!(ann.with_token(text(old)).get("/apps").await.status, 401);
    ann.with_token(text(new)).get("/apps").await.ok();
}

#[tokio::test]
async fn what_cannot_be_an_authorization_is_refused_and_leaves_none() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let before = server.dump();
    for (body, words) in [
        (json!({"scope": ["everything"]}), "The scopes are"),
        (json!({"scope": []}), "The scopes are"),
        (json!({"scope": "global"}), "scope"),
        (json!({"expires_in": 0}), "expires_in"),
        (json!({"expires_in": -5}), "expires_in"),
        (json!({"expires_in": "soon"}), "expires_in"),
        (json!({"expires_in": 3_153_600_001_u64}), "expires_in"),
        (json!({"client": "quay"}), "client"),
        (json!({"description": "x".repeat(501)}), "description"),
    ] {
        let refused = ann.post("/oauth/authorizations", body).await;
        refused.invalid(words);
    }
    let client = json!({"client": penstock::name::Id::new().to_string()});
    let absent = ann.post("/oauth/authorizations", client).await;
    absent.missing("client");
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn the_api_key_is_the_token_that_the_operator_made_first() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let second = server.account("ann").await;
    let made = authorize(&ann, json!({"description": "a laptop"})).await;
    let key = ann.get("/oauth/authorizations/~").await.ok();
    let shown = text(&key["access_token"]["token"]);
    assert!(ann.token.ends_with(shown.rsplit('*').next().unwrap()));
    assert_ne!(key["id"], made["id"]);
    let listed = second.get("/oauth/authorizations").await;
    assert_eq!(listed.list().len(), 3);
    let path = format!("/oauth/authorizations/{}", id(&key));
    second.delete(path).await.ok();
    let none = second.get("/oauth/authorizations/~").await;
    none.missing("authorization");
}

#[tokio::test]
async fn the_authorizations_of_others_are_not_there() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let made = authorize(&ann, json!({})).await;
    let path = format!("/oauth/authorizations/{}", id(&made));
    let before = server.dump();
    bob.get(&path).await.missing("authorization");
    bob.patch(&path, json!({"description": "mine"}))
        .await
        .missing("authorization");
    bob.delete(&path).await.missing("authorization");
    let renew = format!("{path}/actions/regenerate-tokens");
    bob.post(renew, json!({})).await.missing("authorization");
    let token = format!("/oauth/tokens/{}", id(&made["access_token"]));
    bob.delete(token).await.missing("token");
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn one_token_can_be_revoked_and_there_are_no_sessions_of_browsers() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let made = authorize(&ann, json!({})).await;
    let laptop = ann.with_token(text(&made["access_token"]["token"]));
    let path = format!("/oauth/tokens/{}", id(&made["access_token"]));
    let revoked = ann.delete(&path).await.ok();
    assert_eq!(revoked["authorization"]["id"], made["id"]);
    assert_eq!(laptop.get("/account").await.status, 401);
    ann.delete(&path).await.missing("token");
    assert_eq!(ann.get("/oauth/sessions").await.ok(), json!([]));
    let none = ann.delete("/oauth/sessions/~").await;
    none.refused(404, "not_found", "authorizations:revoke");
    none.missing("session");
}

#[tokio::test]
async fn what_has_expired_is_swept_away_and_nothing_else() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let passing = authorize(&ann, json!({"expires_in": 60})).await;
    let lasting = authorize(&ann, json!({"expires_in": 61})).await;
    server.pass(Duration::from_secs(60));
    let listed = ann.get("/oauth/authorizations").await.each("id");
    assert!(listed.contains(&id(&passing)));
    server.sweep().await;
    let listed = ann.get("/oauth/authorizations").await.each("id");
    assert!(!listed.contains(&id(&passing)));
    assert!(listed.contains(&id(&lasting)));
    assert_eq!(listed.len(), 2);
}

/// As `heroku login -i` does, where the token is asked for as the password.
#[tokio::test]
async fn a_login_with_a_token_for_a_password_makes_an_authorization_that_logs_out_alone() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let credentials = format!("ann@example.com:{}", ann.token);
    let basic = base64::engine::general_purpose::STANDARD.encode(credentials);
    let body =
        json!({"description": "Heroku CLI login", "expires_in": 2_592_000, "scope": ["global"]});
    let request = server.nobody().request("POST", "/oauth/authorizations");
    let request = request.header("authorization", &format!("Basic {basic}"));
    let made = request.json(&body).send().await.created();
    assert_eq!(made["user"]["email"], "ann@example.com");
    assert_eq!(made["access_token"]["expires_in"], 2_592_000);
    let cli = ann.with_token(text(&made["access_token"]["token"]));
    let path = format!("/oauth/authorizations/{}", id(&made));
    cli.delete(path).await.ok();
    assert_eq!(cli.get("/account").await.status, 401);
    ann.get("/account").await.ok();
}
