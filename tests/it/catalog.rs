//! What is built in, and what the official CLI asks of several apps at once.

use serde_json::{Value, json};

use crate::harness::{Server, id};

#[tokio::test]
async fn what_is_built_in_is_listed_paged_and_found_by_name() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    for list in ["/regions", "/stacks", "/dyno-sizes", "/generations"] {
        let rows = ann.get(list).await.list();
        assert!(!rows.is_empty());
        for row in &rows {
            let name = row["name"].as_str().unwrap();
            assert_eq!(ann.get(format!("{list}/{name}")).await.ok(), *row);
            assert_eq!(ann.get(format!("{list}/{}", id(row))).await.ok(), *row);
        }
        assert_eq!(ann.get(format!("{list}/none")).await.status, 404);
    }
    let page = |range: &str| {
        ann.request("GET", "/dyno-sizes")
            .header("Range", range)
            .send()
    };
    let first = page("name ..; max=4, order=desc").await;
    assert_eq!(first.status, 206);
    let next = first.header("next-range").to_owned();
    let rest = page(&next).await;
    let mut names = first.each("name");
    names.extend(rest.each("name"));
    let mut all = ann.get("/dyno-sizes").await.each("name");
    all.sort();
    all.reverse();
    assert_eq!(names, all);
    assert_eq!(page("price ..").await.status, 416);
}

#[tokio::test]
async fn apps_are_filtered_by_their_ids_and_strangers_ones_left_out() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let mine = ann.app("harbour").await;
    ann.app("marina").await;
    let other = bob.app("lagoon").await;
    let wanted = json!({"in": {"id": [mine["id"], other["id"]]}});
    let found = ann.post("/filters/apps", wanted).await.list();
    let as_team_app = ann.get("/teams/apps/harbour").await.ok();
    assert_eq!(as_team_app["id"], mine["id"]);
    assert_eq!(found, [as_team_app]);
    let everything = ann.post("/filters/apps", json!({})).await.each("name");
    assert_eq!(everything, ["harbour", "marina"]);
}

#[tokio::test]
async fn a_pipeline_shows_the_latest_release_of_each_app() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    server.running_app(&ann, "staging").await;
    ann.app("production").await;
    let pipeline = ann.pipeline("water").await;
    ann.couple("staging", &pipeline, "staging").await;
    ann.couple("production", &pipeline, "production").await;
    let latest = ann.get("/pipelines/water/latest-releases").await.list();
    let seen = |name: &str| -> Value {
        let of_app = |row: &&Value| row["app"]["name"] == name;
        latest.iter().find(of_app).unwrap()["version"].clone()
    };
    assert_eq!((seen("staging"), seen("production")), (json!(3), json!(2)));
}

#[tokio::test]
async fn a_pipeline_shows_the_latest_deployment_of_each_app_that_was_ever_deployed() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    server.running_app(&ann, "staging").await;
    ann.app("production").await;
    let pipeline = ann.pipeline("water").await;
    ann.couple("staging", &pipeline, "staging").await;
    ann.couple("production", &pipeline, "production").await;
    let deployed = async || {
        let latest = ann.get("/pipelines/water/latest-deployments").await.list();
        let shown = |row: &Value| {
            format!(
                "{} v{}",
                row["app"]["name"].as_str().unwrap(),
                row["version"]
            )
        };
        latest.iter().map(shown).collect::<Vec<_>>()
    };
    assert_eq!(deployed().await, ["staging v3"]);
    let set = async |value: &str| {
        ann.patch("/apps/staging/config-vars", json!({"A": value}))
            .await
            .ok()
    };
    set("1").await;
    set("2").await;
    // The same slug with other config vars is a release, and no deployment.
    ann.post("/apps/staging/releases", json!({"release": "v3"}))
        .await
        .created();
    assert_eq!(deployed().await, ["staging v3"]);
    let released = ann
        .get("/pipelines/water/latest-releases")
        .await
        .each("version");
    assert!(released.contains(&"6".to_owned()), "{released:?}");
    let body = json!({"pipeline": "water", "source": {"app": "staging"}, "targets": [{"app": "production"}]});
    ann.post("/pipeline-promotions", body).await.created();
    server.settle().await;
    let mut both = deployed().await;
    both.sort();
    assert_eq!(both, ["production v3", "staging v3"]);
}
