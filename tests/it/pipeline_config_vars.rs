//! The config vars of a pipeline's stage: kept for the apps that are made for it, and shown to nobody but the owner.

use serde_json::json;

use crate::harness::Server;

const REVIEW: &str = "/pipelines/water/stage/review/config-vars";

#[tokio::test]
async fn they_are_set_and_deleted_one_by_one_and_each_stage_has_its_own() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.pipeline("water").await;
    assert_eq!(ann.get(REVIEW).await.ok(), json!({}));
    let vars = json!({"A": "1", "B": "hunter2"});
    assert_eq!(ann.patch(REVIEW, vars.clone()).await.ok(), vars);
    let changed = ann.patch(REVIEW, json!({"A": null, "C": "3"})).await;
    assert_eq!(changed.ok(), json!({"B": "hunter2", "C": "3"}));
    assert_eq!(ann.get(REVIEW).await.ok(), changed.ok());
    let test = "/pipelines/water/stage/test/config-vars";
    assert_eq!(ann.get(test).await.ok(), json!({}));
    assert!(!server.dump().contains("hunter2"));
    for (change, words) in [
        (json!({"PORT": "1"}), "PORT"),
        (json!({"A B": "1"}), "name of a config var"),
        (json!({"A": "x".repeat(65_537)}), "64 KB"),
    ] {
        ann.patch(REVIEW, change).await.invalid(words);
    }
    let other = "/pipelines/water/stage/staging/config-vars";
    ann.get(other).await.invalid("review and test");
    let none = "/pipelines/water/stage/fire/config-vars";
    ann.get(none).await.missing("stage");
}

#[tokio::test]
async fn whoever_only_sees_the_pipeline_does_not_see_them() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let pipeline = ann.pipeline("water").await;
    ann.app("harbour").await;
    ann.couple("harbour", &pipeline, "staging").await;
    ann.patch(REVIEW, json!({"A": "1"})).await.ok();
    bob.get(REVIEW).await.missing("pipeline");
    let body = json!({"user": "bob@example.com"});
    ann.post("/apps/harbour/collaborators", body)
        .await
        .created();
    bob.get("/pipelines/water").await.ok();
    for answer in [
        bob.get(REVIEW).await,
        bob.patch(REVIEW, json!({"A": "2"})).await,
    ] {
        answer.refused(403, "forbidden", "owner");
    }
}
