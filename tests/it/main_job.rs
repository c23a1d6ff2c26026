//! The main job, with the real binary and real apps: source in, slug built, run, and promoted stage by stage.

mod change;
mod load;
mod websocket;

use std::process::Command;

use serde_json::{Value, json};

use crate::binary::sample::{NODE, PERL, PYTHON, Sample};
use crate::binary::{Client, Place, Server};

/// A new server, with its client.
fn start() -> (Place, Server, Client) {
    let place = Place::new();
    let server = place.start();
    let client = server.client();
    (place, server, client)
}

#[tokio::test]
async fn a_python_app_is_promoted_from_staging_to_many_production_apps() {
    promote(PYTHON).await;
}

#[tokio::test]
async fn a_perl_app_is_promoted_from_staging_to_many_production_apps() {
    promote(PERL).await;
}

#[tokio::test]
async fn a_node_app_is_promoted_from_staging_to_many_production_apps() {
    if Command::new("node").arg("--version").output().is_err() {
        eprintln!(
            "there is no node on this machine, so only the apps in other languages are tried"
        );
        return;
    }
    promote(NODE).await;
}

async fn promote(sample: Sample) {
    let (_place, _server, client) = start();
    let targets = ["shop-eu", "shop-us", "shop-ap", "shop-sa"];
    client.create_app("shop-staging").await;
    for target in targets {
        client.create_app(target).await;
        let vars = json!({"GREETING": format!("hello from {target}")});
        let path = format!("/apps/{target}/config-vars");
        client.patch(path, vars).await.expect(200);
    }
    let build = client
        .deploy("shop-staging", sample.tarball("version one"))
        .await;
    client
        .visit_until("shop-staging", 200, "version one says ")
        .await;

    let pipeline = client.post("/pipelines", json!({"name": "shop"})).await;
    let pipeline = pipeline.expect(201);
    client.couple(&pipeline, "shop-staging", "staging").await;
    for target in targets {
        client.couple(&pipeline, target, "production").await;
    }
    let outcomes = client.promote(&pipeline, "shop-staging", &targets).await;
    assert_eq!(outcomes.len(), targets.len());
    let staged = digest(&client, "shop-staging").await;
    for (target, outcome) in targets.iter().zip(&outcomes) {
        assert_eq!(outcome["status"], "succeeded");
        assert_eq!(outcome["error_message"], Value::Null);
        client.visit_until(target, 200, "version one says ").await;
        let page = client.visit(target, "/a/page").await;
        assert_eq!(page.status, 200);
        let shown = format!("version one says hello from {target} on web.1\n");
        assert_eq!(page.text(), shown);
        assert_eq!(digest(&client, target).await, staged);
        let release = release(&client, target).await;
        assert_eq!(release["id"], outcome["release"]["id"]);
        assert_eq!(release["version"], 4);
        assert_eq!(release["slug"]["id"], build["slug"]["id"]);
        assert_eq!(release["description"], "Promote shop-staging v3 0123456");
        lines_are_in_order(&client, target).await;
    }
}

/// What an app runs.
async fn release(client: &Client, app: &str) -> Value {
    let releases = client
        .get(format!("/apps/{app}/releases"))
        .await
        .expect(200);
    let releases = releases.as_array().unwrap();
    let current = |release: &&Value| release["current"] == true;
    let current: Vec<&Value> = releases.iter().filter(current).collect();
    assert_eq!(current.len(), 1);
    current[0].clone()
}

/// The digest of the bytes that an app runs, hashed here from what its slug's own URL gives.
async fn digest(client: &Client, app: &str) -> String {
    use sha2::Digest;
    let slug = release(client, app).await["slug"]["id"].clone();
    let slug = slug.as_str().unwrap();
    let slug = client.get(format!("/apps/{app}/slugs/{slug}")).await;
    let slug = slug.expect(200);
    let bytes = client.read(slug["blob"]["url"].as_str().unwrap()).await;
    let digest = hex::encode(sha2::Sha256::digest(bytes.unwrap().body));
    assert_eq!(slug["checksum"], format!("SHA256:{digest}"));
    digest
}

const UP: &str = "heroku[web.1]: State changed from starting to up";

async fn lines_are_in_order(client: &Client, app: &str) {
    // The router's line and the app's own take different ways into the log, so neither is always the first.
    let mut tail = client.tail(app, 100).await.unwrap();
    let mut lines = tail.until("path=\"/a/page\"").await;
    // So does the line about the dyno, which serves as soon as it can.
    for late in ["serving /a/page", UP] {
        if !lines.iter().any(|line| line.contains(late)) {
            lines.extend(tail.until(late).await);
        }
    }
    let at = |text: &str| {
        let found = lines.iter().position(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("{text:?} is not in {lines:#?}"))
    };
    let in_order = [
        "app[api]: Initial release by user owner@localhost",
        "app[api]: Release v1 created by user owner@localhost",
        "app[api]: Enable Logplex by user owner@localhost",
        "app[api]: Set GREETING config vars by user owner@localhost",
        "app[api]: Promote shop-staging v3 0123456 by user owner@localhost",
        "app[api]: Release v4 created by user owner@localhost",
        "heroku[web.1]: Starting process with command `",
    ];
    let places: Vec<usize> = in_order.iter().map(|text| at(text)).collect();
    assert!(places.is_sorted(), "{lines:#?}");
    assert!(at("heroku[web.1]: Starting") < at(UP));
    assert!(at("heroku[web.1]: Starting") < at("app[web.1]: listening as version one"));
    let router = &lines[at("path=\"/a/page\"")];
    let host = format!("heroku[router]: at=info method=GET path=\"/a/page\" host={app}.localhost");
    assert!(router.contains(&host), "{router}");
    assert!(
        router.contains(" dyno=web.1 ") && router.contains(" status=200 "),
        "{router}"
    );
    assert!(lines.iter().map(|line| &line[..32]).is_sorted());
}

#[tokio::test]
async fn a_source_is_taken_with_and_without_a_content_type() {
    let (_place, _server, client) = start();
    client.create_app("typed").await;
    for content_type in [None, Some("application/octet-stream"), Some("text/plain")] {
        let tarball = PERL.tarball(content_type.unwrap_or("none"));
        let (build, output) = client.build("typed", tarball, content_type).await;
        assert_eq!(build["status"], "succeeded", "{output}");
        assert!(output.contains("Procfile declares types -> web, worker"));
        let url = build["output_stream_url"].as_str().unwrap();
        assert_eq!(client.read(url).await.unwrap().text(), output);
    }
    assert_eq!(release(&client, "typed").await["version"], 5);
    let logs = client.logs("typed").await;
    assert_eq!(logs.matches("app[api]: Build started by user").count(), 3);
    assert_eq!(logs.matches("app[api]: Build succeeded").count(), 3);
}
