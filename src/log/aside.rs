//! What is set aside of a log's file before that is deleted, so that a dyno that prints without end wipes out its own lines alone.
//!
//! There are three kinds of lines, each with a small file: the platform's, the router's, and those of dynos and add-ons that were not
//! the loud ones. A line is in there beside a deleted file of the log, never beside one that is kept; after a kill some may be there
//! twice, which the reader looks after. It must not know who reads, nor when a file has to go.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::filter::Filter;
use super::line::{LINE_BYTES, Line, STAMP_BYTES};
use super::segments::{numbers, segment_path, whole_lines};
use crate::time::Timestamp;

/// Kept of each kind at least, in bytes, once there was so much; twice of it at most, or one file that was full of nothing else.
pub(super) const ROOM: usize = 256 * 1024;

/// No line is longer, in bytes.
const LONGEST: u64 = LINE_BYTES as u64 + 512;

/// Freed of a file at once, in bytes.
const STEP: u64 = 128 * 1024;

/// A file that took longer to fill, in microseconds, was filled by nobody who prints without end.
const SLOWLY: i64 = 60_000_000;

/// Of a file that was filled sooner, a dyno that has said more than this part of it is loud.
const LOUD: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Platform,
    Router,
    Others,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Platform, Kind::Router, Kind::Others];

    /// By what stands between timestamp and message, up to the bracket at least.
    fn of(label: &[u8]) -> Kind {
        match label.split(|byte| *byte == b']').next().unwrap_or(label) {
            b"heroku[router" => Kind::Router,
            b"app[api" => Kind::Platform,
            _ if label.starts_with(b"heroku[") => Kind::Platform,
            _ => Kind::Others,
        }
    }

    fn path(self, dir: &Path) -> PathBuf {
        dir.join(match self {
            Kind::Platform => "platform.aside",
            Kind::Router => "router.aside",
            Kind::Others => "others.aside",
        })
    }
}

/// Lines of before that one reader gets at most.
const MOST: usize = 10_000;

/// Takes out of a file that is about to be deleted what is to outlive it, which may be the whole file. `speaker` is the label of all
/// its lines, if they have one.
pub(super) fn set_aside(path: &Path, speaker: Option<&str>) -> io::Result<()> {
    if let Some(label) = speaker
        && is_settled_unread(path, Kind::of(label.as_bytes()))?
    {
        return Ok(());
    }
    let bytes = fs::read(path)?;
    let whole = whole_lines(&bytes);
    let Some(dir) = path.parent() else {
        return Ok(());
    };
    for (kind, text) in wanted(whole) {
        if !text.is_empty() {
            append(&kind.path(dir), &text)?;
        }
    }
    Ok(())
}

/// Whether a file with lines of one speaker needs no look at each: the platform's and the router's become what is set aside of their
/// kind, and of a loud dyno's none are.
fn is_settled_unread(path: &Path, kind: Kind) -> io::Result<bool> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    if kind == Kind::Others {
        return Ok(length > 0 && duration_of(&file, length)? < SLOWLY);
    }
    let (true, Some(dir)) = (length >= ROOM as u64, path.parent()) else {
        return Ok(false);
    };
    // The older lines first, since to put a file in the place of another flushes it to the disk (ext4).
    let place = kind.path(dir);
    let older = older(&place);
    let had_some = match fs::rename(&place, &older) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
        moved => moved.is_ok(),
    };
    fs::rename(path, place)?;
    if had_some {
        remove_by_steps(&older)?;
    }
    Ok(true)
}

/// Removes what a kill has left of files that were on their way out.
pub(super) fn clear(dir: &Path) {
    for kind in Kind::ALL {
        // As a rule there is none, and one that stays is in nobody's way.
        let _ = fs::remove_file(older(&kind.path(dir)));
    }
}

/// Where a file goes to be removed.
fn older(place: &Path) -> PathBuf {
    place.with_extension("older")
}

/// To free the memory of a large file takes a while, in which nobody else is served by the same processor: so others have their
/// turn in between.
fn remove_by_steps(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let mut length = file.metadata()?.len();
    while length > STEP {
        length -= STEP;
        file.set_len(length)?;
        std::thread::yield_now();
    }
    fs::remove_file(path)
}

/// The last lines of each kind that are no loud dyno's.
fn wanted(whole: &[u8]) -> [(Kind, Vec<u8>); 3] {
    let runs = runs(whole);
    let mut said: HashMap<&[u8], usize> = HashMap::new();
    for &(label, run) in &runs {
        *said.entry(label).or_default() += run.len();
    }
    let slow = duration(whole, whole) >= SLOWLY;
    let mut texts = Kind::ALL.map(|kind| (kind, Vec::new()));
    for (label, run) in runs {
        let kind = Kind::of(label);
        let loud = said
            .get(label)
            .is_some_and(|said| *said > whole.len() / LOUD);
        if kind != Kind::Others || slow || !loud {
            texts[kind as usize].1.extend_from_slice(run);
        }
    }
    for (_, text) in &mut texts {
        drop(text.drain(..surplus(text)));
    }
    texts
}

