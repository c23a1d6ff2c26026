//! Invitations into teams: what is handed over, who may accept it, and until when.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Answer, Client, Server, id};

const INVITATIONS: &str = "/teams/docks/invitations";

async fn invite(client: &Client, name: &str, role: &str) -> Answer {
    let body = json!({"email": format!("{name}@example.com"), "role": role});
    client.request("PUT", INVITATIONS).json(&body).send().await
}

fn token(invitation: &Value) -> &str {
    invitation["token"].as_str().unwrap()
}

/// The path that the invitation tells the invited to post to.
fn accept(server: &Server, invitation: &Value) -> String {
    let url = invitation["accept_url"].as_str().unwrap();
    let path = url.strip_prefix(&server.platform.urls.api);
    path.unwrap().to_owned()
}

#[tokio::test]
async fn an_invitation_is_handed_over_and_accepted_by_an_account_that_was_there() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.team("docks").await;
    ann.team_app("docks", "harbour").await;
    let answer = invite(&ann, "bob", "member").await;
    let invitation = answer.ok();
    assert_eq!(invitation["user"]["id"], json!(bob.id));
    assert_eq!(invitation["invited_by"]["email"], "ann@example.com");
    assert_eq!(invitation["team"]["name"], "docks");
    let warning = answer.header("warning-message");
    assert!(warning.contains("No mail is sent"), "{warning}");
    assert!(warning.contains(token(&invitation)), "{warning}");
    bob.get("/teams/docks").await.missing("team");
    let shown = bob.get(format!("/teams/invitations/{}", token(&invitation)));
    assert_eq!(shown.await.ok()["role"], "member");
    let path = accept(&server, &invitation);
    let member = bob.post(&path, json!({})).await.created();
    assert_eq!(member["role"], "member");
    bob.get("/apps/harbour").await.ok();
    assert!(ann.get(INVITATIONS).await.list().is_empty());
    let again = bob.post(path, json!({})).await;
    again.missing("team invitation");
}

#[tokio::test]
async fn an_address_may_get_its_account_after_it_was_invited() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.team("docks").await;
    let invitation = invite(&ann, "bob", "admin").await.ok();
    assert_eq!(invitation["user"]["id"], invitation["id"]);
    let bob = server.account("bob").await;
    bob.post(accept(&server, &invitation), json!({}))
        .await
        .created();
    assert_eq!(bob.get("/teams/docks").await.ok()["role"], "admin");
}

#[tokio::test]
async fn the_token_is_of_use_to_the_invited_only_and_is_told_once() {
    let server = Server::start().await;
    let (ann, eve) = (server.account("ann").await, server.account("eve").await);
    ann.team("docks").await;
    let invitation = invite(&ann, "bob", "member").await.ok();
    let token = token(&invitation);
    for client in [&eve, &ann] {
        let refused = client.get(format!("/teams/invitations/{token}")).await;
        refused.refused(403, "forbidden", "another e-mail address");
        let refused = client.post(accept(&server, &invitation), json!({})).await;
        refused.refused(403, "forbidden", "another e-mail address");
    }
    let listed = ann.get(INVITATIONS).await;
    assert_eq!(listed.list().len(), 1);
    assert!(!listed.text().contains(token));
    assert!(!server.dump().contains(token), "the token itself is stored");
    let guess = eve.get("/teams/invitations/00000000000000000000000000000000");
    guess.await.missing("team invitation");
}

#[tokio::test]
async fn to_invite_again_makes_the_earlier_link_worthless() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.team("docks").await;
    let first = invite(&ann, "bob", "member").await.ok();
    let second = invite(&ann, "bob", "viewer").await.ok();
    assert_eq!(first["id"], second["id"]);
    assert_eq!(ann.get(INVITATIONS).await.each("role"), ["viewer"]);
    let old = bob.post(accept(&server, &first), json!({})).await;
    old.missing("team invitation");
    let member = bob.post(accept(&server, &second), json!({})).await;
    assert_eq!(member.created()["role"], "viewer");
    let again = invite(&ann, "bob", "member").await;
    again.invalid("`heroku members:set bob@example.com --role member --team docks`");
}

