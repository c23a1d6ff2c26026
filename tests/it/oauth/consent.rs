//! `/oauth/authorize`: what a browser, a person and a client see, and what others may try.

use std::time::Duration;

use serde_json::{Value, json};

use super::text;
use crate::harness::{Answer, Client, Server, id};

/// Where the client of these tests is.
const HOME: &str = "https://quay.example.com/done?from=penstock";

struct World {
    server: Server,
    /// Registered the client.
    ann: Client,
    /// Whose account the client wants to use.
    bob: Client,
    nobody: Client,
    client: Value,
}

async fn world() -> World {
    let server = Server::start().await;
    let (ann, bob, nobody) = (
        server.account("ann").await,
        server.account("bob").await,
        server.nobody(),
    );
    let client = json!({"name": "Quay <b>&", "redirect_uri": HOME});
    let client = ann.post("/oauth/clients", client).await.created();
    World {
        server,
        ann,
        bob,
        nobody,
        client,
    }
}

impl World {
    /// The address that the client sends a browser to, with what it asks for.
    fn page(&self, asked: &str) -> String {
        format!(
            "/oauth/authorize?client_id={}&response_type=code{asked}",
            id(&self.client)
        )
    }

    async fn send(&self, page: &str, form: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.nobody.request("POST", page);
        request = request.header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(form).send().await
    }

    async fn allow(&self, page: &str, by: &Client) -> Answer {
        let form = format!("answer=allow&token={}", by.token);
        self.send(page, &form, &[("sec-fetch-site", "same-origin")])
            .await
    }

    async fn exchange(&self, code: &str) -> Answer {
        let secret = text(&self.client["secret"]);
        let form = format!("grant_type=authorization_code&code={code}&client_secret={secret}");
        let request = self.nobody.request("POST", "/oauth/token");
        request.body(form).send().await
    }
}

/// What stands in the query of the address that a browser is sent to, which is the client's own.
#[track_caller]
fn told(answer: &Answer) -> Vec<(String, String)> {
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    let url = reqwest::Url::parse(answer.header("location")).unwrap();
    assert!(url.as_str().starts_with(HOME), "{url}");
    url.query_pairs().into_owned().skip(1).collect()
}

fn of<'a>(told: &'a [(String, String)], name: &str) -> &'a str {
    let found = told.iter().find(|(key, _)| key == name);
    found.map_or("", |(_, value)| value)
}

#[tokio::test]
async fn a_person_lets_a_client_in_and_it_gets_what_was_shown_to_her() {
    let world = world().await;
    let page = world.page("&scope=identity%20read-protected&state=a%2Fb%26c+d");
    let shown = world.nobody.get(&page).await;
    assert_eq!(shown.status, 200);
    let html = shown.text();
    assert!(
        html.contains("Quay &lt;b&gt;&amp;") && !html.contains("<b>"),
        "{html}"
    );
    assert!(html.contains("https://quay.example.com<"), "{html}");
    for scope in ["identity", "read-protected"] {
        assert!(html.contains(&format!("(<code>{scope}</code>)")), "{html}");
    }
    assert_eq!(html.matches("<li>").count(), 2);
    // A browser may go on to the client when the form was sent, and the page stands in no frame.
    let policy = shown.header("content-security-policy");
    assert!(
        policy.contains("form-action 'self' https://quay.example.com;"),
        "{policy}"
    );
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    let told = told(&world.allow(&page, &world.bob).await);
    assert_eq!(of(&told, "state"), "a/b&c d");
    let code = of(&told, "code");
    let got = world.exchange(code).await;
    assert_eq!(got.header("cache-control"), "no-store");
    let got = got.ok();
    assert_eq!(
        (&got["token_type"], &got["expires_in"]),
        (&json!("Bearer"), &json!(28_800))
    );
    assert_eq!(got["user_id"], json!(world.bob.id));
    let quay = world.nobody.with_token(text(&got["access_token"]));
    assert_eq!(quay.get("/account").await.ok()["email"], "bob@example.com");
    quay.get("/apps").await.ok();
    quay.post("/apps", json!({}))
        .await
        .refused(403, "forbidden", "write");
    let listed = world.bob.get("/oauth/authorizations").await.list();
    let given = listed
        .iter()
        .find(|one| one["client"]["id"] == world.client["id"])
        .unwrap();
    assert_eq!(given["scope"], json!(["identity", "read-protected"]));
    // A code is good once.
    world
        .exchange(code)
        .await
        .refused(401, "unauthorized", "used or expired");
    let form = format!(
        "grant_type=refresh_token&refresh_token={}&client_secret={}",
        text(&got["refresh_token"]),
        text(&world.client["secret"])
    );
    let fresh = world
        .nobody
        .request("POST", "/oauth/token")
        .body(form)
        .send()
        .await
        .ok();
    assert_ne!(fresh["access_token"], got["access_token"]);
}

#[tokio::test]
async fn a_client_that_names_no_scope_learns_who_it_is_and_nothing_more() {
    let world = world().await;
    let told = told(&world.allow(&world.page(""), &world.bob).await);
    assert_eq!(of(&told, "state"), "");
    let got = world.exchange(of(&told, "code")).await.ok();
    let quay = world.nobody.with_token(text(&got["access_token"]));
    quay.get("/account").await.ok();
    assert_eq!(quay.get("/apps").await.status, 403);
}

