//! `heroku login` by way of a browser: what the CLI and the browser send, and what somebody else's page might.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Answer, Client, Server};

/// A login that was begun, as the CLI does.
struct Login {
    page: String,
    cli: String,
    poll: String,
}

async fn begin(nobody: &Client, description: &str) -> Login {
    let body = json!({ "description": description });
    let begun = nobody.request("POST", "/auth").json(&body).send().await;
    let begun = begun.expect(201);
    let text = |name: &str| begun[name].as_str().unwrap().to_owned();
    Login {
        page: text("browser_url"),
        cli: text("cli_url"),
        poll: text("token"),
    }
}

impl Login {
    async fn send(&self, nobody: &Client, form: &str, headers: &[(&str, &str)]) -> Answer {
        let request = nobody.request("POST", &self.page);
        let mut request = request.header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(form).send().await
    }

    async fn ended(&self, nobody: &Client) -> Value {
        let poll = nobody.with_token(&self.poll);
        let text = poll.get(&self.cli).await.text();
        serde_json::from_str(&text).unwrap()
    }
}

#[tokio::test]
async fn the_cli_waits_until_a_person_shows_a_token_and_gets_one_of_its_own() {
    let server = Server::start().await;
    let (ann, nobody) = (server.account("ann").await, server.nobody());
    let login = begin(&nobody, "Heroku CLI login from laptop").await;
    let page = nobody.get(&login.page).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Heroku CLI login from laptop"));
    assert!(page.text().contains("127.0.0.1"), "who asks is not said");
    assert!(
        page.header("content-security-policy")
            .contains("frame-ancestors 'none'")
    );
    assert_eq!(page.header("cache-control"), "no-store");
    // The CLI asks before the person has answered.
    let poll = nobody.with_token(&login.poll);
    let mut waiting = poll.request("GET", &login.cli).stream().await;
    let form = format!("answer=accept&token={}", ann.token);
    let done = login
        .send(&nobody, &form, &[("sec-fetch-site", "same-origin")])
        .await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert!(done.text().contains("ann@example.com"));
    let told: Value = serde_json::from_str(waiting.rest().await).unwrap();
    let token = told["access_token"].as_str().unwrap();
    assert_ne!(token, ann.token);
    let cli = nobody.with_token(token);
    assert_eq!(cli.get("/account").await.ok()["email"], "ann@example.com");
    let listed = ann.get("/oauth/authorizations").await.list();
    let made = listed
        .iter()
        .find(|one| one["description"] == "Heroku CLI login from laptop");
    let left = made.unwrap()["access_token"]["expires_in"]
        .as_u64()
        .unwrap();
    assert!((2_591_000..=2_592_000).contains(&left), "{left}");
    // The link is good once.
    assert_eq!(nobody.get(&login.page).await.status, 404);
    assert_eq!(login.send(&nobody, &form, &[]).await.status, 404);
}

#[tokio::test]
async fn who_did_not_ask_refuses_and_the_cli_is_told_so() {
    let server = Server::start().await;
    let nobody = server.nobody();
    let login = begin(&nobody, "Eve").await;
    let refused = login.send(&nobody, "answer=refuse&token=", &[]).await;
    assert_eq!(refused.status, 200);
    assert!(refused.text().contains("Nobody was let in"));
    let told = login.ended(&nobody).await;
    assert!(
        told["error"].as_str().unwrap().contains("refused"),
        "{told}"
    );
    assert_eq!(nobody.get(&login.page).await.status, 404);
}

