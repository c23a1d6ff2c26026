//! Review apps: made for a branch by an app setup, coupled at the stage review, and gone again.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Answer, Client, Server, gz, id};

const CONFIG: &str = "/pipelines/water/review-app-config";

async fn server() -> (Server, Client, Value) {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let pipeline = ann.pipeline("water").await;
    (server, ann, pipeline)
}

async fn ask(ann: &Client, pipeline: &Value, manifest: &str, number: Value) -> Answer {
    let url = ann
        .upload(&gz(&[("Procfile", "web: serve"), ("app.json", manifest)]))
        .await;
    let body = json!({
        "branch": "tidal", "pipeline": id(pipeline), "pr_number": number,
        "source_blob": { "url": url, "version": "1" }, "environment": {"C": "own"},
    });
    ann.post("/review-apps", body).await
}

async fn shown(ann: &Client, review: &Value) -> Value {
    ann.get(format!("/review-apps/{}", id(review))).await.ok()
}

#[tokio::test]
async fn a_review_app_is_made_with_the_stages_vars_and_deleted_again() {
    let (server, ann, pipeline) = server().await;
    ann.post(CONFIG, json!({"repo": "ann/water", "base_name": "tide"}))
        .await
        .created();
    let vars = json!({"A": "stage", "B": "stage", "C": "stage"});
    ann.patch("/pipelines/water/stage/review/config-vars", vars)
        .await
        .ok();
    let manifest = r#"{"env": {"A": "all", "D": "all"}, "environments": {"review": {"env": {"D": "review"}}}}"#;
    let review = ask(&ann, &pipeline, manifest, json!(12)).await.created();
    assert_eq!(review["status"], "pending");
    assert_eq!(review["creator"]["email"], "ann@example.com");
    let again = ask(&ann, &pipeline, manifest, json!(12)).await;
    again.refused(409, "conflict", "pull request 12");
    server.settle().await;
    let made = shown(&ann, &review).await;
    assert_eq!(made["status"], "created", "{made}");
    assert_eq!(made["pr_number"], 12);
    let vars = ann.get("/apps/tide-pr-12/config-vars").await.ok();
    let wanted = json!({
        "A": "stage", "B": "stage", "C": "own", "D": "review",
        "HEROKU_APP_NAME": "tide-pr-12", "HEROKU_BRANCH": "tidal", "HEROKU_PR_NUMBER": "12",
    });
    assert_eq!(vars, wanted);
    let coupling = ann.get("/apps/tide-pr-12/pipeline-couplings").await.ok();
    assert_eq!(coupling["stage"], "review");
    assert_eq!(ann.get("/apps/tide-pr-12/review-app").await.ok(), made);
    let listed = ann.get("/pipelines/water/review-apps").await.list();
    assert_eq!(listed, [made]);
    assert_eq!(server.dynos.of("tide-pr-12").len(), 1);
    let path = format!("/review-apps/{}", id(&review));
    let deleted = ann.delete(&path).await.ok();
    assert_eq!(
        (&deleted["status"], &deleted["app"]),
        (&json!("deleted"), &Value::Null)
    );
    server.settle().await;
    assert!(server.dynos.running().is_empty());
    ann.get("/apps/tide-pr-12").await.missing("app");
    ask(&ann, &pipeline, manifest, json!(12)).await.created();
    server.settle().await;
}

#[tokio::test]
async fn one_that_cannot_be_made_is_errored_and_says_why() {
    let (server, ann, pipeline) = server().await;
    ask(&ann, &pipeline, "{}", json!(null))
        .await
        .invalid("not enabled");
    ann.post(CONFIG, json!({"repo": "ann/water"}))
        .await
        .created();
    let review = ask(&ann, &pipeline, "[]", json!(null)).await.created();
    server.settle().await;
    let errored = shown(&ann, &review).await;
    assert_eq!(errored["status"], "errored");
    assert!(errored["message"].as_str().unwrap().contains("app.json"));
    assert_eq!(ann.get("/apps").await.list().len(), 0);
    let url = json!({"url": "resolve"});
    let body = json!({"branch": "x", "pipeline": id(&pipeline), "source_blob": url});
    let refused = ann.post("/review-apps", body).await;
    refused.invalid("git push heroku x");
}