#[tokio::test]
async fn an_invitation_is_revoked_or_expires() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.team("docks").await;
    let invitation = invite(&ann, "bob", "member").await.ok();
    let path = format!("{INVITATIONS}/bob@example.com");
    assert_eq!(id(&ann.delete(&path).await.ok()), id(&invitation));
    let gone = bob.post(accept(&server, &invitation), json!({})).await;
    gone.missing("team invitation");
    ann.delete(path).await.missing("team invitation");
    let invitation = invite(&ann, "bob", "member").await.ok();
    server.pass(Duration::from_secs(7 * 24 * 60 * 60));
    assert!(ann.get(INVITATIONS).await.list().is_empty());
    let late = bob.post(accept(&server, &invitation), json!({})).await;
    late.missing("team invitation");
    server.sweep().await;
    assert!(!server.dump().contains(&id(&invitation)));
}

#[tokio::test]
async fn admins_invite_members_look_and_others_do_neither() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.team("docks").await;
    invite(&ann, "bob", "member").await.ok();
    for (role, status) in [("member", 200), ("viewer", 200), ("collaborator", 403)] {
        let client = server.account(role).await;
        ann.member("docks", role, role).await.created();
        assert_eq!(client.get(INVITATIONS).await.status, status, "{role}");
        assert_eq!(invite(&client, "eve", "member").await.status, 403);
        let revoked = client.delete(format!("{INVITATIONS}/bob@example.com"));
        assert_eq!(revoked.await.status, 403);
    }
    let body = json!({"email": "no address", "role": "member"});
    let refused = ann.request("PUT", INVITATIONS).json(&body).send().await;
    refused.invalid("e-mail address");
}

#[tokio::test]
async fn no_account_takes_the_address_by_which_clients_know_a_teams_apps() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.team("docks").await;
    let body = json!({"email": "docks@herokumanager.com", "role": "member"});
    let refused = ann.request("PUT", INVITATIONS).json(&body).send().await;
    refused.invalid("e-mail address");
}

#[tokio::test]
async fn an_invitation_ends_when_its_inviter_is_no_admin_any_more() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let dan = server.account("dan").await;
    ann.team("docks").await;
    ann.member("docks", "bob", "admin").await.created();
    let removed = invite(&bob, "dan", "admin").await.ok();
    ann.delete("/teams/docks/members/bob@example.com")
        .await
        .ok();
    assert!(ann.get(INVITATIONS).await.list().is_empty());
    let late = dan.post(accept(&server, &removed), json!({})).await;
    late.missing("team invitation");
    ann.member("docks", "bob", "admin").await.created();
    let demoted = invite(&bob, "dan", "admin").await.ok();
    let kept = invite(&ann, "eve", "member").await.ok();
    for role in ["member", "admin"] {
        ann.member("docks", "bob", role).await.created();
        for invitation in [&removed, &demoted] {
            let late = dan.post(accept(&server, invitation), json!({})).await;
            late.missing("team invitation");
        }
        assert_eq!(ann.get(INVITATIONS).await.each("id"), [id(&kept)]);
    }
    dan.get("/teams/docks").await.missing("team");
}

#[tokio::test]
async fn an_invitation_by_who_runs_the_server_ends_when_he_does_not() {
    let server = Server::start().await;
    let (ann, ada) = (server.account("ann").await, server.admin("ada").await);
    let dan = server.account("dan").await;
    server.admin("abe").await;
    ann.team("docks").await;
    let invitation = invite(&ada, "dan", "admin").await.ok();
    let shown = format!("/teams/invitations/{}", token(&invitation));
    dan.get(&shown).await.ok();
    ada.patch("/account", json!({"admin": false})).await.ok();
    dan.get(shown).await.missing("team invitation");
    let late = dan.post(accept(&server, &invitation), json!({})).await;
    late.missing("team invitation");
    let path = format!("{INVITATIONS}/dan@example.com");
    ann.delete(path).await.missing("team invitation");
    invite(&ann, "dan", "member").await.ok();
}
