//! A log session: the last lines of an app's log, then, if it tails, every line that follows.
//!
//! A session is a place in the log that moves forward. It holds no lines: history and live lines are read from the same files
//! by the same steps, so none is lost or doubled between them, and a slow reader costs no memory. A reader that is so slow that
//! the files it has not read are deleted is told how many lines it missed. It must not know how it is sent (see `sse`).
//!
//! A step reads at most 64 KiB that were just written, from the page cache and inline; only the search for the start of the
//! history, which looks through megabytes, leaves the task.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::watch;

use super::app::{AppLog, Extent, Life};
use super::filter::Filter;
use super::line::{self, Line, Source};
use super::place::{Counted, Gap, Place, Reader};
use super::reader;
use super::segments::Position;
use crate::time::Timestamp;

/// Lines in the history of a session that asks for no number.
pub const DEFAULT_LINES: usize = 100;

/// The most lines of history a session gets, as on Heroku.
pub const HISTORY_LINES: usize = 1500;

/// Lines from before the log's files go out in batches of about so many bytes.
const BATCH_BYTES: usize = 64 * 1024;

/// Some lines of a session, at most about 64 KiB of them.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Whole lines, each with its newline. Never empty.
    pub text: Bytes,
    /// The timestamp of the last line. A later session with this as [`Filter::after`] goes on behind it.
    pub last: Timestamp,
    /// Where the session stands after these: behind all that were looked at, wanted or not.
    pub place: Place,
    /// How many lines are missing before these, which the first of these says.
    pub lost: u64,
}

/// A place in a session, to which it can go back. See [`Session::repeat`].
#[derive(Clone, Debug)]
pub struct Mark {
    place: Position,
    last: Timestamp,
    gap: Option<Gap>,
}