#[tokio::test]
async fn who_asks_for_an_app_that_could_not_be_made_is_told_why() {
    let (server, ann, pipeline) = server().await;
    ann.post(CONFIG, json!({"repo": "ann/water", "base_name": "tide"}))
        .await
        .created();
    let manifest = r#"{"env": {"A": {"required": true}}}"#;
    let review = ask(&ann, &pipeline, manifest, json!(12)).await.created();
    server.settle().await;
    let errored = shown(&ann, &review).await;
    let why = "app.json is not valid: env.A is required";
    assert!(
        errored["message"].as_str().unwrap().starts_with(why),
        "{errored}"
    );
    // What the official CLI asks for next, and what it has somebody ask for.
    for path in [
        format!("/apps/{}", id(&review["app"])),
        "/apps/tide-pr-12".to_owned(),
        "/apps/tide-pr-12/review-app".to_owned(),
    ] {
        let missing = ann.get(path).await;
        missing.missing("app");
        missing.refused(404, "not_found", why);
    }
    let bob = server.account("bob").await;
    let refused = bob.get("/apps/tide-pr-12").await;
    refused.missing("app");
    assert!(!refused.text().contains("setup"), "{}", refused.text());
    // Whoever has the name by now is another app, which ann may not see.
    bob.app("tide-pr-12").await;
    bob.get("/apps/tide-pr-12").await.ok();
    ann.get("/apps/tide-pr-12").await.missing("app");
}

#[tokio::test]
async fn review_apps_are_enabled_configured_and_disabled() {
    let (_server, ann, _) = server().await;
    ann.get(CONFIG).await.missing("review app config");
    let made = ann
        .post(CONFIG, json!({"repo": "ann/water"}))
        .await
        .created();
    assert_eq!(
        (&made["stale_days"], &made["destroy_stale_apps"]),
        (&json!(5), &json!(false))
    );
    ann.post(CONFIG, json!({"repo": "x"}))
        .await
        .invalid("already");
    let change = json!({"destroy_stale_apps": true, "stale_days": 3, "base_name": "tide"});
    let changed = ann.patch(CONFIG, change).await.ok();
    assert_eq!(
        (&changed["stale_days"], &changed["base_name"]),
        (&json!(3), &json!("tide"))
    );
    for (change, words) in [
        (json!({"automatic_review_apps": true}), "GitHub"),
        (json!({"wait_for_ci": true}), "CI"),
        (json!({"stale_days": 0}), "stale_days"),
        (json!({"base_name": "A B"}), "lowercase"),
        (
            json!({"deploy_target": {"id": "eu", "type": "region"}}),
            "region us",
        ),
    ] {
        ann.patch(CONFIG, change).await.invalid(words);
    }
    assert_eq!(ann.get(CONFIG).await.ok(), changed);
    let cleared = ann.patch(CONFIG, json!({"base_name": null})).await.ok();
    assert_eq!(cleared["base_name"], Value::Null);
    ann.delete(CONFIG).await.ok();
    ann.get(CONFIG).await.missing("review app config");
}

#[tokio::test]
async fn stale_review_apps_go_by_themselves_where_that_is_asked_for() {
    let (server, ann, pipeline) = server().await;
    let config = json!({"repo": "ann/water", "destroy_stale_apps": true, "stale_days": 2});
    ann.post(CONFIG, config).await.created();
    let review = ask(&ann, &pipeline, "{}", json!(1)).await.created();
    server.settle().await;
    server.pass(Duration::from_secs(2 * 24 * 3_600 - 1));
    server.sweep().await;
    assert_eq!(shown(&ann, &review).await["status"], "created");
    server.pass(Duration::from_secs(1));
    server.sweep().await;
    server.settle().await;
    assert_eq!(shown(&ann, &review).await["status"], "deleted");
    ann.get("/apps/water-pr-1").await.missing("app");
}

