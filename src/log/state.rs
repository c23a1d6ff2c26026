//! What an app's log has in hand: where its lines go, those that wait for that, and how many did not get there.
//!
//! It must not know who appends, nor who reads.

use super::line::{self, Source, Stamps};
use super::segments::Segments;
use crate::time::Timestamp;

pub(super) struct State {
    /// None until the log is first needed, and for as long as its directory cannot be read.
    pub segments: Option<Segments>,
    pub stamps: Stamps,
    pub dropped: Dropped,
    /// What was said before the log was open, in order.
    pub waiting: Vec<Waiting>,
    pub removed: bool,
}

/// Messages of one process, each without a newline, and when they were said.
pub(super) struct Waiting {
    pub label: String,
    pub messages: Vec<String>,
    pub said: Timestamp,
}

/// Lines that could not be written, and that no line has told of yet.
pub(super) struct Dropped {
    pub lines: u64,
    pub since: Timestamp,
}

/// Most batches are no longer, in bytes: one that grows line by line is moved again and again.
const ROOM: usize = 4 * 1024;

/// Formatted lines on their way to the disk.
pub(super) struct Batch {
    pub text: Vec<u8>,
    pub lines: u64,
    /// How many dropped lines the batch's first line tells of; zero if it does not.
    pub told: u64,
}

impl State {
    pub(super) fn new(now: Timestamp) -> State {
        State {
            segments: None,
            stamps: Stamps::after(None),
            dropped: Dropped {
                lines: 0,
                since: now,
            },
            waiting: Vec::new(),
            removed: false,
        }
    }

    /// Nothing of it waits for the log to be opened.
    pub(super) fn is_settled(&self) -> bool {
        self.removed || self.segments.is_some()
    }

    pub(super) fn begin(&mut self, now: Timestamp) -> Batch {
        let mut batch = Batch {
            text: Vec::with_capacity(ROOM),
            lines: 0,
            told: 0,
        };
        if self.dropped.lines > 0 {
            let told = format!(
                "Error L12: {} messages dropped since {}.",
                self.dropped.lines,
                self.dropped.since.to_log()
            );
            let label = line::label(Source::Heroku, "logplex");
            batch.push(&mut self.stamps, now, &label, told.as_bytes());
            batch.told = self.dropped.lines;
        }
        batch
    }
}

impl Batch {
    pub(super) fn push(
        &mut self,
        stamps: &mut Stamps,
        now: Timestamp,
        label: &str,
        message: &[u8],
    ) {
        stamps.put(now, &mut self.text);
        self.text.extend_from_slice(label.as_bytes());
        self.text.extend_from_slice(message);
        self.text.push(b'\n');
        self.lines += 1;
    }
}
