//! The formation: how many dynos of each type, and what that makes of the dynos.

use serde_json::{Value, json};

use crate::harness::{Client, Server, gz, id};

const FORMATION: &str = "/apps/harbour/formation";

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    server.running_app(&ann, "harbour").await;
    (server, ann)
}

async fn scale(ann: &Client, name: &str, quantity: impl Into<Value>) -> Value {
    let body = json!({"quantity": quantity.into()});
    ann.patch(format!("{FORMATION}/{name}"), body).await.ok()
}

#[tokio::test]
async fn an_app_without_a_slug_has_no_formation() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    assert!(ann.get(FORMATION).await.list().is_empty());
    ann.get(format!("{FORMATION}/web"))
        .await
        .missing("process type");
}

#[tokio::test]
async fn the_first_deploy_runs_one_web_dyno_and_nothing_else() {
    let (server, ann) = server().await;
    let all = ann.get(FORMATION).await;
    assert_eq!(all.each("type"), ["web", "worker"]);
    assert_eq!(all.each("quantity"), ["1", "0"]);
    assert_eq!(all.each("size"), ["Basic", "Basic"]);
    assert_eq!(all.each("command"), ["serve --port $PORT", "work --hard"]);
    assert_eq!(server.dynos.of("harbour"), ["web.1 v3"]);
}

#[tokio::test]
async fn a_type_is_found_by_its_name_and_its_id() {
    let (_server, ann) = server().await;
    let web = ann.get(format!("{FORMATION}/web")).await.ok();
    assert_eq!(ann.get(format!("{FORMATION}/{}", id(&web))).await.ok(), web);
    assert_eq!(web["dyno_size"]["name"], "Basic");
}

#[tokio::test]
async fn a_type_with_capitals_is_scaled_and_restarted_like_any_other() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let source = gz(&[("Procfile", "Clock_Work: tick\n")]);
    server.deploy(&ann, "harbour", &source).await;
    assert_eq!(scale(&ann, "Clock_Work", 1).await["quantity"], 1);
    let updates = json!({"updates": [{"type": "Clock_Work", "quantity": 2}]});
    ann.patch(FORMATION, updates).await.ok();
    server.settle().await;
    let dyno = ann.get("/apps/harbour/dynos/Clock_Work.2").await.ok();
    assert_eq!(dyno["type"], "Clock_Work");
    ann.delete("/apps/harbour/dynos/Clock_Work.1")
        .await
        .expect(202);
    ann.delete("/apps/harbour/formations/Clock_Work")
        .await
        .expect(202);
}

#[tokio::test]
async fn a_quantity_is_a_number_text_or_a_change() {
    let (server, ann) = server().await;
    for (quantity, then) in [
        (json!(3), 3),
        (json!("2"), 2),
        (json!("+2"), 4),
        (json!("-1"), 3),
        (json!("-100"), 0),
        (json!(100), 100),
    ] {
        assert_eq!(scale(&ann, "worker", quantity).await["quantity"], then);
    }
    assert_eq!(scale(&ann, "worker", 2).await["quantity"], 2);
    server.settle().await;
    let running = server.dynos.of("harbour");
    assert_eq!(running, ["web.1 v3", "worker.1 v3", "worker.2 v3"]);
    assert_eq!(ann.newest_release("harbour").await["version"], 3);
}

#[tokio::test]
async fn the_official_cli_scales_by_text_and_by_change_in_a_batch() {
    let (server, ann) = server().await;
    for (quantity, names) in [
        ("2", ["worker.1 v3", "worker.2 v3"].as_slice()),
        ("+1", &["worker.1 v3", "worker.2 v3", "worker.3 v3"]),
        ("-2", &["worker.1 v3"]),
    ] {
        let updates = json!({"updates": [
            {"type": "web", "quantity": "0"}, {"type": "worker", "quantity": quantity},
        ]});
        ann.patch(FORMATION, updates).await.ok();
        server.settle().await;
        assert_eq!(server.dynos.of("harbour"), names);
    }
}

#[tokio::test]
async fn the_dynos_that_are_scaled_away_end() {
    let (server, ann) = server().await;
    scale(&ann, "web", 3).await;
    server.settle().await;
    let names = ann.get("/apps/harbour/dynos").await.each("name");
    assert_eq!(names, ["web.1", "web.2", "web.3"]);
    let first = id(&ann.get("/apps/harbour/dynos/web.1").await.ok());
    scale(&ann, "web", 1).await;
    server.settle().await;
    assert_eq!(server.dynos.of("harbour"), ["web.1 v3"]);
    let left = ann.get("/apps/harbour/dynos").await.list();
    assert_eq!(left.len(), 1);
    assert_eq!(id(&left[0]), first);
    scale(&ann, "web", 0).await;
    server.settle().await;
    assert!(server.dynos.of("harbour").is_empty());
    assert!(ann.get("/apps/harbour/dynos").await.list().is_empty());
}

