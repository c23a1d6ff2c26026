//! Pipelines: made, found by id and by a name that may be somebody else's too.

use std::time::Duration;

use penstock::name::Id;
use penstock::store::couplings::{self, Stage};
use serde_json::{Value, json};

use crate::harness::{Client, Server, id};

/// Puts an app into a pipeline of somebody else, as a transfer of the app would leave it.
async fn put_into(server: &Server, app: &Value, pipeline: &Value) {
    let own = |shown: &Value| Id::parse(&id(shown)).unwrap();
    let (app, pipeline, now) = (own(app), own(pipeline), server.clock.now());
    let write = server.platform.store.write(move |connection| {
        couplings::create(connection, app, pipeline, Stage::Staging, &[], now)
    });
    write.await.unwrap();
}

/// Ann and Bob have a pipeline `water` each, and see each other's.
async fn ambiguous() -> (Server, Client, Client, Value, Value) {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let (hers, his) = (ann.pipeline("water").await, bob.pipeline("water").await);
    put_into(&server, &ann.app("harbour").await, &his).await;
    put_into(&server, &bob.app("lagoon").await, &hers).await;
    (server, ann, bob, hers, his)
}

#[tokio::test]
async fn a_pipeline_is_found_by_its_id_and_its_name() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let made = ann.pipeline("water").await;
    assert_eq!(made["name"], "water");
    assert_eq!(made["owner"], json!({"id": ann.id, "type": "user"}));
    assert_eq!(ann.get("/pipelines/water").await.ok(), made);
    assert_eq!(
        ann.get(format!("/pipelines/{}", id(&made))).await.ok(),
        made
    );
    assert_eq!(ann.get("/pipelines").await.list(), [made]);
    ann.get("/pipelines/fire").await.missing("pipeline");
}

#[tokio::test]
async fn a_pipeline_is_looked_for_by_name_as_the_official_cli_does() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let made = ann.pipeline("water").await;
    ann.pipeline("fire").await;
    for query in [
        "eq[name]=water",
        "eq%5Bname%5D=water",
        "x=1&eq[name]=w%61ter",
    ] {
        let found = ann.get(format!("/pipelines?{query}")).await.list();
        assert_eq!(found, std::slice::from_ref(&made), "{query}");
    }
    assert!(ann.get("/pipelines?eq[name]=air").await.list().is_empty());
    assert!(ann.get("/pipelines?eq[name]=").await.list().is_empty());
}

#[tokio::test]
async fn a_pipeline_is_renamed() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let made = ann.pipeline("water").await;
    ann.pipeline("fire").await;
    server.pass(Duration::from_secs(5));
    let same = ann
        .patch("/pipelines/water", json!({"name": "water"}))
        .await;
    assert_eq!(same.ok(), made);
    assert_eq!(ann.patch("/pipelines/water", json!({})).await.ok(), made);
    let renamed = ann.patch("/pipelines/water", json!({"name": "air"})).await;
    assert_eq!(renamed.ok()["id"], made["id"]);
    assert_eq!(renamed.ok()["updated_at"], "2026-01-31T12:00:05Z");
    ann.get("/pipelines/water").await.missing("pipeline");
    ann.patch("/pipelines/air", json!({"name": "fire"}))
        .await
        .invalid("name");
}

#[tokio::test]
async fn a_name_is_unique_for_one_owner_only() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let hers = ann.pipeline("water").await;
    let his = bob.pipeline("water").await;
    assert_ne!(hers["id"], his["id"]);
    ann.post("/pipelines", json!({"name": "water"}))
        .await
        .invalid("name");
    assert_eq!(ann.get("/pipelines/water").await.ok(), hers);
    assert_eq!(bob.get("/pipelines/water").await.ok(), his);
}

#[tokio::test]
async fn an_ambiguous_name_offers_a_choice_to_whoever_reads() {
    let (_server, ann, bob, hers, his) = ambiguous().await;
    for client in [&ann, &bob] {
        let choice = client.get("/pipelines/water").await.expect(300);
        assert_eq!(choice, json!([hers, his]));
        let found = client.get("/pipelines?eq[name]=water").await.list();
        assert_eq!(found, [hers.clone(), his.clone()]);
        for one in [&hers, &his] {
            let found = client.get(format!("/pipelines/{}", id(one))).await;
            assert_eq!(&found.ok(), one);
        }
    }
}

