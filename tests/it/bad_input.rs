//! What must be refused: each time a clear 4xx that changes nothing.

mod archives;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Answer, Client, Server, web_app};

/// A server with an app of Ann's, and how it looked before something was tried.
struct Before {
    server: Server,
    ann: Client,
    dump: String,
}

impl Before {
    async fn new() -> Before {
        let server = Server::start().await;
        let ann = server.account("ann").await;
        ann.app("harbour").await;
        let dump = server.dump();
        Before { server, ann, dump }
    }

    /// From here on nothing may change.
    fn now(&mut self) {
        self.dump = self.server.dump();
    }

    #[track_caller]
    fn unchanged(&self) {
        assert_eq!(self.server.dump(), self.dump);
    }

    async fn upload(&mut self, bytes: &[u8]) -> String {
        let url = self.ann.upload(bytes).await;
        self.now();
        url
    }

    async fn build(&self, source_blob: Value) -> Answer {
        let body = json!({ "source_blob": source_blob });
        self.ann.post("/apps/harbour/builds", body).await
    }

    /// The source is refused when it is asked to be built, in these words, and the same bytes are no slug either.
    async fn refuses(&mut self, source: &[u8], words: &str) {
        let url = self.upload(source).await;
        self.build(json!({ "url": url })).await.invalid(words);
        self.unchanged();
    }
}

#[tokio::test]
async fn no_token_and_a_wrong_one() {
    let before = Before::new().await;
    let nobody = before.server.nobody();
    for client in [&nobody, &nobody.with_token("HRKU-not-a-token")] {
        for answer in [
            client.post("/apps", json!({"name": "marina"})).await,
            client.delete("/apps/harbour").await,
            client.post("/sources", json!({})).await,
        ] {
            answer.refused(401, "unauthorized", "send an API token");
        }
    }
    before.unchanged();
}

#[tokio::test]
async fn an_unknown_app_and_somebody_elses() {
    let mut before = Before::new().await;
    let bob = before.server.account("bob").await;
    before.now();
    for app in [
        "harbour",
        "nowhere",
        "00000000-0000-0000-0000-000000000000",
        "%00",
        "..",
        "'--",
    ] {
        let name = json!({"name": "marina"});
        for answer in [
            bob.get(format!("/apps/{app}/releases")).await,
            bob.patch(format!("/apps/{app}/config-vars"), json!({"A": "1"}))
                .await,
        ] {
            assert_eq!(answer.status, 404, "{app}: {answer:?}");
        }
        let answer = bob.request("PATCH", &format!("/apps/{app}/")).json(&name);
        assert!(matches!(answer.send().await.status, 404 | 405), "{app}");
    }
    before.unchanged();
}

#[tokio::test]
async fn a_name_that_is_taken_or_none() {
    let mut before = Before::new().await;
    let bob = before.server.account("bob").await;
    bob.app("lagoon").await;
    before.now();
    let long = "x".repeat(31);
    for (name, words) in [
        (json!("lagoon"), "Name is already taken"),
        (json!("ab"), "3 to 30"),
        (json!(long), "3 to 30"),
        (json!(""), "3 to 30"),
        (json!("Harbour"), "lowercase"),
        (json!("1harbour"), "letter"),
        (json!("harbour-"), "letter or digit"),
        (json!("har_bour"), "letters"),
        (json!("har.bour"), "letters"),
        (json!("harböur"), "letters"),
        (json!("har bour"), "letters"),
        (json!("harbour\n"), "letters"),
        (json!("git"), "reserved"),
        (json!("www"), "reserved"),
        (json!(7), "name"),
        (json!(["harbour"]), "name"),
        (json!({"name": "x"}), "name"),
    ] {
        let body = json!({ "name": name });
        before.ann.post("/apps", body.clone()).await.invalid(words);
        before.ann.patch("/apps/harbour", body).await.invalid(words);
    }
    before.unchanged();
}