#[tokio::test]
async fn a_batch_is_done_whole_or_not_at_all() {
    let (server, ann) = server().await;
    let updates = json!({"updates": [
        {"type": "web", "quantity": 2, "size": "standard-1x"},
        {"type": "worker", "quantity": "+1", "dyno_size": {"name": "Eco"}},
    ]});
    let changed = ann.patch(FORMATION, updates).await;
    assert_eq!(changed.each("quantity"), ["2", "1"]);
    assert_eq!(changed.each("size"), ["Standard-1X", "Eco"]);
    let before = server.dump();
    for last in [
        json!({"type": "clock", "quantity": 1}),
        json!({"type": "worker", "quantity": 101}),
        json!({"type": "worker", "size": "Huge"}),
        json!({"quantity": 1}),
    ] {
        let updates = json!({"updates": [{"type": "web", "quantity": 5}, last]});
        let refused = ann.patch(FORMATION, updates).await;
        assert!(matches!(refused.status, 404 | 422), "{refused:?}");
    }
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn a_size_is_named_by_id_or_name_in_any_case() {
    let (_server, ann) = server().await;
    let path = format!("{FORMATION}/web");
    let by_name = json!({"size": "PERFORMANCE-M"});
    let web = ann.patch(&path, by_name).await.ok();
    assert_eq!(web["size"], "Performance-M");
    let size = web["dyno_size"].clone();
    ann.patch(&path, json!({"size": "eco"})).await.ok();
    let web = ann.patch(&path, json!({ "dyno_size": size["id"] })).await;
    assert_eq!(web.ok()["dyno_size"], size);
}

#[tokio::test]
async fn a_new_slug_takes_types_away_and_brings_others() {
    let (server, ann) = server().await;
    scale(&ann, "web", 2).await;
    scale(&ann, "worker", 1).await;
    let next = gz(&[("Procfile", "web: anew\nclock: tick\n")]);
    server.deploy(&ann, "harbour", &next).await;
    let all = ann.get(FORMATION).await;
    assert_eq!(all.each("type"), ["web", "clock"]);
    assert_eq!(all.each("quantity"), ["2", "0"]);
    assert_eq!(all.each("command"), ["anew", "tick"]);
    assert_eq!(server.dynos.of("harbour"), ["web.1 v4", "web.2 v4"]);
}

#[tokio::test]
async fn what_is_no_quantity_or_size_changes_nothing() {
    let (server, ann) = server().await;
    let before = server.dump();
    let path = format!("{FORMATION}/web");
    for (body, words) in [
        (json!({"quantity": -1}), "0 to 100"),
        (json!({"quantity": 101}), "0 to 100"),
        (json!({"quantity": "+100"}), "0 to 100"),
        (json!({"quantity": "many"}), "quantity"),
        (json!({"quantity": ""}), "quantity"),
        (json!({"quantity": "++1"}), "quantity"),
        (json!({"quantity": 1.5}), "quantity"),
        (json!({"quantity": true}), "quantity"),
        (json!({"quantity": [1]}), "quantity"),
        (json!({"size": "Huge"}), "Standard-1X"),
        (json!({"size": 1}), "size"),
        (json!({"dyno_size": {}}), "dyno_size"),
        (json!({"docker_image": "4b2f"}), "no container images"),
    ] {
        ann.patch(&path, body).await.invalid(words);
    }
    for (body, words) in [
        (json!({}), "updates"),
        (json!({"updates": {}}), "updates"),
        (json!({"updates": [{"quantity": 1}]}), "type"),
        (
            json!({"updates": [{"type": "web", "docker_image": "4b2f"}]}),
            "no container images",
        ),
        (
            json!({"updates": [{"type": "web", "quantity": true}]}),
            "updates[0].quantity",
        ),
    ] {
        ann.patch(FORMATION, body).await.invalid(words);
    }
    ann.patch(format!("{FORMATION}/clock"), json!({"quantity": 1}))
        .await
        .missing("process type");
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn more_updates_at_once_than_an_app_can_have_types_are_refused() {
    let (_server, ann) = server().await;
    let update = json!({"type": "web", "quantity": 2});
    let updates = json!({"updates": vec![update; 1_001]});
    let refused = ann.patch(FORMATION, updates).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert_eq!(ann.get(FORMATION).await.each("quantity"), ["1", "0"]);
}