/// The lines in order, with those together that have one label and nothing between them: who prints without end says many in a row.
fn runs(whole: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut runs: Vec<(&[u8], &[u8])> = Vec::new();
    let (mut begin, mut of) = (0, b"".as_slice());
    let mut at = 0;
    for line in lines(whole) {
        if !is_of(line, of) {
            if at > begin {
                runs.push((of, &whole[begin..at]));
            }
            (begin, of) = (at, label(line));
        }
        at += line.len();
    }
    if at > begin {
        runs.push((of, &whole[begin..at]));
    }
    runs
}

fn lines(whole: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = whole;
    std::iter::from_fn(move || {
        let begin = rest;
        let length = rest.skip_until(b'\n').ok()?;
        (length > 0).then(|| &begin[..length])
    })
}

/// `app[web.1`, or nothing for what no platform wrote.
fn label(line: &[u8]) -> &[u8] {
    let rest = line.get(STAMP_BYTES + 1..).unwrap_or_default();
    let end = rest.iter().position(|byte| *byte == b']').unwrap_or(0);
    &rest[..end]
}

fn is_of(line: &[u8], label: &[u8]) -> bool {
    let rest = line.get(STAMP_BYTES + 1..).unwrap_or_default();
    rest.strip_prefix(label)
        .is_some_and(|rest| rest.first() == Some(&b']'))
}

/// From the first line of one text to the last of another, in microseconds.
fn duration(first: &[u8], last: &[u8]) -> i64 {
    let stamp = |line: &[u8]| {
        let stamp = std::str::from_utf8(line.get(..STAMP_BYTES)?).ok()?;
        Timestamp::parse(stamp).map(|at| at.micros())
    };
    let before_last = whole_lines(&last[..last.len().saturating_sub(1)]).len();
    let (first, last) = (stamp(first), stamp(&last[before_last..]));
    first.zip(last).map_or(0, |(first, last)| last - first)
}

/// How long a file took to fill, by its ends alone.
fn duration_of(file: &File, length: u64) -> io::Result<i64> {
    let part = |from: u64, most: usize| {
        let mut part = vec![0; most.min(usize::try_from(length - from).unwrap_or(most))];
        file.read_exact_at(&mut part, from)?;
        Ok::<_, io::Error>(part)
    };
    let first = part(0, STAMP_BYTES)?;
    let last = part(length.saturating_sub(LONGEST), LONGEST as usize)?;
    Ok(duration(&first, whole_lines(&last)))
}

/// How many bytes of whole lines are too many.
fn surplus(text: &[u8]) -> usize {
    let over = text.len().saturating_sub(ROOM);
    match over {
        0 => 0,
        over => {
            let end = text[over - 1..].iter().position(|byte| *byte == b'\n');
            end.map_or(text.len(), |end| over + end)
        }
    }
}

fn append(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    if last == *b"\n" && length + text.len() as u64 <= 2 * ROOM as u64 {
        return file.write_all(text).inspect_err(|_| {
            // What a full disk has taken of it.
            drop(file.set_len(length));
        });
    }
    // The newest alone, and no line that a kill has torn.
    let mut kept = whole_lines(&fs::read(path)?).to_vec();
    kept.extend_from_slice(text);
    let anew = path.with_extension("anew");
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&anew)?
        .write_all(&kept[surplus(&kept)..])?;
    fs::rename(anew, path)
}

/// The last `most` wanted lines that were said before the log's oldest, `first`, which is in this file. Reads all there is: some
/// milliseconds.
pub(super) fn earlier(
    dir: &Path,
    segment: u64,
    first: Option<&str>,
    filter: &Filter,
    most: usize,
) -> Vec<String> {
    let mut found = BTreeMap::new();
    let after = filter.after.map(|after| after.to_log());
    let mut take = |path: &Path| {
        let text = fs::read(path).unwrap_or_default();
        for line in lines(whole_lines(&text)) {
            let Ok(text) = std::str::from_utf8(line) else {
                continue;
            };
            let Some(line) = Line::parse(text).filter(|line| filter.wants(line)) else {
                continue;
            };
            let late = first.is_some_and(|first| line.stamp >= first);
            let known = after.as_deref().is_some_and(|after| line.stamp <= after);
            if !late && !known {
                found.insert(line.stamp.to_owned(), text.to_owned());
                if found.len() > most.min(MOST) {
                    found.pop_first();
                }
            }
        }
    };
    // First those that are still to be deleted: what is set aside of them meanwhile is found below.
    for number in numbers(dir).unwrap_or_default() {
        if number < segment {
            take(&segment_path(dir, number));
        }
    }
    for kind in Kind::ALL {
        take(&kind.path(dir));
    }
    found.into_values().collect()
}
