//! Releases: made, shown, rolled back to, and never numbered twice.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, Server, gz, id, web_app};

const RELEASES: &str = "/apps/harbour/releases";

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    server.running_app(&ann, "harbour").await;
    (server, ann)
}

async fn set(ann: &Client, vars: Value) {
    ann.patch("/apps/harbour/config-vars", vars).await.ok();
}

async fn roll_back(ann: &Client, to: impl Into<Value>) -> Value {
    let body = json!({"release": to.into()});
    ann.post(RELEASES, body).await.created()
}

#[tokio::test]
async fn a_release_is_found_by_its_id_and_its_version() {
    let (_server, ann) = server().await;
    let newest = ann.newest_release("harbour").await;
    assert_eq!(newest["version"], 3);
    for name in [id(&newest), "3".to_owned(), "v3".to_owned()] {
        assert_eq!(ann.get(format!("{RELEASES}/{name}")).await.ok(), newest);
    }
    for name in ["4", "0", "-1", "three", "99999999999999999999", ""] {
        let answer = ann.get(format!("{RELEASES}/{name}?")).await;
        match name {
            "" => drop(answer.ok()),
            _ => answer.missing("release"),
        }
    }
}

#[tokio::test]
async fn one_release_is_current_and_it_is_the_newest() {
    let (_server, ann) = server().await;
    let all = ann.get(RELEASES).await;
    assert_eq!(all.each("current"), ["false", "false", "true"]);
    assert_eq!(
        all.each("eligible_for_rollback"),
        ["false", "false", "true"]
    );
    set(&ann, json!({"A": "1"})).await;
    let all = ann.get(RELEASES).await;
    assert_eq!(all.each("current"), ["false", "false", "false", "true"]);
    assert_eq!(all.each("status"), ["succeeded"; 4]);
}

#[tokio::test]
async fn a_release_keeps_the_slug_when_only_config_changes() {
    let (_server, ann) = server().await;
    let before = ann.newest_release("harbour").await;
    set(&ann, json!({"A": "1"})).await;
    let after = ann.newest_release("harbour").await;
    assert_eq!(after["slug"], before["slug"]);
    assert_eq!(after["artifacts"][0]["id"], before["slug"]["id"]);
    assert_eq!(after["artifacts"][0]["type"], "slug");
}

#[tokio::test]
async fn a_rollback_makes_a_new_release_with_the_old_slug_and_config() {
    let (server, ann) = server().await;
    set(&ann, json!({"A": "old"})).await;
    let target = ann.newest_release("harbour").await;
    set(&ann, json!({"A": "new", "B": "new"})).await;
    let other = gz(&[("Procfile", "web: other")]);
    server.deploy(&ann, "harbour", &other).await;
    assert_eq!(server.dynos.one("harbour", "web.1").command, "other");
    server.pass(Duration::from_secs(7));
    let release = roll_back(&ann, id(&target)).await;
    assert_eq!(release["version"], 7);
    assert_eq!(release["description"], "Rollback to v4");
    assert_eq!(release["slug"], target["slug"]);
    assert_eq!(release["created_at"], "2026-01-31T12:00:07Z");
    let vars = ann.get("/apps/harbour/config-vars").await.ok();
    assert_eq!(vars, json!({"A": "old"}));
    server.settle().await;
    let launch = server.dynos.one("harbour", "web.1");
    assert_eq!(launch.command, "serve --port $PORT");
    assert_eq!(launch.release_version, 7);
    assert_eq!(launch.config_vars.len(), 1);
}

#[tokio::test]
async fn a_rollback_takes_a_version_as_a_number_and_as_text() {
    let (_server, ann) = server().await;
    for (to, version) in [(json!(3), 4), (json!("3"), 5), (json!("v4"), 6)] {
        let release = roll_back(&ann, to).await;
        assert_eq!(release["version"], version);
    }
    assert_eq!(
        ann.newest_release("harbour").await["description"],
        "Rollback to v4"
    );
}

#[tokio::test]
async fn there_is_no_rollback_to_a_release_that_never_ran() {
    let (server, ann) = server().await;
    ann.app("marina").await;
    let foreign = ann.newest_release("marina").await;
    let before = server.dump();
    for to in [json!(1), json!("2")] {
        let body = json!({ "release": to });
        ann.post(RELEASES, body)
            .await
            .invalid("nothing to roll back to");
    }
    for to in [json!(99), json!("nonsense"), json!(id(&foreign))] {
        let body = json!({ "release": to });
        ann.post(RELEASES, body).await.missing("release");
    }
    for (body, words) in [
        (json!({}), "slug"),
        (json!({"release": 3, "slug": id(&foreign)}), "not both"),
        (json!({"release": -1}), "release"),
        (json!({"slug": "by-name"}), "id"),
        (json!({"slug": 3}), "slug"),
    ] {
        ann.post(RELEASES, body).await.invalid(words);
    }
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn a_release_of_a_slug_may_have_words_of_its_own() {
    let (server, ann) = server().await;
    let slug = ann.newest_release("harbour").await["slug"].clone();
    ann.app("marina").await;
    for (body, words) in [
        (json!({"slug": slug["id"]}), "Deploy 01234567"),
        (json!({"slug": slug, "description": "By hand"}), "By hand"),
    ] {
        let release = ann.post("/apps/marina/releases", body).await.created();
        assert_eq!(release["description"], words);
        assert_eq!(release["app"]["name"], "marina");
        assert_eq!(release["slug"], slug);
    }
    server.settle().await;
    assert_eq!(server.dynos.of("marina"), ["web.1 v4"]);
}

#[tokio::test]
async fn versions_are_counted_for_each_app_and_never_used_again() {
    let (server, ann) = server().await;
    ann.app("marina").await;
    server.deploy(&ann, "marina", &web_app()).await;
    set(&ann, json!({"A": "1"})).await;
    roll_back(&ann, 3).await;
    let versions = ann.get(RELEASES).await.each("version");
    assert_eq!(versions, ["1", "2", "3", "4", "5"]);
    let versions = ann.get("/apps/marina/releases").await.each("version");
    assert_eq!(versions, ["1", "2", "3"]);
}

#[tokio::test]
async fn releases_asked_for_all_at_once_have_each_a_version_of_their_own() {
    let (_server, ann) = server().await;
    let vars = |at: usize| json!({ format!("VAR_{at}"): "1" });
    let path = "/apps/harbour/config-vars";
    let writes = (0..30).map(|at| {
        let (ann, body) = (ann.clone(), vars(at));
        tokio::spawn(async move { ann.patch(path, body).await.ok() })
    });
    for write in writes.collect::<Vec<_>>() {
        write.await.unwrap();
    }
    let versions = ann.get(RELEASES).await.each("version");
    let counted: Vec<String> = (1..=33).map(|version: i64| version.to_string()).collect();
    assert_eq!(versions, counted);
    assert_eq!(ann.get(path).await.ok().as_object().unwrap().len(), 30);
}
