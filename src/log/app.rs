//! The log of one app: the single place where its lines get their order, and what readers watch.
//!
//! One mutex orders the writers. Under it a batch is formatted, written to the newest segment and announced. It must not know
//! of other apps, nor of what its readers do with the lines.
//!
//! The write is a plain blocking one, made by whichever task appends. It goes to the page cache (microseconds for 64 KiB);
//! handing it to another thread would cost more than that, reorder lines or need a queue with a bound, and put lines that were
//! accepted where a kill loses them.
//!
//! The first line of an app costs more: all that an earlier server left has to be read, which takes milliseconds. That is done
//! without the mutex, and who must not wait for it ([`AppLog::write_soon`]) leaves its lines to be written by whoever does it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::watch;

use super::Limits;
use super::deleter::Deleter;
use super::line::{self, Stamps};
use super::opener::Opener;
use super::segments::{Position, Room, Segments};
use super::state::{Batch, State, Waiting};
use crate::error::Result;
use crate::name::Id;
use crate::time::{Clock, Timestamp};

/// The most that is formatted before it is written, in bytes.
const BATCH_BYTES: usize = 64 * 1024;

/// Messages of an app that may wait for its log to be opened. Only a disk that does not answer makes so many wait.
const WAITING: usize = 10_000;

/// What the logs of all apps share.
pub(super) struct Common {
    /// Said with each release.
    pub note: OnceLock<String>,
    pub dir: PathBuf,
    pub clock: Clock,
    pub limits: Limits,
    /// Segment files that are open for writing now.
    pub open_files: Arc<AtomicUsize>,
    pub deleter: Arc<Deleter>,
    pub opener: Opener,
    /// Under which lines are counted, from this start of the server on.
    pub counting: Id,
    pub closed: AtomicBool,
    /// Lines that were stored, and that could not be.
    pub stored: AtomicU64,
    pub dropped: AtomicU64,
}

/// What readers of a log may read, and whether more can come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub oldest: Position,
    pub end: Position,
    pub life: Life,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Open,
    /// The server stops: readers get what there is, and end.
    Closed,
    /// The app is gone: readers end now.
    Removed,
}

pub(super) struct AppLog {
    app: Id,
    dir: PathBuf,
    common: Arc<Common>,
    state: Mutex<State>,
    /// Held by who reads what an earlier server left. Whoever takes both takes this one first.
    opening: Mutex<()>,
    extent: watch::Sender<Extent>,
    /// Sessions that read this log. While there are any, more segments are kept for them.
    readers: AtomicUsize,
}

impl AppLog {
    pub(super) fn new(app: Id, common: Arc<Common>) -> AppLog {
        let life = match common.closed.load(Ordering::SeqCst) {
            true => Life::Closed,
            false => Life::Open,
        };
        AppLog {
            app,
            dir: common.dir.join(app.to_string()),
            state: Mutex::new(State::new(common.clock.now())),
            opening: Mutex::default(),
            extent: watch::Sender::new(Extent {
                oldest: Position::default(),
                end: Position::default(),
                life,
            }),
            readers: AtomicUsize::new(0),
            common,
        }
    }

    /// The log of an app that is gone. It takes no lines and has none.
    pub(super) fn removed(app: Id, common: Arc<Common>) -> AppLog {
        let log = AppLog::new(app, common);
        log.state().removed = true;
        log.end_readers(Life::Removed);
        log
    }