#[tokio::test]
async fn an_app_that_left_its_pipeline_is_not_deleted_through_its_record() {
    let (server, ann, pipeline) = server().await;
    let bob = server.account("bob").await;
    let config = json!({"repo": "ann/water", "destroy_stale_apps": true, "stale_days": 2});
    ann.post(CONFIG, config).await.created();
    let mut reviews = Vec::new();
    for number in 1..=4 {
        reviews.push(ask(&ann, &pipeline, "{}", json!(number)).await.created());
    }
    server.settle().await;
    for number in [1, 2, 3] {
        let app = format!("water-pr-{number}");
        let body = json!({"app": app, "recipient": "bob@example.com"});
        let offered = ann.post("/account/app-transfers", body).await.created();
        let path = format!("/account/app-transfers/{}", id(&offered));
        bob.patch(path, json!({"state": "accepted"})).await.ok();
    }
    // A former owner is a collaborator who may couple it, but not delete it.
    ann.couple("water-pr-2", &pipeline, "review").await;
    let coupling = ann.get("/apps/water-pr-4/pipeline-couplings").await.ok();
    let staging = json!({"stage": "staging"});
    ann.patch(format!("/pipeline-couplings/{}", id(&coupling)), staging)
        .await
        .ok();
    for index in [0, 1, 3] {
        assert_eq!(shown(&ann, &reviews[index]).await["app"], Value::Null);
        let path = format!("/review-apps/{}", id(&reviews[index]));
        assert_eq!(ann.delete(&path).await.ok()["status"], "deleted");
    }
    server.pass(Duration::from_secs(3 * 24 * 3_600));
    server.sweep().await;
    server.settle().await;
    for review in &reviews {
        assert_eq!(shown(&ann, review).await["status"], "deleted");
    }
    let listed = bob.get("/apps").await.each("name");
    assert_eq!(listed, ["water-pr-1", "water-pr-2", "water-pr-3"]);
    for app in listed {
        bob.get(format!("/apps/{app}/review-app"))
            .await
            .missing("review app");
    }
    ann.get("/apps/water-pr-4").await.ok();
}

#[tokio::test]
async fn the_record_of_a_teams_review_app_outlives_the_account_that_made_it() {
    let server = Server::start().await;
    let (ann, mia) = (server.account("ann").await, server.account("mia").await);
    ann.team("crew").await;
    ann.member("crew", "mia", "admin").await.created();
    let owner = json!({"id": id(&ann.get("/teams/crew").await.ok()), "type": "team"});
    let body = json!({"name": "water", "owner": owner});
    let pipeline = ann.post("/pipelines", body).await.created();
    ann.post(CONFIG, json!({"repo": "crew/water"}))
        .await
        .created();
    let review = ask(&mia, &pipeline, "{}", json!(1)).await.created();
    server.settle().await;
    mia.delete("/account").await.ok();
    let after = shown(&ann, &review).await;
    assert_eq!(after["status"], "created", "{after}");
    assert_eq!(after["creator"]["email"], "deleted@account.invalid");
    let path = format!("/review-apps/{}", id(&review));
    assert_eq!(ann.delete(&path).await.ok()["status"], "deleted");
    ann.get("/apps/water-pr-1").await.missing("app");
}

#[tokio::test]
async fn who_has_one_app_in_a_pipeline_sees_his_own_review_apps_there_and_no_others() {
    let (server, ann, pipeline) = server().await;
    ann.post(CONFIG, json!({"repo": "x"})).await.created();
    let hers = ask(&ann, &pipeline, "{}", json!(1)).await.created();
    let open = ask(&ann, &pipeline, "{}", json!(2)).await.created();
    server.settle().await;
    let bob = server.account("bob").await;
    let all = "/pipelines/water/review-apps";
    assert_eq!(bob.get(all).await.status, 404);
    let body = json!({"user": "bob@example.com", "permissions": ["view"]});
    let collaborators = "/apps/water-pr-2/collaborators";
    ann.post(collaborators, body).await.created();
    assert_eq!(bob.get(all).await.each("id"), [id(&open)]);
    assert_eq!(ann.get(all).await.each("id"), [id(&hers), id(&open)]);
    let one = |review: &Value| format!("/review-apps/{}", id(review));
    bob.get(one(&open)).await.ok();
    bob.get(one(&hers)).await.missing("review app");
    let admin = server.admin("ada").await;
    assert_eq!(admin.get(all).await.list().len(), 2);
}
