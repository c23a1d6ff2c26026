//! Teams: how they are made, who is in them as what, and that one always has an admin.

use serde_json::{Value, json};

use crate::harness::{Answer, Client, Server, id};

impl Client {
    /// Makes a team, whose admin this account is.
    pub async fn team(&self, name: &str) -> Value {
        self.post("/teams", json!({ "name": name })).await.created()
    }

    /// Takes somebody into a team, or gives him another role there.
    pub async fn member(&self, team: &str, name: &str, role: &str) -> Answer {
        let body = json!({"email": format!("{name}@example.com"), "role": role});
        let path = format!("/teams/{team}/members");
        self.request("PUT", &path).json(&body).send().await
    }

    /// An app of a team.
    pub async fn team_app(&self, team: &str, name: &str) -> Value {
        let body = json!({ "name": name, "team": team });
        self.post("/teams/apps", body).await.created()
    }
}

#[tokio::test]
async fn who_makes_a_team_is_its_admin_and_others_do_not_see_it() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let made = ann.team("docks").await;
    assert_eq!(made["role"], "admin");
    assert_eq!(made["type"], "team");
    assert_eq!(ann.get("/teams/docks").await.ok(), made);
    assert_eq!(
        ann.get(format!("/teams/{}", id(&made))).await.ok(),
        made,
        "by id"
    );
    assert_eq!(ann.get("/teams").await.list(), [made]);
    bob.get("/teams/docks").await.missing("team");
    assert!(bob.get("/teams").await.list().is_empty());
    let taken = bob.post("/teams", json!({"name": "docks"})).await;
    taken.invalid("exists already");
}

#[tokio::test]
async fn a_teams_name_is_checked_and_may_be_changed_by_its_admins() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    for name in [
        "apps",
        "permissions",
        "invitations",
        "D",
        "-docks",
        "docks-",
    ] {
        let refused = ann.post("/teams", json!({ "name": name })).await;
        refused.invalid("team's name");
    }
    ann.team("docks").await;
    ann.member("docks", "bob", "member").await.created();
    let body = json!({"name": "quays"});
    let refused = bob.patch("/teams/docks", body.clone()).await;
    refused.refused(403, "forbidden", "admin of the team");
    let renamed = ann.patch("/teams/docks", body).await.ok();
    assert_eq!(renamed["name"], "quays");
    ann.get("/teams/docks").await.missing("team");
    let app = ann.team_app("quays", "harbour").await;
    assert_eq!(app["owner"]["email"], "quays@herokumanager.com");
}

#[tokio::test]
async fn a_member_is_taken_in_given_another_role_and_shown_out() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.team("docks").await;
    let body = json!({"email": "Bob@Example.com", "role": "viewer"});
    let made = ann.post("/teams/docks/members", body.clone()).await;
    let made = made.created();
    assert_eq!(made["email"], "bob@example.com");
    assert_eq!(made["user"]["id"], json!(bob.id));
    assert_eq!(made["role"], "viewer");
    let again = ann.post("/teams/docks/members", body).await;
    again.invalid("already");
    assert_eq!(bob.get("/teams/docks").await.ok()["role"], "viewer");
    let body = json!({"email": "bob@example.com", "role": "member"});
    let changed = ann.patch("/teams/docks/members", body).await.ok();
    assert_eq!(changed["role"], "member");
    let emails = bob.get("/teams/docks/members").await.each("email");
    assert_eq!(emails, ["ann@example.com", "bob@example.com"]);
    let gone = ann.delete("/teams/docks/members/bob@example.com").await;
    gone.ok();
    bob.get("/teams/docks").await.missing("team");
}

#[tokio::test]
async fn an_address_without_an_account_or_an_unknown_role_is_refused() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    server.account("bob").await;
    ann.team("docks").await;
    let nobody = ann.member("docks", "nobody", "member").await;
    nobody.invalid("Invite the address");
    let role = ann.member("docks", "bob", "owner").await;
    role.invalid("admin, member, viewer and collaborator");
    let absent = json!({"email": "bob@example.com", "role": "member"});
    let absent = ann.patch("/teams/docks/members", absent).await;
    absent.missing("team member");
}