    /// Appends messages, each without a newline, and cuts those that are too long. What cannot be written is counted. They are
    /// of now, unless they were said at some earlier time.
    pub(super) fn write<'a>(
        &self,
        label: &str,
        messages: impl Iterator<Item = &'a [u8]>,
        said: Option<Timestamp>,
    ) {
        let mut state = self.opened();
        if !state.removed {
            self.put(&mut state, label, messages, said);
        }
    }

    /// The same, without ever reading a file: until the log is open, the messages wait, and what others append comes after them.
    pub(super) fn write_soon(self: &Arc<AppLog>, label: &str, messages: &[&str]) {
        let mut guard = self.state();
        let state = &mut *guard;
        if state.removed {
            return;
        }
        if state.segments.is_some() {
            let messages = messages.iter().map(|text| text.as_bytes());
            return self.put(state, label, messages, None);
        }
        let now = self.common.clock.now();
        let waiting = state.waiting.iter().map(|some| some.messages.len());
        if waiting.sum::<usize>() >= WAITING {
            return self.drop_lines(state, messages.len() as u64, now);
        }
        state.waiting.push(Waiting {
            label: label.to_owned(),
            messages: messages.iter().map(|text| (*text).to_owned()).collect(),
            said: now,
        });
        let is_first = state.waiting.len() == 1;
        drop(guard);
        if is_first {
            self.common.opener.open(self);
        }
    }

    /// Opens the log, if it is not, and writes what waits for that.
    pub(super) fn open(&self) {
        drop(self.opened());
    }

    /// Formats messages and writes them.
    fn put<'a>(
        &self,
        state: &mut State,
        label: &str,
        messages: impl Iterator<Item = &'a [u8]>,
        said: Option<Timestamp>,
    ) {
        let now = self.common.clock.now();
        let said = said.map_or(now, |said| said.min(now));
        let full =
            BATCH_BYTES.min(usize::try_from(self.room().segment_bytes).unwrap_or(BATCH_BYTES));
        let mut batch = state.begin(now);
        for piece in messages.flat_map(line::pieces) {
            // Escaping makes a message longer, so what it made is cut once more.
            for text in line::pieces(line::printable(piece).as_bytes()) {
                batch.push(&mut state.stamps, said, label, text);
                if batch.text.len() >= full {
                    self.commit(state, &mut batch, label, now);
                }
            }
        }
        self.commit(state, &mut batch, label, now);
    }

    /// Tells of dropped lines that no later line came to tell of.
    pub(super) fn flush(&self) {
        self.write("", std::iter::empty(), None);
    }

    /// Gives the file descriptor back, unless somebody is writing just now.
    pub(super) fn close_idle_file(&self) {
        if let Ok(mut state) = self.state.try_lock()
            && let Some(segments) = &mut state.segments
        {
            segments.close_file();
        }
    }

    /// Lets readers end once they have read everything. Later lines are still stored.
    pub(super) fn close(&self) {
        self.flush();
        self.end_readers(Life::Closed);
        self.close_idle_file();
    }

    /// Deletes everything, ends readers at once and takes no more lines.
    pub(super) fn remove(&self) -> Result<()> {
        let mut state = self.state();
        state.removed = true;
        state.segments = None;
        state.waiting = Vec::new();
        self.end_readers(Life::Removed);
        let _held = self.common.deleter.hold();
        match std::fs::remove_dir_all(&self.dir) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => Err(cause.into()),
            _ => Ok(()),
        }
    }

    /// What can be read, and word of every change to it.
    pub(super) fn watch(&self) -> watch::Receiver<Extent> {
        let _state = self.opened();
        self.extent.subscribe()
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn now(&self) -> Timestamp {
        self.common.clock.now()
    }

    pub(super) fn counting(&self) -> Id {
        self.common.counting
    }

    pub(super) fn reader_came(&self) {
        self.readers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn reader_left(&self) {
        self.readers.fetch_sub(1, Ordering::Relaxed);
    }

    /// The state, with the log open unless that is impossible. What waited for it comes before whatever the caller has to say.
    fn opened(&self) -> MutexGuard<'_, State> {
        let state = self.state();
        if state.is_settled() {
            return state;
        }
        drop(state);
        // Whoever must not wait for a disk can have the state meanwhile.
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state();
        if state.is_settled() {
            return state;
        }
        drop(state);
        let (open_files, deleter) = (&self.common.open_files, &self.common.deleter);
        let opened = Segments::open(
            self.dir.clone(),
            Arc::clone(open_files),
            Arc::clone(deleter),
        );
        let mut state = self.state();
        if state.removed {
            return state;
        }
        match opened {
            Ok((segments, newest)) => {
                state.stamps = Stamps::after(newest);
                self.announce(&segments);
                state.segments = Some(segments);
            }
            Err(cause) => tracing::warn!(app = %self.app, %cause, "the app's log cannot be opened"),
        }
        for waiting in std::mem::take(&mut state.waiting) {
            let messages = waiting.messages.iter().map(|text| text.as_bytes());
            self.put(&mut state, &waiting.label, messages, Some(waiting.said));
        }
        state
    }

    fn commit(&self, state: &mut State, batch: &mut Batch, label: &str, now: Timestamp) {
        if batch.lines == 0 {
            return;
        }
        let speaker = Some(label).filter(|_| batch.told == 0);
        let stored = match &mut state.segments {
            Some(segments) => segments
                .write(&batch.text, batch.lines, speaker, &self.room())
                .inspect(|()| self.announce(segments)),
            None => Err(std::io::ErrorKind::NotConnected.into()),
        };
        match stored {
            Ok(()) => {
                state.dropped.lines -= batch.told;
                self.common.stored.fetch_add(batch.lines, Ordering::Relaxed);
            }
            Err(cause) => {
                if state.dropped.lines == 0 {
                    tracing::warn!(app = %self.app, %cause, "log lines are being dropped");
                }
                let lines = batch.lines - u64::from(batch.told > 0);
                self.drop_lines(state, lines, now);
            }
        }
        batch.text.clear();
        batch.lines = 0;
        batch.told = 0;
    }

    fn drop_lines(&self, state: &mut State, lines: u64, now: Timestamp) {
        if state.dropped.lines == 0 {
            state.dropped.since = now;
        }
        self.common.dropped.fetch_add(lines, Ordering::Relaxed);
        state.dropped.lines += lines;
    }

    fn announce(&self, segments: &Segments) {
        self.extent.send_modify(|extent| {
            extent.oldest = segments.oldest();
            extent.end = segments.end();
        });
    }

    fn end_readers(&self, life: Life) {
        self.extent.send_modify(|extent| extent.life = life);
    }

    fn room(&self) -> Room {
        let limits = &self.common.limits;
        Room {
            segment_bytes: limits.segment_bytes,
            segments: match self.readers.load(Ordering::Relaxed) {
                0 => limits.segments,
                _ => limits.segments.max(limits.tail_segments),
            },
        }
    }

    /// A panic in another thread leaves the state whole, since nothing here panics halfway; so poison means nothing.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
