//! Long answers, one after the other on the same connections, and what else comes on these.

use penstock::router::{Dyno, Web};

use super::{Edge, HOST, Wire, dyno, has, status};

const LENGTH: usize = 300_000;

/// The body of so manieth an answer, of which no part is like another.
fn body(number: usize) -> String {
    let mut body = String::with_capacity(LENGTH + 20);
    let mut words = number * LENGTH..;
    while let Some(word) = words.next().filter(|_| body.len() < LENGTH) {
        body.push_str(&format!("{word:x}."));
    }
    body.truncate(LENGTH);
    body
}

/// Answers as it is asked to, and tells in the first line of a tunnel how many requests had come on its connection.
async fn talkative() -> Dyno {
    dyno(|mut wire| async move {
        for number in 1.. {
            let head = wire.head().await;
            let Some(path) = head.split(' ').nth(1) else {
                return;
            };
            let body = body(number);
            let head = "HTTP/1.1 200 OK\r\nContent-Length: ";
            match path {
                "/whole" => {
                    let length = body.len();
                    wire.write(format!("{head}{length}\r\n\r\n{body}")).await;
                }
                "/pieces" => wire.write(chunked(&body)).await,
                "/none" => wire.write("HTTP/1.1 204 No Content\r\n\r\n").await,
                "/half" => return wire.write(format!("{head}999999\r\n\r\n{body}")).await,
                _ => return chat(wire, number).await,
            }
        }
    })
    .await
}

fn chunked(body: &str) -> String {
    let mut answer = String::from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in body.as_bytes().chunks(100) {
        let piece = String::from_utf8_lossy(piece);
        answer.push_str(&format!("{:x}\r\n{piece}\r\n", piece.len()));
    }
    answer.push_str("0\r\n\r\n");
    answer
}

async fn chat(mut wire: Wire, number: usize) {
    let agreed =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    wire.write(format!("{agreed}request {number}!")).await;
    loop {
        let said = wire.until("!").await;
        if said.is_empty() {
            return;
        }
        wire.write(format!("{}{said}", body(0))).await;
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
}

/// A visitor who has had a long answer, whose dyno's connection waits for the next request.
async fn after_a_long_answer(edge: &mut Edge) -> Wire {
    let mut wire = edge.connect().await;
    wire.write(get("/whole")).await;
    assert_eq!(status(&wire.head().await), 200);
    wire.exactly(LENGTH).await;
    edge.line().await;
    wire
}

/// The body of a chunked answer.
async fn pieces(wire: &mut Wire) -> String {
    let mut whole = String::new();
    loop {
        let size = wire.until("\r\n").await;
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let piece = wire.exactly(size + 2).await;
        if size == 0 {
            return whole;
        }
        whole.push_str(std::str::from_utf8(&piece[..size]).unwrap());
    }
}

#[tokio::test]
async fn long_answers_pass_unharmed_one_after_the_other() {
    let mut edge = Edge::new(Web::Up(vec![talkative().await]));
    let mut wire = edge.connect().await;
    for (number, path) in ["/whole", "/whole", "/pieces", "/pieces", "/whole"]
        .into_iter()
        .enumerate()
    {
        wire.write(get(path)).await;
        assert_eq!(status(&wire.head().await), 200);
        let came = match path {
            "/pieces" => pieces(&mut wire).await,
            _ => String::from_utf8(wire.exactly(LENGTH).await).unwrap(),
        };
        assert!(came == body(number + 1), "request {number} of {path}");
        has(
            &edge.line().await,
            &format!("status=200 bytes={}", body(1).len()),
        );
    }
    wire.write(get("/none")).await;
    assert_eq!(status(&wire.head().await), 204);
}

#[tokio::test]
async fn after_a_long_answer_one_may_break_off() {
    let mut edge = Edge::new(Web::Up(vec![talkative().await]));
    let mut wire = after_a_long_answer(&mut edge).await;
    wire.write(get("/half")).await;
    wire.head().await;
    assert!(wire.rest().await == body(2));
    has(&edge.line().await, "code=H18");
}

#[tokio::test]
async fn a_tunnel_is_dug_on_a_connection_that_carried_a_long_answer() {
    let mut edge = Edge::new(Web::Up(vec![talkative().await]));
    let mut wire = after_a_long_answer(&mut edge).await;
    wire.write(
        "GET /chat HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    )
    .await;
    assert_eq!(status(&wire.head().await), 101);
    assert_eq!(wire.until("!").await, "request 2!");
    for said in ["one!", "two!"] {
        wire.write(said).await;
        assert!(wire.exactly(LENGTH).await == body(0).as_bytes());
        assert_eq!(wire.until("!").await, said);
    }
}

/// Whoever goes in the middle of an answer takes nothing from the next.
#[tokio::test]
async fn who_leaves_in_a_long_answer_leaves_nothing_of_it_behind() {
    let mut edge = Edge::new(Web::Up(vec![talkative().await]));
    let mut wire = after_a_long_answer(&mut edge).await;
    for _ in 0..3 {
        let mut leaving = edge.connect().await;
        leaving.write(get("/whole")).await;
        leaving.head().await;
        leaving.exactly(100).await;
        drop(leaving);
        edge.line().await;
        wire.write(get("/whole")).await;
        assert_eq!(status(&wire.head().await), 200);
        let came = String::from_utf8(wire.exactly(LENGTH).await).unwrap();
        assert!((1..=8).any(|number| came == body(number)));
        edge.line().await;
    }
}
