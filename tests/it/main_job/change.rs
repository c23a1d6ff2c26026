//! A running app is rolled back, configured, scaled, restarted, crashed, closed for maintenance, and switched off.

use serde_json::{Value, json};

use super::{release, start};
use crate::binary::sample::{PERL, tarball};
use crate::binary::{Client, processes};

async fn one_app() -> (crate::binary::Place, crate::binary::Server, Client) {
    let (place, server, client) = start();
    client.create_app("app").await;
    client.deploy("app", PERL.tarball("first")).await;
    client.dynos("app", 1).await;
    (place, server, client)
}

/// The ids of the dynos, by name.
fn ids(dynos: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let dynos = dynos.as_array().unwrap();
    let mut ids: Vec<_> = dynos
        .iter()
        .map(|dyno| (text(&dyno["name"]), text(&dyno["id"])))
        .collect();
    ids.sort();
    ids
}

async fn scale(client: &Client, quantity: usize) {
    let change = json!({"quantity": quantity});
    let path = "/apps/app/formation/web";
    client.patch(path, change).await.expect(200);
}

#[tokio::test]
async fn a_rollback_runs_the_older_slug_with_its_config_as_a_new_release() {
    let (_place, _server, client) = one_app().await;
    let first = release(&client, "app").await;
    let vars = json!({"GREETING": "later"});
    client
        .patch("/apps/app/config-vars", vars)
        .await
        .expect(200);
    client.deploy("app", PERL.tarball("second")).await;
    client.dynos("app", 1).await;
    client
        .visit_until("app", 200, "second says later on web.1\n")
        .await;
    let back = client
        .post("/apps/app/releases", json!({"release": "v3"}))
        .await;
    let back = back.expect(201);
    assert_eq!(back["version"], 6);
    assert_eq!(back["description"], "Rollback to v3");
    assert_eq!(back["slug"], first["slug"]);
    client.dynos("app", 1).await;
    client
        .visit_until("app", 200, "first says  on web.1\n")
        .await;
    assert_eq!(release(&client, "app").await["version"], 6);
}

#[tokio::test]
async fn a_config_change_restarts_the_dynos_with_it() {
    let (_place, _server, client) = one_app().await;
    let before = client.dynos("app", 1).await;
    let vars = json!({"GREETING": "a new value"});
    client
        .patch("/apps/app/config-vars", vars)
        .await
        .expect(200);
    let after = client.dynos("app", 1).await;
    assert_ne!(ids(&before), ids(&after));
    client
        .visit_until("app", 200, "first says a new value on web.1\n")
        .await;
}

#[tokio::test]
async fn scaling_starts_and_stops_as_many_processes() {
    let (_place, server, client) = one_app().await;
    scale(&client, 3).await;
    let dynos = client.dynos("app", 3).await;
    let running = processes::by_dyno(server.data());
    let shown = ids(&dynos);
    let shown: Vec<&String> = shown.iter().map(|(_, id)| id).collect();
    assert_eq!(shown.len(), 3);
    assert!(
        shown.iter().all(|id| running.get(*id) == Some(&1)),
        "{running:?}"
    );
    assert_eq!(running.len(), 3);
    let mut tail = client.tail("app", 0).await.unwrap();
    scale(&client, 0).await;
    for _ in 0..3 {
        tail.until("Process exited with status 143").await;
    }
    client.dynos("app", 0).await;
    assert!(processes::of(server.data()).is_empty());
    client.visit_until("app", 503, "H14").await;
    scale(&client, 1).await;
    client.visit_until("app", 200, "first says").await;
}

#[tokio::test]
async fn one_dyno_is_restarted_alone_and_all_at_once() {
    let (_place, _server, client) = one_app().await;
    scale(&client, 2).await;
    let before = ids(&client.dynos("app", 2).await);
    let mut tail = client.tail("app", 0).await.unwrap();
    client.delete("/apps/app/dynos/web.2").await.expect(202);
    tail.until("heroku[web.2]: Process exited with status 143")
        .await;
    let one = ids(&client.dynos("app", 2).await);
    assert_eq!(one[0], before[0]);
    assert_ne!(one[1], before[1]);
    client.delete("/apps/app/dynos").await.expect(202);
    for _ in 0..2 {
        tail.until("Process exited with status 143").await;
    }
    let all = ids(&client.dynos("app", 2).await);
    assert!(all.iter().all(|dyno| !one.contains(dyno)));
}

