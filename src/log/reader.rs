//! Reading an app's segments: where the wanted history starts, and the lines from a place on.
//!
//! Readers share nothing with the writer but places in the log ([`Position`]): each opens the files by name, reads what it was
//! told is written, and closes them. So a reader holds no lock, no buffer and no descriptor between two reads, and history and
//! live lines are one thing. A file may have been deleted meanwhile; that is an error of kind `NotFound` for the caller.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use super::aside;
use super::filter::Filter;
use super::line::{Line, STAMP_BYTES};
use super::segments::{Position, segment_path, whole_lines};
use crate::time::Timestamp;

/// Bytes read at a time. At least one line of the greatest length fits.
pub(super) const CHUNK_BYTES: u64 = 64 * 1024;

/// Some whole lines, and the place after them. There may be none, when a segment ended.
pub(super) struct Chunk {
    pub text: String,
    pub next: Position,
}

/// Reads on from `at`, which must lie before `end`.
pub(super) fn chunk(dir: &Path, at: Position, end: &Position) -> io::Result<Chunk> {
    let last = at.segment >= end.segment;
    let length = match last {
        true => CHUNK_BYTES.min(end.offset.saturating_sub(at.offset)),
        false => CHUNK_BYTES,
    };
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    let mut file = File::open(segment_path(dir, at.segment))?;
    file.seek(SeekFrom::Start(at.offset))?;
    file.take(length).read_to_end(&mut bytes)?;
    let next = match bytes.is_empty() {
        // Cut short by somebody else: there is nothing left to read of it.
        true if last => *end,
        true => Position {
            segment: at.segment + 1,
            offset: 0,
            line: at.line,
        },
        false => after(at, &mut bytes),
    };
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|damaged| String::from_utf8_lossy(damaged.as_bytes()).into_owned());
    Ok(Chunk { text, next })
}

/// Leaves whole lines in `bytes` and returns the place after them. Without any newline these are the remains of a crash,
/// which are skipped.
fn after(at: Position, bytes: &mut Vec<u8>) -> Position {
    let whole = whole_lines(bytes).len();
    let skipped = if whole == 0 { bytes.len() } else { whole };
    bytes.truncate(whole);
    Position {
        segment: at.segment,
        offset: at.offset + skipped as u64,
        line: at.line + bytes.iter().filter(|byte| **byte == b'\n').count() as u64,
    }
}

/// Where a history begins.
pub(super) struct Start {
    pub place: Position,
    /// Lines of it that are wanted and were said before that place.
    pub earlier: Vec<String>,
}

/// The last `lines` wanted lines before `end`, or all that the filter's `after` asks for. Looks through whole segments, and then
/// through what was set aside of those that are deleted, a few milliseconds at worst: a caller in an async task runs it off that task.
pub(super) fn history(
    dir: &Path,
    oldest: &Position,
    end: &Position,
    filter: &Filter,
    lines: usize,
) -> Start {
    let (place, missing) = start(dir, oldest, end, filter, lines);
    let earlier = match missing {
        0 => Vec::new(),
        missing => {
            let first = first_stamp(dir, place, end);
            aside::earlier(dir, place.segment, first.as_deref(), filter, missing)
        }
    };
    Start { place, earlier }
}

/// Whether the first line at a place was said in the very next microsecond: no two lines share one, so there was none between.
pub(super) fn follows(dir: &Path, at: Position, end: &Position, last: Timestamp) -> bool {
    let next = last.plus(Duration::from_micros(1)).to_log();
    first_stamp(dir, at, end).is_some_and(|first| first == next)
}

fn first_stamp(dir: &Path, at: Position, end: &Position) -> Option<String> {
    let first = chunk(dir, at, end).ok()?;
    first.text.get(..STAMP_BYTES).map(str::to_owned)
}

/// Where to start so that `lines` wanted lines lie between there and `end`, or all that the filter's `after` asks for, and how many
/// there are not. Looks backwards.
pub(super) fn start(
    dir: &Path,
    oldest: &Position,
    end: &Position,
    filter: &Filter,
    lines: usize,
) -> (Position, usize) {
    let after = filter.after.map(|after| after.to_log());
    let mut start = *end;
    let mut missing = lines;
    for segment in (oldest.segment.max(1)..=end.segment).rev() {
        let limit = (segment == end.segment).then_some(end.offset);
        let Ok(bytes) = segment_bytes(dir, segment, limit) else {
            break;
        };
        let whole = whole_lines(&bytes);
        let mut stop = whole.len();
        while stop > 0 {
            if after.is_none() && missing == 0 {
                return (start, 0);
            }
            let begin = whole_lines(&whole[..stop - 1]).len();
            let line = std::str::from_utf8(&whole[begin..stop])
                .ok()
                .and_then(Line::parse);
            if let (Some(after), Some(line)) = (&after, &line)
                && line.stamp <= after.as_str()
            {
                return (start, 0);
            }
            missing = missing.saturating_sub(usize::from(line.is_some_and(|l| filter.wants(&l))));
            stop = begin;
            start = Position {
                segment,
                offset: begin as u64,
                line: start.line.saturating_sub(1),
            };
        }
    }
    match after {
        Some(_) => (start, usize::MAX),
        None => (start, missing),
    }
}

fn segment_bytes(dir: &Path, segment: u64, limit: Option<u64>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(segment_path(dir, segment))?
        .take(limit.unwrap_or(u64::MAX))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
