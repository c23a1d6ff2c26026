//! Transfers: of apps between accounts and teams, and of pipelines with the apps in them.

use serde_json::{Value, json};

use crate::harness::{Client, Server, id};

const TRANSFERS: &str = "/account/app-transfers";

fn to(recipient: &str) -> Value {
    json!({"app": "harbour", "recipient": format!("{recipient}@example.com")})
}

async fn owner(client: &Client, app: &str) -> String {
    let app = client.get(format!("/apps/{app}")).await.ok();
    app["owner"]["email"].as_str().unwrap().to_owned()
}

async fn roles(client: &Client, app: &str) -> Vec<(String, String)> {
    let list = client
        .get(format!("/apps/{app}/collaborators"))
        .await
        .list();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let role = |row: &Value| (text(&row["user"]["email"]), text(&row["role"]));
    let mut roles: Vec<_> = list.iter().map(role).collect();
    roles.sort();
    roles
}

fn role(name: &str, role: &str) -> (String, String) {
    (format!("{name}@example.com"), role.to_owned())
}

#[tokio::test]
async fn an_app_is_offered_to_another_account_which_accepts() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.app("harbour").await;
    let answer = ann.post(TRANSFERS, to("bob")).await;
    let offered = answer.created();
    assert_eq!(offered["state"], "pending");
    assert_eq!(offered["owner"]["id"], json!(ann.id));
    assert_eq!(offered["recipient"]["email"], "bob@example.com");
    let warning = answer.header("warning-message");
    assert!(warning.contains("No mail is sent"), "{warning}");
    let whole = format!(
        "curl -X PATCH {}{TRANSFERS}/harbour -H \"Authorization: Bearer $(heroku auth:token)\" -d '{{\"state\": \"accepted\"}}'",
        server.platform.urls.api
    );
    assert!(warning.ends_with(&whole), "{warning}");
    for client in [&ann, &bob] {
        assert_eq!(
            client.get(TRANSFERS).await.list(),
            std::slice::from_ref(&offered)
        );
    }
    bob.get("/apps/harbour").await.missing("app");
    let path = format!("{TRANSFERS}/{}", id(&offered));
    let refused = ann.patch(&path, json!({"state": "accepted"})).await;
    refused.refused(403, "forbidden", "offered to");
    let accepted = bob.patch(&path, json!({"state": "accepted"})).await.ok();
    assert_eq!(accepted["state"], "accepted");
    assert_eq!(owner(&bob, "harbour").await, "bob@example.com");
    let expected = [role("ann", "collaborator"), role("bob", "owner")];
    assert_eq!(roles(&bob, "harbour").await, expected);
    ann.patch("/apps/harbour", json!({"name": "marina"}))
        .await
        .ok();
    assert_eq!(ann.delete("/apps/marina").await.status, 403);
    let again = bob.patch(&path, json!({"state": "declined"})).await;
    again.invalid("accepted already");
}

#[tokio::test]
async fn an_offer_is_declined_or_taken_back() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let eve = server.account("eve").await;
    ann.app("harbour").await;
    let offered = ann.post(TRANSFERS, to("bob")).await.created();
    eve.get(format!("{TRANSFERS}/{}", id(&offered)))
        .await
        .missing("app transfer");
    let twice = ann.post(TRANSFERS, to("eve")).await;
    twice.invalid("offered to somebody already");
    let by_name = format!("{TRANSFERS}/harbour");
    let refused = bob.delete(&by_name).await;
    refused.refused(403, "forbidden", "Decline it");
    let body = json!({"state": "declined"});
    assert_eq!(bob.patch(&by_name, body).await.ok()["state"], "declined");
    assert_eq!(owner(&ann, "harbour").await, "ann@example.com");
    ann.post(TRANSFERS, to("eve")).await.created();
    ann.delete(&by_name).await.ok();
    let late = eve.patch(by_name, json!({"state": "accepted"})).await;
    late.missing("app transfer");
}

#[tokio::test]
async fn an_offer_is_void_once_the_app_has_gone_elsewhere() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.app("harbour").await;
    ann.team("docks").await;
    let offered = ann.post(TRANSFERS, to("bob")).await.created();
    let into = json!({"owner": "docks"});
    ann.patch("/teams/apps/harbour", into).await.ok();
    let path = format!("{TRANSFERS}/{}", id(&offered));
    let late = bob.patch(path, json!({"state": "accepted"})).await;
    late.missing("app transfer");
    assert_eq!(owner(&ann, "harbour").await, "docks@herokumanager.com");
}

