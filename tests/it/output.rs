//! The output of builds: kept, replayed and followed.

use std::future::{pending, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, pin_mut};
use penstock::error::Result;
use penstock::name::Id;
use penstock::output::{HEARTBEAT, Outputs};

use crate::harness::{Server, web_app};

struct Kept {
    dir: tempfile::TempDir,
    outputs: Outputs,
    id: Id,
}

impl Kept {
    fn new() -> Kept {
        let dir = tempfile::tempdir().unwrap();
        Kept {
            outputs: Outputs::open(&dir.path().join("outputs")).unwrap(),
            dir,
            id: Id::new(),
        }
    }

    /// As if the server had been killed and started again.
    fn restarted(self) -> Kept {
        Kept {
            outputs: Outputs::open(&self.dir.path().join("outputs")).unwrap(),
            ..self
        }
    }

    /// All of an output whose deed has ended.
    async fn whole(&self) -> String {
        all(self.outputs.read(self.id, ready(()))).await
    }
}

async fn all(stream: impl Stream<Item = Result<Bytes>>) -> String {
    let chunks: Vec<Bytes> = stream.map(Result::unwrap).collect().await;
    String::from_utf8(chunks.concat()).unwrap()
}

async fn next(stream: &mut (impl Stream<Item = Result<Bytes>> + Unpin)) -> String {
    let chunk = stream.next().await.unwrap().unwrap();
    String::from_utf8(chunk.to_vec()).unwrap()
}

#[tokio::test]
async fn a_reader_gets_what_was_written_before_it_came_and_what_comes_after() {
    let kept = Kept::new();
    let writer = kept.outputs.writer(kept.id).unwrap();
    writer.step("Fetching source");
    let reader = kept.outputs.read(kept.id, ready(()));
    pin_mut!(reader);
    assert_eq!(next(&mut reader).await, "-----> Fetching source\n");
    writer.detail("Done: 1K");
    assert_eq!(next(&mut reader).await, "       Done: 1K\n");
    writer.warning("Two\nlines");
    assert_eq!(next(&mut reader).await, " !     Two\n !     lines\n");
    drop(writer);
    assert!(reader.next().await.is_none());
}

#[tokio::test]
async fn a_reader_waits_for_an_output_that_has_not_begun() {
    let kept = Kept::new();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let ended = async { ended.await.unwrap() };
    let reader = tokio::spawn(all(kept.outputs.read(kept.id, ended)));
    tokio::task::yield_now().await;
    let writer = kept.outputs.writer(kept.id).unwrap();
    writer.step("Begun");
    drop(writer);
    end.send(()).unwrap();
    assert_eq!(reader.await.unwrap(), "-----> Begun\n");
}

#[tokio::test]
async fn an_output_is_replayed_as_often_as_asked_and_after_a_restart() {
    let kept = Kept::new();
    kept.outputs.writer(kept.id).unwrap().step("Once");
    assert_eq!(kept.whole().await, "-----> Once\n");
    assert_eq!(kept.whole().await, "-----> Once\n");
    assert_eq!(kept.restarted().whole().await, "-----> Once\n");
}

#[tokio::test]
async fn lines_written_after_the_deed_has_ended_still_reach_its_readers() {
    let kept = Kept::new();
    let writer = kept.outputs.writer(kept.id).unwrap();
    writer.step("Launching...");
    let reader = kept.outputs.read(kept.id, ready(()));
    pin_mut!(reader);
    next(&mut reader).await;
    writer.detail("Released v3");
    drop(writer);
    assert_eq!(next(&mut reader).await, "       Released v3\n");
    assert!(reader.next().await.is_none());
}

#[tokio::test]
async fn an_output_goes_on_under_the_same_reader_when_its_deed_is_taken_up_again() {
    let kept = Kept::new();
    kept.outputs.writer(kept.id).unwrap().step("First");
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let reader = kept.outputs.read(kept.id, async { ended.await.unwrap() });
    pin_mut!(reader);
    assert_eq!(next(&mut reader).await, "-----> First\n");
    let again = kept.outputs.writer(kept.id).unwrap();
    again.step("Second");
    assert_eq!(next(&mut reader).await, "-----> Second\n");
    end.send(()).unwrap();
    drop(again);
    assert!(reader.next().await.is_none());
}

