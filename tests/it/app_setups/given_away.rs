//! Setups whose app, maker or secrets are no more where they were: nobody gets by a setup what he may not have himself.

use penstock::log::{Filter, Source};
use serde_json::{Value, json};

use super::{PROCFILE, ask, own, postdeploy, server, shown};
use crate::harness::{Client, Server, gz, id};

/// Gives harbour to Bob, who accepts it. Who had it stays a collaborator.
async fn give_away(ann: &Client, bob: &Client) {
    let body = json!({"app": "harbour", "recipient": "bob@example.com"});
    let offered = ann.post("/account/app-transfers", body).await.created();
    let path = format!("/account/app-transfers/{}", id(&offered));
    bob.patch(path, json!({"state": "accepted"})).await.ok();
}

const GIVEN_AWAY: &str = "does not own the app any more";

#[tokio::test]
async fn a_setup_does_not_touch_an_app_that_was_given_away_before_it_began() {
    let (server, ann) = server().await;
    let bob = server.account("bob").await;
    let asked = ask(&ann, r#"{"env": {"A": "hers"}}"#, json!({})).await;
    give_away(&ann, &bob).await;
    server.settle().await;
    let failed = shown(&bob, &asked).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    let message = failed["failure_message"].as_str().unwrap();
    assert!(message.contains(GIVEN_AWAY), "{message}");
    let vars = bob.get("/apps/harbour/config-vars").await.ok();
    assert_eq!(vars, json!({}));
    assert_eq!(bob.get("/apps/harbour/builds").await.list().len(), 0);
    // Ann is a collaborator, and sees it as long as she is one.
    assert_eq!(shown(&ann, &asked).await, failed);
    bob.delete("/apps/harbour/collaborators/ann@example.com")
        .await
        .ok();
    let path = format!("/app-setups/{}", id(&asked));
    ann.get(&path).await.missing("app setup");
}

#[tokio::test]
async fn a_setup_runs_no_script_in_an_app_that_was_given_away_while_it_was_built() {
    let (server, ann) = server().await;
    let bob = server.account("bob").await;
    let manifest =
        r#"{"formation": {"worker": {"quantity": 1}}, "scripts": {"postdeploy": "env"}}"#;
    let asked = ask(&ann, manifest, json!({})).await;
    server.step_setups().await;
    let building = shown(&ann, &asked).await;
    assert_eq!(building["build"]["status"], "pending");
    give_away(&ann, &bob).await;
    server.settle().await;
    let failed = shown(&bob, &asked).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    assert_eq!(failed["build"]["status"], "succeeded");
    let dynos = bob.get("/apps/harbour/dynos").await.each("type");
    assert_eq!(dynos, ["web"]);
}

#[tokio::test]
async fn a_setup_that_fails_does_not_delete_an_app_that_was_given_away() {
    let (server, ann) = server().await;
    let bob = server.account("bob").await;
    let asked = ask(&ann, "[]", json!({})).await;
    give_away(&ann, &bob).await;
    server.settle().await;
    assert_eq!(shown(&bob, &asked).await["status"], "failed");
    bob.delete("/apps/harbour").await.ok();
    let asked = ask(&ann, r#"{"scripts": {"postdeploy": "worker"}}"#, json!({})).await;
    server.settle().await;
    let script = postdeploy(&ann).await;
    let logs = &server.platform.logs;
    let process = script["name"].as_str().unwrap();
    give_away(&ann, &bob).await;
    bob.delete("/apps/harbour/collaborators/ann@example.com")
        .await
        .ok();
    logs.append(own(&asked["app"]), Source::App, process, "KEY=hunter2");
    server.dynos.crash(own(&script), 1);
    server.settle().await;
    let failed = shown(&bob, &asked).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    bob.get("/apps/harbour").await.ok();
    let path = format!("/app-setups/{}", id(&asked));
    ann.get(&path).await.missing("app setup");
    // The log is the app's, and stays with it.
    let found = logs
        .read(own(&asked["app"]), &Filter::default(), 100)
        .unwrap();
    assert!(found.iter().any(|line| line.contains("hunter2")));
    // What it printed for somebody else is not told when the app is gone.
    bob.delete("/apps/harbour").await.ok();
    assert!(!ann.get(&path).await.text().contains("hunter2"));
}

#[tokio::test]
async fn an_admin_of_the_server_has_no_more_power_through_a_setup() {
    let server = Server::start().await;
    let (ada, bob) = (server.admin("ada").await, server.account("bob").await);
    let asked = ask(&ada, "[]", json!({})).await;
    give_away(&ada, &bob).await;
    server.settle().await;
    assert_eq!(shown(&bob, &asked).await["status"], "failed");
    bob.get("/apps/harbour").await.ok();
}

/// A setup of Mia's for the app harbour of Ann's team, which runs its script.
async fn of_team(server: &Server, ann: &Client, mia: &Client) -> Value {
    ann.team("crew").await;
    ann.member("crew", "mia", "member").await.created();
    let manifest = r#"{"scripts": {"postdeploy": "worker"}}"#;
    let url = mia.upload(&gz(&[PROCFILE, ("app.json", manifest)])).await;
    let app = json!({"name": "harbour", "organization": "crew"});
    let body = json!({"source_blob": { "url": url }, "app": app});
    let asked = mia.post("/app-setups", body).await.expect(202);
    server.settle().await;
    asked
}

#[tokio::test]
async fn who_was_shown_out_of_a_team_reads_nothing_of_its_setup() {
    let (server, ann) = server().await;
    let mia = server.account("mia").await;
    let asked = of_team(&server, &ann, &mia).await;
    assert_eq!(shown(&mia, &asked).await["status"], "pending");
    ann.delete("/teams/crew/members/mia@example.com").await.ok();
    let script = postdeploy(&ann).await;
    let process = script["name"].as_str().unwrap();
    let logs = &server.platform.logs;
    logs.append(own(&asked["app"]), Source::App, process, "KEY=hunter2");
    let path = format!("/app-setups/{}", id(&asked));
    mia.get(&path).await.missing("app setup");
    server.dynos.crash(own(&script), 0);
    server.settle().await;
    mia.get(&path).await.missing("app setup");
    assert_eq!(shown(&ann, &asked).await["status"], "succeeded");
    ann.delete("/apps/harbour").await.ok();
    let gone = mia.get(&path).await;
    assert_eq!(gone.ok()["postdeploy"]["output"], "");
}

#[tokio::test]
async fn the_setup_of_a_deleted_account_ends_and_stays_with_the_teams_app() {
    let (server, ann) = server().await;
    let mia = server.account("mia").await;
    let asked = of_team(&server, &ann, &mia).await;
    mia.delete("/account").await.ok();
    let ended = shown(&ann, &asked).await;
    assert_eq!(ended["status"], "failed", "{ended}");
    let message = ended["failure_message"].as_str().unwrap();
    assert!(message.contains("account"), "{message}");
    server.settle().await;
    ann.get("/apps/harbour").await.ok();
    assert_eq!(shown(&ann, &asked).await, ended);
}

#[tokio::test]
async fn what_a_script_printed_is_sealed() {
    let (server, ann) = server().await;
    let asked = ask(&ann, r#"{"scripts": {"postdeploy": "worker"}}"#, json!({})).await;
    server.settle().await;
    let script = postdeploy(&ann).await;
    let process = script["name"].as_str().unwrap();
    let logs = &server.platform.logs;
    logs.append(own(&asked["app"]), Source::App, process, "KEY=hunter2");
    server.dynos.crash(own(&script), 1);
    server.settle().await;
    let failed = shown(&ann, &asked).await;
    assert_eq!(failed["postdeploy"]["output"], "KEY=hunter2\n");
    assert!(!server.dump().contains("hunter2"));
}
