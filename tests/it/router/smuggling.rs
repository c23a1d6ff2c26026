//! Messages that two readers could take for different things. The dyno sees one request, the one that was answered, or none.

use penstock::router::Web;
use tokio::sync::mpsc;

use super::{Edge, HOST, dyno, get_with, has, lacks, mirror, ok, status};

/// A router, and all that its dyno reads.
async fn watched() -> (Edge, mpsc::UnboundedReceiver<String>) {
    let (sender, seen) = mpsc::unbounded_channel();
    let dyno = dyno(move |mut wire| {
        let sender = sender.clone();
        async move {
            let head = wire.head().await;
            if head.to_lowercase().contains("transfer-encoding: chunked") {
                let body = wire.until("0\r\n\r\n").await;
                sender.send(head + &body).unwrap();
            } else {
                sender.send(head).unwrap();
            }
            wire.write(ok("seen")).await;
            let more = wire.rest().await;
            sender.send(more).unwrap();
        }
    })
    .await;
    (Edge::new(Web::Up(vec![dyno])), seen)
}

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n";

#[tokio::test]
async fn ambiguous_messages_are_refused_before_a_dyno_sees_them() {
    for (what, lines) in [
        (
            "two different lengths",
            "Content-Length: 3\r\nContent-Length: 4\r\n",
        ),
        ("a list of lengths", "Content-Length: 3, 4\r\n"),
        ("a plus sign", "Content-Length: +3\r\n"),
        ("a minus sign", "Content-Length: -3\r\n"),
        ("hexadecimal", "Content-Length: 0x3\r\n"),
        ("beyond 64 bits", "Content-Length: 18446744073709551619\r\n"),
        ("space before the colon", "Content-Length : 3\r\n"),
        (
            "space before the coding's colon",
            "Transfer-Encoding : chunked\r\n",
        ),
        ("an unknown coding", "Transfer-Encoding: xchunked\r\n"),
        ("chunked not last", "Transfer-Encoding: chunked, gzip\r\n"),
        (
            "a coding before chunked",
            "Transfer-Encoding: gzip, chunked\r\n",
        ),
        (
            "two codings",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        ),
        (
            "identity",
            "Transfer-Encoding: identity\r\nContent-Length: 3\r\n",
        ),
        ("a vertical tab", "Transfer-Encoding: \x0bchunked\r\n"),
        ("a folded line", "X-A: b\r\n Transfer-Encoding: chunked\r\n"),
        ("a bare CR", "X-A: b\rContent-Length: 3\r\n"),
        ("a NUL", "X-A: b\0c\r\n"),
        ("an empty name", ": b\r\n"),
        ("a space in a name", "X A: b\r\n"),
        ("a second host", "Host: other.test\r\n"),
        ("the same host twice", "Host: app.test\r\n"),
    ] {
        let (edge, mut seen) = watched().await;
        let request = format!("POST / HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\nabc{SMUGGLED}");
        let answer = edge.send(request).await;
        assert_eq!(status(&answer), 400, "{what}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{what}: {answer}");
        assert!(seen.try_recv().is_err(), "{what} reached the dyno");
    }
}

#[tokio::test]
async fn bad_request_lines_and_hosts_are_refused() {
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a@app.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: app.test/x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: app.test:x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: app.test, other.test\r\n\r\n",
        "GET http://other.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n",
        "GET http://a@app.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: app.test\r\n\r\n",
        "GET app.test:80 HTTP/1.1\r\nHost: app.test:80\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: app.test\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: app.test\r\n\r\n",
        "GET / http/1.1\r\nHost: app.test\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: app.test\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: app.test\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let (edge, mut seen) = watched().await;
        let mut wire = edge.connect().await;
        wire.write(request).await;
        let answer = wire.until("</html>\n").await;
        // Some are refused by the parser, which closes without a word where it cannot tell the version.
        assert!(
            answer.is_empty() || status(&answer) == 400,
            "{request:?}: {answer}"
        );
        assert!(seen.try_recv().is_err(), "{request:?} reached the dyno");
    }
}

#[tokio::test]
async fn a_request_with_both_framings_is_read_as_chunked_and_is_the_last() {
    for lines in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    ] {
        let (edge, mut seen) = watched().await;
        let answer = edge
            .send(format!(
                "POST / HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n1\r\nz\r\n0\r\n\r\n{SMUGGLED}"
            ))
            .await;
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{answer}");
        let first = seen.recv().await.unwrap();
        lacks(&first.to_lowercase(), "content-length");
        has(&first, "1\r\nz\r\n0\r\n\r\n");
        lacks(&first, "smuggled");
        drop(edge);
        assert_eq!(seen.recv().await.unwrap(), "");
    }
}

#[tokio::test]
async fn what_is_odd_but_clear_is_written_anew() {
    for (lines, body) in [
        ("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"),
        ("Content-Length:\t3\r\n", "abc"),
        ("Connection: Content-Length\r\nContent-Length: 3\r\n", "abc"),
    ] {
        let (edge, mut seen) = watched().await;
        let request = format!("POST / HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n{body}");
        let mut wire = edge.connect().await;
        wire.write(request).await;
        has(&wire.until("seen").await, "200 OK");
        let head = seen.recv().await.unwrap().to_lowercase();
        assert_eq!(head.matches("content-length: 3\r\n").count(), 1, "{head}");
        assert_eq!(head.matches("content-length").count(), 1, "{head}");
    }
}

