//! Dynos: what a client sees of them while they start, crash, are replaced and end.

use std::time::Duration;

use penstock::name::Id;
use serde_json::{Value, json};

use crate::harness::{Client, Server, gz, id};

const DYNOS: &str = "/apps/harbour/dynos";

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    server.running_app(&ann, "harbour").await;
    (server, ann)
}

fn own(dyno: &Value) -> Id {
    Id::parse(&id(dyno)).unwrap()
}

async fn web(ann: &Client) -> Value {
    ann.get(format!("{DYNOS}/web.1")).await.ok()
}

#[tokio::test]
async fn a_dyno_runs_the_release_that_it_names() {
    let (server, ann) = server().await;
    let dyno = web(&ann).await;
    let release = ann.newest_release("harbour").await;
    assert_eq!(dyno["state"], "up");
    assert_eq!(dyno["release"]["id"], release["id"]);
    assert_eq!(dyno["release"]["version"], 3);
    assert_eq!(dyno["command"], "serve --port $PORT");
    assert_eq!(ann.get(format!("{DYNOS}/{}", id(&dyno))).await.ok(), dyno);
    assert_eq!(ann.get(DYNOS).await.list(), std::slice::from_ref(&dyno));
    let launch = server.dynos.one("harbour", "web.1");
    assert_eq!(launch.dyno, own(&dyno));
    assert!(launch.port.is_some());
}

#[tokio::test]
async fn a_web_dyno_is_starting_until_it_listens() {
    let (server, ann) = server().await;
    server.dynos.hold();
    let next = gz(&[("Procfile", "web: next")]);
    server.deploy(&ann, "harbour", &next).await;
    let dyno = web(&ann).await;
    assert_eq!(dyno["state"], "starting");
    // The old one goes on serving until then.
    assert_eq!(server.dynos.of("harbour"), ["web.1 v3", "web.1 v4"]);
    server.dynos.listen(own(&dyno));
    server.settle().await;
    assert_eq!(web(&ann).await["state"], "up");
    assert_eq!(server.dynos.of("harbour"), ["web.1 v4"]);
}

#[tokio::test]
async fn a_web_dyno_that_never_listens_is_ended_and_tried_again() {
    let (server, ann) = server().await;
    server.dynos.hold();
    ann.patch("/apps/harbour/config-vars", json!({"A": "1"}))
        .await
        .ok();
    server.settle().await;
    let late = web(&ann).await;
    let path = format!("/apps/harbour/releases/{}", late["release"]["version"]);
    assert_eq!(ann.get(&path).await.ok()["output_stream_url"], Value::Null);
    server.dynos.time_out(own(&late));
    server.settle().await;
    // Why is said where a release's output is looked for.
    let release = ann.get(&path).await.ok();
    let said = ann
        .get(release["output_stream_url"].as_str().unwrap())
        .await;
    let said = said.text();
    assert!(
        said.contains("Release v4 does not come up: web.1 did not come up in time")
            && said.contains("v3 goes on serving"),
        "{said}"
    );
    let next = web(&ann).await;
    assert_ne!(next["id"], late["id"]);
    assert_eq!(next["state"], "starting");
    assert_eq!(server.dynos.of("harbour"), ["web.1 v3", "web.1 v4"]);
}

#[tokio::test]
async fn what_serves_in_place_of_a_release_that_does_not_come_up_is_seen_beside_it() {
    let (server, ann) = server().await;
    let old = web(&ann).await;
    server.dynos.hold();
    let next = gz(&[("Procfile", "web: next")]);
    server.deploy(&ann, "harbour", &next).await;
    let shown = async || {
        let dynos = ann.get(DYNOS).await;
        let releases = ann.get("/apps/harbour/releases").await;
        let warned = dynos.header("warning-message").to_owned();
        assert_eq!(releases.header("warning-message"), warned);
        let seen = |dyno: &Value| {
            let (name, state) = (dyno["name"].as_str(), dyno["state"].as_str());
            let version = &dyno["release"]["version"];
            format!("{} v{version} {}", name.unwrap(), state.unwrap())
        };
        let seen: Vec<String> = dynos.list().iter().map(seen).collect();
        (seen.join(", "), warned)
    };
    // As long as it may yet come up, there is nothing to tell.
    assert_eq!(
        shown().await,
        ("web.1 v4 starting".to_owned(), String::new())
    );
    for state in ["starting", "crashed"] {
        server.dynos.crash(own(&web(&ann).await), 1);
        server.settle().await;
        let (seen, warned) = shown().await;
        assert_eq!(seen, format!("web.1 v3 up, web.1 v4 {state}"));
        assert_eq!(
            warned,
            "v4 does not come up, so v3 goes on serving visitors. heroku releases:output v4 says why."
        );
    }
    // By its name the new one is meant; the old one goes when that has come up, and not before.
    assert_eq!(web(&ann).await["release"]["version"], 4);
    let path = format!("{DYNOS}/{}", id(&old));
    assert_eq!(ann.get(&path).await.ok(), old);
    let refused = ann.delete(&path).await;
    refused.refused(409, "conflict", "heroku ps:restart web.");
    let first = ann.range(DYNOS, "name ..; max=1").await;
    assert_eq!(first.status, 206);
    let second = ann.range(DYNOS, first.header("next-range")).await;
    assert_eq!(second.list()[0]["id"], web(&ann).await["id"]);
    ann.delete(format!("{DYNOS}/web.1")).await.expect(202);
    server.settle().await;
    assert_eq!(server.dynos.of("harbour"), ["web.1 v3", "web.1 v4"]);
    server.dynos.listen(own(&web(&ann).await));
    server.settle().await;
    assert_eq!(shown().await, ("web.1 v4 up".to_owned(), String::new()));
}