#[tokio::test]
async fn the_last_admin_can_neither_leave_nor_become_less() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.team("docks").await;
    ann.member("docks", "bob", "member").await.created();
    let own = "/teams/docks/members/ann@example.com";
    ann.delete(own).await.invalid("only admin");
    ann.member("docks", "ann", "member")
        .await
        .invalid("only admin");
    assert_eq!(ann.get("/teams/docks").await.ok()["role"], "admin");
    ann.member("docks", "bob", "admin").await.created();
    ann.delete(own).await.ok();
    ann.get("/teams/docks").await.missing("team");
    assert_eq!(bob.get("/teams/docks").await.ok()["role"], "admin");
}

#[tokio::test]
async fn only_admins_change_who_is_in_and_everybody_may_leave() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let mut others = Vec::new();
    ann.team("docks").await;
    for role in ["member", "viewer", "collaborator"] {
        let other = server.account(role).await;
        ann.member("docks", role, role).await.created();
        others.push((role, other));
    }
    for (role, other) in &others {
        let refused = other.member("docks", role, "admin").await;
        refused.refused(403, "forbidden", "admin");
        let refused = other.delete("/teams/docks/members/ann@example.com").await;
        refused.refused(403, "forbidden", "admin");
        assert_eq!(other.delete("/teams/docks").await.status, 403);
        let status = other.get("/teams/docks/members").await.status;
        let expected = if *role == "collaborator" { 403 } else { 200 };
        assert_eq!(status, expected, "{role}");
    }
    for (role, other) in &others {
        let own = format!("/teams/docks/members/{role}@example.com");
        other.delete(own).await.ok();
        other.get("/teams/docks").await.missing("team");
    }
}

#[tokio::test]
async fn a_team_with_apps_is_not_deleted() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.team("docks").await;
    ann.team_app("docks", "harbour").await;
    let refused = ann.delete("/teams/docks").await;
    refused.refused(409, "conflict", "still has apps");
    ann.delete("/apps/harbour").await.ok();
    ann.delete("/teams/docks").await.ok();
    ann.get("/teams/docks").await.missing("team");
}

#[tokio::test]
async fn a_default_team_gets_the_team_apps_that_name_none() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.team("docks").await;
    ann.team("quays").await;
    let personal = ann.post("/teams/apps", json!({"name": "one"})).await;
    assert_eq!(personal.created()["team"], Value::Null);
    for team in ["docks", "quays"] {
        let body = json!({"default": true});
        let changed = ann.patch(format!("/teams/{team}"), body).await.ok();
        assert_eq!(changed["default"], true);
    }
    assert_eq!(ann.get("/teams/docks").await.ok()["default"], false);
    for path in ["/account", "/users/~"] {
        let shown = ann.get(path).await.ok();
        assert_eq!(shown["default_team"]["name"], "quays");
        assert_eq!(shown["default_organization"], shown["default_team"]);
    }
    let app = ann.post("/teams/apps", json!({"name": "two"})).await;
    assert_eq!(app.created()["team"]["name"], "quays");
    let body = json!({"name": "three", "personal": true});
    let app = ann.post("/teams/apps", body).await.created();
    assert_eq!(app["owner"]["email"], "ann@example.com");
}

#[tokio::test]
async fn what_clients_ask_of_teams_beyond_members_is_answered() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.team("docks").await;
    let features = ann.get("/teams/docks/features").await.each("name");
    assert_eq!(features, ["org-access-controls", "team-invite-acceptance"]);
    let feature = ann.get("/teams/docks/features/team-invite-acceptance");
    assert_eq!(feature.await.ok()["enabled"], true);
    let generations = ann.get("/teams/docks/available-generations").await;
    assert_eq!(generations.each("name"), ["cedar"]);
    assert!(ann.get("/teams/docks/addons").await.list().is_empty());
    for elsewhere in ["/enterprise-accounts", "/spaces"] {
        assert!(ann.get(elsewhere).await.list().is_empty());
    }
    let permissions = ann.get("/teams/permissions").await.each("name");
    assert_eq!(permissions, ["deploy", "manage", "operate", "view"]);
    for rest in ["features", "addons", "available-generations", "permissions"] {
        let answer = bob.get(format!("/teams/docks/{rest}")).await;
        answer.missing("team");
    }
}