impl Mark {
    /// When the line before this place was written, or the session began.
    pub fn last(&self) -> Timestamp {
        self.last
    }
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
    /// How far a batch may go while lines are read once more.
    again_to: Option<Position>,
    last: Timestamp,
    reader: Reader,
    /// Where this reader of another session was, as it counted its lines.
    came: Option<Counted>,
    /// Where it stands once it has looked at any line, also while none of them was wanted.
    stands: watch::Sender<Option<Place>>,
    /// Lines are missing here, and nothing has told of it yet.
    gap: Option<Gap>,
    /// The segment whose file was not there when it was last looked for.
    missing: Option<u64>,
    /// Lines that have outlived their file, and come before all others.
    earlier: VecDeque<String>,
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
            last: filter.after.unwrap_or_else(|| log.now()),
            log,
            extent,
            filter,
            history: Some((now, lines.min(HISTORY_LINES))),
            place: now.end,
            until: (!tail).then_some(now.end),
            again_to: None,
            reader: Reader::Tail,
            came: None,
            stands: watch::Sender::new(None),
            gap: None,
            missing: None,
            earlier: VecDeque::new(),
        }
    }

    pub(super) fn of_drain(log: Arc<AppLog>, after: Timestamp) -> Session {
        let filter = Filter {
            after: Some(after),
            ..Filter::default()
        };
        let mut session = Session::new(log, filter, 0, true);
        session.reader = Reader::Drain;
        session
    }

    /// The same for a reader who was at this place, in another session that was cut off.
    pub fn back_from(mut self, place: Option<Place>) -> Session {
        self.came = place.and_then(|place| place.counted);
        self
    }

    /// Where it stands, as soon as it has looked at any line.
    pub fn stands(&self) -> watch::Receiver<Option<Place>> {
        self.stands.subscribe()
    }

    /// Behind all lines that were there when it began.
    pub fn begun(&self, at: Timestamp) -> Place {
        self.standing(at)
    }

    /// Where the next batch begins.
    pub async fn mark(&mut self) -> Mark {
        self.find_start().await;
        Mark {
            place: self.place,
            last: self.last,
            gap: self.gap,
        }
    }

    /// Goes back: the lines since then are read once more, and in batches that end where they have ended before. Those that are
    /// deleted meanwhile are told of like any other loss.
    pub fn repeat(&mut self, from: &Mark) {
        let read = self.place;
        let further = self.again_to.filter(|to| !read.reached(to));
        self.again_to = Some(further.unwrap_or(read));
        self.place = from.place;
        self.last = from.last;
        self.gap = from.gap;
    }

    /// Resolves when there is something to read, or nothing more will be.
    pub async fn ready(&mut self) {
        self.find_start().await;
        let place = self.place;
        let ready = |extent: &Extent| extent.life != Life::Open || !place.reached(&extent.end);
        // The log outlives its sessions.
        let _ = self.extent.wait_for(ready).await;
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
            let for_drain = self.reader == Reader::Drain;
            let start = tokio::task::spawn_blocking(move || {
                let (dir, oldest, end) = (log.dir(), &extent.oldest, &extent.end);
                match for_drain {
                    // It gets every line, and is told of those that it does not get.
                    true => (
                        reader::start(dir, oldest, end, &filter, lines).0,
                        Vec::new(),
                    ),
                    false => {
                        let start = reader::history(dir, oldest, end, &filter, lines);
                        (start.place, start.earlier)
                    }
                }
            });
            let (place, earlier) = start.await.unwrap_or((extent.end, Vec::new()));
            self.place = place;
            self.earlier = earlier.into();
            self.gap = self.missed(&extent);
        }
        self.history = None;
    }

    /// What a reader who goes on has missed before its place: lines that were deleted, but for those that have outlived their file.
    fn missed(&self, extent: &Extent) -> Option<Gap> {
        let oldest = self.place.segment == extent.oldest.segment && self.place.offset == 0;
        if self.filter.after.is_none() || self.until.is_some() || !oldest {
            return None;
        }
        // The first segment of all has no lines before it; before any other there were some.
        let followed = self.place.segment > 1;
        let counted = self.came.filter(|came| came.by == self.log.counting());
        match (self.reader, counted) {
            (Reader::Drain, _) => followed.then_some(Gap::Some),
            (Reader::Tail, None) => followed.then_some(Gap::Maybe),
            (Reader::Tail, Some(came)) => {
                let gone = extent.oldest.line.saturating_sub(came.lines);
                let lost = gone.saturating_sub(self.earlier.len() as u64);
                (lost > 0).then_some(Gap::Lines(lost))
            }
        }
    }

    fn step(&mut self, extent: &Extent) -> Step {
        if extent.life == Life::Removed {
            return Step::Over;
        }
        if let Some(gap) = self.gap.take()
            && !reader::follows(self.log.dir(), self.place, &extent.end, self.last)
        {
            return self.tell(gap);
        }
        if let Some(batch) = self.take_earlier() {
            return Step::Send(batch);
        }
        if self.until.is_some_and(|until| self.place.reached(&until)) {
            return Step::Over;
        }
        if self.place.segment < extent.oldest.segment {
            return self.skip_lost(extent);
        }
        self.again_to = self.again_to.filter(|to| !self.place.reached(to));
        let end = self.again_to.or(self.until).unwrap_or(extent.end);
        if self.place.reached(&end) {
            // Lines that went with a file are not counted again among those that go later.
            self.place.line = self.place.line.max(end.line);
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

    /// Some of the lines that outlived their file.
    fn take_earlier(&mut self) -> Option<Batch> {
        let mut text = String::new();
        while text.len() < BATCH_BYTES
            && let Some(line) = self.earlier.pop_front()
        {
            if let Some(at) = Line::parse(&line).and_then(|line| line.timestamp()) {
                self.last = at;
                text.push_str(&line);
            }
        }
        (!text.is_empty()).then(|| Batch {
            text: text.into(),
            last: self.last,
            place: self.stand(self.last),
            lost: 0,
        })
    }

    /// The lines at this session's place are deleted already. Its next line is the oldest there is, and it says so.
    fn skip_lost(&mut self, extent: &Extent) -> Step {
        let lost = extent.oldest.line.saturating_sub(self.place.line);
        self.place = extent.oldest;
        if lost == 0 {
            return Step::Moved;
        }
        self.tell(Gap::Lines(lost))
    }

    /// A line that is in no file: for this reader alone, and of this time.
    fn tell(&mut self, gap: Gap) -> Step {
        let words = gap.words(self.reader, self.filter.is_narrow());
        let label = line::label(Source::Heroku, "logplex");
        let since = self.last.to_log();
        // That line is nobody's but this reader's, who has not had one of the log's that may bear the time it is given.
        let place = self.stand(self.last);
        // A microsecond after the last line: before whatever follows what was lost, so that a drain that goes on behind it misses none.
        self.last = self.last.plus(std::time::Duration::from_micros(1));
        let at = self.last.to_log();
        Step::Send(Batch {
            text: format!("{at} {label}{words} {since}.\n").into(),
            last: self.last,
            place,
            lost: gap.lines(),
        })
    }

    /// A file could not be read. If it was deleted since `extent` was current, the newer extent accounts for it; if somebody
    /// else took it away, there is nothing to be had from it, and nobody knows how many lines it had.
    fn skip_missing(&mut self, extent: &Extent) -> Step {
        let newer = *self.extent.borrow();
        if newer.oldest.segment <= self.place.segment {
            // The writer says so just after it has deleted one: then what was in it is counted as lost, and told.
            let first = self.missing.replace(self.place.segment) != Some(self.place.segment);
            if first && self.until.is_none() && extent.life == Life::Open {
                return Step::CaughtUp;
            }
            self.gap = Some(Gap::Some);
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
        let at = |line: &str| Line::parse(line)?.timestamp();
        // A power cut may have damaged the last one.
        let passed = text.lines().rev().find_map(at);
        let place = self.stand(passed.unwrap_or(self.last));
        self.last = at(last?)?;
        Some(Batch {
            text: kept.into(),
            last: self.last,
            place,
            lost: 0,
        })
    }

    /// Notes that it stands here, behind what was said at this time.
    fn stand(&self, at: Timestamp) -> Place {
        let place = self.standing(at);
        self.stands.send_replace(Some(place));
        place
    }

    fn standing(&self, at: Timestamp) -> Place {
        Place {
            at,
            counted: Some(Counted {
                by: self.log.counting(),
                // Those that are still to come are none that it has had, wherever they stood.
                lines: self.place.line.saturating_sub(self.earlier.len() as u64),
            }),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.log.reader_left();
    }
}