#[tokio::test]
async fn a_crashed_dyno_is_started_again() {
    let (_place, server, client) = one_app().await;
    let before = ids(&client.dynos("app", 1).await);
    let mut tail = client.tail("app", 0).await.unwrap();
    client.visit_until("app", 200, "first says").await;
    let crash = client.visit("app", "/crash").await;
    assert_eq!(crash.status, 503);
    assert!(crash.text().contains("H13"), "{}", crash.text());
    tail.until("heroku[web.1]: Process exited with status 3")
        .await;
    tail.until("heroku[web.1]: State changed from up to crashed")
        .await;
    tail.until("heroku[web.1]: State changed from crashed to starting")
        .await;
    client.visit_until("app", 200, "first says").await;
    let after = ids(&client.dynos("app", 1).await);
    assert_ne!(before, after);
    assert_eq!(processes::of(server.data()).len(), 1);
}

#[tokio::test]
async fn an_app_that_cannot_stay_up_is_tried_again_and_shown_as_crashed() {
    let (_place, _server, client) = start();
    client.create_app("app").await;
    let mut tail = client.tail("app", 0).await.unwrap();
    client
        .deploy("app", tarball(&[("Procfile", "web: exit 4\n")]))
        .await;
    for _ in 0..2 {
        tail.until("heroku[web.1]: Process exited with status 4")
            .await;
        tail.until("heroku[web.1]: State changed from starting to crashed")
            .await;
    }
    client.visit_until("app", 503, "H10").await;
    // A good deploy is not made to wait for what the bad one has done.
    client.deploy("app", PERL.tarball("repaired")).await;
    client.dynos("app", 1).await;
    client
        .visit_until("app", 200, "repaired says  on web.1\n")
        .await;
}

#[tokio::test]
async fn whoever_finds_no_app_is_told_why() {
    let (_place, _server, client) = start();
    let nobody = client.visit("nobody", "/").await;
    assert_eq!(nobody.status, 404);
    client.create_app("app").await;
    let page = client.visit_until("app", 502, "H81").await;
    assert!(page.contains("nothing here, yet") && page.contains("</html>"));
    // A build that has failed has deployed nothing, and the log, to which the page points, says why.
    let unbuildable = r#"{"healthchecks": {"web": [{"path": "no slash"}]}}"#;
    let source = tarball(&[("Procfile", "web: exit 1\n"), ("app.json", unbuildable)]);
    let (build, _) = client.build("app", source, Some("application/gzip")).await;
    assert_eq!(build["status"], "failed");
    let page = client.visit_until("app", 502, "H81").await;
    assert!(page.contains("<code>heroku logs</code> says why"), "{page}");
    let logs = client.logs("app").await;
    assert!(
        logs.contains("Build failed -- check your build output: "),
        "{logs}"
    );
    client.create_app("backstage").await;
    let source = tarball(&[("Procfile", "worker: exit 1\n")]);
    client.deploy("backstage", source).await;
    let page = client.visit_until("backstage", 503, "H14").await;
    assert!(page.contains("The app has no web process"), "{page}");
    client.deploy("app", PERL.tarball("first")).await;
    client.visit_until("app", 200, "first says").await;
    let close = json!({"maintenance": true});
    client.patch("/apps/app", close).await.expect(200);
    let page = client.visit_until("app", 503, "H80").await;
    assert!(page.contains("Back soon") && page.contains("</html>"));
    let open = json!({"maintenance": false});
    client.patch("/apps/app", open).await.expect(200);
    client.visit_until("app", 200, "first says").await;
    client.delete("/apps/app").await.expect(200);
    client.visit_until("app", 404, "").await;
}
