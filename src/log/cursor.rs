//! How far a drain has come in an app's log, in a file beside the lines: the timestamp of the last line that it is done with, and what
//! it has lost on the way there that nothing has told of yet.
//!
//! It is written in place and not synced, as lines are not: a killed server loses nothing of it, and after a power cut a drain may
//! send some lines once more. It goes with the app's log. It must not know what a drain is.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::name::Id;
use crate::time::Timestamp;

fn path(dir: &Path, drain: Id) -> PathBuf {
    dir.join(format!("{drain}.cursor"))
}

/// Lines that were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    pub lines: u64,
    /// When the last line before them was said.
    pub since: Timestamp,
}

impl Lost {
    /// What was lost before, and so many lines more.
    pub fn and(before: Option<Lost>, lines: u64, since: Timestamp) -> Option<Lost> {
        let since = before.map_or(since, |before| before.since);
        let lines = before.map_or(0, |before| before.lines) + lines;
        (lines > 0).then_some(Lost { lines, since })
    }
}

/// A place in the log, and what was lost before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub last: Timestamp,
    /// Of which the app's log does not tell yet.
    pub lost: Option<Lost>,
    /// Of which the drain was not told yet.
    pub owed: Option<Lost>,
}

/// Where the drain is to go on. `None` if it has never delivered anything, or what is there cannot be read.
pub(super) fn read(dir: &Path, drain: Id) -> Option<Cursor> {
    let text = fs::read_to_string(path(dir, drain)).ok()?;
    let mut words = text.split_ascii_whitespace();
    let last = Timestamp::parse(words.next()?)?;
    let mut lost = || {
        let lines = words.next().and_then(|lines| lines.parse().ok())?;
        let since = words.next().and_then(Timestamp::parse)?;
        Lost::and(None, lines, since)
    };
    Some(Cursor {
        last,
        lost: lost(),
        owed: lost(),
    })
}

/// The text is of one width, so the new one covers the old. Fails where the log is gone, rather than bring it back.
pub(super) fn write(dir: &Path, drain: Id, cursor: &Cursor) -> std::io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path(dir, drain))?;
    let words = |lost: Option<Lost>| {
        let (lines, since) = lost.map_or((0, cursor.last), |lost| (lost.lines, lost.since));
        format!("{lines:020} {}", since.to_log())
    };
    let (last, lost, owed) = (cursor.last.to_log(), words(cursor.lost), words(cursor.owed));
    let text = format!("{last} {lost} {owed}\n");
    file.write_all_at(text.as_bytes(), 0)
}

/// Forgets every cursor but those of these drains.
pub(super) fn keep(dir: &Path, drains: &[Id]) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let drain = name.to_str().and_then(|name| name.strip_suffix(".cursor"));
        let drain = drain.and_then(Id::parse);
        if drain.is_some_and(|drain| !drains.contains(&drain)) {
            // What stays is a few bytes that the next start looks at again.
            let _ = fs::remove_file(entry.path());
        }
    }
}
