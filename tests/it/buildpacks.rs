//! Buildpack installations: kept in their order, and taken by builds.

use serde_json::{Value, json};

use crate::harness::{Answer, Client, Server, id, web_app};

const BUILDPACKS: &str = "/apps/harbour/buildpack-installations";

async fn put(client: &Client, buildpacks: &[&str]) -> Answer {
    let update = |buildpack| json!({ "buildpack": buildpack });
    let updates: Vec<Value> = buildpacks.iter().map(update).collect();
    let request = client.request("PUT", BUILDPACKS);
    request.json(&json!({ "updates": updates })).send().await
}

fn urls(answer: Answer) -> Vec<String> {
    let list = answer.list();
    for (at, installation) in list.iter().enumerate() {
        assert_eq!(installation["ordinal"], at);
    }
    let url = |installation: &Value| {
        installation["buildpack"]["url"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    list.iter().map(url).collect()
}

#[tokio::test]
async fn buildpacks_are_kept_in_order_replaced_as_a_whole_and_cleared() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    assert_eq!(ann.get(BUILDPACKS).await.list(), Vec::<Value>::new());
    let wanted = [
        "heroku/nodejs",
        "https://github.com/heroku/heroku-buildpack-ruby#v1",
        "urn:buildpack:heroku/python",
    ];
    let made = put(&ann, &wanted).await.ok();
    assert_eq!(made[0]["buildpack"]["name"], "heroku/nodejs");
    assert_eq!(
        urls(ann.get(BUILDPACKS).await),
        [
            "urn:buildpack:heroku/nodejs",
            "https://github.com/heroku/heroku-buildpack-ruby#v1",
            "urn:buildpack:heroku/python"
        ]
    );
    put(&ann, &["heroku/python"]).await.ok();
    let one = ["urn:buildpack:heroku/python"];
    assert_eq!(urls(ann.get(BUILDPACKS).await), one);
    for (wrong, words) in [
        (vec!["nodejs"], "heroku/nodejs"),
        (vec!["ftp://x.test/pack"], "no buildpack"),
        (vec!["https://ann:secret@x.test/pack"], "password"),
        (vec!["heroku/go", "heroku/go"], "twice"),
        (vec![""], "no buildpack"),
    ] {
        put(&ann, &wrong).await.invalid(words);
    }
    let many: Vec<String> = (0..21).map(|at| format!("heroku/x{at}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    put(&ann, &many).await.invalid("at most");
    assert_eq!(urls(ann.get(BUILDPACKS).await), one);
    put(&ann, &[]).await.ok();
    assert_eq!(ann.get(BUILDPACKS).await.list(), Vec::<Value>::new());
}

#[tokio::test]
async fn a_build_takes_the_buildpacks_that_it_names_and_else_those_of_its_app() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    put(&ann, &["heroku/nodejs"]).await.ok();
    let url = ann.upload(&web_app()).await;
    let build = json!({"source_blob": { "url": url }});
    let of_app = ann.post("/apps/harbour/builds", build).await.created();
    let known = json!([{"url": "urn:buildpack:heroku/nodejs", "name": "heroku/nodejs"}]);
    assert_eq!(of_app["buildpacks"], known);
    let none = json!({"source_blob": { "url": url }, "buildpacks": []});
    let plain = ann.post("/apps/harbour/builds", none).await.created();
    assert_eq!(plain["buildpacks"], json!([]));
    // What the app has later does not change a build that waits.
    put(&ann, &[]).await.ok();
    server.settle().await;
    let of_app = ann
        .get(format!("/apps/harbour/builds/{}", id(&of_app)))
        .await
        .ok();
    // Nothing of this name is kept on this server.
    assert_eq!(of_app["status"], "failed");
    assert_eq!(of_app["buildpacks"], known);
    let plain = ann
        .get(format!("/apps/harbour/builds/{}", id(&plain)))
        .await
        .ok();
    assert_eq!(plain["status"], "succeeded");
    for (wrong, words) in [
        (json!([{"url": "nodejs"}]), "no buildpack"),
        (json!([{}]), "buildpacks[].url"),
        (json!([{"name": "a/b"}, {"url": "a/b"}]), "twice"),
    ] {
        let body = json!({"source_blob": { "url": url }, "buildpacks": wrong});
        ann.post("/apps/harbour/builds", body).await.invalid(words);
    }
}