#[tokio::test]
async fn a_collaborator_gets_the_app_at_once() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.app("harbour").await;
    let body = json!({"user": "bob@example.com", "permissions": ["view"]});
    ann.post("/apps/harbour/collaborators", body)
        .await
        .created();
    let refused = bob.post(TRANSFERS, to("bob")).await;
    refused.refused(403, "forbidden", "Only the owner");
    let given = ann.post(TRANSFERS, to("bob")).await;
    assert_eq!(given.created()["state"], "accepted");
    assert_eq!(given.header("warning-message"), "");
    assert_eq!(owner(&ann, "harbour").await, "bob@example.com");
    bob.delete("/apps/harbour").await.ok();
    assert!(ann.get(TRANSFERS).await.list().is_empty());
}

#[tokio::test]
async fn what_cannot_be_transferred_is_refused() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.app("harbour").await;
    ann.post(TRANSFERS, to("ann")).await.invalid("already");
    ann.post(TRANSFERS, to("nobody")).await.missing("account");
    bob.post(TRANSFERS, to("bob")).await.missing("app");
    ann.post(TRANSFERS, json!({"app": "harbour"}))
        .await
        .invalid("recipient");
    let body = json!({"owner": "bob@example.com"});
    let refused = ann.patch("/teams/apps/harbour", body).await;
    refused.invalid("POST /account/app-transfers");
    ann.team("docks").await;
    ann.team_app("docks", "pier").await;
    let body = json!({"app": "pier", "recipient": "bob@example.com"});
    let refused = ann.post(TRANSFERS, body).await;
    refused.invalid("`heroku apps:transfer");
}

#[tokio::test]
async fn a_transferred_app_leaves_a_pipeline_that_is_not_its_new_owners() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.app("harbour").await;
    let pipeline = ann.pipeline("water").await;
    ann.couple("harbour", &pipeline, "staging").await;
    ann.post(TRANSFERS, to("bob")).await.created();
    bob.patch(format!("{TRANSFERS}/harbour"), json!({"state": "accepted"}))
        .await
        .ok();
    let coupling = bob.get("/apps/harbour/pipeline-couplings").await;
    coupling.refused(404, "not_found", "in no pipeline");
    bob.get(format!("/pipelines/{}", id(&pipeline)))
        .await
        .missing("pipeline");
}

#[tokio::test]
async fn an_app_goes_into_a_team_with_its_collaborators() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let tess = server.account("tess").await;
    tess.team("docks").await;
    ann.app("harbour").await;
    let body = json!({"user": "bob@example.com"});
    ann.post("/apps/harbour/collaborators", body)
        .await
        .created();
    let into = json!({"owner": "docks"});
    let stranger = ann.patch("/teams/apps/harbour", into.clone()).await;
    stranger.missing("team");
    tess.member("docks", "ann", "viewer").await.created();
    let viewer = ann.patch("/teams/apps/harbour", into.clone()).await;
    viewer.refused(403, "forbidden", "members and admins");
    tess.member("docks", "ann", "member").await.created();
    let moved = ann.patch("/teams/apps/harbour", into.clone()).await.ok();
    assert_eq!(moved["owner"]["email"], "docks@herokumanager.com");
    assert_eq!(moved["team"]["name"], "docks");
    let expected = [
        role("ann", "member"),
        role("bob", "collaborator"),
        role("tess", "admin"),
    ];
    assert_eq!(roles(&tess, "harbour").await, expected);
    bob.get("/apps/harbour/config-vars").await.ok();
    // Who brought it does everything with it but take it out again.
    ann.patch("/apps/harbour/config-vars", json!({"A": "1"}))
        .await
        .ok();
    let out = json!({"owner": "~"});
    let refused = ann.patch("/teams/apps/harbour", out).await;
    refused.refused(403, "forbidden", "admin of the app's team");
    let again = tess.patch("/teams/apps/harbour", into).await;
    again.invalid("already");
}

