//! Raw messages, one a line in the files beside this, and what a dyno that reads by the letter has seen of each: the requests that
//! were answered, and nothing that could be read in another way.
//!
//! A line is the paths that the dyno is to see with their bodies (`-` for none), what the message tries, and the message. In it,
//! `\r`, `\n`, `\t`, `\0`, `\xHH` and `\\` stand for one byte each, and `{a*9000}` for so many of it.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use penstock::router::{Options, Web};

use super::strict::Strict;
use super::{Edge, HANG, options, status};

/// What every message is followed by. Whoever takes the message to be longer or shorter than the router does takes this for
/// something else, too.
const SENTINEL: &str = "GET /sentinel HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";

/// So many messages are on their way at one time: some of them only end with the router's patience.
pub const AT_ONCE: usize = 8;

/// One line of a file.
pub struct Case {
    pub expected: Vec<String>,
    /// What arrives instead where it is answered before the part that is wrong with it has come: after a `?`.
    pub perhaps: Vec<String>,
    pub tries: String,
    pub message: String,
}

pub fn cases(file: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/router/corpus");
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let case = |line: &str| {
        let mut parts = line.splitn(3, " | ");
        let mut part = || {
            let part = parts.next();
            part.unwrap_or_else(|| panic!("three parts: {line}"))
                .to_owned()
        };
        let words = part();
        let (perhaps, expected) = words
            .split(' ')
            .partition::<Vec<_>, _>(|path| path.starts_with('?'));
        let expected = expected.into_iter().filter(|path| *path != "-");
        Case {
            expected: expected.map(str::to_owned).collect(),
            perhaps: perhaps
                .into_iter()
                .map(|path| path[1..].to_owned())
                .collect(),
            tries: part(),
            message: part(),
        }
    };
    lines.map(case).collect()
}

/// The bytes that a message stands for.
pub fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'\\' => {
                let (kind, after) = rest.split_first().unwrap();
                rest = after;
                bytes.push(match kind {
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'0' => 0,
                    b'\\' => b'\\',
                    b'x' => {
                        let (digits, after) = rest.split_at(2);
                        rest = after;
                        u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
                    }
                    other => panic!("\\{} in {text}", char::from(*other)),
                });
            }
            b'{' => {
                let end = rest.iter().position(|b| *b == b'}').unwrap();
                let (inside, after) = rest.split_at(end);
                rest = &after[1..];
                let inside = std::str::from_utf8(inside).unwrap();
                let (what, times) = inside.rsplit_once('*').unwrap();
                bytes.extend(what.repeat(times.parse().unwrap()).bytes());
            }
            other => bytes.push(*other),
        }
    }
    bytes
}

/// Patience that ends soon, for messages that never do, and not before those that end have come.
pub fn impatient() -> Options {
    Options {
        threads: 1,
        header_read: Duration::from_secs(2),
        idle: Duration::from_secs(2),
        ..options()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_ambiguous_reaches_a_dyno_by_http_1() {
    let cases = cases("http1.txt");
    assert!(cases.len() > 100, "the corpus has shrunk");
    let wrong = stream::iter(cases).map(wrong_with).buffered(AT_ONCE);
    let wrong: Vec<String> = wrong.collect::<Vec<_>>().await.concat();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Sends a message; what should not have come of it.
async fn wrong_with(case: Case) -> Vec<String> {
    let strict = Strict::start().await;
    let edge = Edge::with(Web::Up(vec![strict.dyno.clone()]), impatient());
    let mut wire = edge.connect().await;
    let mut message = bytes(&case.message);
    message.extend_from_slice(SENTINEL.as_bytes());
    wire.write(message).await;
    let answers = wire.rest().await;
    edge.router.stop_soon().await;
    let refused = answers.is_empty() || (400..500).contains(&status(&answers));
    let asked = strict.asked().await;
    match asked.as_ref() != Ok(&case.expected) || (case.expected.is_empty() && !refused) {
        true => vec![format!("{}: {asked:?}, {answers:?}", case.tries)],
        false => Vec::new(),
    }
}

/// Stops a router without holding up the runtime that its dynos run on.
pub trait StopSoon {
    fn stop_soon(&self) -> impl Future<Output = ()>;
}

impl StopSoon for penstock::router::Router {
    async fn stop_soon(&self) {
        let router = self.clone();
        let stopping = tokio::task::spawn_blocking(move || router.stop(Duration::ZERO));
        tokio::time::timeout(HANG, stopping).await.unwrap().unwrap();
    }
}
