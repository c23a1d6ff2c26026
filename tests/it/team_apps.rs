//! Apps of teams: what each role may do with them, how they are locked, and who is let in by name.

use serde_json::{Value, json};

use crate::harness::{Client, Server};

/// A team `docks` with the app `harbour` that Ann, its admin, made; Mia is a member, Vic a viewer, Col a collaborator.
struct Docks {
    server: Server,
    ann: Client,
    mia: Client,
    vic: Client,
    col: Client,
}

impl Docks {
    async fn new() -> Docks {
        let server = Server::start().await;
        let ann = server.account("ann").await;
        ann.team("docks").await;
        let mut others = Vec::new();
        for (name, role) in [
            ("mia", "member"),
            ("vic", "viewer"),
            ("col", "collaborator"),
        ] {
            others.push(server.account(name).await);
            ann.member("docks", name, role).await.created();
        }
        ann.team_app("docks", "harbour").await;
        let [mia, vic, col] = others.try_into().ok().unwrap();
        Docks {
            server,
            ann,
            mia,
            vic,
            col,
        }
    }
}

/// Of the app itself, and in the list, which are the same.
async fn joined(client: &Client) -> Value {
    let joined = client.get("/teams/apps/harbour").await.ok()["joined"].clone();
    let listed = client.get("/teams/docks/apps").await.list();
    let listed = listed.iter().find(|app| app["name"] == "harbour");
    assert_eq!(listed.unwrap()["joined"], joined);
    joined
}

#[tokio::test]
async fn a_teams_app_belongs_to_the_team_under_the_address_that_clients_know() {
    let docks = Docks::new().await;
    let team = docks.ann.get("/teams/docks").await.ok();
    let app = docks.ann.get("/apps/harbour").await.ok();
    let owner = json!({"email": "docks@herokumanager.com", "id": team["id"]});
    assert_eq!(app["owner"], owner);
    assert_eq!(app["team"], json!({"id": team["id"], "name": "docks"}));
    assert_eq!(app["organization"], app["team"]);
    let of_team = docks.ann.get("/teams/docks/apps").await;
    assert_eq!(of_team.each("name"), ["harbour"]);
    assert_eq!(docks.ann.get("/apps").await.each("name"), ["harbour"]);
    let personal = docks.ann.get("/users/~/apps").await;
    assert!(personal.list().is_empty(), "a team's app is not Ann's own");
}

#[tokio::test]
async fn each_role_does_with_a_teams_app_what_it_says() {
    let docks = Docks::new().await;
    let config = "/apps/harbour/config-vars";
    for viewer in [&docks.mia, &docks.vic] {
        viewer.get("/apps/harbour").await.ok();
        assert_eq!(viewer.get("/apps").await.each("name"), ["harbour"]);
        assert_eq!(viewer.get(config).await.status, 403);
        assert_eq!(viewer.delete("/apps/harbour").await.status, 403);
        assert_eq!(joined(viewer).await, false);
    }
    docks.col.get("/apps/harbour").await.missing("app");
    let body = |name: &str| json!({"name": name, "team": "docks"});
    docks.mia.post("/teams/apps", body("pier")).await.created();
    for other in [&docks.vic, &docks.col] {
        let refused = other.post("/teams/apps", body("jetty")).await;
        refused.refused(403, "forbidden", "members and admins");
    }
    // A member does everything with what he made, and so does every admin.
    docks
        .mia
        .patch("/apps/pier/config-vars", json!({"A": "1"}))
        .await
        .ok();
    docks
        .ann
        .patch("/apps/pier/config-vars", json!({"A": "2"}))
        .await
        .ok();
    docks.mia.delete("/apps/pier").await.ok();
    docks.ann.delete("/apps/harbour").await.ok();
}

#[tokio::test]
async fn a_member_joins_an_app_and_leaves_it_again() {
    let docks = Docks::new().await;
    let collaborators = "/teams/apps/harbour/collaborators";
    let manage = json!({"user": "mia@example.com", "permissions": ["manage"]});
    let refused = docks.mia.post(collaborators, manage).await;
    refused.refused(403, "forbidden", "manage");
    let body = json!({"user": "mia@example.com"});
    let made = docks.mia.post(collaborators, body.clone()).await.created();
    assert_eq!(made["role"], "member");
    assert_eq!(joined(&docks.mia).await, true);
    let config = docks
        .mia
        .patch("/apps/harbour/config-vars", json!({"A": "1"}));
    config.await.ok();
    docks.mia.post(collaborators, body).await.invalid("already");
    let own = "/apps/harbour/collaborators/mia@example.com";
    docks.mia.delete(own).await.ok();
    assert_eq!(joined(&docks.mia).await, false);
    let config = docks.mia.get("/apps/harbour/config-vars").await;
    assert_eq!(config.status, 403);
    let refused = docks.ann.delete(own).await;
    refused.refused(403, "forbidden", "Lock the app");
    let viewer = json!({"user": "vic@example.com"});
    let refused = docks.vic.post(collaborators, viewer).await;
    assert_eq!(refused.status, 403, "a viewer only sees");
}

