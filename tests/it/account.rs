//! The caller's own account, and how it is proved.

use base64::Engine;
use serde_json::json;

use crate::harness::{Answer, Client, Server};

async fn with(client: &Client, authorization: &str) -> Answer {
    let request = client.with_token("").request("GET", "/account");
    request.header("authorization", authorization).send().await
}

fn basic(credentials: &str) -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(credentials);
    format!("Basic {encoded}")
}

#[tokio::test]
async fn an_account_sees_itself_under_both_of_its_paths() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let shown = ann.get("/account").await.ok();
    assert_eq!(shown["email"], "ann@example.com");
    assert_eq!(shown["id"], json!(ann.id));
    assert_eq!(shown["created_at"], crate::harness::T0);
    assert_eq!(ann.get("/users/~").await.ok(), shown);
    assert_eq!(bob.get("/account").await.ok()["email"], "bob@example.com");
}

#[tokio::test]
async fn a_token_is_taken_as_bearer_and_as_the_password_of_basic() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let token = &ann.token;
    for good in [
        format!("Bearer {token}"),
        format!("bearer  {token}"),
        basic(&format!(":{token}")),
        basic(&format!("ann@example.com:{token}")),
        basic(&format!("whoever:{token}")).replace("Basic", "BASIC"),
    ] {
        let shown = with(&ann, &good).await.ok();
        assert_eq!(shown["email"], "ann@example.com", "{good}");
    }
}

#[tokio::test]
async fn whatever_is_no_token_is_refused_in_the_same_words() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let token = &ann.token;
    let none = server.nobody().get("/account").await;
    none.refused(401, "unauthorized", "Invalid credentials");
    assert_eq!(none.header("www-authenticate"), "Bearer");
    for bad in [
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        token.clone(),
        format!("Digest {token}"),
        format!("Bearer {token}x"),
        format!("Bearer {}", token.to_uppercase()),
        format!("Bearer {}", "x".repeat(5_000)),
        basic(token),
        basic(&format!("{token}:")),
        "Basic %%%".to_owned(),
        format!("Basic {}", "/w==:"),
    ] {
        let refused = with(&ann, &bad).await;
        assert_eq!(refused.status, 401, "{bad}");
        assert_eq!(refused.body, none.body, "{bad}");
    }
    // The official CLI says so where it believes that it asks GitHub.
    assert_eq!(with(&ann, &format!("token {token}")).await.status, 200);
    let twice = ann.request("GET", "/account");
    let twice = twice.header("authorization", &format!("Bearer {token}"));
    assert_eq!(twice.send().await.status, 401);
}

#[tokio::test]
async fn a_stranger_to_the_server_does_not_learn_which_paths_there_are() {
    let server = Server::start().await;
    let nobody = server.nobody();
    let known = nobody.get("/apps").await;
    for path in ["/nowhere", "/apps/harbour", "/apps/harbour/nowhere"] {
        let answer = nobody.get(path).await;
        assert_eq!((answer.status, &answer.body), (401, &known.body), "{path}");
    }
    assert_eq!(nobody.delete("/apps").await.status, 401);
}

#[tokio::test]
async fn every_token_of_an_account_opens_it() {
    let server = Server::start().await;
    let (one, other) = (server.account("ann").await, server.account("ann").await);
    assert_ne!(one.token, other.token);
    one.app("harbour").await;
    assert_eq!(other.get("/apps").await.each("name"), ["harbour"]);
}

#[tokio::test]
async fn no_token_is_in_the_database() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.get("/account").await.ok();
    let dump = server.dump();
    assert!(dump.contains("ann@example.com"));
    assert!(!dump.contains(&ann.token));
}
