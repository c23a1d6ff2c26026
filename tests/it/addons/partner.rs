//! The provider's side: the grant it exchanges, what its token opens, and how it tells what has become of an add-on.

use std::time::Duration;

use serde_json::{Value, json};

use super::provider::{Provider, answer};
use super::{ADDONS, CLIENT_SECRET, world};
use crate::harness::{Client, Server, id};

/// What the provider was sent with its last request to make an add-on.
fn code(provider: &Provider) -> String {
    let code = provider.last().body["oauth_grant"]["code"].clone();
    code.as_str().unwrap().to_owned()
}

/// As OAuth has it: a form.
async fn exchange(server: &Server, form: &str) -> crate::harness::Answer {
    let request = server.nobody().request("POST", "/oauth/token");
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    request.body(form).send().await
}

/// The provider, with a token for the add-on that it was asked for last.
pub async fn partner(server: &Server, provider: &Provider) -> Client {
    let form = format!(
        "grant_type=authorization_code&code={}&client_secret={CLIENT_SECRET}",
        code(provider)
    );
    let tokens = exchange(server, &form).await.ok();
    assert_eq!(tokens["expires_in"], 28_800);
    let token = tokens["access_token"].as_str().unwrap();
    server.nobody().with_token(token)
}

/// An add-on that is still being made, and its provider.
async fn in_the_making() -> (Server, Client, Provider, Value, Client) {
    let (server, ann, provider) = world().await;
    provider.next([answer(
        202,
        json!({ "id": "acme-7", "message": "In a minute." }),
    )]);
    let addon = ann
        .addon("harbour", json!({ "plan": "acme", "name": "mine" }))
        .await;
    let partner = partner(&server, &provider).await;
    (server, ann, provider, addon, partner)
}

#[tokio::test]
async fn a_provider_that_takes_its_time_says_when_it_is_done() {
    let (_server, ann, _provider, addon, partner) = in_the_making().await;
    assert_eq!(addon["state"], "provisioning");
    assert_eq!(addon["provision_message"], "In a minute.");
    assert_eq!(addon["config_vars"], json!(["ACME_URL", "ACME_TOKEN"]));
    let path = format!("/addons/{}", id(&addon));
    let seen = partner.get(&path).await.ok();
    assert_eq!(seen["provider_id"], "acme-7");
    assert_eq!(seen["app"]["name"], "harbour");
    assert_eq!(seen["actions"], json!([]));
    let config = json!({ "config": [{ "name": "ACME_URL", "value": "acme://later.test" }] });
    partner.patch(format!("{path}/config"), config).await.ok();
    assert_eq!(ann.config("harbour").await, json!({}), "it is not made yet");
    let done = partner
        .post(format!("{path}/actions/provision"), json!({}))
        .await
        .ok();
    assert_eq!(done["state"], "provisioned");
    assert_eq!(
        ann.config("harbour").await,
        json!({ "ACME_URL": "acme://later.test" })
    );
    let told = [
        "Attach ACME (@ref:mine)",
        "@ref:mine completed provisioning, setting ACME_URL.",
    ];
    assert_eq!(ann.releases("harbour").await, told);
    partner
        .post(format!("{path}/actions/provision"), json!({}))
        .await
        .ok();
    assert_eq!(ann.releases("harbour").await, told, "it was done already");
}

#[tokio::test]
async fn a_provider_that_never_says_that_it_is_done_is_given_up_after_twelve_hours() {
    let (server, ann, provider, addon, _partner) = in_the_making().await;
    server.pass(Duration::from_secs(12 * 60 * 60 - 1));
    server.settle().await;
    let path = format!("/addons/{}", id(&addon));
    assert_eq!(ann.get(&path).await.ok()["state"], "provisioning");
    server.pass(Duration::from_secs(1));
    server.settle().await;
    let shown = ann.get(&path).await.ok();
    assert_eq!(shown["state"], "deprovisioned");
    let message = shown["provision_message"].as_str().unwrap();
    assert!(message.contains("12 hours"), "{message}");
    assert_eq!(provider.last().method, "DELETE");
    assert_eq!(ann.releases("harbour").await[1], "Detach ACME (@ref:mine)");
}

