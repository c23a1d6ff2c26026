//! Clients, and how they come from a grant's code to tokens.

use std::time::Duration;

use serde_json::{Value, json};

use super::{authorize, text};
use crate::harness::{Answer, Client, Server, id};

async fn quay(client: &Client) -> Value {
    let body = json!({"name": "Quay", "redirect_uri": "https://quay.example.com/done"});
    client.post("/oauth/clients", body).await.created()
}

async fn exchange(server: &Server, code: &Value, secret: &Value) -> Answer {
    let grant = json!({"type": "authorization_code", "code": code});
    let body = json!({"grant": grant, "client": {"secret": secret}});
    server.nobody().post("/oauth/tokens", body).await
}

async fn refresh(server: &Server, token: &Value, secret: &Value) -> Answer {
    let grant = json!({"type": "refresh_token"});
    let body =
        json!({"grant": grant, "client": {"secret": secret}, "refresh_token": {"token": token}});
    server.nobody().post("/oauth/tokens", body).await
}

#[tokio::test]
async fn a_client_is_registered_changed_and_deleted_by_its_owner_alone() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let client = quay(&ann).await;
    let path = format!("/oauth/clients/{}", id(&client));
    assert_eq!(ann.get(&path).await.ok(), client);
    let seen = bob.get(&path).await.ok();
    // Not even as null: a client that asks what there is finds no secret.
    assert_eq!((&seen["name"], seen.get("secret")), (&json!("Quay"), None));
    // It is shown to whoever is asked to let it in, who may have no token yet.
    assert_eq!(server.nobody().get(&path).await.ok(), seen);
    // By its secret a token that may do little would come to a stronger one.
    let all = [
        "identity",
        "read",
        "write",
        "read-protected",
        "write-protected",
    ];
    let limited = ann.scoped(&all, None).await;
    assert_eq!(limited.get(&path).await.ok(), seen);
    let rotate = format!("{path}/actions/rotate-credentials");
    bob.patch(&path, json!({"name": "Mine"}))
        .await
        .missing("client");
    bob.post(&rotate, json!({})).await.missing("client");
    bob.delete(&path).await.missing("client");
    assert_eq!(bob.get("/oauth/clients").await.list().len(), 0);
    let renamed = ann.patch(&path, json!({"name": "Pier"})).await.ok();
    assert_eq!(renamed["name"], "Pier");
    assert_eq!(renamed["redirect_uri"], client["redirect_uri"]);
    let rotated = ann.post(&rotate, json!({})).await.ok();
    assert_ne!(rotated["secret"], client["secret"]);
    assert_eq!(ann.get("/oauth/clients").await.each("name"), ["Pier"]);
    ann.delete(&path).await.ok();
    ann.get(&path).await.missing("client");
}

#[tokio::test]
async fn what_cannot_be_a_client_is_refused() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let good = "https://quay.example.com/";
    for (name, uri, words) in [
        ("", good, "name"),
        ("Quay", "quay.example.com", "redirect_uri"),
        ("Quay", "http://quay.example.com/", "redirect_uri"),
        ("Quay", "javascript:alert(1)", "redirect_uri"),
        ("Quay", "https://quay.example.com/#here", "redirect_uri"),
    ] {
        let body = json!({"name": name, "redirect_uri": uri});
        ann.post("/oauth/clients", body).await.invalid(words);
    }
    let local = json!({"name": "Quay", "redirect_uri": "http://localhost:5000/done"});
    ann.post("/oauth/clients", local).await.created();
    let none = ann.post("/oauth/clients", json!({"name": "Quay"})).await;
    none.invalid("redirect_uri");
}

#[tokio::test]
async fn a_client_exchanges_its_code_once_and_then_refreshes() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let client = quay(&ann).await;
    // Bob lets Ann's client in to his account.
    let wanted = json!({"client": id(&client), "scope": ["identity"]});
    let granted = authorize(&bob, wanted).await;
    assert_eq!(granted["access_token"], Value::Null);
    assert_eq!(granted["client"]["name"], "Quay");
    let (code, secret) = (&granted["grant"]["code"], &client["secret"]);
    let got = exchange(&server, code, secret).await.created();
    assert_eq!(got["access_token"]["expires_in"], 28_800);
    assert_eq!(got["refresh_token"]["expires_in"], Value::Null);
    let spent = json!({"code": code, "type": "authorization_code"});
    assert_eq!(got["grant"], spent);
    assert_eq!(got["user"]["id"], json!(bob.id));
    let quay = bob.with_token(text(&got["access_token"]["token"]));
    assert_eq!(quay.get("/account").await.ok()["id"], json!(bob.id));
    assert_eq!(quay.get("/apps").await.status, 403);
    let again = exchange(&server, code, secret).await;
    again.refused(401, "unauthorized", "unknown, used or expired");
    server.pass(Duration::from_secs(28_800));
    assert_eq!(quay.get("/account").await.status, 401);
    let token = &got["refresh_token"]["token"];
    for _ in 0..2 {
        let fresh = refresh(&server, token, secret).await.created();
        assert_eq!(&fresh["refresh_token"]["token"], token);
        let fresh = text(&fresh["access_token"]["token"]).to_owned();
        quay.with_token(&fresh).get("/account").await.ok();
    }
    let listed = bob.get("/oauth/authorizations").await.list();
    assert_eq!(listed.len(), 2);
    bob.delete(format!("/oauth/authorizations/{}", id(&granted)))
        .await
        .ok();
    assert_eq!(refresh(&server, token, secret).await.status, 401);
}

