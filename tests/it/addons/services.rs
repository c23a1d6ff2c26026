//! What is offered: services and plans from manifests, and what is refused of those.

use penstock::cli::addon::manifest;
use serde_json::{Value, json};

use super::acme;
use crate::harness::{Server, id};

#[tokio::test]
async fn what_the_operator_registers_is_offered_to_every_account() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    assert_eq!(ann.get("/addon-services").await.list().len(), 0);
    server.register(&acme("http://provider.test")).await;
    let service = ann.get("/addon-services/acme").await.ok();
    assert_eq!(service["human_name"], "Acme Databases");
    assert_eq!(ann.get("/addon-services").await.each("id"), [id(&service)]);
    let plans = ann.get("/addon-services/acme/plans").await;
    assert_eq!(plans.each("name"), ["acme:basic", "acme:pro"]);
    assert_eq!(plans.each("default"), ["true", "false"]);
    let pro = ann.get("/plans/acme:pro").await.ok();
    // Also to whoever has none.
    let anybody = server.nobody();
    assert_eq!(anybody.get("/addon-services/acme").await.ok(), service);
    let shown = anybody.get("/addon-services/acme/plans").await;
    assert_eq!(shown.list(), plans.list());
    assert_eq!(anybody.get("/plans/acme:pro").await.ok(), pro);
    let wrong = anybody.with_token("wrong").get("/addon-services").await;
    assert_eq!(wrong.status, 401);
    assert_eq!(pro["human_name"], "Professional");
    assert_eq!(pro["price"]["cents"], 0);
    for path in [
        "/addon-services/acme/plans/pro",
        "/addon-services/acme/plans/acme:pro",
    ] {
        assert_eq!(ann.get(path).await.ok(), pro);
    }
    for path in [
        "/addon-region-capabilities",
        "/addon-services/acme/region-capabilities",
        "/regions/us/addon-region-capabilities",
    ] {
        let capabilities = ann.get(path).await.list();
        assert_eq!(capabilities[0]["addon_service"]["name"], "acme");
        assert_eq!(capabilities[0]["region"]["name"], "us");
    }
    ann.get("/addon-services/none")
        .await
        .missing("add-on service");
    ann.get("/plans/acme:none").await.missing("plan");
}

#[tokio::test]
async fn a_manifest_that_is_registered_again_replaces_what_it_said() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    server.register(&acme("http://provider.test")).await;
    let before = ann.get("/addon-services/acme").await.ok();
    let mut manifest = acme("http://provider.test");
    manifest["name"] = json!("Acme");
    manifest["plans"] = json!(["basic", { "name": "max", "default": true }]);
    server.register(&manifest).await;
    let after = ann.get("/addon-services/acme").await.ok();
    assert_eq!(
        (&after["id"], &after["human_name"]),
        (&before["id"], &json!("Acme"))
    );
    let plans = ann.get("/addon-services/acme/plans").await;
    assert_eq!(plans.each("name"), ["acme:basic", "acme:max"]);
    assert_eq!(plans.each("default"), ["false", "true"]);
}

#[tokio::test]
async fn no_secret_of_a_manifest_stands_in_the_database() {
    let server = Server::start().await;
    server.register(&acme("http://provider.test")).await;
    let dump = server.dump();
    for secret in ["correct-horse", "battery-staple", super::CLIENT_SECRET] {
        assert!(!dump.contains(secret));
        assert!(!dump.contains(&hex::encode(secret)));
    }
    assert!(dump.contains("acme:basic"));
}

/// The manifest with some keys changed; null takes one away.
fn changed(changes: &[(&str, Value)]) -> Value {
    let mut manifest = acme("http://provider.test");
    for (key, value) in changes {
        manifest[*key] = value.clone();
    }
    manifest
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    manifest
}

#[test]
fn a_manifest_that_cannot_be_says_what_to_change() {
    for (key, value, words) in [
        ("id", Value::Null, "has no id"),
        ("id", json!("Acme!"), "id must be"),
        ("password", Value::Null, "has no password"),
        ("password", json!("short"), "password must be 8 to 256"),
        ("base_url", Value::Null, "has no base_url"),
        ("base_url", json!("ftp://provider.test"), "base_url must be"),
        (
            "base_url",
            json!("http://me:pw@provider.test"),
            "without credentials",
        ),
        ("sso_url", json!("javascript:alert(1)"), "sso_url must be"),
        ("config_vars", Value::Null, "has no config_vars"),
        ("config_vars", json!(["OTHER_URL"]), "begin with ACME_"),
        ("config_vars", json!(["ACMEURL"]), "begin with ACME_"),
        (
            "config_vars",
            json!(["ACME_URL", "ACME_URL"]),
            "a name twice",
        ),
        ("config_vars", json!("ACME_URL"), "config_vars"),
        (
            "config_vars_prefix",
            json!("acme"),
            "config_vars_prefix must be",
        ),
        ("plans", Value::Null, "has no plans"),
        ("plans", json!([]), "one plan at least"),
        ("plans", json!(["a", "a"]), "a name twice"),
        ("plans", json!(["Big Plan"]), "plans are named with"),
        (
            "plans",
            json!([{ "name": "a", "default": true }, { "name": "b", "default": true }]),
            "more than one default",
        ),
        ("state", json!("broken"), "alpha, beta, ga or shutdown"),
    ] {
        let text = changed(&[(key, value.clone())]).to_string();
        let Err(error) = manifest::parse(text.as_bytes()) else {
            panic!("{key} {value} was taken");
        };
        assert!(error.message.contains(words), "{key} {value}: {error}");
    }
    assert!(manifest::parse(b"{\"id\":").is_err());
}

#[test]
fn a_manifest_may_have_the_form_of_herokus_own() {
    let text = json!({
        "id": "acme-db",
        "api": {
            "config_vars_prefix": "ACME",
            "config_vars": ["ACME_URL"],
            "password": "correct-horse",
            "sso_salt": "battery-staple",
            "regions": ["us"],
            "version": "3",
            "production": { "base_url": "https://acme.test/heroku/resources", "sso_url": "https://acme.test/sso" },
        },
        "plans": ["test"],
    });
    let manifest = manifest::parse(text.to_string().as_bytes()).unwrap();
    assert_eq!(manifest.offer.config_vars_prefix, "ACME");
    assert_eq!(manifest.offer.sso_url, "https://acme.test/sso");
    assert_eq!(manifest.plans[0].name, "acme-db:test");
}
