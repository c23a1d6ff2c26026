//! What all requests and answers have in common.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Answer, Client, Server};

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    (server, ann)
}

async fn with(client: &Client, path: &str, name: &str, value: &str) -> Answer {
    let request = client.request("GET", path).header(name, value);
    request.send().await
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own_and_the_clients_after_it() {
    let (_server, ann) = server().await;
    let one = ann.get("/apps").await;
    let other = ann.get("/apps").await;
    assert_ne!(one.header("request-id"), other.header("request-id"));
    let sent = with(&ann, "/apps", "request-id", "mine,yours").await;
    let (own, theirs) = sent.header("request-id").split_once(',').unwrap();
    assert!(penstock::name::Id::parse(own).is_some());
    assert_eq!(theirs, "mine,yours");
    let long = with(&ann, "/apps", "request-id", &"x".repeat(7_169)).await;
    assert_eq!(long.header("request-id").len(), 36);
    let refused = server_error(&ann).await;
    assert_eq!(refused.header("request-id").len(), 36);
}

async fn server_error(ann: &Client) -> Answer {
    ann.get("/nowhere").await
}

#[tokio::test]
async fn a_resource_says_when_it_was_changed_last() {
    let (server, ann) = server().await;
    let modified = async |path: &str| ann.get(path).await.header("last-modified").to_owned();
    let before = modified("/apps/harbour").await;
    assert_eq!(before, "Sat, 31 Jan 2026 12:00:00 GMT");
    server.pass(Duration::from_secs(3_601));
    ann.patch("/apps/harbour", json!({"maintenance": true}))
        .await
        .ok();
    let after = modified("/apps/harbour").await;
    assert_eq!(after, "Sat, 31 Jan 2026 13:00:01 GMT");
    for many in ["/apps", "/apps/harbour/config-vars"] {
        assert_eq!(modified(many).await, "", "{many}");
    }
}

#[tokio::test]
async fn what_a_client_has_already_is_not_sent_again() {
    let (_server, ann) = server().await;
    let first = ann.get("/apps/harbour").await;
    let etag = first.header("etag").to_owned();
    for known in [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"other\", {etag}"),
        "*".to_owned(),
    ] {
        let fresh = with(&ann, "/apps/harbour", "if-none-match", &known).await;
        assert_eq!(fresh.status, 304, "{known}");
        assert!(fresh.body.is_empty());
        assert_eq!(fresh.header("etag"), etag);
        assert!(!fresh.header("ratelimit-remaining").is_empty());
    }
    let other = with(&ann, "/apps/harbour", "if-none-match", "\"other\"").await;
    assert_eq!(other.body, first.body);
    let on = json!({"maintenance": true});
    ann.patch("/apps/harbour", on).await.ok();
    let changed = with(&ann, "/apps/harbour", "if-none-match", &etag).await;
    assert_eq!(changed.ok()["maintenance"], true);
    assert_ne!(changed.header("etag"), etag);
}

#[tokio::test]
async fn a_request_that_changes_something_is_answered_whatever_the_client_has() {
    let (_server, ann) = server().await;
    let on = json!({"maintenance": true});
    let etag = ann.patch("/apps/harbour", on.clone()).await;
    let again = ann.request("PATCH", "/apps/harbour").json(&on);
    let again = again.header("if-none-match", etag.header("etag"));
    assert_eq!(again.send().await.ok(), etag.ok());
}

#[tokio::test]
async fn each_request_counts_and_asking_how_many_are_left_does_not() {
    let (server, ann) = server().await;
    let bob = server.account("bob").await;
    let left = |answer: &Answer| answer.header("ratelimit-remaining").parse::<u32>().unwrap();
    assert_eq!(left(&bob.get("/apps").await), 4_499);
    assert_eq!(left(&bob.get("/nowhere").await), 4_498);
    let limits = bob.get("/account/rate-limits").await;
    assert_eq!(limits.ok(), json!({"remaining": 4_498}));
    assert_eq!(left(&limits), 4_498);
    assert_eq!(left(&ann.get("/apps").await), 4_498);
    let stranger = server.nobody();
    assert_eq!(left(&stranger.get("/apps").await), 4_499);
    assert_eq!(left(&stranger.get("/nowhere").await), 4_498);
    assert_eq!(left(&bob.get("/apps").await), 4_497);
}

#[tokio::test]
async fn an_empty_bucket_refuses_and_refills_with_time() {
    let (server, ann) = server().await;
    let limits = "/account/rate-limits";
    let left = ann.get(limits).await.ok()["remaining"].as_u64().unwrap();
    let all = (0..left).map(|_| ann.head("/account"));
    ann.few_at_once(all, |answer| assert_eq!(answer.status, 200))
        .await;
    let before = server.dump();
    let refused = ann.post("/apps", json!({})).await;
    refused.refused(429, "rate_limit", "wait a few minutes");
    assert_eq!(refused.header("ratelimit-remaining"), "0");
    assert_eq!(server.dump(), before);
    assert_eq!(ann.get(limits).await.ok(), json!({"remaining": 0}));
    server.account("bob").await.get("/apps").await.ok();
    server.pass(Duration::from_secs(60));
    assert_eq!(ann.get(limits).await.ok(), json!({"remaining": 75}));
    ann.get("/apps").await.ok();
    server.pass(Duration::from_secs(2 * 3600));
    assert_eq!(ann.get(limits).await.ok(), json!({"remaining": 4_500}));
}