#[tokio::test]
async fn a_locked_app_is_for_admins_and_for_whoever_was_let_in_by_name() {
    let docks = Docks::new().await;
    let app = "/teams/apps/harbour";
    let refused = docks.mia.patch(app, json!({"locked": true})).await;
    refused.refused(403, "forbidden", "manage");
    let locked = docks.ann.patch(app, json!({"locked": true})).await.ok();
    assert_eq!(locked["locked"], true);
    for other in [&docks.mia, &docks.vic, &docks.col] {
        other.get("/apps/harbour").await.missing("app");
        assert!(other.get("/apps").await.list().is_empty());
    }
    let body = json!({"user": "mia@example.com"});
    let refused = docks.mia.post(format!("{app}/collaborators"), body.clone());
    refused.await.missing("app");
    docks
        .ann
        .post(format!("{app}/collaborators"), body)
        .await
        .created();
    docks.mia.get("/apps/harbour/config-vars").await.ok();
    let new = docks.server.account("newcomer").await;
    docks
        .ann
        .member("docks", "newcomer", "member")
        .await
        .created();
    new.get("/apps/harbour").await.missing("app");
    docks.ann.patch(app, json!({"locked": false})).await.ok();
    for other in [&new, &docks.vic] {
        other.get("/apps/harbour").await.ok();
    }
    let own = docks.ann.app("spare").await;
    assert_eq!(own["locked"], false);
    let refused = docks
        .ann
        .patch("/teams/apps/spare", json!({"locked": true}));
    refused.await.invalid("Only a team's app");
}

#[tokio::test]
async fn what_was_granted_by_name_outlives_a_role_but_not_the_membership() {
    let docks = Docks::new().await;
    let collaborators = "/teams/apps/harbour/collaborators";
    let body = json!({"user": "mia@example.com", "permissions": ["view", "operate"]});
    docks.ann.post(collaborators, body).await.created();
    docks.ann.member("docks", "mia", "admin").await.created();
    docks
        .mia
        .delete("/apps/harbour/collaborators/col@example.com")
        .await
        .missing("collaborator");
    let refused = docks.ann.patch(
        format!("{collaborators}/mia@example.com"),
        json!({"permissions": ["view"]}),
    );
    refused.await.refused(403, "forbidden", "admin of the team");
    docks.ann.member("docks", "mia", "viewer").await.created();
    docks.mia.get("/apps/harbour/config-vars").await.ok();
    let refused = docks
        .mia
        .post(
            "/apps/harbour/slugs",
            json!({"process_types": {"web": "x"}}),
        )
        .await;
    refused.refused(403, "forbidden", "deploy");
    let path = format!("{collaborators}/mia@example.com");
    let body = json!({"permissions": ["view", "deploy"]});
    docks.ann.patch(&path, body).await.ok();
    let config = docks.mia.get("/apps/harbour/config-vars").await;
    assert_eq!(config.status, 403);
    docks
        .ann
        .delete("/teams/docks/members/mia@example.com")
        .await
        .ok();
    docks.mia.get("/apps/harbour").await.missing("app");
    docks.ann.get(path).await.missing("collaborator");
}

#[tokio::test]
async fn somebody_from_outside_is_let_in_to_one_app() {
    let docks = Docks::new().await;
    docks.ann.team_app("docks", "pier").await;
    let bob = docks.server.account("bob").await;
    for (client, name) in [(&bob, "bob"), (&docks.col, "col")] {
        let body = json!({"user": format!("{name}@example.com")});
        let made = docks.ann.post("/apps/harbour/collaborators", body).await;
        assert_eq!(made.created()["role"], "collaborator");
        client.get("/apps/harbour/config-vars").await.ok();
        client.get("/apps/pier").await.missing("app");
    }
    assert_eq!(
        docks.col.get("/teams/docks/apps").await.each("name"),
        ["harbour"]
    );
    bob.get("/teams/docks").await.missing("team");
    // Who joins the team later keeps what he was given.
    docks.ann.member("docks", "bob", "member").await.created();
    bob.get("/apps/harbour/config-vars").await.ok();
    bob.get("/apps/pier").await.ok();
}

#[tokio::test]
async fn the_permissions_of_a_team_are_told_app_by_app() {
    let docks = Docks::new().await;
    let entities = docks.ann.get("/teams/docks/permissions").await.list();
    assert_eq!(entities.len(), 1);
    assert_eq!(entities[0]["name"], "harbour");
    let of = |email: &str| {
        let users = entities[0]["users"].as_array().unwrap();
        let user = users.iter().find(|user| user["email"] == email);
        user.map(|user| user["permissions"].clone())
    };
    let all = json!(["view", "deploy", "operate", "manage"]);
    assert_eq!(of("ann@example.com"), Some(all));
    assert_eq!(of("mia@example.com"), Some(json!(["view"])));
    assert_eq!(of("col@example.com"), None);
    let apps = |name: &str| format!("/teams/docks/members/{name}@example.com/apps");
    assert_eq!(docks.mia.get(apps("vic")).await.each("name"), ["harbour"]);
    assert!(docks.mia.get(apps("col")).await.list().is_empty());
    assert_eq!(docks.col.get(apps("mia")).await.status, 403);
}

#[tokio::test]
async fn the_couplings_of_a_teams_apps_are_listed() {
    let docks = Docks::new().await;
    let pipeline = docks.ann.pipeline("water").await;
    docks.ann.app("spare").await;
    docks.ann.couple("harbour", &pipeline, "staging").await;
    docks.ann.couple("spare", &pipeline, "production").await;
    let path = "/teams/docks/pipeline-couplings";
    for client in [&docks.ann, &docks.mia] {
        let list = client.get(path).await.list();
        assert_eq!(list.len(), 1);
        assert_eq!(list[0]["app"]["name"], "harbour");
    }
    assert!(docks.col.get(path).await.list().is_empty());
}