#[tokio::test]
async fn an_admin_of_the_server_brings_an_app_into_a_team_whose_it_is_then() {
    let server = Server::start().await;
    let (ann, tess) = (server.account("ann").await, server.account("tess").await);
    let ada = server.admin("ada").await;
    tess.team("docks").await;
    ann.app("harbour").await;
    let into = json!({"owner": "docks"});
    ada.patch("/teams/apps/harbour", into).await.ok();
    let expected = [role("ann", "collaborator"), role("tess", "admin")];
    assert_eq!(roles(&tess, "harbour").await, expected);
    ann.patch("/apps/harbour", json!({"name": "marina"}))
        .await
        .ok();
    assert_eq!(ann.delete("/apps/marina").await.status, 403);
    tess.delete("/apps/marina").await.ok();
}

#[tokio::test]
async fn an_app_goes_out_of_a_team_to_one_who_knows_it_and_alone() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    server.account("eve").await;
    ann.team("docks").await;
    ann.member("docks", "bob", "member").await.created();
    ann.team_app("docks", "harbour").await;
    let body = json!({"locked": true});
    ann.patch("/teams/apps/harbour", body).await.ok();
    let body = json!({"owner": "eve@example.com"});
    let refused = ann.patch("/teams/apps/harbour", body).await;
    refused.invalid("collaborator first");
    ann.patch("/teams/apps/harbour", json!({"locked": false}))
        .await
        .ok();
    let body = json!({"owner": "bob@example.com"});
    let given = ann.patch("/teams/apps/harbour", body).await.ok();
    assert_eq!(given["owner"]["email"], "bob@example.com");
    assert_eq!(given["team"], Value::Null);
    ann.get("/apps/harbour").await.missing("app");
    assert_eq!(roles(&bob, "harbour").await, [role("bob", "owner")]);
    assert!(ann.get("/teams/docks/apps").await.list().is_empty());
    ann.delete("/teams/docks").await.ok();
    bob.get("/apps/harbour").await.ok();
}

#[tokio::test]
async fn an_app_goes_from_one_team_to_another() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let tess = server.account("tess").await;
    ann.team("docks").await;
    ann.member("docks", "bob", "admin").await.created();
    ann.team_app("docks", "harbour").await;
    tess.team("quays").await;
    tess.member("quays", "ann", "member").await.created();
    let moved = ann.patch("/teams/apps/harbour", json!({"owner": "quays"}));
    assert_eq!(moved.await.ok()["joined"], true);
    bob.get("/apps/harbour").await.missing("app");
    let expected = [role("ann", "member"), role("tess", "admin")];
    assert_eq!(roles(&tess, "harbour").await, expected);
}

/// Ann's pipeline `water` with the apps `harbour` and `marina`, and her team `docks` with the member Mia.
async fn water() -> (Server, Client, Client, Value) {
    let server = Server::start().await;
    let (ann, mia) = (server.account("ann").await, server.account("mia").await);
    ann.team("docks").await;
    ann.member("docks", "mia", "member").await.created();
    let pipeline = ann.pipeline("water").await;
    for (app, stage) in [("harbour", "staging"), ("marina", "production")] {
        ann.app(app).await;
        ann.couple(app, &pipeline, stage).await;
    }
    (server, ann, mia, pipeline)
}

fn give(pipeline: &Value, owner: &Value, kind: &str) -> Value {
    json!({"pipeline": {"id": id(pipeline)}, "new_owner": {"id": owner, "type": kind}})
}

#[tokio::test]
async fn a_pipeline_is_given_to_a_team_with_its_apps() {
    let (_server, ann, mia, pipeline) = water().await;
    let team = ann.get("/teams/docks").await.ok();
    let body = give(&pipeline, &team["id"], "team");
    let given = ann.post("/pipeline-transfers", body.clone()).await;
    let given = given.created();
    let owner = json!({"id": team["id"], "type": "team"});
    assert_eq!(given["new_owner"], owner);
    assert_eq!(
        given["previous_owner"],
        json!({"id": ann.id, "type": "user"})
    );
    let path = format!("/pipelines/{}", id(&pipeline));
    assert_eq!(mia.get(&path).await.ok()["owner"], owner);
    assert_eq!(mia.get("/pipelines").await.each("name"), ["water"]);
    for app in ["harbour", "marina"] {
        let app = mia.get(format!("/apps/{app}")).await.ok();
        assert_eq!(app["team"]["name"], "docks");
    }
    let couplings = mia.get("/teams/docks/pipeline-couplings").await.list();
    assert_eq!(couplings.len(), 2, "they stay in the pipeline");
    mia.patch(&path, json!({"name": "sea"})).await.ok();
    let refused = mia.post("/pipeline-transfers", body.clone()).await;
    refused.refused(403, "forbidden", "admin of the team");
    let again = ann.post("/pipeline-transfers", body).await;
    again.invalid("already");
    let refused = ann.delete("/teams/docks").await;
    refused.refused(409, "conflict", "still has apps");
}