#[tokio::test]
async fn a_form_of_another_site_or_a_token_that_is_too_little_lets_nobody_in() {
    let server = Server::start().await;
    let (ann, nobody) = (server.account("ann").await, server.nobody());
    let login = begin(&nobody, "laptop").await;
    let form = format!("answer=accept&token={}", ann.token);
    for (name, value) in [
        ("origin", "https://evil.example.com"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let sent = login.send(&nobody, &form, &[(name, value)]).await;
        sent.refused(403, "forbidden", "another site");
    }
    let reader = ann.scoped(&["read"], None).await;
    for token in [
        reader.token.as_str(),
        "",
        "HRKU-00000000-0000-7000-8000-000000000000",
    ] {
        let sent = login
            .send(&nobody, &format!("answer=accept&token={token}"), &[])
            .await;
        assert_eq!(sent.status, 422, "{token}");
        assert!(sent.text().contains("role=\"alert\""), "{}", sent.text());
    }
    // It can be answered still, and by who has the whole account.
    assert_eq!(login.send(&nobody, &form, &[]).await.status, 200);
}

#[tokio::test]
async fn a_link_is_good_for_ten_minutes() {
    let server = Server::start().await;
    let (ann, nobody) = (server.account("ann").await, server.nobody());
    let login = begin(&nobody, "laptop").await;
    server.pass(Duration::from_secs(599));
    assert_eq!(nobody.get(&login.page).await.status, 200);
    server.pass(Duration::from_secs(1));
    assert_eq!(nobody.get(&login.page).await.status, 404);
    let form = format!("answer=accept&token={}", ann.token);
    assert_eq!(login.send(&nobody, &form, &[]).await.status, 404);
    let poll = nobody.with_token(&login.poll).get(&login.cli).await;
    poll.refused(404, "not_found", "login");
}

#[tokio::test]
async fn only_who_began_a_login_learns_how_it_went() {
    let server = Server::start().await;
    let (ann, nobody) = (server.account("ann").await, server.nobody());
    let login = begin(&nobody, "laptop").await;
    let form = format!("answer=accept&token={}", ann.token);
    assert_eq!(login.send(&nobody, &form, &[]).await.status, 200);
    let code = login.page.rsplit('/').next().unwrap();
    for stranger in [nobody.clone(), ann.clone(), nobody.with_token(code)] {
        stranger
            .get(&login.cli)
            .await
            .refused(404, "not_found", "login");
    }
    let kept = server.dump();
    let told = login.ended(&nobody).await;
    let token = told["access_token"].as_str().unwrap();
    for secret in [token, &login.poll, code] {
        assert!(
            !kept.contains(secret),
            "a secret of the login is kept as it is"
        );
    }
}

#[tokio::test]
async fn what_a_stranger_says_of_himself_is_text_on_the_page() {
    let server = Server::start().await;
    let nobody = server.nobody();
    let login = begin(&nobody, "<script>alert(1)</script>\"'").await;
    let page = nobody.get(&login.page).await.text();
    assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
    assert!(!page.contains("<script"), "{page}");
    let long = json!({ "description": "x".repeat(201) });
    let refused = nobody.request("POST", "/auth").json(&long).send().await;
    refused.invalid("description");
}

/// `heroku login -i`: what it asks for as the password is a token.
#[tokio::test]
async fn a_token_is_the_password_of_whoever_logs_in_at_the_prompt() {
    let server = Server::start().await;
    let (ann, nobody) = (server.account("ann").await, server.nobody());
    let body = json!({"description": "Heroku CLI login from laptop", "expires_in": 2_592_000, "scope": ["global"]});
    let asked = |password: &str| {
        use base64::Engine;
        let pair = format!("ann@example.com:{password}");
        let basic = base64::engine::general_purpose::STANDARD.encode(pair);
        let request = nobody.request("POST", "/oauth/authorizations");
        request
            .header("authorization", &format!("Basic {basic}"))
            .json(&body)
    };
    let made = asked(&ann.token).send().await.created();
    assert_eq!(made["user"]["email"], "ann@example.com");
    let refused = asked("my password").send().await;
    refused.refused(401, "unauthorized", "There are no passwords here");
    assert!(
        refused.text().contains("heroku login -i"),
        "{}",
        refused.text()
    );
}
