//! A log session: the last lines of an app's log, then, if it tails, every line that follows.
//!
//! A session is a place in the log that moves forward. It holds no lines: history and live lines are read from the same files
//! by the same steps, so none is lost or doubled between them, and a slow reader costs no memory. A reader that is so slow that
//! the files it has not read are deleted is told how many lines it missed. It must not know how it is sent (see `sse`).
//!
//! A step reads at most 64 KiB that were just written, from the page cache and inline; only the search for the start of the
//! history, which looks through megabytes, leaves the task.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::watch;

use super::app::{AppLog, Extent, Life};
use super::filter::Filter;
use super::line::{self, Line, Source};
use super::reader;
use super::segments::Position;
use crate::time::Timestamp;

/// Lines in the history of a session that asks for no number.
pub const DEFAULT_LINES: usize = 100;

/// The most lines of history a session gets, as on Heroku.
pub const HISTORY_LINES: usize = 1500;

/// Some lines of a session, at most about 64 KiB of them.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Whole lines, each with its newline. Never empty.
    pub text: Bytes,
    /// The timestamp of the last line. A later session with this as [`Filter::after`] goes on behind it.
    pub last: Timestamp,
}

/// Reads an app's log. Made by [`Logs::session`](super::Logs::session).
pub struct Session {
    log: Arc<AppLog>,
    extent: watch::Receiver<Extent>,
    filter: Filter,
    /// What was there when the session began, and how many lines of it are wanted; taken when the first line is asked for.
    history: Option<(Extent, usize)>,
    place: Position,
    /// Where a session that does not tail ends.
    until: Option<Position>,
    last: Timestamp,
}

enum Step {
    Send(Batch),
    Moved,
    CaughtUp,
    Over,
}

impl Session {
    pub(super) fn new(log: Arc<AppLog>, filter: Filter, lines: usize, tail: bool) -> Session {
        log.reader_came();
        let extent = log.watch();
        let now = *extent.borrow();
        Session {
            last: log.now(),
            log,
            extent,
            filter,
            history: Some((now, lines.min(HISTORY_LINES))),
            place: now.end,
            until: (!tail).then_some(now.end),
        }
    }

    /// The next lines, as soon as there are any. `None` when a session without tail has read its history, when the server
    /// stops, or when the app is gone. Cancelling it loses nothing. Needs a Tokio runtime.
    pub async fn next(&mut self) -> Option<Batch> {
        self.find_start().await;
        loop {
            // A session that never waits must still let the other tasks of its thread run.
            tokio::task::coop::consume_budget().await;
            let extent = *self.extent.borrow_and_update();
            match self.step(&extent) {
                Step::Send(batch) => return Some(batch),
                Step::Moved => {}
                Step::CaughtUp => self.extent.changed().await.ok()?,
                Step::Over => return None,
            }
        }
    }

    /// The session as a stream of batches.
    pub fn into_stream(self) -> impl Stream<Item = Batch> {
        futures_util::stream::unfold(self, |mut session| async {
            session.next().await.map(|batch| (batch, session))
        })
    }

    async fn find_start(&mut self) {
        let Some((extent, lines)) = self.history else {
            return;
        };
        if lines > 0 || self.filter.after.is_some() {
            let (log, filter) = (Arc::clone(&self.log), self.filter.clone());
            let start = tokio::task::spawn_blocking(move || {
                reader::start(log.dir(), &extent.oldest, &extent.end, &filter, lines)
            });
            self.place = start.await.unwrap_or(extent.end);
        }
        self.history = None;
    }

    fn step(&mut self, extent: &Extent) -> Step {
        if extent.life == Life::Removed {
            return Step::Over;
        }
        if self.until.is_some_and(|until| self.place.reached(&until)) {
            return Step::Over;
        }
        if self.place.segment < extent.oldest.segment {
            return self.skip_lost(extent);
        }
        let end = self.until.unwrap_or(extent.end);
        if self.place.reached(&end) {
            return match extent.life {
                Life::Open => Step::CaughtUp,
                _ => Step::Over,
            };
        }
        match reader::chunk(self.log.dir(), self.place, &end) {
            Ok(chunk) => {
                self.place = chunk.next;
                self.wanted(&chunk.text).map_or(Step::Moved, Step::Send)
            }
            Err(_) => self.skip_missing(extent),
        }
    }

    /// The lines at this session's place are deleted already. Its next line is the oldest there is, and it says so.
    fn skip_lost(&mut self, extent: &Extent) -> Step {
        let lost = extent.oldest.line.saturating_sub(self.place.line);
        self.place = extent.oldest;
        if lost == 0 {
            return Step::Moved;
        }
        // A microsecond after the last line sent: behind it, and before whatever follows what was lost.
        let at = self.last.plus(std::time::Duration::from_micros(1));
        let text = format!(
            "{} {}Error L11 (Tail buffer overflow) -> This tail session dropped {lost} messages since {}.\n",
            at.to_log(),
            line::label(Source::Heroku, "logplex"),
            self.last.to_log(),
        );
        self.last = at;
        Step::Send(Batch {
            text: text.into(),
            last: at,
        })
    }

    /// A file could not be read. If it was deleted since `extent` was current, the newer extent accounts for it; if somebody
    /// else took it away, there is nothing to be had from it.
    fn skip_missing(&mut self, extent: &Extent) -> Step {
        let newer = *self.extent.borrow();
        if newer.oldest.segment <= self.place.segment {
            self.place = match self.place.segment < extent.end.segment {
                true => Position {
                    segment: self.place.segment + 1,
                    offset: 0,
                    line: self.place.line,
                },
                false => extent.end,
            };
        }
        Step::Moved
    }

    fn wanted(&mut self, text: &str) -> Option<Batch> {
        let mut kept = String::new();
        let mut last = None;
        for line in text.split_inclusive('\n') {
            if self.filter.wants_text(line) {
                kept.push_str(line);
                last = Some(line);
            }
        }
        self.last = Line::parse(last?)?.timestamp()?;
        Some(Batch {
            text: kept.into(),
            last: self.last,
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.log.reader_left();
    }
}
