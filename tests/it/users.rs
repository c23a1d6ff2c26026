//! Accounts as their owners and the server's admins manage them.

use serde_json::{Value, json};

use crate::harness::{Server, id};

#[tokio::test]
async fn an_account_is_changed_by_its_owner() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let body = json!({"name": "Ann Reed", "beta": true, "allow_tracking": true});
    let changed = ann.patch("/account", body).await.ok();
    assert_eq!(changed["name"], "Ann Reed");
    assert_eq!(
        (&changed["beta"], &changed["allow_tracking"]),
        (&json!(true), &json!(true))
    );
    for path in [
        "/account",
        "/users/~",
        "/users/ann@example.com",
        &format!("/users/{}", id(&changed)),
    ] {
        assert_eq!(ann.get(path).await.ok(), changed, "{path}");
    }
    let kept = ann.patch("/users/~", json!({"beta": false})).await.ok();
    assert_eq!(kept["name"], "Ann Reed");
    let cleared = ann.patch("/account", json!({"name": null})).await.ok();
    assert_eq!(cleared["name"], Value::Null);
    let long = json!({"name": "x".repeat(201)});
    ann.patch("/account", long).await.invalid("name");
}

#[tokio::test]
async fn the_accounts_of_others_are_there_for_admins_alone() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let ada = server.admin("ada").await;
    ann.app("harbour").await;
    let path = "/users/ann@example.com";
    let before = server.dump();
    for path in [path, "/users/eve@example.com"] {
        bob.get(path).await.missing("account");
        bob.patch(path, json!({"name": "Mine"}))
            .await
            .missing("account");
        bob.delete(path).await.missing("account");
        bob.get(format!("{path}/apps")).await.missing("account");
        bob.get(format!("{path}/preferences"))
            .await
            .missing("account");
    }
    let refused = bob.get("/users").await;
    refused.refused(403, "forbidden", "admin");
    let own = bob.patch("/account", json!({"admin": true})).await;
    own.refused(403, "forbidden", "admin");
    let made = bob
        .post("/users", json!({"email": "eve@example.com"}))
        .await;
    made.refused(403, "forbidden", "admin");
    assert_eq!(server.dump(), before);
    assert_eq!(ada.get(path).await.ok()["id"], json!(ann.id));
    let apps = ada.get(format!("{path}/apps")).await;
    assert_eq!(apps.each("name"), ["harbour"]);
    let all = ada.get("/users").await.each("email");
    assert_eq!(
        all,
        ["ann@example.com", "bob@example.com", "ada@example.com"]
    );
}

#[tokio::test]
async fn an_admin_makes_accounts_and_other_admins() {
    let server = Server::start().await;
    let ada = server.admin("ada").await;
    let body = json!({"email": "Eve@example.com", "name": "Eve"});
    let made = ada.post("/users", body.clone()).await.created();
    let eve = ada.with_token(made["access_token"]["token"].as_str().unwrap());
    let seen = eve.get("/account").await.ok();
    assert_eq!(
        (&seen["email"], &seen["name"]),
        (&json!("eve@example.com"), &json!("Eve"))
    );
    assert_eq!(eve.get("/users").await.status, 403);
    let key = eve.get("/oauth/authorizations/~").await.ok();
    assert_eq!(key["description"], "made by ada@example.com");
    ada.post("/users", body).await.invalid("already");
    ada.post("/users", json!({"email": "eve"}))
        .await
        .invalid("e-mail");
    ada.post("/users", json!({})).await.invalid("email");
    let path = format!("/users/{}", id(&seen));
    ada.patch(&path, json!({"admin": true})).await.ok();
    eve.get("/users").await.ok();
    ada.patch("/account", json!({"admin": false})).await.ok();
    assert_eq!(ada.get("/users").await.status, 403);
    let last = eve.patch("/account", json!({"admin": false})).await;
    last.refused(409, "conflict", "only admin");
    eve.delete("/account")
        .await
        .refused(409, "conflict", "only admin");
}