#[tokio::test]
async fn malformed_json() {
    let before = Before::new().await;
    let deep = "[".repeat(500);
    for body in [
        "{",
        "}",
        "{]",
        "name",
        "{'name': 'x'}",
        "{\"name\": }",
        "{} {}",
        "\"",
        "\u{feff}{}",
        &deep,
    ] {
        let patch = before.ann.request("PATCH", "/apps/harbour").body(body);
        patch.send().await.refused(400, "bad_request", "JSON");
    }
    let patch = before.ann.request("PATCH", "/apps/harbour");
    let patch = patch.body(b"{\"name\": \"\xff\xfe\"}").send().await;
    patch.refused(400, "bad_request", "JSON");
    before.unchanged();
}

#[tokio::test]
async fn values_of_the_wrong_type_are_named() {
    let before = Before::new().await;
    for (path, body, words) in [
        (
            "/apps/harbour",
            json!({"maintenance": "yes"}),
            "maintenance",
        ),
        ("/apps/harbour", json!({"maintenance": 2}), "maintenance"),
        ("/apps/harbour", json!({"build_stack": 7}), "build_stack"),
        ("/apps/harbour", json!([]), "body"),
        ("/apps/harbour", json!(["marina", true, null]), "body"),
        ("/apps/harbour", json!("maintenance"), "body"),
        ("/apps/harbour", json!(7), "body"),
        ("/apps/harbour", json!(null), "body"),
        ("/apps/harbour/config-vars", json!({"A": 1}), "A"),
        ("/apps/harbour/config-vars", json!({"A": {"B": "1"}}), "A"),
        ("/apps/harbour/config-vars", json!([["A", "1"]]), "body"),
        ("/apps/harbour/formation", json!({"updates": 1}), "updates"),
    ] {
        before.ann.patch(path, body).await.invalid(words);
    }
    for (path, body, words) in [
        (
            "/apps/harbour/builds",
            json!({"source_blob": "x"}),
            "source_blob",
        ),
        ("/apps/harbour/releases", json!({"release": {}}), "release"),
        (
            "/apps/harbour/slugs",
            json!({"process_types": "web"}),
            "process_types",
        ),
        ("/apps/harbour/log-sessions", json!({"lines": "x"}), "lines"),
        ("/apps", json!({"region": []}), "region"),
    ] {
        let answer = before.ann.post(path, body).await;
        answer.invalid(words);
        // The names of our types are none of a client's business.
        assert!(!answer.text().contains("struct"), "{answer:?}");
    }
    before.unchanged();
}

#[tokio::test]
async fn a_signed_url_that_is_altered_expired_or_for_another_method() {
    let mut before = Before::new().await;
    let source = before.ann.post("/sources", json!({})).await.created();
    let url = |name: &str| source["source_blob"][name].as_str().unwrap().to_owned();
    before.ann.put(url("put_url"), &web_app()).await.ok();
    before.now();
    let altered = url("get_url").replace("signature=", "signature=00");
    for (blob, words) in [
        (url("put_url"), "another method"),
        (altered, "altered"),
        (
            url("get_url").split_once('?').unwrap().0.to_owned(),
            "altered",
        ),
    ] {
        before.build(json!({ "url": blob })).await.invalid(words);
    }
    before.server.pass(std::time::Duration::from_secs(3600));
    before
        .build(json!({"url": url("get_url")}))
        .await
        .invalid("expired");
    for (method, name) in [("PUT", "put_url"), ("GET", "get_url"), ("PUT", "get_url")] {
        let late = before
            .ann
            .request(method, &url(name))
            .body("x")
            .send()
            .await;
        assert_eq!(late.status, 403, "{late:?}");
    }
    before.unchanged();
}

#[tokio::test]
async fn a_source_to_which_nothing_was_uploaded() {
    let mut before = Before::new().await;
    let source = before.ann.post("/sources", json!({})).await.created();
    before.now();
    let url = &source["source_blob"]["get_url"];
    before
        .build(json!({ "url": url }))
        .await
        .invalid("Nothing was uploaded");
    before.unchanged();
}

