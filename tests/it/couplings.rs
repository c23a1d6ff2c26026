//! Pipeline couplings: which app stands at which stage.

use std::time::Duration;

use penstock::name::Id;
use serde_json::json;

use crate::harness::{Client, Server, id};

const COUPLINGS: &str = "/pipeline-couplings";

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    ann.app("marina").await;
    (server, ann)
}

#[tokio::test]
async fn a_coupling_is_found_in_every_way_that_leads_to_it() {
    let (_server, ann) = server().await;
    let pipeline = ann.pipeline("water").await;
    let made = ann.couple("harbour", &pipeline, "staging").await;
    assert_eq!(made["app"]["name"], "harbour");
    assert_eq!(made["pipeline"]["name"], "water");
    assert_eq!(made["stage"], "staging");
    let own = format!("{COUPLINGS}/{}", id(&made));
    assert_eq!(ann.get(own).await.ok(), made);
    assert_eq!(ann.get("/apps/harbour/pipeline-couplings").await.ok(), made);
    for list in [
        COUPLINGS,
        "/pipelines/water/pipeline-couplings",
        "/users/~/pipeline-couplings",
    ] {
        assert_eq!(
            ann.get(list).await.list(),
            std::slice::from_ref(&made),
            "{list}"
        );
    }
    let uncoupled = ann.get("/apps/marina/pipeline-couplings").await;
    uncoupled.refused(404, "not_found", "heroku pipelines:add PIPELINE --app APP");
    assert_eq!(uncoupled.expect(404)["resource"], "pipeline coupling");
    ann.get("/apps/nowhere/pipeline-couplings")
        .await
        .missing("app");
}

#[tokio::test]
async fn app_and_pipeline_are_named_as_clients_name_them() {
    let (_server, ann) = server().await;
    let pipeline = ann.pipeline("water").await;
    let app = ann.get("/apps/harbour").await.ok();
    for body in [
        json!({"app": "harbour", "pipeline": id(&pipeline), "stage": "staging"}),
        json!({"app": id(&app), "pipeline": "water", "stage": "staging"}),
        json!({"app": {"name": "harbour"}, "pipeline": {"id": id(&pipeline)}, "stage": "staging"}),
        json!({"app": {"id": id(&app)}, "pipeline": {"name": "water"}, "stage": "staging"}),
    ] {
        let made = ann.post(COUPLINGS, body).await.created();
        ann.delete(format!("{COUPLINGS}/{}", id(&made))).await.ok();
    }
}

#[tokio::test]
async fn an_app_is_in_one_pipeline_at_most() {
    let (server, ann) = server().await;
    let (water, fire) = (ann.pipeline("water").await, ann.pipeline("fire").await);
    ann.couple("harbour", &water, "staging").await;
    let before = server.dump();
    for pipeline in [&water, &fire] {
        let body = json!({"app": "harbour", "pipeline": id(pipeline), "stage": "production"});
        ann.post(COUPLINGS, body).await.refused(
            409,
            "conflict",
            "The application already is pipelined.",
        );
    }
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn many_apps_may_stand_at_one_stage() {
    let (_server, ann) = server().await;
    let pipeline = ann.pipeline("water").await;
    for app in ["harbour", "marina"] {
        ann.couple(app, &pipeline, "production").await;
    }
    let stages = ann.get(COUPLINGS).await.each("stage");
    assert_eq!(stages, ["production", "production"]);
}

#[tokio::test]
async fn an_app_moves_from_stage_to_stage() {
    let (server, ann) = server().await;
    let pipeline = ann.pipeline("water").await;
    let made = ann.couple("harbour", &pipeline, "development").await;
    let own = format!("{COUPLINGS}/{}", id(&made));
    server.pass(Duration::from_secs(5));
    let same = ann.patch(&own, json!({"stage": "development"})).await;
    assert_eq!(same.ok(), made);
    assert_eq!(ann.patch(&own, json!({})).await.ok(), made);
    for stage in ["test", "review", "development", "staging", "production"] {
        let moved = ann.patch(&own, json!({ "stage": stage })).await.ok();
        assert_eq!(moved["stage"], stage);
        assert_eq!(moved["updated_at"], "2026-01-31T12:00:05Z");
    }
    let before = server.dump();
    for stage in [json!("later"), json!(""), json!("Staging"), json!(1)] {
        let body = json!({ "stage": stage });
        ann.patch(&own, body).await.invalid("stage");
    }
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn a_coupling_is_undone() {
    let (_server, ann) = server().await;
    let pipeline = ann.pipeline("water").await;
    let made = ann.couple("harbour", &pipeline, "staging").await;
    let own = format!("{COUPLINGS}/{}", id(&made));
    assert_eq!(ann.delete(&own).await.ok(), made);
    ann.delete(&own).await.missing("pipeline coupling");
    ann.get(&own).await.missing("pipeline coupling");
    ann.couple("harbour", &pipeline, "staging").await;
}

#[tokio::test]
async fn what_couples_nothing_is_refused() {
    let (server, ann) = server().await;
    let bob = server.account("bob").await;
    bob.app("lagoon").await;
    let his = bob.pipeline("fire").await;
    ann.pipeline("water").await;
    let before = server.dump();
    let whole = json!({"app": "harbour", "pipeline": "water", "stage": "staging"});
    for name in ["app", "pipeline", "stage"] {
        let mut part = whole.clone();
        part.as_object_mut().unwrap().remove(name);
        ann.post(COUPLINGS, part).await.invalid(name);
        for wrong in [json!(7), json!([]), json!({})] {
            let mut body = whole.clone();
            body[name] = wrong;
            ann.post(COUPLINGS, body).await.invalid(name);
        }
    }
    for (contexts, words) in [
        (json!("x"), "an array of strings!"),
        (json!([7]), "an array of strings!"),
    ] {
        let mut body = whole.clone();
        body["required_status_checks"] = json!({ "contexts": contexts });
        ann.post(COUPLINGS, body).await.invalid(words);
    }
    for (name, foreign, absent) in [
        ("app", json!("lagoon"), json!("nowhere")),
        ("pipeline", json!(id(&his)), json!(Id::new())),
    ] {
        let mut answers = Vec::new();
        for value in [foreign, absent] {
            let mut body = whole.clone();
            body[name] = value.clone();
            let answer = ann.post(COUPLINGS, body).await;
            answer.expect(404);
            // Some are told of by the name that they were asked for by.
            answers.push(answer.text().replace(value.as_str().unwrap(), "it"));
        }
        assert_eq!(answers[0], answers[1]);
    }
    ann.get(format!("{COUPLINGS}/by-name"))
        .await
        .missing("pipeline coupling");
    assert_eq!(server.dump(), before);
}
