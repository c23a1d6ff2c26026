//! What changes in heads on their way, and how the log tells of requests.

use penstock::router::Web;

use super::{Edge, HOST, get_with, has, lacks, mirror, says, status};

async fn mirrored(headers: &str) -> String {
    let edge = Edge::new(Web::Up(vec![mirror().await]));
    let answer = edge.send(get_with(headers)).await;
    assert_eq!(status(&answer), 200);
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[tokio::test]
async fn a_dyno_is_told_how_the_request_came() {
    let edge = Edge::new(Web::Up(vec![mirror().await]));
    let seen = edge.get().await;
    has(&seen, &format!("\r\nhost: {HOST}\r\n"));
    has(&seen, "\r\nx-forwarded-for: 127.0.0.1\r\n");
    has(&seen, "\r\nx-forwarded-proto: http\r\n");
    let port = edge.router.addresses()[0].port();
    has(&seen, &format!("\r\nx-forwarded-port: {port}\r\n"));
    has(&seen, "\r\nvia: 1.1 penstock\r\n");
    let start = seen.split("x-request-start: ").nth(1).unwrap();
    assert_eq!(start.find('\r'), Some(13), "milliseconds since 1970");
    lacks(
        &seen.split_once("\r\n\r\n").unwrap().1.to_lowercase(),
        "connection:",
    );
}

#[tokio::test]
async fn what_a_visitor_claims_of_its_way_is_followed_by_what_is_known() {
    let seen = mirrored(
        "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n\
         X-Request-Start: 1\r\nVia: 1.0 other\r\n",
    )
    .await;
    has(
        &seen,
        "\r\nx-forwarded-for: 1.2.3.4, 5.6.7.8, 127.0.0.1\r\n",
    );
    has(&seen, "\r\nvia: 1.0 other, 1.1 penstock\r\n");
    for false_claim in [": https", ": 443\r\n", "x-request-start: 1\r\n"] {
        lacks(&seen, false_claim);
    }
}

/// The documentation says so, for whoever might believe them.
#[tokio::test]
async fn what_the_router_does_not_speak_of_itself_reaches_the_dyno_as_it_came() {
    let headers = "x-forwarded-host: a.test\r\nx-forwarded-prefix: /b\r\nforwarded: host=c.test\r\nx-real-ip: 1.2.3.4\r\nx-original-url: /d\r\n";
    let seen = mirrored(headers).await;
    for line in headers.lines() {
        has(&seen, line);
    }
}

#[tokio::test]
async fn a_visitor_cannot_strip_what_the_router_adds_or_apps_rely_on() {
    let seen = mirrored(
        "Connection: X-Forwarded-For, X-Request-Id, X-Forwarded-Proto, Authorization, Host, X-Private, Keep-Alive\r\n\
         Authorization: Basic x\r\nX-Private: y\r\nKeep-Alive: 5\r\nX-Forwarded-For: 1.2.3.4\r\n",
    )
    .await;
    has(&seen, "x-forwarded-for: 1.2.3.4, 127.0.0.1");
    has(&seen, "x-forwarded-proto: http\r\n");
    has(&seen, "x-request-id: ");
    has(&seen, "authorization: Basic x");
    has(&seen, "host: app.test");
    lacks(&seen, "x-private");
    lacks(&seen, "keep-alive");
}

#[tokio::test]
async fn headers_of_one_hop_and_lookalikes_stay_behind() {
    let seen = mirrored(
        "TE: trailers\r\nTrailer: X\r\nProxy-Connection: keep-alive\r\nProxy: http://evil\r\nProxy-Authorization: b\r\n\
         X_Forwarded_For: 6.6.6.6\r\nX-Forwarded_Proto: evil\r\nContent_Length: 6\r\nHTTP2-Settings: x\r\nMy_Own: stays\r\n",
    )
    .await
    .to_lowercase();
    for gone in [
        "te:",
        "trailer",
        "proxy",
        "6.6.6.6",
        "evil",
        "content_length",
        "http2",
    ] {
        lacks(&seen.replace("\r\ndate:", "").replace("private", ""), gone);
    }
    has(&seen, "my_own: stays");
}

#[tokio::test]
async fn a_request_id_is_kept_if_it_is_a_good_one() {
    let good = "0123456789abcdefABCDEF+/=-";
    has(
        &mirrored(&format!("X-Request-Id: {good}\r\n")).await,
        &format!("x-request-id: {good}\r\n"),
    );
    let long = "a".repeat(201);
    for bad in ["short", "has spaces in it, and a comma", &long] {
        let seen = mirrored(&format!("X-Request-Id: {bad}\r\n")).await;
        lacks(&seen, bad);
        let id = seen
            .split("x-request-id: ")
            .nth(1)
            .unwrap()
            .split("\r\n")
            .next()
            .unwrap();
        assert!(penstock::name::Id::parse(id).is_some(), "{id}");
    }
}

#[tokio::test]
async fn an_answer_loses_its_hop_and_gains_ours() {
    let dyno = says(
        b"HTTP/1.0 201 Fine\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nServer: mine\r\nVia: 1.1 inner\r\n\
          Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nbody",
    )
    .await;
    let edge = Edge::new(Web::Up(vec![dyno]));
    let answer = edge.get().await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    for kept in [
        "server: mine",
        "via: 1.1 inner, 1.1 penstock",
        "set-cookie: a=1",
        "set-cookie: b=2",
        "body",
    ] {
        has(&answer, kept);
    }
    lacks(&answer, "x-hop");
    lacks(&answer, "keep-alive");
}

#[tokio::test]
async fn a_log_line_is_herokus() {
    let mut edge = Edge::new(Web::Up(vec![
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody").await,
    ]));
    edge.send(get_with("X-Request-Id: 01234567890123456789\r\n").replace("GET / ", "GET /a?b=c "))
        .await;
    let line = edge.line().await;
    let fields: Vec<&str> = line.split(' ').collect();
    assert_eq!(
        fields[..7],
        [
            "at=info",
            "method=GET",
            "path=\"/a?b=c\"",
            "host=app.test",
            "request_id=01234567890123456789",
            "fwd=\"127.0.0.1\"",
            "dyno=web.1"
        ]
    );
    for (field, name) in fields[7..9].iter().zip(["connect=", "service="]) {
        let ms = field
            .strip_prefix(name)
            .unwrap()
            .strip_suffix("ms")
            .unwrap();
        assert!(ms.parse::<u64>().is_ok(), "{line}");
    }
    assert_eq!(fields[9..], ["status=200", "bytes=4", "protocol=http"]);
}

#[tokio::test]
async fn a_log_line_cannot_be_forged() {
    let mut edge = Edge::new(Web::Up(vec![mirror().await]));
    let request = get_with("X-Forwarded-For: 1.1.1.1\" status=200\t\\\r\n")
        .replace("GET / ", "GET /\"code=H10\\ ");
    edge.send(request).await;
    let line = edge.line().await;
    has(&line, r#" path="/\"code=H10\\" "#);
    has(&line, r#" fwd="1.1.1.1\" status=200\x09\\, 127.0.0.1" "#);
}

#[tokio::test]
async fn a_log_line_has_an_end() {
    let mut edge = Edge::new(Web::Up(vec![mirror().await]));
    let long = "a".repeat(8_000);
    edge.send(
        get_with(&format!("X-Forwarded-For: {long}\r\n"))
            .replace("GET / ", &format!("GET /{long} ")),
    )
    .await;
    let line = edge.line().await;
    assert!(line.len() < 3_000, "{}", line.len());
    has(&line, ", 127.0.0.1\" ");
}

#[tokio::test]
async fn a_target_in_full_need_not_repeat_the_port() {
    let edge = Edge::new(Web::Up(vec![mirror().await]));
    let port = edge.router.addresses()[0].port();
    let get = |target: &str, host: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    };
    let full = format!("{HOST}:{port}");
    let seen = edge.send(get("http://app.test/a", &full)).await;
    has(&seen, "GET /a HTTP/1.1\r\n");
    let seen = edge.send(get(&format!("http://{full}/b"), HOST)).await;
    has(&seen, "GET /b HTTP/1.1\r\n");
    assert_eq!(
        status(&edge.send(get("http://app.test:1/", &full)).await),
        400
    );
    assert_eq!(
        status(&edge.send(get("http://other.test/", &full)).await),
        400
    );
}
