//! Akkeris' gates: release statuses, the checks that a stage asks for, safe promotions, and the graph of stages.

use serde_json::{Value, json};

use crate::harness::{Client, Server};

const PROMOTIONS: &str = "/pipeline-promotions";

struct Stages {
    server: Server,
    ann: Client,
    statuses: String,
    production: String,
}

/// A deployed staging app and an empty production app that asks for one check.
async fn stages() -> Stages {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let build = server.running_app(&ann, "staging").await;
    ann.app("production").await;
    let pipeline = ann.pipeline("water").await;
    ann.couple("staging", &pipeline, "staging").await;
    let body = json!({
        "app": "production", "pipeline": "water", "stage": "production",
        "required_status_checks": {"contexts": ["tests/all"]},
    });
    let coupling = ann.post("/pipeline-couplings", body).await.created();
    let release = build["release"]["id"].as_str().unwrap();
    Stages {
        statuses: format!("/apps/staging/releases/{release}/statuses"),
        production: format!("/pipeline-couplings/{}", coupling["id"].as_str().unwrap()),
        server,
        ann,
    }
}

fn promotion() -> Value {
    json!({"pipeline": "water", "source": {"app": "staging"}, "targets": [{"app": "production"}]})
}

#[tokio::test]
async fn a_promotion_waits_for_the_checks_that_its_target_asks_for() {
    let stages = stages().await;
    let ann = &stages.ann;
    let before = stages.server.dump();
    let refused = ann.post(PROMOTIONS, promotion()).await;
    assert_eq!(
        refused.expect(409)["message"],
        "This promotion was stopped as it was deemed unsafe:\nThe app production at stage production requires the status \
         \"tests/all\" to pass in order to promote."
    );
    assert_eq!(stages.server.dump(), before);
    let status = json!({"context": "tests/all", "name": "All tests", "state": "pending"});
    ann.post(&stages.statuses, status.clone()).await.created();
    ann.post(&stages.statuses, status)
        .await
        .invalid("use update not create");
    assert_eq!(ann.post(PROMOTIONS, promotion()).await.status, 409);
    let id = ann.get(&stages.statuses).await.ok()["statuses"][0]["id"].clone();
    let path = format!("{}/{}", stages.statuses, id.as_str().unwrap());
    ann.patch(&path, json!({"state": "success"})).await.ok();
    assert_eq!(ann.get(&stages.statuses).await.ok()["state"], "success");
    ann.post(PROMOTIONS, promotion()).await.created();
    stages.server.settle().await;
    let releases = ann.get("/apps/production/releases").await.list();
    assert!(releases.last().unwrap()["slug"].is_object());
    let seen = ann.get("/pipelines/water/statuses").await.list();
    assert_eq!(seen, [json!({"context": "tests/all", "name": "All tests"})]);
    // Somebody who sees the pipeline, but not the app that it was said of.
    let bob = stages.server.account("bob").await;
    let body = json!({"user": "bob@example.com", "permissions": ["view"]});
    ann.post("/apps/production/collaborators", body)
        .await
        .created();
    assert_eq!(bob.get("/pipelines/water").await.ok()["name"], "water");
    assert_eq!(bob.get("/pipelines/water/statuses").await.list().len(), 0);
}

#[tokio::test]
async fn a_safe_promotion_asks_for_config_vars_of_the_same_names() {
    let stages = stages().await;
    let ann = &stages.ann;
    let status = json!({"context": "tests/all", "state": "success"});
    ann.post(&stages.statuses, status).await.created();
    ann.patch("/apps/staging/config-vars", json!({"ONLY_HERE": "1"}))
        .await
        .ok();
    ann.patch("/apps/production/config-vars", json!({"ONLY_THERE": "1"}))
        .await
        .ok();
    // The config change made a release of its own, of which nobody has said anything yet.
    let current = ann.get("/apps/staging/releases/4").await.ok();
    let statuses = format!(
        "/apps/staging/releases/{}/statuses",
        current["id"].as_str().unwrap()
    );
    ann.post(
        &statuses,
        json!({"context": "tests/all", "state": "success"}),
    )
    .await
    .created();
    let mut safe = promotion();
    safe["safe"] = json!(true);
    let refused = ann.post(PROMOTIONS, safe).await;
    refused.invalid("contains config var(s) (ONLY_HERE) that are not present in the destination app (production)");
    ann.post(PROMOTIONS, promotion()).await.created();
    stages.server.settle().await;
}

#[tokio::test]
async fn the_worst_status_of_a_release_is_its_state() {
    let stages = stages().await;
    let ann = &stages.ann;
    assert_eq!(ann.get(&stages.statuses).await.ok()["state"], "success");
    for (context, state) in [
        ("tests/a1", "success"),
        ("tests/a2", "pending"),
        ("tests/a3", "failure"),
        ("tests/a4", "error"),
    ] {
        ann.post(
            &stages.statuses,
            json!({"context": context, "state": state}),
        )
        .await
        .created();
        assert_eq!(ann.get(&stages.statuses).await.ok()["state"], state);
    }
    for (body, words) in [
        (
            json!({"context": "no spaces", "state": "success"}),
            "context",
        ),
        (json!({"context": "tests", "state": "success"}), "length"),
        (json!({"context": "tests/x1", "state": "fine"}), "state"),
        (
            json!({"context": "tests/x1", "state": "success", "target_url": "ftp://x"}),
            "url",
        ),
    ] {
        ann.post(&stages.statuses, body).await.invalid(words);
    }
}

#[tokio::test]
async fn only_the_owner_of_the_pipeline_removes_a_check() {
    let stages = stages().await;
    let (ann, bob) = (&stages.ann, stages.server.account("bob").await);
    let body = json!({"user": "bob@example.com", "permissions": ["manage"]});
    ann.post("/apps/production/collaborators", body)
        .await
        .created();
    let checks = |contexts: Value| json!({"required_status_checks": {"contexts": contexts}});
    bob.patch(
        &stages.production,
        checks(json!(["tests/all", "tests/more"])),
    )
    .await
    .ok();
    let refused = bob
        .patch(&stages.production, checks(json!(["tests/more"])))
        .await;
    assert_eq!(refused.status, 403);
    assert_eq!(bob.delete(&stages.production).await.status, 403);
    ann.patch(&stages.production, checks(json!([]))).await.ok();
    bob.delete(&stages.production).await.ok();
}

#[tokio::test]
async fn whoever_deploys_an_app_may_ask_for_more_checks_of_it() {
    let stages = stages().await;
    let (ann, bob) = (&stages.ann, stages.server.account("bob").await);
    let let_in = async |permissions: Value| {
        let body = json!({"user": "bob@example.com", "permissions": permissions});
        let path = "/apps/production/collaborators";
        ann.delete(format!("{path}/bob@example.com")).await;
        ann.post(path, body).await.created();
    };
    let more = json!({"required_status_checks": {"contexts": ["tests/all", "tests/more"]}});
    let_in(json!(["view"])).await;
    let refused = bob.patch(&stages.production, more.clone()).await;
    assert_eq!(refused.status, 403);
    let_in(json!(["deploy"])).await;
    bob.patch(&stages.production, more).await.ok();
    let moved = json!({"stage": "development"});
    assert_eq!(bob.patch(&stages.production, moved).await.status, 403);
}

#[tokio::test]
async fn the_stages_are_a_graph() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let graph = ann.get("/pipeline-stages").await.ok();
    assert_eq!(
        graph,
        json!({"review": "development", "development": "staging", "staging": "production", "production": null})
    );
}