#[tokio::test]
async fn a_silent_output_beats() {
    let mut kept = Kept::new();
    kept.outputs.heartbeat = Duration::from_millis(1);
    let writer = kept.outputs.writer(kept.id).unwrap();
    let reader = kept.outputs.read(kept.id, pending());
    pin_mut!(reader);
    assert_eq!(reader.next().await.unwrap().unwrap(), HEARTBEAT);
    assert_eq!(reader.next().await.unwrap().unwrap(), HEARTBEAT);
    writer.step("Awake");
    let awake = reader.map(Result::unwrap).skip_while(|chunk| {
        let beats = chunk == HEARTBEAT;
        async move { beats }
    });
    pin_mut!(awake);
    assert_eq!(awake.next().await.unwrap(), "-----> Awake\n");
}

#[tokio::test]
async fn an_output_over_its_limit_is_cut_once_and_keeps_its_last_words() {
    let mut kept = Kept::new();
    kept.outputs.max_bytes = 20;
    kept.outputs.tail_bytes = 12;
    let writer = kept.outputs.writer(kept.id).unwrap();
    writer.write(&[b'a'; 15]);
    writer.write(&[b'b'; 15]);
    writer.write(b"never\nseen\nthis\nis");
    drop(writer);
    let writer = kept.outputs.writer(kept.id).unwrap();
    writer.write(b"nor this\nbut the end\n");
    writer.last("It failed.");
    drop(writer);
    assert_eq!(
        kept.whole().await,
        concat!(
            "aaaaaaaaaaaaaaabbbbb\n",
            " !     The output is longer than 20 bytes. Of what comes now the last 12 are kept, and shown when it is over.\n",
            " !     16 bytes are left out here.\n",
            "seen\nthis\nis\n",
            " !     9 bytes are left out here.\n",
            "but the end\n",
            " !     It failed.\n",
        )
    );
}

/// What is shown of a text, where this is the config.
async fn shown(vars: &[(&str, &str)], text: &str) -> String {
    let kept = Kept::new();
    let writer = kept.outputs.writer(kept.id).unwrap();
    let vars = vars
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    writer.hide(&vars.collect());
    // In pieces, as it comes from a pipe.
    for piece in text.as_bytes().chunks(3) {
        writer.write(piece);
    }
    drop(writer);
    kept.whole().await
}

#[tokio::test]
async fn what_is_named_a_secret_is_hidden_though_it_is_short() {
    let vars = [
        ("SHORT_PASS", "hunter2"),
        ("API_TOKEN", "a1b2"),
        ("DATABASE_URL", "postgres://shop:s3cr@db/shop"),
        ("GREETING", "welcome"),
        ("AUTH_MODE", "basic"),
    ];
    assert_eq!(
        shown(&vars, "(hunter2) a1b2 pw=s3cr welcome basic\n").await,
        "([hidden: SHORT_PASS]) [hidden: API_TOKEN] pw=[hidden: DATABASE_URL] welcome basic\n"
    );
}

#[tokio::test]
async fn what_is_encoded_is_hidden_too() {
    let vars = [
        ("SECRET_KEY", "p@ss/word+1234"),
        ("DB_URL", "redis://a:x%2Fy9z@h/"),
    ];
    let text = concat!(
        "p%40ss%2Fword%2B1234 p%40ss%2fword%2b1234\n",
        "cEBzcy93b3JkKzEyMzQ= x/y9z\n",
        // me:p@ss/word+1234
        "bWU6cEBzcy93b3JkKzEyMzQ=\n",
    );
    let shown = shown(&vars, text).await;
    for part in ["word", "cEBzcy93b3JkKzE", "y9z"] {
        assert!(!shown.contains(part), "{part} is in {shown}");
    }
    assert_eq!(shown.matches("[hidden: SECRET_KEY]").count(), 4, "{shown}");
}