#[tokio::test]
async fn trailers_and_chunk_extensions_do_not_reach_the_dyno() {
    let (edge, mut seen) = watched().await;
    let mut wire = edge.connect().await;
    wire.write(format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n\
         1;evil=yes\r\nz\r\n0\r\nContent-Length: 50\r\nX-Evil: yes\r\n\r\n"
    ))
    .await;
    has(&wire.until("seen").await, "200 OK");
    let request = seen.recv().await.unwrap().to_lowercase();
    has(&request, "1\r\nz\r\n0\r\n\r\n");
    for gone in ["evil", "content-length", "trailer"] {
        lacks(&request, gone);
    }
}

#[tokio::test]
async fn a_get_with_a_chunked_body_keeps_its_framing() {
    let (edge, mut seen) = watched().await;
    let mut wire = edge.connect().await;
    wire.write(format!(
        "GET / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nz\r\n0\r\n\r\n"
    ))
    .await;
    has(&wire.until("seen").await, "200 OK");
    has(&seen.recv().await.unwrap(), "1\r\nz\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_target_given_in_full_becomes_a_path() {
    let (edge, mut seen) = watched().await;
    let mut wire = edge.connect().await;
    wire.write(format!(
        "GET http://{HOST}/a?b HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
    ))
    .await;
    has(&wire.until("seen").await, "200 OK");
    assert!(
        seen.recv()
            .await
            .unwrap()
            .starts_with("GET /a?b HTTP/1.1\r\n")
    );
}

#[tokio::test]
async fn oversized_requests_are_refused_by_name() {
    let (mut edge, mut seen) = watched().await;
    let long = "a".repeat(9_000);
    let target = get_with("").replace("GET / ", &format!("GET /{long} "));
    assert_eq!(status(&edge.send(target).await), 414);
    has(
        &edge.line().await,
        "code=H26 desc=\"Request Error\" cause=\"request target too long\"",
    );
    assert_eq!(
        status(&edge.send(get_with(&format!("X-A: {long}\r\n"))).await),
        431
    );
    has(
        &edge.line().await,
        "code=H26 desc=\"Request Error\" cause=\"header too long\"",
    );
    let many = "X-A: b\r\n".repeat(120);
    let page = edge.send(get_with(&many)).await;
    assert_eq!(status(&page), 431);
    has(&page, "Clearing this site");
    has(
        &edge.line().await,
        "code=H26 desc=\"Request Error\" cause=\"too many headers\"",
    );
    let large = format!("X-A: {}\r\n", "a".repeat(7_000)).repeat(12);
    let page = edge.send(get_with(&large)).await;
    assert_eq!(status(&page), 431);
    has(&page, "Clearing this site");
    has(
        &edge.line().await,
        "code=H26 desc=\"Request Error\" cause=\"headers too long\"",
    );
    assert!(seen.try_recv().is_err());
}

#[tokio::test]
async fn a_tunnel_through_the_router_is_not_to_be_had() {
    let (edge, mut seen) = watched().await;
    let answer = edge
        .send(format!(
            "CONNECT {HOST}:80 HTTP/1.1\r\nHost: {HOST}:80\r\nConnection: close\r\n\r\n"
        ))
        .await;
    assert_eq!(status(&answer), 405);
    assert!(seen.try_recv().is_err());
}

#[tokio::test]
async fn an_expectation_nobody_can_meet_is_h26() {
    let (mut edge, mut seen) = watched().await;
    assert_eq!(
        status(&edge.send(get_with("Expect: x100-continue\r\n")).await),
        417
    );
    has(
        &edge.line().await,
        "at=error code=H26 desc=\"Request Error\" cause=\"unsupported expect header value\" method=GET",
    );
    assert!(seen.try_recv().is_err());
}

#[tokio::test]
async fn a_visitor_that_waits_for_100_gets_it_and_the_dyno_is_not_asked() {
    let (edge, mut seen) = watched().await;
    let mut wire = edge.connect().await;
    wire.write(format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"))
        .await;
    assert_eq!(status(&wire.head().await), 100);
    wire.write("1\r\nz\r\n0\r\n\r\n").await;
    has(&wire.until("seen").await, "200 OK");
    lacks(&seen.recv().await.unwrap().to_lowercase(), "expect");
}

#[tokio::test]
async fn a_coding_that_nobody_would_take_off_is_h26_with_its_cause() {
    let mut edge = Edge::new(Web::Up(vec![mirror().await]));
    let request = get_with("Transfer-Encoding: gzip, chunked\r\n") + "0\r\n\r\n";
    assert_eq!(status(&edge.send(request).await), 400);
    let line = edge.line().await;
    let start = "at=error code=H26 desc=\"Request Error\" cause=\"bad header\" method=GET ";
    assert!(line.starts_with(start), "{line}");
    has(&line, " dyno= connect= service= status=400 bytes= ");
}
