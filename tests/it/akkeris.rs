//! What Akkeris refuses about couplings, release statuses and promotions: in its words, with its statuses, and in its order.

use penstock::name::Id;
use serde_json::{Value, json};

use crate::harness::{Answer, Client, Server, id};

const COUPLINGS: &str = "/pipeline-couplings";
const PROMOTIONS: &str = "/pipeline-promotions";

/// This status and these words, and nothing more.
#[track_caller]
fn says(answer: &Answer, status: u16, words: &str) {
    assert_eq!(answer.expect(status)["message"], words);
}

/// A deployed app `staging` and the empty app `production`, which are to be coupled, and the pipeline `water`.
async fn world() -> (Server, Client) {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    server.running_app(&ann, "staging").await;
    ann.app("production").await;
    ann.pipeline("water").await;
    (server, ann)
}

async fn couple(ann: &Client, app: &str, stage: &str, contexts: Value) -> Value {
    let body = json!({
        "app": app, "pipeline": "water", "stage": stage, "required_status_checks": {"contexts": contexts},
    });
    ann.post(COUPLINGS, body).await.created()
}

#[tokio::test]
async fn a_coupling_is_refused_for_the_first_thing_that_is_wrong_with_it() {
    let (server, ann) = world().await;
    let before = server.dump();
    let stages = r#"The stage property can only be one of "review", "development", "staging", or "production""#;
    let strings = "The required status checks must be an array of strings!";
    let mut body = json!({});
    // One thing after another is put right, or wrong in another way.
    for (name, value, status, words) in [
        ("app", json!(null), 422, "No application was provided."),
        ("app", json!(7), 422, "No application name was provided."),
        ("app", json!({}), 422, "No application name was provided."),
        (
            "app",
            json!("nowhere"),
            404,
            "The specified application nowhere does not exist.",
        ),
        ("app", json!("staging"), 422, "No pipeline was provided."),
        (
            "pipeline",
            json!(7),
            422,
            "The specified pipeline was not a uuid",
        ),
        ("pipeline", json!("fire"), 422, "No stage was provided."),
        ("stage", json!("later"), 422, stages),
        ("stage", json!(7), 422, stages),
        (
            "stage",
            json!("review"),
            404,
            "The specified pipeline was not found.",
        ),
        ("pipeline", json!("water"), 0, ""),
        (
            "required_status_checks",
            json!({"contexts": ["tests/all", 7]}),
            422,
            strings,
        ),
        ("required_status_checks", json!("tests/all"), 422, strings),
        (
            "required_status_checks",
            json!({"contexts": ["tests/all"]}),
            422,
            "Required status checks cannot be added to a pipelines review stage.",
        ),
    ] {
        body[name] = value;
        if status != 0 {
            says(&ann.post(COUPLINGS, body.clone()).await, status, words);
        }
    }
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn a_change_of_checks_has_to_name_them() {
    let (server, ann) = world().await;
    let coupling = couple(&ann, "production", "production", json!(["tests/all"])).await;
    let own = format!("{COUPLINGS}/{}", id(&coupling));
    let before = server.dump();
    for checks in [
        json!(null),
        json!({}),
        json!({"contexts": null}),
        json!({"contexts": "tests/all"}),
        json!({"contexts": ["tests/all", 7]}),
        json!(["tests/all"]),
    ] {
        let change = json!({ "required_status_checks": checks });
        says(
            &ann.patch(&own, change).await,
            400,
            "The required_status_checks.contexts array was missing or contained invalid values.",
        );
    }
    assert_eq!(server.dump(), before);
    let missing = format!("{COUPLINGS}/{}", Id::new());
    let change = json!({"required_status_checks": {"contexts": []}});
    says(
        &ann.patch(&missing, change).await,
        404,
        "The specified pipeline coupling was not found.",
    );
    let uncoupled = ann.get("/apps/staging/pipeline-couplings").await;
    uncoupled.refused(404, "not_found", "This app is in no pipeline.");
    says(
        &ann.get("/pipelines/fire/statuses").await,
        404,
        "The specified pipeline was not found.",
    );
}

#[tokio::test]
async fn what_happens_to_a_coupling_is_a_change_of_its_pipeline() {
    let (server, ann) = world().await;
    let mut seen = vec![ann.get("/pipelines/water").await.ok()["updated_at"].clone()];
    let mut changed = async || {
        let now = ann.get("/pipelines/water").await.ok()["updated_at"].clone();
        assert!(!seen.contains(&now), "{now}");
        seen.push(now);
        server.pass(std::time::Duration::from_secs(5));
    };
    server.pass(std::time::Duration::from_secs(5));
    let coupling = couple(&ann, "staging", "staging", json!([])).await;
    changed().await;
    let own = format!("{COUPLINGS}/{}", id(&coupling));
    ann.patch(&own, json!({"stage": "production"})).await.ok();
    changed().await;
    ann.delete(&own).await.ok();
    changed().await;
}

#[tokio::test]
async fn a_release_status_is_refused_for_the_first_thing_that_is_wrong_with_it() {
    let (server, ann) = world().await;
    let release = ann.newest_release("staging").await;
    let statuses = format!("/apps/staging/releases/{}/statuses", id(&release));
    let status = json!({"context": "tests/all", "name": "All of them", "state": "pending"});
    let made = ann.post(&statuses, status.clone()).await.created();
    let before = server.dump();
    let long = format!("https://example.com/{}", "x".repeat(256));
    for (name, value, words) in [
        (
            "context",
            json!("no blanks"),
            "Invalid context name: The context name must be alpha numeric and can contain the characters /\\+-.",
        ),
        (
            "context",
            json!("tests"),
            "Invalid context length: The context length must be more than 5 characters",
        ),
        (
            "context",
            json!("x".repeat(32)),
            "Invalid context length: The context length cannot be more than 32 characters.",
        ),
        (
            "name",
            json!("abc"),
            "Invalid name: The status name must be more than 3 characters.",
        ),
        (
            "name",
            json!("x".repeat(256)),
            "Invalid name: The status name cannot be longer than 256 characters.",
        ),
        (
            "image_url",
            json!(long),
            "Invalid image_url: The image_url cannot be longer than 256 characters.",
        ),
        (
            "image_url",
            json!("ftp://x"),
            "Invalid image url: The image_url must begin with https://",
        ),
        (
            "target_url",
            json!(long),
            "Invalid target_url: The target_url cannot be longer than 256 characters.",
        ),
        (
            "target_url",
            json!("x"),
            "Invalid target url: The target_url must begin with https://",
        ),
        (
            "description",
            json!("x".repeat(1024)),
            "The payload description length may not be more than 1024 characters.",
        ),
        (
            "state",
            json!("fine"),
            "Invalid state: The state must be \"error\", \"failure\", \"pending\" or \"success\".",
        ),
        (
            "context",
            json!("tests/all"),
            "This status already exists for this release, use update not create.",
        ),
    ] {
        let mut body = status.clone();
        body[name] = value;
        says(&ann.post(&statuses, body).await, 422, words);
    }
    let own = format!("{statuses}/{}", id(&made));
    let context = json!({"context": "tests/all", "state": "success"});
    says(
        &ann.patch(&own, context).await,
        422,
        "Invalid parameter: the context of the status may not be renamed or changed.",
    );
    let unheard = format!("{statuses}/tests-none");
    says(
        &ann.patch(&unheard, json!({"state": "success"})).await,
        422,
        "This status does not exist, use create not update.",
    );
    says(
        &ann.get(&unheard).await,
        404,
        "The specified release status was not found.",
    );
    says(
        &ann.get("/apps/staging/releases/latest/statuses").await,
        422,
        "The specified uuid was invalid.",
    );
    let none = Id::new();
    says(
        &ann.get(format!("/apps/staging/releases/{none}/statuses"))
            .await,
        404,
        &format!("The specified release {none} was not found."),
    );
    assert_eq!(server.dump(), before);
    // By its context too, whose slash has to be written as %2F.
    let by_context = format!("{statuses}/tests%2Fall");
    let changed = ann
        .patch(by_context, json!({"state": "success"}))
        .await
        .ok();
    assert_eq!(changed["id"], made["id"]);
    assert_eq!(changed["name"], "All of them");
}

#[tokio::test]
async fn a_promotion_is_refused_for_the_first_thing_that_is_wrong_with_it() {
    let (server, ann) = world().await;
    couple(&ann, "staging", "staging", json!([])).await;
    couple(
        &ann,
        "production",
        "production",
        json!(["tests/all", "tests/more"]),
    )
    .await;
    server.running_app(&ann, "alone").await;
    let foreign = ann.newest_release("alone").await;
    let before = server.dump();
    let of = |words: &str| format!("The request did not include a {words}");
    let no_target = "A specified target for deployment did not contain an app id, e.g., #/targets/[]/app/id did not exist.";
    let mut body = json!({});
    for (name, value, words) in [
        ("safe", json!(false), of("\"pipeline\" to promote.")),
        ("pipeline", json!("water"), of("\"source\" app to promote.")),
        (
            "source",
            json!({}),
            of("\"source/app\" id or name to promote."),
        ),
        (
            "source",
            json!({"app": {}}),
            of("\"source/app/id\" to promote."),
        ),
        (
            "source",
            json!({"app": "staging"}),
            of("\"target\" array of targets to promote to."),
        ),
        (
            "targets",
            json!("production"),
            "The requested target field of apps to deploy to was not an array.".to_owned(),
        ),
        ("targets", json!([{}]), no_target.to_owned()),
        ("targets", json!([{"app": {}}]), no_target.to_owned()),
        ("targets", json!(["production"]), no_target.to_owned()),
    ] {
        body[name] = value;
        says(&ann.post(PROMOTIONS, body.clone()).await, 422, &words);
    }
    body["targets"] = json!([{"app": "alone"}]);
    ann.post(PROMOTIONS, body.clone()).await.invalid(
        "Some of the specified targets are either not in the pipeline or cannot be promoted from the specified source app.",
    );
    body["source"] = json!({"app": "alone"});
    let refused = ann.post(PROMOTIONS, body.clone()).await;
    refused.invalid("The specified app is not in the given pipeline.");
    body["source"] = json!({"app": {"name": "staging", "release": {"id": id(&foreign)}}});
    body["targets"] = json!([{"app": "production"}]);
    let refused = ann.post(PROMOTIONS, body.clone()).await;
    refused.invalid("The specified release was not part of the source app.");
    body["source"] = json!({"app": "staging"});
    says(
        &ann.post(PROMOTIONS, body).await,
        409,
        "This promotion was stopped as it was deemed unsafe:\n\
         The app production at stage production requires the status \"tests/all\" to pass in order to promote.\n\
         The app production at stage production requires the status \"tests/more\" to pass in order to promote.",
    );
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn who_has_the_pipeline_may_promote_past_its_checks_and_has_to_say_so_twice() {
    let (server, ann) = world().await;
    let bob = server.account("bob").await;
    couple(&ann, "staging", "staging", json!([])).await;
    couple(&ann, "production", "production", json!(["tests/all"])).await;
    for app in ["staging", "production"] {
        let body = json!({"user": "bob@example.com", "permissions": ["manage", "deploy"]});
        let path = format!("/apps/{app}/collaborators");
        ann.post(path, body).await.created();
    }
    let promote = async |who: &Client, elevated: &str, safe: Value| {
        let body = json!({
            "pipeline": "water", "source": {"app": "staging"}, "targets": [{"app": "production"}], "safe": safe,
        });
        let request = who.request("POST", PROMOTIONS).json(&body);
        request
            .header("x-elevated-access", elevated)
            .send()
            .await
            .status
    };
    assert_eq!(promote(&ann, "false", json!(false)).await, 409);
    assert_eq!(promote(&ann, "true", json!(null)).await, 409);
    assert_eq!(promote(&ann, "true", json!(true)).await, 409);
    assert_eq!(promote(&bob, "true", json!(false)).await, 409);
    assert_eq!(promote(&ann, "true", json!(false)).await, 201);
    server.settle().await;
    assert!(ann.newest_release("production").await["slug"].is_object());
}

#[tokio::test]
async fn a_release_is_made_of_one_thing() {
    let (_server, ann) = world().await;
    let releases = "/apps/staging/releases";
    says(
        &ann.post(releases, json!({})).await,
        422,
        "The specified \"slug\" (or) \"release\" field was not provided.",
    );
    let both = json!({"slug": Id::new(), "release": 1});
    ann.post(releases, both).await.invalid("not both");
}