#[tokio::test]
async fn addresses_and_files_of_certificates_are_no_secrets() {
    let vars = [
        (
            "NODE_BINARY_URL",
            "http://mirror.example-downloads.com:43210/dist/node-v22.11.0-linux-x64-glibc217.tar.gz",
        ),
        (
            "NODE_EXTRA_CA_CERTS",
            "/usr/local/share/ca-certificates/company-root.crt",
        ),
        (
            "HOOK_URL",
            "https://hooks.example.com/T024BE7LD/XxYyZz0123456789",
        ),
    ];
    let text: String = vars.iter().map(|(_, value)| format!("{value}\n")).collect();
    let expected = format!("{}\n{}\n[hidden: HOOK_URL]\n", vars[0].1, vars[1].1);
    assert_eq!(shown(&vars, &text).await, expected);
}

#[tokio::test]
async fn what_a_program_prints_cannot_pass_for_a_heartbeat() {
    let kept = Kept::new();
    kept.outputs.writer(kept.id).unwrap().write(b"a\0b\n");
    assert_eq!(kept.whole().await, "ab\n");
}

#[tokio::test]
async fn an_output_that_was_removed_is_empty_and_may_be_removed_again() {
    let kept = Kept::new();
    kept.outputs.writer(kept.id).unwrap().step("Gone");
    kept.outputs.remove(kept.id).unwrap();
    kept.outputs.remove(kept.id).unwrap();
    assert_eq!(kept.whole().await, "");
    assert_eq!(kept.outputs.stored().unwrap(), []);
}

#[test]
fn outputs_are_listed_by_the_ids_of_their_deeds() {
    let kept = Kept::new();
    let ids = [Id::new(), Id::new()];
    for id in ids {
        kept.outputs.writer(id).unwrap();
    }
    assert_eq!(kept.outputs.stored().unwrap(), ids);
}

#[tokio::test]
async fn many_readers_of_a_long_output_each_get_all_of_it() {
    let kept = Kept::new();
    let writer = kept.outputs.writer(kept.id).unwrap();
    let readers: Vec<_> = (0..8)
        .map(|_| tokio::spawn(all(kept.outputs.read(kept.id, ready(())))))
        .collect();
    let mut expected = String::new();
    for number in 0..5_000 {
        let line = format!("line {number} of a build that has a lot to say\n");
        writer.write(line.as_bytes());
        expected.push_str(&line);
        if number % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    drop(writer);
    for reader in readers {
        assert!(reader.await.unwrap() == expected);
    }
}

/// `Content-Range` says the truth as soon as there is one.
#[tokio::test]
async fn a_part_of_an_output_says_where_it_ends_once_that_is_known() {
    let server = Server::start().await;
    let (ann, nobody) = (server.account("ann").await, server.nobody());
    ann.app("harbour").await;
    let build = ann.build("harbour", &web_app(), "1").await;
    let url = build["output_stream_url"].as_str().unwrap();
    let part = |from: usize| {
        let range = format!("bytes={from}-");
        nobody.request("GET", url).header("range", &range)
    };
    let mut early = part(0).stream().await;
    let said = early.response.headers()["content-range"].clone();
    assert_eq!(said, "bytes 0-9007199254740991/*");
    server.settle().await;
    early.rest().await;
    let whole = nobody.get(url).await.text();
    let end = whole.len();
    for from in [0, 20, end - 1] {
        let late = part(from).send().await;
        assert_eq!(late.status, 206);
        let range = format!("bytes {from}-{}/{end}", end - 1);
        assert_eq!(late.header("content-range"), range);
        assert_eq!(late.text(), whole[from..]);
    }
    // A client that was cut off after the last byte is told that it has them all.
    let beyond = part(end).send().await;
    beyond.refused(416, "requested_range_not_satisfiable", "The output is over");
    assert_eq!(beyond.header("content-range"), format!("bytes */{end}"));
}
