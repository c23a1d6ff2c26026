//! What an HTTP/2 visitor can say and HTTP/1.1 cannot carry: none of it reaches a dyno as something else.

use futures_util::StreamExt;
use futures_util::stream;
use penstock::router::Web;

use super::corpus::{AT_ONCE, Case, StopSoon, bytes, cases, impatient};
use super::encrypted::Encrypted;
use super::frames::{End, Field, Frames};
use super::strict::Strict;

/// As in [`super::corpus`], but a message is a list of headers, `name=value`, between ` ; `. `GET` and `POST` stand for the usual
/// four, `!data` is followed by a piece of the body, and `!trailers` by the headers that come after it.
const HTTP2: &str = "http2.txt";

/// A request in its frames.
#[derive(Default)]
struct Message {
    head: Vec<Field>,
    body: Vec<Vec<u8>>,
    trailers: Vec<Field>,
}

pub fn usual(method: &str) -> Vec<Field> {
    let fields = [
        (":method", method),
        (":scheme", "https"),
        (":path", "/"),
        (":authority", "app.test"),
    ];
    fields
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec()
}

fn message(text: &str) -> Message {
    let mut message = Message::default();
    let mut is_over = false;
    for part in text.split(" ; ") {
        match part.split_once(' ') {
            _ if part == "GET" || part == "POST" => message.head.extend(usual(part)),
            _ if part == "!trailers" => is_over = true,
            Some(("!data", data)) => message.body.push(bytes(data)),
            _ => {
                let at = part[1..].find('=').unwrap() + 1;
                let field = (bytes(&part[..at]), bytes(&part[at + 1..]));
                match is_over {
                    false => message.head.push(field),
                    true => message.trailers.push(field),
                }
            }
        }
    }
    message
}

async fn send(frames: &mut Frames, stream: u32, message: &Message) -> End {
    let Message {
        head,
        body,
        trailers,
    } = message;
    let ends_with_head = body.is_empty() && trailers.is_empty();
    frames.headers(stream, head, ends_with_head).await;
    for (at, data) in body.iter().enumerate() {
        let is_last = at + 1 == body.len() && trailers.is_empty();
        frames.data(stream, data, is_last).await;
    }
    if !trailers.is_empty() {
        frames.headers(stream, trailers, true).await;
    }
    frames.end(stream).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_ambiguous_reaches_a_dyno_by_http_2() {
    let cases = cases(HTTP2);
    assert!(cases.len() > 50, "the corpus has shrunk");
    let wrong = stream::iter(cases).map(wrong_with).buffered(AT_ONCE);
    let wrong: Vec<String> = wrong.collect::<Vec<_>>().await.concat();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Sends a message; what should not have come of it.
async fn wrong_with(case: Case) -> Vec<String> {
    let mut wrong = Vec::new();
    let strict = Strict::start().await;
    let visited = Encrypted::with(Web::Up(vec![strict.dyno.clone()]), impatient());
    let mut frames = Frames::open(visited.connect(b"h2").await).await;
    let end = send(&mut frames, 1, &message(&case.message)).await;
    // Whoever comes by the same connection, or by the same one to the dyno, gets an answer of his own.
    if !matches!(end, End::Gone(_)) {
        let after = message(":method=GET ; :scheme=https ; :path=/sentinel ; :authority=app.test");
        let sentinel = send(&mut frames, 3, &after).await;
        if !matches!(sentinel, End::Answered(200) | End::Gone(_)) {
            wrong.push(format!("{}: {sentinel:?} for the next one", case.tries));
        }
    }
    visited.edge.router.stop_soon().await;
    let refused = !matches!(end, End::Answered(..400 | 500..));
    let asked = strict.asked().await.map(|mut asked| {
        asked.retain(|path| path != "/sentinel");
        asked
    });
    let is_like_it = !case.perhaps.is_empty() && asked.as_ref() == Ok(&case.perhaps);
    let is_good = asked.as_ref() == Ok(&case.expected) && (!case.expected.is_empty() || refused);
    if !is_like_it && !is_good {
        wrong.push(format!("{}: {asked:?}, {end:?}", case.tries));
    }
    wrong
}

#[tokio::test]
async fn a_visitor_who_asks_for_nothing_is_told_to_go() {
    let visited = Encrypted::with(Web::Blank, impatient());
    let mut frames = Frames::open(visited.connect(b"h2").await).await;
    const NO_ERROR: u32 = 0;
    assert_eq!(frames.end(1).await, End::Gone(Some(NO_ERROR)));
    // One who had an answer, too.
    let mut frames = Frames::open(visited.connect(b"h2").await).await;
    assert_eq!(
        send(&mut frames, 1, &message("GET")).await,
        End::Answered(502)
    );
    assert_eq!(frames.end(3).await, End::Gone(Some(NO_ERROR)));
}
