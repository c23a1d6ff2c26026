//! Apps: made, shown, changed and deleted.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Server, id};

#[tokio::test]
async fn an_app_is_made_with_the_name_that_was_given() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let made = ann.app("harbour").await;
    assert_eq!(made["name"], "harbour");
    assert_eq!(made["owner"]["email"], "ann@example.com");
    assert_eq!(made["create_status"], "complete");
    assert_eq!(made["web_url"], "http://harbour.localhost:8080/");
    assert_eq!(made["created_at"], crate::harness::T0);
    assert_eq!(made["maintenance"], false);
    assert_eq!(ann.get("/apps/harbour").await.ok(), made);
    assert_eq!(ann.get(format!("/apps/{}", id(&made))).await.ok(), made);
    assert_eq!(ann.get("/apps").await.list(), [made]);
}

#[tokio::test]
async fn an_app_without_a_name_gets_one() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let one = ann.post("/apps", json!({})).await.created();
    let other = ann.request("POST", "/apps").send().await.created();
    let name = one["name"].as_str().unwrap();
    let parts: Vec<&str> = name.split('-').collect();
    assert_eq!(parts.len(), 3, "{name}");
    assert!(parts[2].len() == 5 && parts[2].parse::<u32>().is_ok());
    assert_ne!(one["name"], other["name"]);
    assert_eq!(ann.get(format!("/apps/{name}")).await.ok(), one);
}

#[tokio::test]
async fn a_new_app_has_the_two_releases_that_heroku_makes() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let app = ann.app("harbour").await;
    let releases = ann.get("/apps/harbour/releases").await;
    assert_eq!(
        releases.each("description"),
        ["Initial release", "Enable Logplex"]
    );
    assert_eq!(releases.each("version"), ["1", "2"]);
    assert_eq!(releases.each("slug"), ["null", "null"]);
    assert_eq!(app["released_at"], crate::harness::T0);
}

#[tokio::test]
async fn the_stack_and_the_region_that_there_are_may_be_named() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let first = ann
        .post(
            "/apps",
            json!({"region": "us", "stack": {"name": "heroku-24"}}),
        )
        .await
        .created();
    let by_id = json!({"region": first["region"]["id"], "stack": {"id": first["stack"]["id"]}});
    ann.post("/apps", by_id).await.created();
    ann.post("/apps", json!({"region": "eu"}))
        .await
        .invalid("region");
    ann.post("/apps", json!({"stack": "cedar-14"}))
        .await
        .invalid("stack");
}

#[tokio::test]
async fn a_renamed_app_is_found_under_its_new_name_alone() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let made = ann.app("harbour").await;
    server.pass(Duration::from_secs(5));
    let renamed = ann
        .patch("/apps/harbour", json!({"name": "marina"}))
        .await
        .ok();
    assert_eq!(renamed["id"], made["id"]);
    assert_eq!(renamed["web_url"], "http://marina.localhost:8080/");
    assert!(
        renamed["git_url"]
            .as_str()
            .unwrap()
            .ends_with("/marina.git")
    );
    assert_eq!(renamed["updated_at"], "2026-01-31T12:00:05Z");
    ann.get("/apps/harbour").await.missing("app");
    assert_eq!(ann.get("/apps/marina").await.ok(), renamed);
    // The old name is free again, and a rename makes no release.
    ann.app("harbour").await;
    assert_eq!(ann.newest_release("marina").await["version"], 2);
}

#[tokio::test]
async fn a_name_belongs_to_one_app_on_the_whole_server() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.app("harbour").await;
    bob.app("marina").await;
    let taken = json!({"name": "harbour"});
    bob.post("/apps", taken.clone())
        .await
        .invalid("Name is already taken");
    bob.patch("/apps/marina", taken)
        .await
        .invalid("Name is already taken");
    assert_eq!(bob.get("/apps").await.each("name"), ["marina"]);
}

#[tokio::test]
async fn a_change_to_what_is_so_already_changes_nothing() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let made = ann.app("harbour").await;
    let before = server.dump();
    server.pass(Duration::from_secs(5));
    let same = json!({"name": "harbour", "maintenance": false, "build_stack": "heroku-24"});
    assert_eq!(ann.patch("/apps/harbour", same).await.ok(), made);
    assert_eq!(ann.patch("/apps/harbour", json!({})).await.ok(), made);
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn maintenance_is_switched_on_and_off() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    // The Python client heroku3 switches it off by a number.
    let asked = [json!(true), json!(0), json!(1), json!(false)];
    for (asked, on) in asked.into_iter().zip([true, false, true, false]) {
        let shown = ann
            .patch("/apps/harbour", json!({ "maintenance": asked }))
            .await
            .ok();
        assert_eq!(shown["maintenance"], on);
        assert_eq!(ann.get("/apps/harbour").await.ok(), shown);
    }
}

#[tokio::test]
async fn an_app_shows_its_slug_and_when_it_was_released() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let app = ann.app("harbour").await;
    assert_eq!(app["slug_size"], json!(null));
    server.pass(Duration::from_secs(60));
    let build = server
        .deploy(&ann, "harbour", &crate::harness::web_app())
        .await;
    let slug = format!("/apps/harbour/slugs/{}", id(&build["slug"]));
    let slug = ann.get(slug).await.ok();
    let app = ann.get("/apps/harbour").await.ok();
    assert_eq!(app["slug_size"], slug["size"]);
    assert!(app["slug_size"].as_i64().unwrap() > 0);
    assert_eq!(app["released_at"], "2026-01-31T12:01:00Z");
    assert_eq!(app["buildpack_provided_description"], "Procfile");
}

#[tokio::test]
async fn a_deleted_app_is_gone_with_all_that_is_its_own() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let before = server.dump_without_trail();
    server.running_app(&ann, "harbour").await;
    let pipeline = ann.pipeline("water").await;
    ann.couple("harbour", &pipeline, "staging").await;
    let shown = ann.get("/apps/harbour").await.ok();
    assert_eq!(ann.delete("/apps/harbour").await.ok(), shown);
    ann.get("/apps/harbour").await.missing("app");
    ann.get(format!("/apps/{}", id(&shown)))
        .await
        .missing("app");
    ann.delete("/apps/harbour").await.missing("app");
    let couplings = format!("/pipelines/{}/pipeline-couplings", id(&pipeline));
    assert!(ann.get(couplings).await.list().is_empty());
    server.settle().await;
    assert!(server.dynos.running().is_empty());
    ann.delete("/pipelines/water").await.ok();
    // The upload's slot goes when its URLs have expired.
    server.pass(Duration::from_secs(3600));
    server.sweep().await;
    assert_eq!(server.dump_without_trail(), before);
}

#[tokio::test]
async fn a_name_is_free_again_once_its_app_is_deleted() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    server.running_app(&ann, "harbour").await;
    ann.delete("/apps/harbour").await.ok();
    let app = bob.app("harbour").await;
    assert_eq!(app["released_at"], crate::harness::T0);
    server.settle().await;
    assert!(bob.get("/apps/harbour/dynos").await.list().is_empty());
}

#[tokio::test]
async fn a_user_sees_the_apps_that_are_their_own() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.app("harbour").await;
    ann.app("marina").await;
    bob.app("lagoon").await;
    assert_eq!(ann.get("/apps").await.each("name"), ["harbour", "marina"]);
    assert_eq!(
        ann.get("/users/~/apps").await.each("name"),
        ["harbour", "marina"]
    );
    assert_eq!(bob.get("/apps").await.each("name"), ["lagoon"]);
}
