//! How a customer comes to the pages of a provider: a link, a page that sends a form, and what the form proves.

use std::time::Duration;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::{Value, json};

use super::{ADDONS, acme, world};
use crate::harness::id;

/// As the provider computes it from the salt of its manifest.
fn token(addon: &str, timestamp: &str) -> String {
    let proof = format!("{addon}:battery-staple:{timestamp}");
    hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, proof.as_bytes()))
}

#[tokio::test]
async fn the_form_proves_to_the_provider_who_comes() {
    let (server, ann, provider) = world().await;
    let addon = json!({"plan": "acme", "name": "mine"});
    let addon = ann.addon("harbour", addon).await;
    let now = server.clock.now().seconds().to_string();
    for path in [
        format!("/addons/{}/sso", id(&addon)),
        format!("{ADDONS}/mine/sso"),
    ] {
        let form = ann.get(&path).await.ok();
        assert_eq!(form["method"], "post");
        assert_eq!(form["action"], format!("{}/sso/login", provider.url));
        let params = &form["params"];
        assert_eq!(params["id"], addon["id"]);
        assert_eq!(params["resource_id"], addon["id"]);
        assert_eq!(params["app"], "harbour");
        assert_eq!(params["email"], "ann@example.com");
        assert_eq!(params["timestamp"], now);
        for name in ["token", "resource_token"] {
            assert_eq!(params[name], token(&id(&addon), &now), "{name}");
        }
    }
    let viewer = server.account("vera").await;
    let body = json!({"user": "vera@example.com", "permissions": ["view"]});
    let collaborators = "/apps/harbour/collaborators";
    ann.post(collaborators, body).await.created();
    let refused = viewer.get(format!("{ADDONS}/mine/sso")).await;
    refused.refused(403, "forbidden", "operate");
}

#[tokio::test]
async fn the_link_opens_a_page_that_sends_the_form_and_nothing_else() {
    let (server, ann, provider) = world().await;
    let mut manifest = acme(&provider.url);
    manifest["sso_url"] = json!("https://acme.example.com/in/%22%3E%3Cscript%3E");
    server.register(&manifest).await;
    let addon = ann.addon("harbour", json!({"plan": "acme"})).await;
    let link = addon["web_url"].as_str().unwrap();
    let page = server.nobody().get(link).await;
    assert_eq!(page.status, 200);
    let html = page.text();
    let action = "action=\"https://acme.example.com/in/%22%3E%3Cscript%3E\"";
    assert!(html.contains(action), "{html}");
    let now = server.clock.now().seconds().to_string();
    assert!(html.contains(&token(&id(&addon), &now)), "{html}");
    assert_eq!(html.matches("<script>").count(), 1, "{html}");
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'sha256-"),
        "{policy}"
    );
    // What proves who comes is as old as the visit, and not as the link.
    server.pass(Duration::from_secs(60));
    let later = server.clock.now().seconds().to_string();
    let html = server.nobody().get(link).await.text();
    assert!(html.contains(&token(&id(&addon), &later)), "{html}");
}

#[tokio::test]
async fn a_link_is_for_one_account_some_hours_and_as_long_as_it_may_come() {
    let (server, ann, _provider) = world().await;
    let bob = server.account("bob").await;
    let body = json!({"user": "bob@example.com", "permissions": ["operate"]});
    let collaborators = "/apps/harbour/collaborators";
    ann.post(collaborators, body).await.created();
    ann.addon("harbour", json!({"plan": "acme", "name": "mine"}))
        .await;
    let link = bob.get(format!("{ADDONS}/mine")).await.ok();
    let link = link["web_url"].as_str().unwrap();
    let nobody = server.nobody();
    assert!(nobody.get(link).await.text().contains("bob@example.com"));
    let others = link.replace(&bob.id.unwrap().to_string(), &ann.id.unwrap().to_string());
    nobody
        .get(others)
        .await
        .refused(403, "forbidden", "altered");
    ann.delete(format!("{collaborators}/bob@example.com"))
        .await
        .ok();
    assert_eq!(nobody.get(link).await.status, 404);
    let hers = ann.get(format!("{ADDONS}/mine")).await.ok();
    let hers = hers["web_url"].as_str().unwrap();
    server.pass(Duration::from_secs(2 * 60 * 60));
    nobody.get(hers).await.refused(403, "forbidden", "expired");
    let reader = ann.scoped(&["read"], None).await;
    let seen = reader.get(format!("{ADDONS}/mine")).await.ok();
    assert_eq!(seen["web_url"], Value::Null);
}

#[tokio::test]
async fn a_provider_without_a_salt_has_no_pages() {
    let (server, ann, provider) = world().await;
    let mut manifest = acme(&provider.url);
    manifest.as_object_mut().unwrap().remove("sso_salt");
    server.register(&manifest).await;
    let addon = json!({"plan": "acme", "name": "mine"});
    let addon = ann.addon("harbour", addon).await;
    assert_eq!(addon["web_url"], Value::Null);
    let form = ann.get(format!("{ADDONS}/mine/sso")).await;
    form.invalid("no single sign-on");
}