#[tokio::test]
async fn a_body_over_the_limit() {
    let before = Before::new().await;
    let full = format!("{{\"A\": \"{}\"}}", "x".repeat(1024 * 1024));
    let patch = before.ann.request("PATCH", "/apps/harbour/config-vars");
    let patch = patch.body(&full).send().await;
    patch.refused(413, "request_too_large", "1 MB");
    before.unchanged();
    // Refused for what it holds, not for its length.
    let just = format!("{{\"A\": \"{}\"}}", "x".repeat(1024 * 1024 - 9));
    let patch = before.ann.request("PATCH", "/apps/harbour/config-vars");
    patch
        .body(&just[..1024 * 1024])
        .send()
        .await
        .invalid("64 KB");
    before.unchanged();
}

#[tokio::test]
async fn an_upload_over_the_limit_is_refused_before_its_first_byte() {
    let mut before = Before::new().await;
    let source = before.ann.post("/sources", json!({})).await.created();
    before.now();
    let put = source["source_blob"]["put_url"].as_str().unwrap();
    let (host, path) = put.trim_start_matches("http://").split_once('/').unwrap();
    refused_before_its_first_byte(host, &format!("PUT /{path}"), "", 1024 * 1024 * 1024 + 1).await;
    before.unchanged();
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_its_first_byte() {
    let before = Before::new().await;
    let host = before
        .server
        .platform
        .urls
        .api
        .trim_start_matches("http://")
        .to_owned();
    let token = format!("Authorization: Bearer {}\r\n", before.ann.token);
    refused_before_its_first_byte(&host, "PATCH /apps/harbour", &token, 1024 * 1024 + 1).await;
    before.unchanged();
}

/// Says how long the body will be, sends none of it, and is answered 413 all the same.
async fn refused_before_its_first_byte(host: &str, line: &str, headers: &str, length: usize) {
    let head =
        format!("{line} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {length}\r\n\r\n");
    let mut wire = tokio::net::TcpStream::connect(host).await.unwrap();
    wire.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = wire.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn there_is_no_private_space_to_make_or_to_put_an_app_into() {
    let before = Before::new().await;
    let ann = &before.ann;
    let source = json!({"url": "http://127.0.0.1:1/app.tgz"});
    for (path, body) in [
        ("/apps", json!({"space": "x"})),
        ("/teams/apps", json!({"space": {"name": "x"}})),
        (
            "/app-setups",
            json!({"source_blob": source, "app": {"space": "x"}}),
        ),
    ] {
        ann.post(path, body)
            .await
            .invalid("no private spaces. Leave out");
    }
    let space = ann.post("/spaces", json!({"name": "x", "team": "y"})).await;
    space.missing("space");
    assert_eq!(ann.get("/spaces").await.list(), [json!(null); 0]);
    before.unchanged();
}

#[tokio::test]
async fn a_range_that_is_none() {
    let before = Before::new().await;
    for path in [
        "/apps",
        "/apps/harbour/releases",
        "/pipelines",
        "/apps/harbour/dynos",
    ] {
        let answer = before.ann.range(path, "colour ..").await;
        answer.refused(
            416,
            "requested_range_not_satisfiable",
            "This list goes by id",
        );
    }
    before.unchanged();
}

#[tokio::test]
async fn a_promotion_to_an_app_outside_the_pipeline_and_from_one_without_a_release() {
    let mut before = Before::new().await;
    let ann = before.ann.clone();
    let pipeline = ann.pipeline("water").await;
    let other = ann.pipeline("fire").await;
    ann.couple("harbour", &pipeline, "staging").await;
    for app in ["inside", "outside", "nowhere"] {
        ann.app(app).await;
    }
    ann.couple("inside", &pipeline, "production").await;
    ann.couple("outside", &other, "production").await;
    before.now();
    let promote = async |target: &str| {
        let body = json!({"pipeline": "water", "source": {"app": "harbour"}, "targets": [{"app": target}]});
        ann.post("/pipeline-promotions", body).await
    };
    promote("inside").await.invalid("no release with a slug");
    before.unchanged();
    before.server.deploy(&ann, "harbour", &web_app()).await;
    before.now();
    promote("outside").await.invalid("not in the pipeline");
    promote("nowhere").await.invalid("not in the pipeline");
    before.unchanged();
}