#[tokio::test]
async fn an_account_that_owns_something_is_not_deleted() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let before = server.dump();
    let refused = ann.delete("/account").await;
    refused.refused(409, "conflict", "harbour");
    assert_eq!(server.dump(), before);
    ann.delete("/apps/harbour").await.ok();
    let pipeline = ann.pipeline("water").await;
    let refused = ann.delete("/account").await;
    refused.refused(409, "conflict", "water");
    ann.delete(format!("/pipelines/{}", id(&pipeline)))
        .await
        .ok();
    assert_eq!(ann.delete("/account").await.ok()["id"], json!(ann.id));
    assert_eq!(ann.get("/account").await.status, 401);
}

#[tokio::test]
async fn what_a_deleted_account_did_stays_with_the_apps_of_others() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.app("harbour").await;
    let body = json!({"user": "bob@example.com"});
    ann.post("/apps/harbour/collaborators", body)
        .await
        .created();
    let vars = json!({"A": "1"});
    bob.patch("/apps/harbour/config-vars", vars).await.ok();
    let release = ann.newest_release("harbour").await;
    assert_eq!(release["user"]["email"], "bob@example.com");
    let laptop = bob.scoped(&["global"], None).await;
    bob.delete("/account").await.ok();
    assert_eq!(laptop.get("/account").await.status, 401);
    let after = ann.newest_release("harbour").await;
    assert_eq!(after["id"], release["id"]);
    assert_eq!(after["user"]["email"], "deleted@account.invalid");
    let let_in = ann.get("/apps/harbour/collaborators").await;
    assert_eq!(let_in.list().len(), 1);
    assert!(!server.dump_without_trail().contains("bob@example.com"));
    let ada = server.admin("ada").await;
    let all = ada.get("/users").await.each("email");
    assert_eq!(all, ["ann@example.com", "ada@example.com"]);
    // The address is free again, and opens nothing of what was.
    let again = server.account("bob").await;
    assert_eq!(again.get("/apps").await.list().len(), 0);
}

#[tokio::test]
async fn preferences_are_kept_until_they_are_changed() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let path = "/users/~/preferences";
    let none = ann.get(path).await.ok();
    assert_eq!(none["timezone"], Value::Null);
    let body = json!({"timezone": "Europe/Vienna", "dismissed-sms-banner": true, "colour": "blue"});
    let set = ann.patch(path, body).await.ok();
    assert_eq!(set["timezone"], "Europe/Vienna");
    assert_eq!(set.get("colour"), None);
    let body = json!({"timezone": null});
    let changed = ann.patch(path, body).await.ok();
    assert_eq!(changed["timezone"], Value::Null);
    assert_eq!(changed["dismissed-sms-banner"], true);
    assert_eq!(ann.get(path).await.ok(), changed);
    let wrong = json!({"dismissed-sms-banner": "yes"});
    ann.patch(path, wrong).await.invalid("dismissed-sms-banner");
    assert_eq!(ann.get(path).await.ok(), changed);
}

#[tokio::test]
async fn nothing_is_given_to_the_account_that_stands_for_deleted_ones() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let ada = server.admin("ada").await;
    let address = "Deleted@account.invalid";
    let refused = ada.post("/users", json!({"email": address})).await;
    refused.invalid("e-mail");
    ann.app("harbour").await;
    let body = json!({"user": "bob@example.com"});
    ann.post("/apps/harbour/collaborators", body)
        .await
        .created();
    let vars = json!({"A": "1"});
    bob.patch("/apps/harbour/config-vars", vars).await.ok();
    bob.delete("/account").await.ok();
    let by = ann.newest_release("harbour").await["user"].clone();
    for name in [json!(address), by["email"].clone(), by["id"].clone()] {
        let body = json!({"user": name});
        let refused = ann.post("/apps/harbour/collaborators", body).await;
        refused.missing("account");
        let body = json!({"app": "harbour", "recipient": name});
        let refused = ann.post("/account/app-transfers", body).await;
        refused.missing("account");
        let path = format!("/users/{}", name.as_str().unwrap());
        ada.patch(&path, json!({"admin": true}))
            .await
            .missing("account");
        ada.delete(path).await.missing("account");
    }
}