#[tokio::test]
async fn a_pipeline_moves_whole_or_not_at_all() {
    let (server, ann, mia, pipeline) = water().await;
    let body = json!({"user": "mia@example.com"});
    ann.post("/apps/harbour/collaborators", body.clone())
        .await
        .created();
    let transfer = give(&pipeline, &json!(mia.id), "user");
    let before = server.dump();
    let refused = ann.post("/pipeline-transfers", transfer.clone()).await;
    refused.invalid("access to the app marina");
    let refused = mia.post("/pipeline-transfers", transfer.clone()).await;
    refused.refused(403, "forbidden", "owner of the pipeline");
    assert_eq!(server.dump(), before);
    ann.post("/apps/marina/collaborators", body).await.created();
    ann.post("/pipeline-transfers", transfer).await.created();
    for app in ["harbour", "marina"] {
        assert_eq!(owner(&ann, app).await, "mia@example.com");
    }
    let couplings = mia.get("/pipeline-couplings").await.list();
    assert_eq!(couplings.len(), 2);
    let renamed = ann.patch(
        format!("/pipelines/{}", id(&pipeline)),
        json!({"name": "sea"}),
    );
    renamed.await.refused(403, "forbidden", "owner");
}

#[tokio::test]
async fn an_empty_pipeline_is_pushed_on_nobody_and_a_name_stays_unique() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let pipeline = ann.pipeline("water").await;
    let transfer = give(&pipeline, &json!(bob.id), "user");
    let refused = ann.post("/pipeline-transfers", transfer).await;
    refused.invalid("together with apps");
    let team = ann.team("docks").await;
    let owner = json!({"id": team["id"], "type": "team"});
    let body = json!({"name": "water", "owner": owner});
    ann.post("/pipelines", body.clone()).await.created();
    ann.post("/pipelines", body).await.invalid("already");
    let transfer = give(&pipeline, &team["id"], "team");
    let refused = ann.post("/pipeline-transfers", transfer).await;
    refused.invalid("Rename this one first");
    let kind = give(&pipeline, &team["id"], "herd");
    ann.post("/pipeline-transfers", kind)
        .await
        .invalid("user or team");
}

#[tokio::test]
async fn a_teams_pipeline_is_made_and_changed_by_its_members_and_seen_by_its_viewers() {
    let (server, ann, mia, _) = water().await;
    let (vic, col) = (server.account("vic").await, server.account("col").await);
    ann.member("docks", "vic", "viewer").await.created();
    ann.member("docks", "col", "collaborator").await.created();
    let team = ann.get("/teams/docks").await.ok();
    let owner = json!({"id": team["id"], "type": "team"});
    let body = |name: &str| json!({"name": name, "owner": owner});
    let made = mia.post("/pipelines", body("tide")).await.created();
    assert_eq!(made["owner"], owner);
    for other in [&vic, &col] {
        let refused = other.post("/pipelines", body("ebb")).await;
        refused.refused(403, "forbidden", "members and admins");
    }
    let path = format!("/pipelines/{}", id(&made));
    assert_eq!(vic.get(&path).await.ok(), made);
    assert_eq!(vic.patch(&path, json!({"name": "ebb"})).await.status, 403);
    col.get(&path).await.missing("pipeline");
    assert!(col.get("/pipelines").await.list().is_empty());
    mia.team_app("docks", "pier").await;
    mia.couple("pier", &made, "staging").await;
    mia.delete(&path).await.ok();
    mia.get("/apps/pier").await.ok();
}
