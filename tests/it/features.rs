//! Features of accounts and apps, and what an app's dynos are told because of one.

use std::time::Duration;

use penstock::runtime::Usage;
use serde_json::{Value, json};

use crate::harness::{Client, Server};

#[tokio::test]
async fn a_feature_of_an_account_is_switched_for_that_account_alone() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    // The official CLI asks for it before it lets a pipeline have review apps.
    let path = "/account/features/dashboard-repositories-api";
    let feature = ann.get(path).await.ok();
    assert_eq!(feature["enabled"], false);
    let listed = ann.get("/account/features").await.each("name");
    assert_eq!(listed, ["dashboard-repositories-api"]);
    // Refused, the official CLI would print a stack trace with the token in it.
    let on = ann.patch(path, json!({"enabled": true})).await.ok();
    assert_eq!(on["enabled"], true);
    assert_eq!(ann.get(path).await.ok(), on);
    let bob = server.account("bob").await;
    assert_eq!(bob.get(path).await.ok()["enabled"], false);
    // Then the CLI asks for this too.
    ann.pipeline("trees").await;
    let repository = ann.get("/pipelines/trees/repo").await.ok();
    assert_eq!(repository["full_name"], "trees");
    ann.patch(path, json!({"enabled": false})).await.ok();
    ann.patch(path, json!({})).await.invalid("enabled");
    ann.get("/account/features/other").await.missing("feature");
}

#[tokio::test]
async fn an_app_shows_its_features_and_preboot_is_always_on() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let listed = ann.get("/apps/harbour/features").await;
    let names = [
        "preboot",
        "runtime-dyno-metadata",
        "https-only",
        "log-runtime-metrics",
    ];
    assert_eq!(listed.each("name"), names);
    assert_eq!(listed.each("enabled"), ["true", "false", "false", "false"]);
    let path = "/apps/harbour/features/preboot";
    let off = ann.patch(path, json!({"enabled": false})).await;
    off.invalid("cannot be switched off");
    ann.patch(path, json!({"enabled": true})).await.ok();
    let none = ann
        .get("/apps/harbour/features/http-session-affinity")
        .await;
    none.missing("feature");
}

#[tokio::test]
async fn dynos_are_told_of_their_app_once_dyno_metadata_is_on() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    server.running_app(&ann, "harbour").await;
    let before = server.dynos.one("harbour", "web.1").config_vars;
    assert!(!before.contains_key("HEROKU_APP_NAME"), "{before:?}");
    let path = "/apps/harbour/features/runtime-dyno-metadata";
    let on = ann.patch(path, json!({"enabled": true})).await.ok();
    assert_eq!(on["enabled"], true);
    assert_eq!(ann.get(path).await.ok(), on);
    let mine = json!({"HEROKU_APP_ID": "my own"});
    ann.patch("/apps/harbour/config-vars", mine).await.ok();
    server.settle().await;
    let release = ann.newest_release("harbour").await;
    let told = server.dynos.one("harbour", "web.1").config_vars;
    let version = format!("v{}", release["version"]);
    assert_eq!(told["HEROKU_APP_NAME"], "harbour");
    assert_eq!(told["HEROKU_RELEASE_VERSION"], version);
    assert_eq!(
        Value::from(told["HEROKU_RELEASE_CREATED_AT"].as_str()),
        release["created_at"]
    );
    assert_eq!(told["HEROKU_APP_ID"], "my own");
    let vars = ann.get("/apps/harbour/config-vars").await.ok();
    assert_eq!(vars.get("HEROKU_APP_NAME"), None);
}

const METRICS: &str = "/apps/harbour/features/log-runtime-metrics";

/// What the log has of what dynos use, without its times, and the id of the app in these words.
async fn samples(client: &Client) -> Vec<String> {
    let wanted = json!({"lines": 1_500, "source": "heroku"});
    let session = client.post("/apps/harbour/log-sessions", wanted).await;
    let url = session.created()["logplex_url"]
        .as_str()
        .unwrap()
        .to_owned();
    let text = client.get(url).await.text();
    let lines = text.lines().filter(|line| line.contains(" sample#"));
    let lines = lines.map(|line| line.split_once(' ').unwrap().1.to_owned());
    lines.collect()
}

#[tokio::test]
async fn what_dynos_use_is_in_the_log_in_herokus_words_while_runtime_metrics_are_on() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    server.running_app(&ann, "harbour").await;
    let app = ann.get("/apps/harbour").await.ok()["id"].clone();
    let dyno = ann.get("/apps/harbour/dynos/web.1").await.ok()["id"].clone();
    let (app, dyno) = (app.as_str().unwrap(), dyno.as_str().unwrap());
    server.dynos.measure(Usage {
        memory: 22 << 20,
        cache: (1 << 20) + (1 << 19),
        swap: 1 << 19,
        runnable: 2,
    });
    server.check_memory().await;
    assert_eq!(samples(&ann).await, [""; 0]);
    ann.patch(METRICS, json!({"enabled": true})).await.ok();
    let source = format!("heroku[web.1]: source=web.1 dyno=heroku.{app}.{dyno}");
    let load = |averages: [&str; 3]| {
        let [one, five, fifteen] = averages;
        format!(
            "{source} sample#load_avg_1m={one} sample#load_avg_5m={five} sample#load_avg_15m={fifteen}"
        )
    };
    let memory = format!(
        "{source} sample#memory_total=24.00MB sample#memory_rss=22.00MB sample#memory_cache=1.50MB \
         sample#memory_swap=0.50MB sample#memory_quota=512.00MB"
    );
    server.check_memory().await;
    let first = [load(["0.00", "0.00", "0.00"]), memory.clone()];
    assert_eq!(samples(&ann).await, first);
    // Twenty seconds later, and not sooner.
    server.pass(Duration::from_secs(19));
    server.check_memory().await;
    assert_eq!(samples(&ann).await, first);
    server.pass(Duration::from_secs(1));
    server.check_memory().await;
    let second = [load(["0.57", "0.13", "0.04"]), memory];
    assert_eq!(samples(&ann).await, [first, second].concat());
    ann.patch(METRICS, json!({"enabled": false})).await.ok();
    server.pass(Duration::from_secs(60));
    server.check_memory().await;
    assert_eq!(samples(&ann).await.len(), 4);
}
