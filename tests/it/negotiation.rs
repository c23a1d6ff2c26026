//! What client and server settle in headers: which state a change is for, how a body is packed, and which pages may look on.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Answer, Client, Server};

const APP: &str = "/apps/harbour";
const VARS: &str = "/apps/harbour/config-vars";

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    (server, ann)
}

async fn change_if(client: &Client, path: &str, etag: &str, body: Value) -> Answer {
    let request = client.request("PATCH", path).json(&body);
    request.header("if-match", etag).send().await
}

#[tokio::test]
async fn a_change_for_a_state_that_is_no_more_is_refused() {
    let (server, ann) = server().await;
    let seen = ann.get(APP).await.header("etag").to_owned();
    let on = json!({"maintenance": true});
    let changed = change_if(&ann, APP, &seen, on.clone()).await;
    assert_eq!(changed.ok()["maintenance"], true);
    let before = server.dump();
    let off = json!({"maintenance": false});
    let refused = change_if(&ann, APP, &seen, off.clone()).await;
    refused.refused(412, "precondition_failed", "has changed");
    let delete = ann.request("DELETE", APP).header("if-match", &seen);
    delete
        .send()
        .await
        .refused(412, "precondition_failed", "Read it again");
    assert_eq!(server.dump(), before);
    let now = ann.get(APP).await.header("etag").to_owned();
    for good in [format!("W/{now}"), format!("\"x\", {now}"), "*".to_owned()] {
        change_if(&ann, APP, &good, on.clone()).await.ok();
    }
    change_if(&ann, APP, &now, off).await.ok();
    let newest = ann.get(APP).await.header("etag").to_owned();
    let delete = ann.request("DELETE", APP).header("if-match", &newest);
    delete.send().await.ok();
}

#[tokio::test]
async fn what_is_read_for_another_state_is_refused_too() {
    let (_server, ann) = server().await;
    let seen = ann.get(APP).await.header("etag").to_owned();
    let read = |etag: &str| ann.request("GET", APP).header("if-match", etag).send();
    read(&seen).await.ok();
    read("\"other\"")
        .await
        .refused(412, "precondition_failed", "changed");
}

#[tokio::test]
async fn an_expectation_that_cannot_be_checked_is_refused() {
    let (server, ann) = server().await;
    let bob = server.account("bob").await;
    let before = server.dump();
    for path in ["/apps/harbour/dynos/actions/restart-all", "/apps"] {
        let post = ann.request("POST", path).header("if-match", "*");
        post.send().await.refused(400, "bad_request", "If-Match");
    }
    let theirs = change_if(&bob, APP, "*", json!({"maintenance": true})).await;
    theirs.missing("app");
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn those_who_wait_for_their_turn_keep_nobody_from_reading() {
    let (server, ann) = server().await;
    let bob = server.account("bob").await;
    let restarts = (0..60).map(|_| {
        let restart = ann.request("DELETE", "/apps/harbour/dynos");
        restart.header("if-match", "*").send()
    });
    let reads = (0..60).map(|_| bob.get("/apps"));
    let (restarts, reads) = futures_util::future::join(
        futures_util::future::join_all(restarts),
        futures_util::future::join_all(reads),
    )
    .await;
    assert!(restarts.iter().all(|answer| answer.status == 202));
    assert!(reads.iter().all(|answer| answer.status == 200));
}

#[tokio::test]
async fn of_many_changes_for_one_state_one_is_made() {
    let (_server, ann) = server().await;
    let seen = ann.get(VARS).await.header("etag").to_owned();
    let changes = (0..20).map(|n| {
        let (ann, seen) = (ann.clone(), seen.clone());
        async move { change_if(&ann, VARS, &seen, json!({"WINNER": n.to_string()})).await }
    });
    let others = (0..20).map(|n| {
        let ann = ann.clone();
        async move { ann.patch(APP, json!({"maintenance": n % 2 == 0})).await }
    });
    let (answers, others) = futures_util::future::join(
        futures_util::future::join_all(changes),
        futures_util::future::join_all(others),
    )
    .await;
    assert!(others.iter().all(|answer| answer.status == 200));
    let mut made = answers.iter().filter(|answer| answer.status == 200);
    let winner = made.next().unwrap().ok();
    assert!(made.next().is_none());
    assert_eq!(ann.get(VARS).await.ok(), winner);
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 412).count(),
        19
    );
}

