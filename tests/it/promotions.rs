//! Promotions: a pointer is copied, a release is made, and each target runs it with its own config.

use penstock::name::Id;
use serde_json::{Value, json};

use crate::harness::{Client, Server, gz, id, web_app};

const PROMOTIONS: &str = "/pipeline-promotions";

/// A pipeline with a source that was deployed to, and two targets.
struct Stages {
    server: Server,
    ann: Client,
    pipeline: Value,
}

impl Stages {
    async fn new() -> Stages {
        let server = Server::start().await;
        let ann = server.account("ann").await;
        let pipeline = ann.pipeline("water").await;
        server.running_app(&ann, "staging").await;
        ann.couple("staging", &pipeline, "staging").await;
        for app in ["east", "west"] {
            ann.app(app).await;
            ann.couple(app, &pipeline, "production").await;
        }
        Stages {
            server,
            ann,
            pipeline,
        }
    }

    fn body(&self, targets: &[&str]) -> Value {
        let targets: Vec<Value> = targets.iter().map(|app| json!({ "app": app })).collect();
        json!({"pipeline": id(&self.pipeline), "source": {"app": "staging"}, "targets": targets})
    }

    async fn promote(&self, targets: &[&str]) -> Value {
        let answer = self.ann.post(PROMOTIONS, self.body(targets)).await;
        answer.created()
    }

    async fn targets(&self, promotion: &Value) -> Vec<Value> {
        let path = format!("{PROMOTIONS}/{}/promotion-targets", id(promotion));
        self.ann.get(path).await.list()
    }

    async fn shown(&self, promotion: &Value) -> Value {
        let path = format!("{PROMOTIONS}/{}", id(promotion));
        self.ann.get(path).await.ok()
    }
}

#[tokio::test]
async fn a_promotion_waits_and_then_each_target_runs_the_sources_slug() {
    let stages = Stages::new().await;
    let (server, ann) = (&stages.server, &stages.ann);
    let source = ann.newest_release("staging").await;
    let made = stages.promote(&["east", "west"]).await;
    assert_eq!(made["status"], "pending");
    assert_eq!(made["source"]["release"]["id"], source["id"]);
    assert_eq!(made["pipeline"]["id"], stages.pipeline["id"]);
    for target in stages.targets(&made).await {
        assert_eq!(target["status"], "pending");
        assert_eq!(target["release"], json!(null));
    }
    server.settle().await;
    assert_eq!(stages.shown(&made).await["status"], "completed");
    let targets = stages.targets(&made).await;
    assert_eq!(targets.len(), 2);
    for (target, app) in targets.iter().zip(["east", "west"]) {
        let release = ann.newest_release(app).await;
        assert_eq!(target["status"], "succeeded");
        assert_eq!(target["error_message"], json!(null));
        assert_eq!(target["release"]["id"], release["id"]);
        assert_eq!(target["app"]["id"], release["app"]["id"]);
        assert_eq!(release["slug"], source["slug"]);
        assert_eq!(release["description"], "Promote staging v3 0123456");
        assert_eq!(server.dynos.of(app), ["web.1 v3"]);
    }
}

#[tokio::test]
async fn a_promotion_copies_the_pointer_and_not_the_bytes() {
    let stages = Stages::new().await;
    stages.promote(&["east"]).await;
    stages.server.settle().await;
    let (one, other) = (
        stages.server.dynos.one("staging", "web.1"),
        stages.server.dynos.one("east", "web.1"),
    );
    assert_eq!(one.slug, other.slug);
    // The slug outlives the app that it was built by.
    stages.ann.delete("/apps/staging").await.ok();
    stages.server.settle().await;
    stages.server.sweep().await;
    let slug = stages.ann.newest_release("east").await["slug"].clone();
    let path = format!("/apps/east/slugs/{}", id(&slug));
    let slug = stages.ann.get(path).await.ok();
    let blob = stages.ann.get(slug["blob"]["url"].as_str().unwrap()).await;
    assert_eq!(blob.body.len(), slug["size"].as_u64().unwrap() as usize);
}