#[tokio::test]
async fn a_code_is_good_for_its_client_and_for_five_minutes() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let (client, other) = (quay(&ann).await, quay(&ann).await);
    let granted = authorize(&ann, json!({"client": {"id": id(&client)}})).await;
    let code = &granted["grant"]["code"];
    let before = server.dump();
    let stolen = exchange(&server, code, &other["secret"]).await;
    let unknown = exchange(&server, &json!("no-such-code"), &client["secret"]).await;
    assert_eq!((stolen.status, &stolen.body), (401, &unknown.body));
    assert_eq!(server.dump(), before);
    server.pass(Duration::from_secs(300));
    let late = exchange(&server, code, &client["secret"]).await;
    assert_eq!(late.body, unknown.body);
    let path = format!("/oauth/authorizations/{}", id(&granted));
    assert_eq!(ann.get(path).await.ok()["grant"], Value::Null);
}

#[tokio::test]
async fn an_exchange_that_lacks_something_says_what() {
    let server = Server::start().await;
    let nobody = server.nobody();
    for (body, words) in [
        (json!({}), "type of the grant"),
        (json!({"grant": {"type": "password"}}), "type of the grant"),
        (json!({"grant": {"type": "authorization_code"}}), "code"),
        (json!({"grant": {"type": "refresh_token"}}), "refresh_token"),
        (
            json!({"grant": {"type": "authorization_code", "code": "x"}}),
            "client secret",
        ),
    ] {
        nobody.post("/oauth/tokens", body).await.invalid(words);
    }
}

#[tokio::test]
async fn oauth_2_itself_is_spoken_by_a_form() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let client = quay(&ann).await;
    let granted = authorize(&ann, json!({"client": id(&client)})).await;
    let form = async |fields: String| {
        let request = server.nobody().request("POST", "/oauth/token");
        let form = "application/x-www-form-urlencoded";
        request
            .header("content-type", form)
            .body(fields)
            .send()
            .await
    };
    let secret = text(&client["secret"]);
    let code = text(&granted["grant"]["code"]);
    let fields = format!("grant_type=authorization_code&code={code}&client_secret={secret}");
    let got = form(fields.clone()).await.ok();
    assert_eq!(got["token_type"], "Bearer");
    assert_eq!(got["expires_in"], 28_800);
    assert_eq!(form(fields).await.status, 401);
    let token = text(&got["refresh_token"]);
    let fields = format!("grant_type=refresh_token&refresh_token={token}&client_secret={secret}");
    let fresh = form(fields).await.ok();
    let fresh = ann.with_token(text(&fresh["access_token"]));
    assert_eq!(fresh.get("/account").await.ok()["id"], got["user_id"]);
}

#[tokio::test]
async fn a_deleted_client_and_one_with_another_secret_get_nothing_more() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let client = quay(&ann).await;
    let path = format!("/oauth/clients/{}", id(&client));
    let granted = authorize(&ann, json!({"client": id(&client)})).await;
    let code = &granted["grant"]["code"];
    let got = exchange(&server, code, &client["secret"]).await.created();
    let token = &got["refresh_token"]["token"];
    let rotate = format!("{path}/actions/rotate-credentials");
    let rotated = ann.post(rotate, json!({})).await.ok();
    let old = refresh(&server, token, &client["secret"]).await;
    assert_eq!(old.status, 401);
    let fresh = refresh(&server, token, &rotated["secret"]).await.created();
    let quay = ann.with_token(text(&fresh["access_token"]["token"]));
    quay.get("/apps").await.ok();
    ann.delete(path).await.ok();
    assert_eq!(quay.get("/apps").await.status, 401);
}

#[tokio::test]
async fn an_authorization_is_handed_to_a_client_that_shows_its_secret() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let client = quay(&ann).await;
    let made = authorize(&ann, json!({})).await;
    let path = format!("/oauth/authorizations/{}", id(&made));
    let wrong = json!({"client": {"id": id(&client), "secret": "guessed"}});
    ann.patch(&path, wrong).await.missing("client");
    let right = json!({"client": {"id": id(&client), "secret": client["secret"]}});
    let handed = ann.patch(&path, right).await.ok();
    assert_eq!(handed["client"]["id"], client["id"]);
}
