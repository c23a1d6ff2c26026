//! One app's log on disk: a few append-only files, the newest written, the oldest deleted.
//!
//! A segment is `<number>.log`, numbered from 1 without gaps; a line never spans two. Only the owner of a [`Segments`] writes
//! and deletes; readers open the files by name for themselves (see `reader`). It must not know what a line says, beyond its
//! newline and timestamp.
//!
//! Every batch goes to the kernel in one write(2) before the call returns, so a killed server loses nothing that it had taken
//! in. Nothing is synced: a log line is no acknowledged write, and a power cut may take the last seconds of it.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::aside;
use super::deleter::{Deleter, Old};
use super::line::Line;
use crate::time::Timestamp;

/// A place between two lines of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Number of the segment; 0 is before the first.
    pub segment: u64,
    /// Bytes from the segment's start.
    pub offset: u64,
    /// Lines before this place, counted from the oldest that was there when the server first looked.
    pub line: u64,
}

impl Position {
    /// Whether nothing lies between this place and `end`.
    pub(super) fn reached(&self, end: &Position) -> bool {
        (self.segment, self.offset) >= (end.segment, end.offset)
    }
}

/// How much to write before an old segment is given up.
pub(super) struct Room {
    /// Size at which a segment is full, in bytes. One batch may be larger than that, and then has a segment to itself.
    pub segment_bytes: u64,
    /// Segments kept, the written one included.
    pub segments: usize,
}

struct Segment {
    number: u64,
    /// [`Position::line`] of its start.
    first_line: u64,
    /// Who says all of its lines, as far as that is known.
    speaker: Option<String>,
}

/// The files of one app.
pub(super) struct Segments {
    dir: PathBuf,
    kept: VecDeque<Segment>,
    /// Bytes of whole lines in the newest segment. What the file holds beyond is torn, and cut off before the next write.
    size: u64,
    lines: u64,
    file: Option<OpenFile>,
    open_files: Arc<AtomicUsize>,
    deleter: Arc<Deleter>,
}

/// A file that counts among the open ones for as long as it lives.
struct OpenFile {
    file: File,
    open_files: Arc<AtomicUsize>,
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.open_files.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Segments {
    /// Looks at what an earlier server left, and returns the newest line's timestamp with it. Reads all of it once, since
    /// lines are counted; creates nothing.
    pub(super) fn open(
        dir: PathBuf,
        open_files: Arc<AtomicUsize>,
        deleter: Arc<Deleter>,
    ) -> io::Result<(Segments, Option<Timestamp>)> {
        let mut found = Segments {
            kept: VecDeque::new(),
            size: 0,
            lines: 0,
            file: None,
            open_files,
            deleter,
            dir,
        };
        aside::clear(&found.dir);
        let mut newest = None;
        for number in numbers(&found.dir)? {
            let bytes = fs::read(segment_path(&found.dir, number))?;
            let whole = whole_lines(&bytes);
            found.kept.push_back(Segment {
                number,
                first_line: found.lines,
                speaker: None,
            });
            found.size = whole.len() as u64;
            found.lines += whole.iter().filter(|byte| **byte == b'\n').count() as u64;
            newest = last_timestamp(whole).or(newest);
        }
        Ok((found, newest))
    }

    /// Where the next line will stand.
    pub(super) fn end(&self) -> Position {
        Position {
            segment: self.kept.back().map_or(0, |newest| newest.number),
            offset: self.size,
            line: self.lines,
        }
    }

    /// Where the oldest kept line stands.
    pub(super) fn oldest(&self) -> Position {
        self.kept
            .front()
            .map_or_else(Position::default, |oldest| Position {
                segment: oldest.number,
                offset: 0,
                line: oldest.first_line,
            })
    }

    /// Appends `lines` whole lines, all said by `speaker` if one is named. On failure none of them is stored.
    pub(super) fn write(
        &mut self,
        text: &[u8],
        lines: u64,
        speaker: Option<&str>,
        room: &Room,
    ) -> io::Result<()> {
        let full = self.size > 0 && self.size + text.len() as u64 > room.segment_bytes;
        if self.kept.is_empty() || full {
            self.rotate(speaker, room)?;
        }
        if let Some(newest) = self.kept.back_mut()
            && newest.speaker.as_deref() != speaker
        {
            newest.speaker = None;
        }
        let mut open = match self.file.take() {
            Some(open) => open,
            None => self.open_newest()?,
        };
        if let Err(cause) = open.file.write_all(text) {
            // A full disk may have taken a part. Shrinking works even then; should it fail, opening the file again does it.
            drop(open.file.set_len(self.size));
            return Err(cause);
        }
        self.file = Some(open);
        self.size += text.len() as u64;
        self.lines += lines;
        Ok(())
    }

    /// Gives the file descriptor back. The next write opens it again, which takes microseconds.
    pub(super) fn close_file(&mut self) {
        self.file = None;
    }

    /// The old goes before the new is made, or soon after: on a full disk that is where the room comes from. One that a kill has
    /// saved goes next time.
    fn rotate(&mut self, speaker: Option<&str>, room: &Room) -> io::Result<()> {
        self.file = None;
        let number = self.kept.back().map_or(1, |newest| newest.number + 1);
        while self.kept.len() >= room.segments.max(2) {
            let Some(oldest) = self.kept.front() else {
                break;
            };
            let old = Old {
                path: segment_path(&self.dir, oldest.number),
                speaker: oldest.speaker.clone(),
            };
            self.deleter.delete(old, room.segment_bytes)?;
            self.kept.pop_front();
        }
        let open = self.open_new(number)?;
        self.kept.push_back(Segment {
            number,
            first_line: self.lines,
            speaker: speaker.map(str::to_owned),
        });
        self.size = 0;
        self.file = Some(open);
        Ok(())
    }

    fn open_new(&self, number: u64) -> io::Result<OpenFile> {
        let open = match self.open_file(number) {
            Err(cause) if cause.kind() == ErrorKind::NotFound => {
                let mut dir = DirBuilder::new();
                dir.recursive(true).mode(0o700).create(&self.dir)?;
                self.open_file(number)?
            }
            opened => opened?,
        };
        // Only what is there: a file that was once emptied is flushed to the disk when it is closed (ext4), and a busy app's might
        // have been deleted before it ever got there.
        if open.file.metadata()?.len() > 0 {
            open.file.set_len(0)?;
        }
        Ok(open)
    }

    fn open_newest(&mut self) -> io::Result<OpenFile> {
        let open = self.open_file(self.end().segment)?;
        let found = open.file.metadata()?.len();
        if found > self.size {
            open.file.set_len(self.size)?;
        }
        self.size = self.size.min(found);
        Ok(open)
    }

    fn open_file(&self, number: u64) -> io::Result<OpenFile> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(segment_path(&self.dir, number))?;
        self.open_files.fetch_add(1, Ordering::Relaxed);
        Ok(OpenFile {
            file,
            open_files: Arc::clone(&self.open_files),
        })
    }
}

/// The file of a segment.
pub(super) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.log"))
}

/// The part of a segment that ends with a newline: a last line without one was torn by a crash.
pub(super) fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    &bytes[..end]
}

/// The segments that are there, in order.
pub(super) fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(cause),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log"));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok().filter(|n| *n > 0)));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn last_timestamp(whole: &[u8]) -> Option<Timestamp> {
    whole
        .rsplit(|byte| *byte == b'\n')
        .find_map(|line| Line::parse(std::str::from_utf8(line).ok()?)?.timestamp())
}
