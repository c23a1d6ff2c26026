//! What waits for a release: promotions, and the setup of an app.

use serde_json::{Value, json};

use super::Harbour;
use crate::harness::{Server, gz, id};

/// A pipeline with the source of a release command in staging, and two apps in production that run an older slug.
async fn promoted(harbour: &Harbour) -> Value {
    let ann = &harbour.ann;
    let pipeline = ann.pipeline("water").await;
    ann.couple("harbour", &pipeline, "staging").await;
    for app in ["east", "west"] {
        ann.app(app).await;
        ann.couple(app, &pipeline, "production").await;
    }
    let promotion = json!({
        "pipeline": id(&pipeline),
        "source": {"app": "harbour"},
        "targets": [{"app": "east"}, {"app": "west"}],
    });
    let made = ann.post("/pipeline-promotions", promotion).await.created();
    harbour.server.settle().await;
    made
}

#[tokio::test]
async fn a_promotion_runs_it_on_each_target_and_ends_when_the_last_one_has() {
    let harbour = Harbour::new().await;
    let (server, ann) = (&harbour.server, &harbour.ann);
    let promotion = promoted(&harbour).await;
    let path = format!("/pipeline-promotions/{}", id(&promotion));
    let targets = async || ann.get(format!("{path}/promotion-targets")).await;
    assert_eq!(targets().await.each("status"), ["pending", "pending"]);
    for target in targets().await.list() {
        assert!(target["release"]["id"].is_string(), "{target}");
    }
    let end = async |app: &str, status| {
        let names = server.dynos.of(app);
        let (name, _) = names[0].split_once(' ').unwrap();
        server.dynos.crash(server.dynos.one(app, name).dyno, status);
        server.settle().await;
    };
    end("east", 0).await;
    assert_eq!(targets().await.each("status"), ["succeeded", "pending"]);
    assert_eq!(ann.get(&path).await.ok()["status"], "pending");
    assert_eq!(server.dynos.of("east"), ["web.1 v3"]);
    end("west", 2).await;
    assert_eq!(ann.get(&path).await.ok()["status"], "completed");
    let targets = targets().await.list();
    assert_eq!(targets[1]["status"], "failed");
    let message = "The release command of v3 ended with exit status 2.";
    assert_eq!(targets[1]["error_message"], message);
    assert!(targets[1]["release"]["id"].is_string());
    assert!(server.dynos.of("west").is_empty());
}

#[tokio::test]
async fn a_pending_or_failed_release_is_not_promoted() {
    let harbour = Harbour::new().await;
    harbour.deploy("migrate two").await;
    let promotion = promoted(&harbour).await;
    // Without a word, it is the release that counts.
    assert_eq!(
        promotion["source"]["release"]["id"],
        harbour.release(3).await["id"]
    );
    let ask = async |version| {
        let release = harbour.release(version).await;
        let body = json!({
            "pipeline": promotion["pipeline"]["id"],
            "source": {"app": "harbour", "release": {"id": id(&release)}},
            "targets": [{"app": "east"}],
        });
        harbour.ann.post("/pipeline-promotions", body).await
    };
    ask(4).await.invalid("pending");
    harbour.end(1).await;
    ask(4).await.invalid("failed");
}

#[tokio::test]
async fn a_target_that_is_deleted_meanwhile_ends_the_promotion() {
    let harbour = Harbour::new().await;
    let promotion = promoted(&harbour).await;
    for app in ["east", "west"] {
        harbour.ann.delete(format!("/apps/{app}")).await.ok();
    }
    harbour.server.settle().await;
    let path = format!("/pipeline-promotions/{}", id(&promotion));
    assert_eq!(harbour.ann.get(&path).await.ok()["status"], "completed");
    let targets = harbour.ann.get(format!("{path}/promotion-targets")).await;
    assert_eq!(targets.each("status"), ["failed", "failed"]);
}

#[tokio::test]
async fn an_app_is_set_up_once_its_release_command_has_ended_and_not_if_it_failed() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    for (status, ends) in [(0, "succeeded"), (9, "failed")] {
        let files = [
            ("Procfile", "web: serve\nrelease: migrate\n"),
            ("app.json", r#"{"formation": {"web": {"quantity": 2}}}"#),
        ];
        let url = ann.upload(&gz(&files)).await;
        let body = json!({"source_blob": {"url": url}, "app": {"name": "harbour"}});
        let setup = ann.post("/app-setups", body).await.expect(202);
        server.settle().await;
        let path = format!("/app-setups/{}", id(&setup));
        assert_eq!(ann.get(&path).await.ok()["status"], "pending");
        let names = server.dynos.of("harbour");
        let (name, _) = names[0].split_once(' ').unwrap();
        let dyno = server.dynos.one("harbour", name).dyno;
        server.dynos.crash(dyno, status);
        server.settle().await;
        let setup = ann.get(&path).await.ok();
        assert_eq!(setup["status"], ends, "{setup}");
        match status {
            0 => {
                assert_eq!(server.dynos.of("harbour").len(), 2);
                ann.delete("/apps/harbour").await.ok();
                server.settle().await;
            }
            _ => assert!(
                setup["failure_message"]
                    .as_str()
                    .unwrap()
                    .contains("release command")
            ),
        }
    }
}