#[tokio::test]
async fn a_provider_may_give_an_add_on_up() {
    let (server, ann, provider, addon, partner) = in_the_making().await;
    let path = format!("/addons/{}", id(&addon));
    let gone = partner
        .post(format!("{path}/actions/deprovision"), json!({}))
        .await
        .ok();
    assert_eq!(gone["state"], "deprovisioned");
    let late = partner
        .post(format!("{path}/actions/provision"), json!({}))
        .await;
    late.invalid("cannot be brought back");
    server.settle().await;
    assert_eq!(
        provider.heard().len(),
        1,
        "it need not be told what it said"
    );
    ann.delete(format!("{ADDONS}/mine")).await.ok();
    assert_eq!(
        partner.get(&path).await.status,
        401,
        "the token went with the add-on"
    );
}

#[tokio::test]
async fn a_provider_changes_its_config_and_the_app_is_released_with_it() {
    let (server, ann, provider) = world().await;
    let addon = ann.addon("harbour", json!({ "plan": "acme" })).await;
    let partner = partner(&server, &provider).await;
    let path = format!("/addons/{}/config", id(&addon));
    assert_eq!(
        partner.get(&path).await.ok(),
        json!([{ "name": "ACME_URL", "value": "acme://basic.test/1" }])
    );
    let body = json!({ "config": [
        { "name": "ACME_URL", "value": null },
        { "name": "ACME_TOKEN", "value": "t0ken" },
    ] });
    partner.patch(&path, body.clone()).await.ok();
    assert_eq!(
        ann.config("harbour").await,
        json!({ "ACME_TOKEN": "t0ken" })
    );
    assert_eq!(ann.releases("harbour").await[1..], ["Update ACME by acme"]);
    partner.patch(&path, body).await.ok();
    assert_eq!(
        ann.releases("harbour").await.len(),
        2,
        "nothing was changed"
    );
    for (name, value, words) in [
        ("PATH", "/evil", "not among the config_vars"),
        ("ACME_URL", "a\u{0}b", "NUL"),
    ] {
        let body = json!({ "config": [{ "name": name, "value": value }] });
        partner.patch(&path, body).await.invalid(words);
    }
    let body = json!({ "config": [{ "name": "ACME_URL", "value": "mine" }] });
    let refused = ann.patch(&path, body).await;
    refused.refused(403, "forbidden", "Only the provider");
    assert_eq!(ann.get(&path).await.list().len(), 1);
}

#[tokio::test]
async fn a_code_is_good_once_for_its_own_provider_and_for_five_minutes() {
    let (server, ann, provider) = world().await;
    ann.addon("harbour", json!({ "plan": "acme" })).await;
    let code = code(&provider);
    let form =
        |secret: &str| format!("grant_type=authorization_code&code={code}&client_secret={secret}");
    exchange(&server, &form("wrong"))
        .await
        .refused(401, "unauthorized", "secret");
    exchange(&server, &form("correct-horse"))
        .await
        .refused(401, "unauthorized", "secret");
    exchange(&server, &form(CLIENT_SECRET)).await.ok();
    assert_eq!(exchange(&server, &form(CLIENT_SECRET)).await.status, 401);
    ann.addon("harbour", json!({ "plan": "acme" })).await;
    let late = self::code(&provider);
    server.pass(Duration::from_secs(5 * 60));
    let body = json!({
        "grant": { "type": "authorization_code", "code": late },
        "client": { "secret": CLIENT_SECRET },
    });
    assert_eq!(
        server.nobody().post("/oauth/tokens", body).await.status,
        401
    );
}

#[tokio::test]
async fn a_token_ends_after_eight_hours_and_is_refreshed() {
    let (server, ann, provider) = world().await;
    let addon = ann.addon("harbour", json!({ "plan": "acme" })).await;
    let path = format!("/addons/{}", id(&addon));
    let body = json!({
        "grant": { "type": "authorization_code", "code": code(&provider) },
        "client": { "secret": CLIENT_SECRET },
    });
    let tokens = server.nobody().post("/oauth/tokens", body).await.created();
    let text = |value: &Value| value["token"].as_str().unwrap().to_owned();
    let partner = server.nobody().with_token(&text(&tokens["access_token"]));
    partner.get(&path).await.ok();
    server.pass(Duration::from_secs(8 * 60 * 60));
    assert_eq!(partner.get(&path).await.status, 401);
    let refresh = text(&tokens["refresh_token"]);
    assert_eq!(
        server.nobody().with_token(&refresh).get(&path).await.status,
        401
    );
    let form =
        format!("grant_type=refresh_token&refresh_token={refresh}&client_secret={CLIENT_SECRET}");
    let fresh = exchange(&server, &form).await.ok();
    assert_eq!(fresh["refresh_token"], json!(refresh));
    let token = fresh["access_token"].as_str().unwrap();
    server.nobody().with_token(token).get(&path).await.ok();
    server.sweep().await;
    assert!(!server.dump().contains(token) && !server.dump().contains(&refresh));
}