#[tokio::test]
async fn version_three_is_served_under_all_of_its_names_and_no_other_version_is() {
    let (_server, ann) = server().await;
    let media = "application/vnd.heroku+json";
    for good in [
        "*/*".to_owned(),
        "application/json".to_owned(),
        media.to_owned(),
        format!("{media}; version=3"),
        format!("{media};version=3"),
        format!("{media}; version=3.pipelines"),
        format!("text/html, {media}; q=0.5; version=3.sdk"),
        format!("{media}; version=\"3\""),
        "Application/VND.Heroku+JSON; Version=3".to_owned(),
    ] {
        let answer = with(&ann, "/apps", "accept", &good).await;
        assert_eq!(answer.status, 200, "{good}");
        assert_eq!(answer.header("content-type"), "application/json");
    }
    for bad in ["2", "4", "30", "3x", "edge"] {
        let accept = format!("{media}; version={bad}");
        with(&ann, "/apps", "accept", &accept)
            .await
            .refused(406, "not_acceptable", "version 3");
    }
    let shouted = with(
        &ann,
        "/apps",
        "accept",
        "APPLICATION/VND.HEROKU+JSON; VERSION=2",
    )
    .await;
    assert_eq!(shouted.status, 406);
    for path in ["/schema", "/openapi.json"] {
        let accept = format!("{media}; version=2");
        let answer = with(&ann, path, "accept", &accept).await;
        answer.refused(406, "not_acceptable", "version 3");
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let (_server, ann) = server().await;
    for path in ["/apps", "/apps/harbour", "/apps/nowhere"] {
        let (get, head) = (ann.get(path).await, ann.head(path).await);
        assert_eq!(head.status, get.status);
        assert!(head.body.is_empty());
        for name in ["etag", "content-type", "content-length"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
    }
}

#[tokio::test]
async fn a_post_may_stand_for_another_method() {
    let (server, ann) = server().await;
    let post = |method: &str| {
        let request = ann.request("POST", "/apps/harbour");
        request.header("x-http-method-override", method)
    };
    let renamed = post("PATCH").json(&json!({"name": "marina"})).send().await;
    assert_eq!(renamed.ok()["name"], "marina");
    let before = server.dump();
    for method in ["GET", "CONNECT", "", "delete"] {
        post(method)
            .send()
            .await
            .refused(400, "bad_request", "X-Http-Method-Override");
    }
    let get = ann.request("GET", "/apps/marina");
    let get = get.header("x-http-method-override", "DELETE").send().await;
    get.refused(400, "bad_request", "X-Http-Method-Override");
    assert_eq!(server.dump(), before);
    let gone = ann.request("POST", "/apps/marina");
    let gone = gone.header("x-http-method-override", "DELETE").send().await;
    assert_eq!(gone.ok()["name"], "marina");
}

#[tokio::test]
async fn a_path_says_which_methods_it_answers() {
    let (_server, ann) = server().await;
    for (method, path, allowed) in [
        ("PUT", "/apps", "GET, POST"),
        ("POST", "/apps/harbour", "GET, PATCH, DELETE"),
        ("DELETE", "/account/rate-limits", "GET"),
    ] {
        let answer = ann.request(method, path).send().await;
        answer.refused(405, "method_not_allowed", allowed);
        assert_eq!(answer.header("allow"), allowed);
    }
}

#[tokio::test]
async fn a_path_that_is_none_says_so() {
    let (_server, ann) = server().await;
    for path in ["/nowhere", "/apps/harbour/nowhere", "/apps//builds", "/%"] {
        let answer = ann.get(path).await;
        answer.refused(404, "not_found", "does not serve");
    }
}

#[tokio::test]
async fn a_slash_at_the_end_and_percent_signs_change_nothing() {
    let (_server, ann) = server().await;
    let shown = ann.get("/apps/harbour").await.ok();
    for path in [
        "/apps/harbour/",
        "/apps/h%61rbour",
        "/apps/HARBOUR",
        "/apps/harbour?x=1",
    ] {
        assert_eq!(ann.get(path).await.ok(), shown, "{path}");
    }
    assert_eq!(ann.get("/apps/").await.list(), [shown]);
    ann.get("/apps/harbour%2Fbuilds").await.missing("app");
}

#[tokio::test]
async fn a_body_is_json_whatever_its_type_says_and_none_is_an_empty_object() {
    let (_server, ann) = server().await;
    let form = ann.request("PATCH", "/apps/harbour");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    let form = form.body(r#" {"maintenance": true} "#).send().await;
    assert_eq!(form.ok()["maintenance"], true);
    for empty in ["", " \r\n\t "] {
        let patch = ann.request("PATCH", "/apps/harbour").body(empty);
        assert_eq!(patch.send().await.ok()["maintenance"], true);
    }
    let unknown = json!({"maintenance": null, "feature_flags": [], "locked": true});
    assert_eq!(
        ann.patch("/apps/harbour", unknown).await.ok()["maintenance"],
        true
    );
}
