//! App setups whose `app.json` asks for add-ons.

use serde_json::{Value, json};

use super::{ask, assert_failed, shown};
use crate::addons::acme;
use crate::addons::provider::{Provider, answer};
use crate::harness::{Client, Server, gz, id};

/// A server where the provider of `acme` is registered, and Ann.
async fn world() -> (Server, Client, Provider) {
    let (server, provider) = (Server::start().await, Provider::start());
    server.register(&acme(&provider.url)).await;
    let ann = server.account("ann").await;
    (server, ann, provider)
}

#[tokio::test]
async fn an_app_gets_the_add_ons_that_its_manifest_asks_for_before_it_is_built() {
    let (server, ann, provider) = world().await;
    let manifest = json!({
        "env": {"PLAIN": "1"},
        "addons": ["acme:pro", {"plan": "acme", "as": "cache", "options": {"version": "9"}}],
        "formation": {"worker": {"quantity": 1}},
    });
    let asked = ask(&ann, &manifest.to_string(), json!({})).await;
    server.settle().await;
    let done = shown(&ann, &asked).await;
    assert_eq!(done["status"], "succeeded", "{done}");
    let heard = provider.heard();
    assert_eq!(heard, ["POST /heroku/resources", "POST /heroku/resources"]);
    let attachments = ann.get("/apps/harbour/addon-attachments").await;
    assert_eq!(attachments.each("name"), ["ACME", "CACHE"]);
    let addons = ann.get("/apps/harbour/addons").await.list();
    let plans: Vec<&Value> = addons.iter().map(|addon| &addon["plan"]["name"]).collect();
    assert_eq!(plans, ["acme:pro", "acme:basic"]);
    let vars = ann.get("/apps/harbour/config-vars").await.ok();
    assert_eq!(vars["ACME_URL"], "acme://pro.test/1");
    assert_eq!(vars["CACHE_URL"], "acme://basic.test/1");
    let newest = ann.newest_release("harbour").await;
    assert_eq!(newest["description"], "Deploy 385e5950");
    assert_eq!(server.dynos.of("harbour").len(), 2);
}

#[tokio::test]
async fn a_setup_waits_for_a_provider_that_takes_its_time() {
    let (server, ann, provider) = world().await;
    provider.next([answer(
        202,
        json!({"id": "acme-1", "message": "In a minute."}),
    )]);
    let manifest = json!({"addons": ["acme"]});
    let asked = ask(&ann, &manifest.to_string(), json!({})).await;
    server.settle().await;
    let waiting = shown(&ann, &asked).await;
    assert_eq!(
        (&waiting["status"], &waiting["build"]),
        (&json!("pending"), &Value::Null)
    );
    server.sweep().await;
    let partner = crate::addons::partner::partner(&server, &provider).await;
    let addon = &ann.get("/apps/harbour/addons").await.list()[0];
    let done = format!("/addons/{}/actions/provision", id(addon));
    partner.post(done, json!({})).await.ok();
    server.settle().await;
    assert_eq!(shown(&ann, &asked).await["status"], "succeeded");
}

#[tokio::test]
async fn an_add_on_that_is_refused_fails_the_setup_in_its_providers_words() {
    let (server, ann, provider) = world().await;
    let full = json!({"message": "There is no room for you."});
    provider.next([answer(201, json!({"id": "acme-1"})), answer(422, full)]);
    let manifest = json!({"addons": ["acme", "acme:pro"]});
    let asked = ask(&ann, &manifest.to_string(), json!({})).await;
    server.settle().await;
    assert_failed(&ann, &asked, "There is no room for you.").await;
    assert_eq!(
        provider.last().method,
        "DELETE",
        "the other one is given back"
    );
    assert_eq!(provider.heard().len(), 3);
}

#[tokio::test]
async fn what_nobody_offers_is_told_before_anything_is_asked_for() {
    let (server, ann, provider) = world().await;
    let manifest = json!({"addons": ["acme", "heroku-postgresql", "acme:huge"]});
    let asked = ask(&ann, &manifest.to_string(), json!({})).await;
    server.settle().await;
    let failed = assert_failed(&ann, &asked, "app.json is not valid: addons[").await;
    let errors = failed["manifest_errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{errors:?}");
    let first = errors[0].as_str().unwrap();
    assert!(first.starts_with("addons[1]") && first.contains("heroku-postgresql"));
    assert!(provider.heard().is_empty());
}

#[tokio::test]
async fn an_add_on_that_would_overwrite_a_given_var_fails_the_setup() {
    let (server, ann, provider) = world().await;
    let manifest = json!({"addons": ["acme"]});
    let overrides = json!({"env": {"ACME_URL": "mine"}});
    let asked = ask(&ann, &manifest.to_string(), overrides).await;
    server.settle().await;
    assert_failed(&ann, &asked, "ACME_URL").await;
    assert!(provider.heard().is_empty());
}

#[tokio::test]
async fn a_review_app_has_the_add_ons_of_its_environment() {
    let (server, ann, _provider) = world().await;
    let pipeline = ann.pipeline("water").await;
    let config = "/pipelines/water/review-app-config";
    ann.post(config, json!({"repo": "x"})).await.created();
    let manifest = json!({
        "addons": ["acme:pro"],
        "environments": {"review": {"addons": ["acme:basic"]}},
    });
    let source = gz(&[
        ("Procfile", "web: serve\n"),
        ("app.json", &manifest.to_string()),
    ]);
    let url = ann.upload(&source).await;
    let body = json!({"branch": "x", "pipeline": id(&pipeline), "pr_number": 7, "source_blob": {"url": url}});
    let review = ann.post("/review-apps", body).await.created();
    assert_eq!(review["status"], "pending");
    server.settle().await;
    let path = format!("/review-apps/{}", id(&review));
    assert_eq!(ann.get(&path).await.ok()["status"], "created");
    let addons = ann.get("/apps/water-pr-7/addons").await.list();
    assert_eq!(addons.len(), 1);
    assert_eq!(addons[0]["plan"]["name"], "acme:basic");
}

#[tokio::test]
async fn the_url_of_a_source_with_its_credentials_is_not_kept_in_plain() {
    let (server, ann, _provider) = world().await;
    let url = "http://user:hunter2@127.0.0.1:1/source.tgz?token=hunter3";
    let body = json!({"source_blob": {"url": url}});
    ann.post("/app-setups", body).await.expect(202);
    let dump = server.dump();
    assert!(!dump.contains("hunter2") && !dump.contains("hunter3"));
    server.settle().await;
}