#[tokio::test]
async fn a_target_keeps_its_own_config_and_formation() {
    let stages = Stages::new().await;
    let (server, ann) = (&stages.server, &stages.ann);
    let vars = json!({"WHERE": "staging"});
    ann.patch("/apps/staging/config-vars", vars).await.ok();
    let vars = json!({"WHERE": "east"});
    ann.patch("/apps/east/config-vars", vars.clone()).await.ok();
    stages.promote(&["east"]).await;
    server.settle().await;
    let scale = json!({"quantity": 3});
    ann.patch("/apps/east/formation/web", scale).await.ok();
    let next = gz(&[("Procfile", "web: next")]);
    server.deploy(ann, "staging", &next).await;
    stages.promote(&["east"]).await;
    server.settle().await;
    assert_eq!(ann.get("/apps/east/config-vars").await.ok(), vars);
    assert_eq!(
        server.dynos.of("east"),
        ["web.1 v5", "web.2 v5", "web.3 v5"]
    );
    let launch = server.dynos.one("east", "web.1");
    assert_eq!(launch.command, "next");
    assert_eq!(launch.config_vars["WHERE"], "east");
}

#[tokio::test]
async fn an_older_release_may_be_promoted_and_may_be_named_in_two_ways() {
    let stages = Stages::new().await;
    let (server, ann) = (&stages.server, &stages.ann);
    let old = ann.newest_release("staging").await;
    let next = gz(&[("Procfile", "web: next")]);
    server.deploy(ann, "staging", &next).await;
    let release = json!({"id": id(&old)});
    for source in [
        json!({"app": {"name": "staging"}, "release": release}),
        json!({"app": {"id": id(&old["app"]), "release": release}}),
    ] {
        let mut body = stages.body(&["east"]);
        body["source"] = source;
        let made = ann.post(PROMOTIONS, body).await.created();
        assert_eq!(made["source"]["release"]["id"], old["id"]);
        server.settle().await;
        assert_eq!(ann.newest_release("east").await["slug"], old["slug"]);
    }
}

#[tokio::test]
async fn a_stage_may_be_skipped_and_gone_back_to() {
    let stages = Stages::new().await;
    let ann = &stages.ann;
    ann.app("workshop").await;
    ann.couple("workshop", &stages.pipeline, "development")
        .await;
    stages.promote(&["workshop"]).await;
    stages.server.settle().await;
    assert_eq!(stages.server.dynos.of("workshop"), ["web.1 v3"]);
}

#[tokio::test]
async fn a_target_that_left_in_time_fails_and_the_others_do_not() {
    let stages = Stages::new().await;
    let (server, ann) = (&stages.server, &stages.ann);
    ann.app("north").await;
    ann.couple("north", &stages.pipeline, "production").await;
    let made = stages.promote(&["east", "west", "north"]).await;
    ann.delete("/apps/east").await.ok();
    let coupling = ann.get("/apps/west/pipeline-couplings").await.ok();
    ann.delete(format!("/pipeline-couplings/{}", id(&coupling)))
        .await
        .ok();
    server.settle().await;
    assert_eq!(stages.shown(&made).await["status"], "completed");
    let targets = stages.targets(&made).await;
    let of = |name: &str| -> Vec<Value> { targets.iter().map(|t| t[name].clone()).collect() };
    assert_eq!(of("status"), ["failed", "failed", "succeeded"]);
    for failed in &targets[..2] {
        assert!(
            failed["error_message"]
                .as_str()
                .unwrap()
                .contains("pipeline")
        );
        assert_eq!(failed["release"], json!(null));
    }
    assert_eq!(ann.newest_release("west").await["version"], 2);
    assert_eq!(server.dynos.of("north"), ["web.1 v3"]);
}

#[tokio::test]
async fn a_source_that_is_deleted_first_fails_its_targets() {
    let stages = Stages::new().await;
    let made = stages.promote(&["east"]).await;
    stages.ann.delete("/apps/staging").await.ok();
    stages.server.settle().await;
    assert_eq!(stages.shown(&made).await["status"], "completed");
    let targets = stages.targets(&made).await;
    assert_eq!(targets[0]["status"], "failed");
    let message = targets[0]["error_message"].as_str().unwrap();
    assert!(message.contains("deleted"), "{message}");
}