#[tokio::test]
async fn a_client_may_show_its_secret_as_a_password() {
    use base64::Engine;
    let world = world().await;
    let told = told(&world.allow(&world.page(""), &world.bob).await);
    let form = format!("grant_type=authorization_code&code={}", of(&told, "code"));
    let ask = async |secret: &str| {
        let pair = format!("{}:{secret}", id(&world.client));
        let basic = base64::engine::general_purpose::STANDARD.encode(pair);
        let request = world
            .nobody
            .request("POST", "/oauth/token")
            .body(form.clone());
        request
            .header("authorization", &format!("Basic {basic}"))
            .send()
            .await
    };
    ask("guessed").await.refused(401, "unauthorized", "secret");
    ask(text(&world.client["secret"])).await.ok();
}

#[tokio::test]
async fn a_code_is_good_for_five_minutes() {
    let world = world().await;
    for (seconds, status) in [(299, 200), (300, 401)] {
        let told = told(&world.allow(&world.page(""), &world.bob).await);
        world.server.pass(Duration::from_secs(seconds));
        assert_eq!(world.exchange(of(&told, "code")).await.status, status);
    }
}

#[tokio::test]
async fn who_refuses_sends_the_client_away_with_nothing() {
    let world = world().await;
    let before = world.server.dump();
    for form in ["answer=refuse&token=", "answer=&token=", ""] {
        let told = told(&world.send(&world.page("&state=x"), form, &[]).await);
        assert_eq!(
            (of(&told, "error"), of(&told, "state")),
            ("access_denied", "x")
        );
        assert_eq!(of(&told, "code"), "");
    }
    assert_eq!(world.server.dump(), before);
}

#[tokio::test]
async fn what_is_wrong_with_what_a_client_asks_it_is_told_itself() {
    let world = world().await;
    let before = world.server.dump();
    let client = id(&world.client);
    for (asked, error) in [
        ("", "invalid_request"),
        ("&response_type=", "invalid_request"),
        ("&response_type=token", "unsupported_response_type"),
        ("&response_type=code&response_type=code", "invalid_request"),
        ("&response_type=code&scope=everything", "invalid_scope"),
        ("&response_type=code&scope=read%20nothing", "invalid_scope"),
        (
            "&response_type=code&scope=read&scope=write",
            "invalid_request",
        ),
    ] {
        let page = format!("/oauth/authorize?client_id={client}&state=s%20t{asked}");
        for answer in [
            world.nobody.get(&page).await,
            world.allow(&page, &world.bob).await,
        ] {
            let told = told(&answer);
            assert_eq!(
                (of(&told, "error"), of(&told, "state")),
                (error, "s t"),
                "{asked}"
            );
        }
    }
    let long = format!("&state={}", "x".repeat(2_001));
    for asked in [long.as_str(), "&state=one&state=two"] {
        let told = told(&world.nobody.get(world.page(asked)).await);
        assert_eq!(
            (of(&told, "error"), of(&told, "state")),
            ("invalid_request", "")
        );
    }
    assert_eq!(world.server.dump(), before);
}

#[tokio::test]
async fn a_browser_is_sent_nowhere_but_to_where_the_client_is() {
    let world = world().await;
    let before = world.server.dump();
    let client = id(&world.client);
    let other = penstock::name::Id::new();
    for query in [
        "response_type=code".to_owned(),
        "client_id=&response_type=code".to_owned(),
        "client_id=quay&response_type=code".to_owned(),
        format!("client_id={other}&response_type=code"),
        format!("client_id={client}&client_id={client}&response_type=code"),
        format!("client_id={client}&response_type=code&redirect_uri=https://evil.example.com/"),
        format!("client_id={client}&response_type=code&redirect_uri=https://quay.example.com/done"),
        format!("client_id={client}&redirect_uri=https://evil.example.com/&redirect_uri=x"),
    ] {
        let page = format!("/oauth/authorize?{query}");
        for answer in [
            world.nobody.get(&page).await,
            world.allow(&page, &world.bob).await,
        ] {
            assert_eq!(
                (answer.status, answer.header("location")),
                (400, ""),
                "{query}"
            );
            assert!(answer.text().contains("Nobody was let in"), "{query}");
        }
    }
    assert_eq!(world.server.dump(), before);
    // The very one that it has registered may be named.
    let own = "&redirect_uri=https%3A%2F%2Fquay.example.com%2Fdone%3Ffrom%3Dpenstock";
    assert_eq!(world.nobody.get(world.page(own)).await.status, 200);
}

#[tokio::test]
async fn nobody_else_can_answer_for_a_person() {
    let world = world().await;
    let page = world.page("&scope=global");
    let lesser = world.bob.scoped(&["read", "write", "identity"], None).await;
    let before = world.server.dump();
    let form = format!("answer=allow&token={}", world.bob.token);
    for (name, value) in [
        ("origin", "https://evil.example.com"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let sent = world.send(&page, &form, &[(name, value)]).await;
        sent.refused(403, "forbidden", "another site");
    }
    for token in [
        lesser.token.as_str(),
        "",
        "HRKU-00000000-0000-7000-8000-000000000000",
    ] {
        let sent = world
            .send(&page, &format!("answer=allow&token={token}"), &[])
            .await;
        assert_eq!((sent.status, sent.header("location")), (422, ""));
        assert!(sent.text().contains("role=\"alert\""), "{}", sent.text());
    }
    assert_eq!(world.server.dump(), before);
}

#[tokio::test]
async fn no_code_of_a_client_is_kept_as_it_is_and_none_opens_anything_once_it_was_deleted() {
    let world = world().await;
    let told = told(&world.allow(&world.page(""), &world.bob).await);
    let code = of(&told, "code");
    assert!(!world.server.dump().contains(code));
    let path = format!("/oauth/clients/{}", id(&world.client));
    world.ann.delete(path).await.ok();
    assert_eq!(world.exchange(code).await.status, 401);
    assert_eq!(world.nobody.get(world.page("")).await.status, 400);
}