#[tokio::test]
async fn an_ambiguous_name_is_refused_where_something_is_done() {
    let (server, ann, _, _, _) = ambiguous().await;
    ann.app("marina").await;
    let before = server.dump();
    let name = json!({"name": "fire"});
    let coupling = json!({"app": "marina", "pipeline": "water", "stage": "staging"});
    let promotion =
        json!({"pipeline": "water", "source": {"app": "harbour"}, "targets": [{"app": "marina"}]});
    for refused in [
        ann.patch("/pipelines/water", name).await,
        ann.delete("/pipelines/water").await,
        ann.get("/pipelines/water/pipeline-couplings").await,
        ann.post("/pipeline-couplings", coupling).await,
        ann.post("/pipeline-promotions", promotion).await,
    ] {
        refused.refused(422, "multiple_matches", "Several pipelines");
    }
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn a_pipeline_may_say_what_it_is_for() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let body = json!({"name": "water", "description": "The web shop"});
    let made = ann.post("/pipelines", body).await.created();
    assert_eq!(made["description"], "The web shop");
    let renamed = json!({"name": "fire"});
    ann.patch("/pipelines/water", renamed).await.ok();
    let shown = ann.get("/pipelines/fire").await.ok();
    assert_eq!(shown["description"], "The web shop");
    let long = json!({"description": "x".repeat(1001)});
    ann.patch("/pipelines/fire", long)
        .await
        .invalid("description");
    let none = json!({"description": null});
    let shown = ann.patch("/pipelines/fire", none).await.ok();
    assert_eq!(
        (&shown["description"], &shown["name"]),
        (&json!(null), &json!("fire"))
    );
    assert_eq!(ann.pipeline("earth").await["description"], json!(null));
}

#[tokio::test]
async fn who_has_an_app_in_a_pipeline_sees_it_and_cannot_change_it() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let his = bob.pipeline("water").await;
    ann.get("/pipelines/water").await.missing("pipeline");
    put_into(&server, &ann.app("harbour").await, &his).await;
    bob.app("lagoon").await;
    bob.couple("lagoon", &his, "production").await;
    let before = server.dump();
    assert_eq!(ann.get("/pipelines/water").await.ok(), his);
    assert_eq!(ann.get("/pipelines").await.list(), [his]);
    let name = json!({"name": "fire"});
    ann.patch("/pipelines/water", name)
        .await
        .refused(403, "forbidden", "owner");
    ann.delete("/pipelines/water")
        .await
        .refused(403, "forbidden", "owner");
    // Of its couplings she sees that of her own app.
    let couplings = ann.get("/pipelines/water/pipeline-couplings").await.list();
    assert_eq!(couplings.len(), 1);
    assert_eq!(couplings[0]["app"]["name"], "harbour");
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn a_deleted_pipeline_leaves_its_apps() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let app = ann.app("harbour").await;
    let pipeline = ann.pipeline("water").await;
    ann.couple("harbour", &pipeline, "staging").await;
    assert_eq!(ann.delete("/pipelines/water").await.ok(), pipeline);
    ann.get("/pipelines/water").await.missing("pipeline");
    assert_eq!(ann.get("/apps/harbour").await.ok(), app);
    assert!(ann.get("/pipeline-couplings").await.list().is_empty());
}

#[tokio::test]
async fn what_is_no_pipeline_is_refused() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let other = server.account("bob").await;
    let before = server.dump();
    for (body, words) in [
        (json!({}), "name"),
        (json!({"name": null}), "name"),
        (json!({"name": 3}), "name"),
        (json!({"name": "ab"}), "3 to 30"),
        (json!({"name": "x".repeat(31)}), "3 to 30"),
        (json!({"name": "Water"}), "lowercase"),
        (json!({"name": "1water"}), "letter"),
        (json!({"name": "wa ter"}), "letters"),
        (json!({"name": "water", "owner": {"id": other.id}}), "owned"),
        (
            json!({"name": "water", "owner": {"id": "nobody"}}),
            "owner.id",
        ),
    ] {
        ann.post("/pipelines", body).await.invalid(words);
    }
    assert_eq!(server.dump(), before);
    let mine = json!({"name": "water", "owner": {"id": ann.id, "type": "user"}, "generation": {"name": "cedar"}});
    ann.post("/pipelines", mine).await.created();
}