#[tokio::test]
async fn a_crashed_dyno_is_started_again_with_growing_patience() {
    let (server, ann) = server().await;
    let first = web(&ann).await;
    server.dynos.crash(own(&first), 1);
    server.settle().await;
    let second = web(&ann).await;
    assert_ne!(
        second["id"], first["id"],
        "the first crash waits for nothing"
    );
    assert_eq!(second["state"], "up");
    server.dynos.crash(own(&second), 1);
    server.settle().await;
    let crashed = web(&ann).await;
    assert_eq!(crashed["id"], second["id"]);
    assert_eq!(crashed["state"], "crashed");
    assert!(server.dynos.running().is_empty());
    server.pass(Duration::from_secs(60));
    server.settle().await;
    assert_eq!(web(&ann).await["state"], "up");
    assert_eq!(server.dynos.launches(), 3);
}

#[tokio::test]
async fn a_dyno_that_cannot_be_started_is_crashed() {
    let (server, ann) = server().await;
    server.dynos.refuse();
    ann.delete(format!("{DYNOS}/web.1")).await.expect(202);
    server.settle().await;
    assert_eq!(web(&ann).await["state"], "crashed");
    // The one in whose place it was to come goes on.
    assert_eq!(ann.get(DYNOS).await.each("state"), ["up", "crashed"]);
    assert_eq!(server.dynos.of("harbour"), ["web.1 v3"]);
}

#[tokio::test]
async fn every_way_to_restart_replaces_what_it_names_and_nothing_else() {
    let (server, ann) = server().await;
    let quantity =
        json!({"updates": [{"type": "web", "quantity": 2}, {"type": "worker", "quantity": 1}]});
    ann.patch("/apps/harbour/formation", quantity).await.ok();
    server.settle().await;
    let worker = id(&ann.get(format!("{DYNOS}/worker.1")).await.ok());
    for (method, path, replaced) in [
        ("DELETE", "/dynos/web.2".to_owned(), "web.2"),
        ("POST", "/dynos/web.1/actions/stop".to_owned(), "web.1"),
        ("DELETE", format!("/dynos/{worker}"), "worker.1"),
        ("DELETE", "/formations/web".to_owned(), "web.1 web.2"),
        (
            "POST",
            "/formations/web/actions/stop".to_owned(),
            "web.1 web.2",
        ),
        ("DELETE", "/dynos".to_owned(), "web.1 web.2 worker.1"),
        (
            "POST",
            "/dynos/actions/restart-all".to_owned(),
            "web.1 web.2 worker.1",
        ),
    ] {
        let before = ann.get(DYNOS).await.list();
        let path = format!("/apps/harbour{path}");
        let answer = ann.request(method, &path).send().await;
        assert_eq!(answer.expect(202), json!({}));
        server.settle().await;
        let after = ann.get(DYNOS).await.list();
        let kept = |dyno: &&Value| after.iter().any(|other| other["id"] == dyno["id"]);
        let mut gone: Vec<&str> = before
            .iter()
            .filter(|dyno| !kept(dyno))
            .map(|dyno| dyno["name"].as_str().unwrap())
            .collect();
        gone.sort_unstable();
        assert_eq!(gone.join(" "), replaced, "{method} {path}");
        assert_eq!(after.len(), 3);
        assert!(after.iter().all(|dyno| dyno["state"] == "up"));
    }
}

#[tokio::test]
async fn a_restart_ends_the_wait_of_a_crashed_dyno() {
    let (server, ann) = server().await;
    for _ in 0..2 {
        server.dynos.crash(own(&web(&ann).await), 1);
        server.settle().await;
    }
    assert_eq!(web(&ann).await["state"], "crashed");
    ann.delete(DYNOS).await.expect(202);
    server.settle().await;
    assert_eq!(web(&ann).await["state"], "up");
}

#[tokio::test]
async fn what_is_no_dyno_cannot_be_restarted() {
    let (server, ann) = server().await;
    let before = server.dump();
    for name in ["web.2", "worker.1", "web", "run.1", "%20"] {
        ann.get(format!("{DYNOS}/{name}")).await.missing("dyno");
        ann.delete(format!("{DYNOS}/{name}")).await.missing("dyno");
    }
    ann.delete("/apps/harbour/formations/clock")
        .await
        .missing("process type");
    assert_eq!(server.dump(), before);
}
