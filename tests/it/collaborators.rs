//! Collaborators: who is let in to an app, to do what, and how they leave again.

use serde_json::{Value, json};

use crate::harness::Server;

const COLLABORATORS: &str = "/apps/harbour/collaborators";

fn names(permissions: &Value) -> Vec<&str> {
    let list = permissions.as_array().unwrap();
    list.iter()
        .map(|permission| permission["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_owner_is_the_first_collaborator_and_cannot_be_removed() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let list = ann.get(COLLABORATORS).await.list();
    assert_eq!(list.len(), 1);
    assert_eq!(list[0]["role"], "owner");
    assert_eq!(
        names(&list[0]["permissions"]),
        ["view", "deploy", "operate", "manage"]
    );
    let gone = ann
        .delete(&format!("{COLLABORATORS}/ann@example.com"))
        .await;
    assert_eq!(gone.status, 403);
}

#[tokio::test]
async fn who_is_let_in_sees_the_app_and_does_what_was_permitted() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.app("harbour").await;
    assert_eq!(bob.get("/apps/harbour").await.status, 404);
    let body = json!({"user": "bob@example.com", "permissions": [{"name": "view"}]});
    let made = ann.post(COLLABORATORS, body.clone()).await.created();
    assert_eq!(names(&made["permissions"]), ["view"]);
    bob.get("/apps/harbour").await.ok();
    assert_eq!(bob.get("/apps").await.list().len(), 1);
    let refused = bob.get("/apps/harbour/config-vars").await;
    refused.refused(403, "forbidden", "permission to operate");
    ann.post(COLLABORATORS, body).await.invalid("already");
    let path = format!("{COLLABORATORS}/bob@example.com");
    ann.patch(&path, json!({"permissions": ["operate"]}))
        .await
        .ok();
    bob.patch("/apps/harbour/config-vars", json!({"A": "1"}))
        .await
        .ok();
    let renamed = bob.patch("/apps/harbour", json!({"name": "bobs"})).await;
    assert_eq!(renamed.status, 403);
    assert_eq!(bob.delete("/apps/harbour").await.status, 403);
    bob.delete(&path).await.ok();
    assert_eq!(bob.get("/apps/harbour").await.status, 404);
    assert_eq!(bob.get("/apps").await.list().len(), 0);
}

#[tokio::test]
async fn an_unknown_account_or_permission_is_refused() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    server.account("bob").await;
    let nobody = json!({"user": "nobody@example.com"});
    ann.post(COLLABORATORS, nobody).await.missing("account");
    let body = json!({"user": "bob@example.com", "permissions": ["own"]});
    ann.post(COLLABORATORS, body)
        .await
        .invalid("view, deploy, operate and manage");
    ann.post(COLLABORATORS, json!({})).await.invalid("user");
}

#[tokio::test]
async fn who_may_let_nobody_in_learns_of_no_account() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    server.account("cora").await;
    ann.app("harbour").await;
    let viewer = json!({"user": "bob@example.com", "permissions": ["view"]});
    ann.post(COLLABORATORS, viewer).await.created();
    let mut answers = Vec::new();
    for name in ["cora", "nobody"] {
        let body = json!({"user": format!("{name}@example.com")});
        let answer = bob.post(COLLABORATORS, body).await;
        answers.push((answer.status, answer.text()));
    }
    assert_eq!(answers[0].0, 403);
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn an_account_is_named_by_its_address_in_an_object_too() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    server.account("bob").await;
    let body = json!({"user": {"email": "bob@example.com"}});
    let made = ann.post(COLLABORATORS, body).await.created();
    assert_eq!(made["user"]["email"], "bob@example.com");
}