#[tokio::test]
async fn a_long_answer_is_compressed_for_whom_takes_it() {
    let (_server, ann) = server().await;
    let plain = ann.get("/dyno-sizes").await;
    assert_eq!(plain.header("content-encoding"), "");
    assert_eq!(plain.header("vary"), "Accept-Encoding");
    let asked = |accepted: &str| {
        let request = ann.request("GET", "/dyno-sizes");
        request.header("accept-encoding", accepted).send()
    };
    for refusing in ["identity", "gzip;q=0", "br", ""] {
        let answer = asked(refusing).await;
        assert_eq!(answer.header("content-encoding"), "", "{refusing}");
        assert_eq!(answer.body, plain.body, "{refusing}");
    }
    let packed = asked("br, gzip, deflate").await;
    assert_eq!(packed.status, 200);
    assert_eq!(packed.header("content-encoding"), "gzip");
    let length = |answer: &Answer| answer.header("content-length").parse::<usize>().unwrap();
    assert!(length(&packed) * 2 < length(&plain));
    assert_eq!(packed.ok(), plain.ok());
    let known = ann.request("GET", "/dyno-sizes");
    let known = known.header("if-none-match", packed.header("etag"));
    assert_eq!(known.send().await.status, 304);
    let short = ann.request("GET", VARS).header("accept-encoding", "gzip");
    assert_eq!(short.send().await.header("content-encoding"), "");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_body_may_come_compressed_within_the_same_limit() {
    let (server, ann) = server().await;
    let sent = |encoding: &'static str, bytes: Vec<u8>| {
        let request = ann
            .request("PATCH", VARS)
            .header("content-encoding", encoding);
        request.body(bytes).send()
    };
    let vars = json!({"A": "1"});
    assert_eq!(
        sent("gzip", gzip(vars.to_string().as_bytes())).await.ok(),
        vars
    );
    let before = server.dump();
    let bomb = gzip(&vec![b' '; 64 << 20]);
    sent("gzip", bomb)
        .await
        .refused(413, "request_too_large", "1 MB");
    sent("gzip", b"{}".to_vec())
        .await
        .refused(400, "bad_request", "gzip");
    sent("br", b"{}".to_vec())
        .await
        .refused(415, "unsupported_media_type", "gzip");
    assert_eq!(server.dump(), before);
    assert_eq!(sent("identity", b"{}".to_vec()).await.ok(), vars);
}

#[tokio::test]
async fn pages_of_other_origins_may_call_and_read() {
    let (server, ann) = server().await;
    let preflight = server.nobody().request("OPTIONS", APP);
    let preflight = preflight
        .header("origin", "https://dashboard.example.com")
        .header("access-control-request-method", "PATCH")
        .header("access-control-request-headers", "authorization");
    let preflight = preflight.send().await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), "*");
    assert_eq!(
        preflight.header("access-control-allow-methods"),
        "GET, PATCH, DELETE"
    );
    assert_eq!(preflight.header("allow"), "GET, PATCH, DELETE");
    let accepted = preflight
        .header("access-control-allow-headers")
        .to_lowercase();
    for header in [
        "authorization",
        "range",
        "content-type",
        "if-match",
        "accept",
    ] {
        assert!(accepted.contains(header), "{accepted}");
    }
    let read = ann
        .request("GET", "/apps")
        .header("origin", "null")
        .send()
        .await;
    assert_eq!(read.header("access-control-allow-origin"), "*");
    let exposed = read.header("access-control-expose-headers").to_lowercase();
    assert!(exposed.contains("next-range") && exposed.contains("ratelimit-remaining"));
    let refused = server.nobody().request("GET", "/apps");
    let refused = refused.header("origin", "https://dashboard.example.com");
    let refused = refused.send().await;
    refused.refused(401, "unauthorized", "token");
    assert_eq!(refused.header("access-control-allow-origin"), "*");
    let own = ann.get("/apps").await;
    assert_eq!(own.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn strangers_have_a_limit_that_binds_nobody_else() {
    let (server, ann) = server().await;
    let source = ann.post("/sources", json!({})).await.created();
    let wrong = ann.with_token("HRKU-00000000-0000-0000-0000-000000000000");
    let all = (0..4_500).map(|_| wrong.head("/account"));
    wrong
        .few_at_once(all, |answer| assert_eq!(answer.status, 401))
        .await;
    let refused = wrong.get("/account").await;
    refused.refused(429, "rate_limit", "valid token");
    server
        .nobody()
        .get("/openapi.json")
        .await
        .refused(429, "rate_limit", "address");
    ann.get("/account").await.ok();
    let url = source["source_blob"]["put_url"].as_str().unwrap();
    let put = ann.put(url, b"x").await;
    assert_eq!((put.status, put.header("ratelimit-remaining")), (200, "0"));
    server.pass(Duration::from_secs(60));
    wrong
        .get("/account")
        .await
        .refused(401, "unauthorized", "token");
}

#[tokio::test]
async fn an_upload_is_named_by_its_bytes() {
    let (_server, ann) = server().await;
    let source = ann.post("/sources", json!({})).await.created();
    let blob = &source["source_blob"];
    let put = ann.put(blob["put_url"].as_str().unwrap(), b"bytes").await;
    let get = ann.get(blob["get_url"].as_str().unwrap()).await;
    assert_eq!(put.header("etag"), get.header("etag"));
}

#[tokio::test]
async fn a_token_that_is_revoked_while_a_body_comes_opens_nothing() {
    let (server, ann) = server().await;
    let made = json!({"description": "short"});
    let made = ann.post("/oauth/authorizations", made).await.created();
    let token = made["access_token"]["token"].as_str().unwrap();
    let address = server.platform.urls.api.trim_start_matches("http://");
    let mut wire = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /apps HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{"
    );
    wire.write_all(head.as_bytes()).await.unwrap();
    let revoke = format!("/oauth/authorizations/{}", made["id"].as_str().unwrap());
    ann.delete(revoke).await.ok();
    let before = server.dump();
    wire.write_all(b"}").await.unwrap();
    let mut answer = String::new();
    wire.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_eq!(server.dump(), before);
}