#[tokio::test]
async fn a_partner_sees_the_pipeline_of_its_app_as_the_article_shows_it() {
    let (server, ann, provider) = world().await;
    ann.addon("harbour", json!({ "plan": "acme" })).await;
    let partner = partner(&server, &provider).await;
    let app = id(&ann.get("/apps/harbour").await.ok());
    let couplings = format!("/apps/{app}/pipeline-couplings");
    assert_eq!(partner.get(&couplings).await.ok(), json!([]));
    let pipeline = ann.pipeline("water").await;
    let other = ann.pipeline("fire").await;
    ann.couple("harbour", &pipeline, "production").await;
    let seen = partner.get(&couplings).await.list();
    assert_eq!(seen[0]["stage"], "production");
    assert_eq!(seen[0]["pipeline"]["id"], pipeline["id"]);
    let shown = partner
        .get(format!("/pipelines/{}", id(&pipeline)))
        .await
        .ok();
    assert_eq!(
        (&shown["name"], &shown["generation"]["name"]),
        (&json!("water"), &json!("cedar"))
    );
    partner
        .get(format!("/pipelines/{}", id(&other)))
        .await
        .missing("pipeline");
    assert!(ann.get(&couplings).await.ok().is_object());
}

#[tokio::test]
async fn a_partners_token_opens_one_add_on_and_nothing_else() {
    let (server, ann, provider) = world().await;
    let other = ann.addon("harbour", json!({ "plan": "acme" })).await;
    let own = ann.addon("harbour", json!({ "plan": "acme" })).await;
    let partner = partner(&server, &provider).await;
    ann.app("marina").await;
    let pipeline = ann.pipeline("water").await;
    ann.couple("marina", &pipeline, "staging").await;
    let marina = id(&ann.get("/apps/marina").await.ok());
    let (own, other) = (
        format!("/addons/{}", id(&own)),
        format!("/addons/{}", id(&other)),
    );
    partner.get(&own).await.ok();
    assert_eq!(partner.get(&own).await.ok()["web_url"], Value::Null);
    let before = server.dump();
    for path in [&other, &format!("{other}/config")] {
        assert_eq!(partner.get(path).await.status, 404, "{path}");
    }
    let act = partner
        .post(format!("{other}/actions/deprovision"), json!({}))
        .await;
    assert_eq!(act.status, 404);
    partner
        .get(format!("/apps/{marina}/pipeline-couplings"))
        .await
        .missing("app");
    partner
        .get(format!("/pipelines/{}", id(&pipeline)))
        .await
        .missing("pipeline");
    let (mut asked, allowed) = (
        0,
        [
            "/addons/{addon}",
            "/addons/{addon}/config",
            "/addons/{addon}/actions/provision",
            "/addons/{addon}/actions/deprovision",
            "/apps/{app}/pipeline-couplings",
            "/pipelines/{pipeline}",
        ],
    );
    for route in penstock::api::ROUTES {
        use penstock::api::Policy;
        let public = matches!(
            route.policy,
            Policy::Public | Policy::Anybody | Policy::Signed | Policy::Client | Policy::Git
        );
        if public || allowed.contains(&route.path) && matches!(route.method, "GET" | "POST") {
            continue;
        }
        let listens = ["/addons/{addon}/webhook", "/addons/{addon}/log-drains"];
        if (route.method, route.path) == ("PATCH", "/addons/{addon}/config")
            || listens.iter().any(|own| route.path.starts_with(own))
        {
            continue;
        }
        let path = route
            .path
            .replace("{app}", "harbour")
            .replace("{", "")
            .replace("}", "");
        let refused = partner
            .request(route.method, &path)
            .json(&json!({}))
            .send()
            .await;
        refused.refused(403, "forbidden", "for one add-on");
        asked += 1;
    }
    assert!(asked > 100);
    assert_eq!(server.dump(), before);
}