#[tokio::test]
async fn what_cannot_be_promoted_is_refused_and_makes_nothing() {
    let stages = Stages::new().await;
    let (server, ann) = (&stages.server, &stages.ann);
    ann.app("outside").await;
    server.deploy(ann, "outside", &web_app()).await;
    let east = ann.newest_release("east").await;
    let before = server.dump();
    let with = |name: &str, value: Value| {
        let mut body = stages.body(&["east"]);
        body[name] = value;
        body
    };
    let hundred: Vec<Value> = (0..101).map(|_| json!({"app": "east"})).collect();
    for (body, words) in [
        (with("pipeline", json!(null)), "pipeline"),
        (with("source", json!({})), "\"source/app\""),
        (with("source", json!({"app": {}})), "\"source/app/id\""),
        (
            with("source", json!({"app": "outside"})),
            "not in the given pipeline",
        ),
        (with("source", json!({"app": "east"})), "itself"),
        (
            with(
                "source",
                json!({"app": "staging", "release": {"id": id(&east)}}),
            ),
            "not part of the source app",
        ),
        (
            with("source", json!({"app": "staging", "release": {"id": "v3"}})),
            "source.release.id",
        ),
        (with("targets", json!(null)), "target"),
        (with("targets", json!([])), "targets"),
        (with("targets", json!(hundred)), "targets"),
        (with("targets", json!([{}])), "#/targets/[]/app/id"),
        (with("targets", json!(["east"])), "#/targets/[]/app/id"),
        (stages.body(&["outside"]), "not in the pipeline"),
        (stages.body(&["staging"]), "itself"),
        (stages.body(&["east", "west", "east"]), "twice"),
    ] {
        ann.post(PROMOTIONS, body).await.invalid(words);
    }
    for (body, resource) in [
        (with("pipeline", json!(Id::new())), "pipeline"),
        (with("source", json!({"app": "nowhere"})), "app"),
        (stages.body(&["nowhere"]), "app"),
    ] {
        ann.post(PROMOTIONS, body).await.missing(resource);
    }
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn a_target_that_one_may_not_deploy_to_fails_and_keeps_no_other_back() {
    let stages = Stages::new().await;
    let bob = stages.server.account("bob").await;
    for (app, permissions) in [
        ("staging", json!(["view"])),
        ("east", json!(["view", "deploy"])),
        ("west", json!(["view"])),
    ] {
        let body = json!({"user": "bob@example.com", "permissions": permissions});
        let path = format!("/apps/{app}/collaborators");
        stages.ann.post(path, body).await.created();
    }
    let made = bob.post(PROMOTIONS, stages.body(&["east", "west"])).await;
    let made = made.created();
    assert_eq!(made["status"], "pending");
    stages.server.promote().await;
    let targets = stages.targets(&made).await;
    let said: Vec<_> = targets
        .iter()
        .map(|target| {
            (
                &target["status"],
                &target["error_message"],
                target["release"].is_object(),
            )
        })
        .collect();
    let failed = json!("User does not have access to that app");
    assert_eq!(said[0], (&json!("succeeded"), &json!(null), true));
    assert_eq!(said[1], (&json!("failed"), &failed, false));
    assert_eq!(stages.shown(&made).await["status"], "completed");
    assert_eq!(stages.ann.newest_release("west").await["version"], 2);
    let none = bob.post(PROMOTIONS, stages.body(&["west"])).await;
    none.refused(403, "forbidden", "none of these apps");
    assert_eq!(bob.get(PROMOTIONS).await.each("id"), [id(&made)]);
    let stranger = stages.server.account("eve").await;
    assert_eq!(stranger.get(PROMOTIONS).await.list().len(), 0);
}

#[tokio::test]
async fn a_promotion_is_seen_by_those_who_see_its_pipeline() {
    let stages = Stages::new().await;
    let bob = stages.server.account("bob").await;
    let made = stages.promote(&["east"]).await;
    stages.server.promote().await;
    for path in [
        format!("{PROMOTIONS}/{}", id(&made)),
        format!("{PROMOTIONS}/{}/promotion-targets", id(&made)),
    ] {
        bob.get(&path).await.missing("pipeline promotion");
        stages.ann.get(&path).await.ok();
    }
}

#[tokio::test]
async fn a_promotion_that_is_the_first_deploy_tells_the_log_of_the_formation() {
    let stages = Stages::new().await;
    stages.promote(&["east"]).await;
    stages.server.settle().await;
    let session = stages
        .ann
        .post("/apps/east/log-sessions", json!({"lines": 100}))
        .await
        .created();
    let log = stages
        .ann
        .get(session["logplex_url"].as_str().unwrap())
        .await;
    let scaled = "app[api]: Scaled to web@1:Basic";
    assert!(log.text().contains(scaled), "{}", log.text());
}
