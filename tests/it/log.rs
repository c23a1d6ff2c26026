//! The log store: what goes in, what comes back, and what follows it live.

mod coming_back;
mod following;
mod keeping;
mod soon;
mod taking_in;
mod words;

use std::path::Path;
use std::time::Duration;

use penstock::log::{Filter, Limits, Line, Logs, Session, Source};
use penstock::name::Id;
use penstock::time::{Clock, Timestamp};

const T0: &str = "2022-02-27T19:53:50.466499+00:00";

/// A log store in a temporary directory, under a clock that stands still.
struct Kept {
    dir: tempfile::TempDir,
    clock: Clock,
    logs: Logs,
    app: Id,
}

impl Kept {
    fn new() -> Kept {
        Kept::within(Limits::default())
    }

    fn within(limits: Limits) -> Kept {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::held(Timestamp::parse(T0).unwrap());
        Kept {
            logs: Logs::open(dir.path(), clock.clone(), limits).unwrap(),
            clock,
            dir,
            app: Id::new(),
        }
    }

    /// As if the server had been killed and started again.
    fn reopened(self) -> Kept {
        let logs = Logs::open(self.dir.path(), self.clock.clone(), Limits::default()).unwrap();
        Kept { logs, ..self }
    }

    fn say(&self, message: &str) {
        self.logs.append(self.app, Source::App, "web.1", message);
    }

    fn all(&self) -> Vec<String> {
        self.logs
            .read(self.app, &Filter::default(), usize::MAX)
            .unwrap()
    }

    fn messages(&self) -> Vec<String> {
        messages(&self.all())
    }

    fn tail(&self, lines: usize) -> Session {
        self.logs.session(self.app, Filter::default(), lines, true)
    }

    fn app_dir(&self) -> std::path::PathBuf {
        self.dir.path().join(self.app.to_string())
    }

    fn newest_segment(&self) -> std::path::PathBuf {
        files(&self.app_dir()).pop().unwrap()
    }
}

/// Segments of 4 KiB, so that a test need not write megabytes.
fn small() -> Limits {
    Limits {
        segment_bytes: 4096,
        segments: 2,
        tail_segments: 4,
        open_files: 256,
    }
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

fn message(line: &str) -> String {
    Line::parse(line).expect(line).message.to_owned()
}

fn messages(lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| message(line)).collect()
}

/// The lines of a session's next batch; empty when it has ended. A session that stays silent fails the test instead of
/// holding it up for ever.
async fn next(session: &mut Session) -> Vec<String> {
    let batch = tokio::time::timeout(Duration::from_secs(20), session.next())
        .await
        .expect("the session has nothing more to say");
    batch.map_or_else(Vec::new, |batch| {
        let text = String::from_utf8(batch.text.to_vec()).unwrap();
        assert!(text.ends_with('\n'));
        text.lines().map(str::to_owned).collect()
    })
}

/// At least `count` lines of a session, or all there are if it ends before.
async fn take(session: &mut Session, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    while lines.len() < count {
        let more = next(session).await;
        if more.is_empty() {
            break;
        }
        lines.extend(more);
    }
    lines
}
