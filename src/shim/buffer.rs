//! What a dyno has printed and no server has acknowledged yet.
//!
//! Bytes are counted from the first that the dyno ever printed. It does no I/O and knows no clock.

use std::collections::VecDeque;

/// Reads within so many microseconds of one another count as one moment.
const MOMENT: i64 = 1_000;
/// Where no line ends within so many bytes, one is cut.
const LINE: usize = 10_000;

/// Output in order, with the time at which it was read.
#[derive(Default)]
pub struct Buffer {
    bytes: VecDeque<u8>,
    /// The offset of the first of them.
    start: u64,
    /// The offset of the first that is to be sent on this connection.
    unsent: u64,
    /// Where each moment begins, and when it was, in microseconds since 1970. The first is not after `start`.
    moments: VecDeque<(u64, i64)>,
    dropped: Option<Dropped>,
    dropped_is_told: bool,
}

/// Lines that went because there was no room for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The offset of what comes after them.
    pub until: u64,
    pub lines: u64,
    /// When the first of them was read, in microseconds since 1970.
    pub since: i64,
}

/// Some output that was read in one moment.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk {
    pub offset: u64,
    pub time: i64,
    pub bytes: Vec<u8>,
}

impl Buffer {
    /// Takes in what was read just now.
    pub fn push(&mut self, bytes: &[u8], time: i64) {
        let same = |(_, last): &(u64, i64)| (0..MOMENT).contains(&(time - last));
        if !self.moments.back().is_some_and(same) {
            self.moments.push_back((self.end(), time));
        }
        self.bytes.extend(bytes);
    }

    /// What it takes in memory, in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.moments.len() * size_of::<(u64, i64)>()
    }

    /// A new connection has been told nothing.
    pub fn rewind(&mut self) {
        self.unsent = self.start;
        self.dropped_is_told = false;
    }

    /// What was dropped, if this connection is to be told of it now.
    pub fn take_dropped(&mut self) -> Option<Dropped> {
        if self.dropped_is_told {
            return None;
        }
        self.dropped_is_told = self.dropped.is_some();
        self.dropped
    }

    /// The next part to be sent, of at most so many bytes.
    pub fn take_unsent(&mut self, max: usize) -> Option<Chunk> {
        let offset = self.unsent;
        let next = self.moments.partition_point(|(begin, _)| *begin <= offset);
        let (_, time) = *self.moments.get(next.checked_sub(1)?)?;
        let end = self.moments.get(next).map_or(self.end(), |next| next.0);
        let from = usize::try_from(offset - self.start).ok()?;
        let length = usize::try_from(end - offset).ok()?.min(max);
        if length == 0 {
            return None;
        }
        let bytes = self.copy(from, length);
        self.unsent += bytes.len() as u64;
        Some(Chunk {
            offset,
            time,
            bytes,
        })
    }

    /// Forgets what is before this offset: somebody else keeps it.
    pub fn acknowledge(&mut self, offset: u64) {
        // No more than what was sent, whoever asks.
        let offset = offset.min(self.unsent);
        if self
            .dropped
            .is_some_and(|dropped| dropped.until <= offset && self.dropped_is_told)
        {
            self.dropped = None;
        }
        let count = offset.saturating_sub(self.start);
        self.forget(usize::try_from(count).unwrap_or(usize::MAX));
    }

    /// Drops the oldest lines when it has become larger than so many bytes, and then a quarter more of it, so that this is done
    /// seldom. For the time without a server.
    pub fn trim(&mut self, limit: usize) {
        if self.size() <= limit {
            return;
        }
        let mut cut = 0;
        let mut lines = 0;
        let mut rest = self.size() - limit / 4 * 3;
        // A moment is forgotten with its last byte, so bytes are a safe measure: what is left is no larger.
        while rest > 0 && cut < self.bytes.len() {
            let line = self.line_end(cut);
            rest = rest.saturating_sub(line - cut);
            cut = line;
            lines += 1;
        }
        let since = self.moments.front().map_or(0, |(_, time)| *time);
        let before = self.dropped;
        self.forget(cut);
        self.unsent = self.unsent.max(self.start);
        self.dropped = Some(Dropped {
            until: self.start,
            lines: before.map_or(0, |dropped| dropped.lines) + lines,
            since: before.map_or(since, |dropped| dropped.since),
        });
        self.dropped_is_told = false;
    }

    /// Where the line that begins at an index ends.
    fn line_end(&self, from: usize) -> usize {
        let end = self.bytes.len().min(from + LINE);
        let newline = self.bytes.range(from..end).position(|byte| *byte == b'\n');
        newline.map_or(end, |at| from + at + 1)
    }

    fn copy(&self, from: usize, length: usize) -> Vec<u8> {
        let (first, second) = self.bytes.as_slices();
        let begin = from.min(first.len());
        let end = (from + length).min(first.len());
        let rest = length - (end - begin);
        let skip = from.saturating_sub(first.len());
        [&first[begin..end], &second[skip..skip + rest]].concat()
    }

    fn forget(&mut self, count: usize) {
        let count = count.min(self.bytes.len());
        self.bytes.drain(..count);
        self.start += count as u64;
        let past = self
            .moments
            .partition_point(|(begin, _)| *begin <= self.start);
        self.moments.drain(..past.saturating_sub(1));
        if self.bytes.is_empty() {
            // A quiet dyno's buffer takes nothing.
            self.bytes = VecDeque::new();
            self.moments = VecDeque::new();
        }
    }

    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}
