//! The log of one app: the single place where its lines get their order, and what readers watch.
//!
//! One mutex orders the writers. Under it a batch is formatted, written to the newest segment and announced. It must not know
//! of other apps, nor of what its readers do with the lines.
//!
//! The write is a plain blocking one, made by whichever task appends. It goes to the page cache (microseconds for 64 KiB);
//! handing it to another thread would cost more than that, reorder lines or need a queue with a bound, and put lines that were
//! accepted where a kill loses them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::watch;

use super::Limits;
use super::deleter::Deleter;
use super::line::{self, Source, Stamps};
use super::segments::{Position, Room, Segments};
use crate::error::Result;
use crate::name::Id;
use crate::time::{Clock, Timestamp};

/// The most that is formatted before it is written, in bytes.
const BATCH_BYTES: usize = 64 * 1024;

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
    extent: watch::Sender<Extent>,
    /// Sessions that read this log. While there are any, more segments are kept for them.
    readers: AtomicUsize,
}

struct State {
    /// None until the log is first needed, and for as long as its directory cannot be read.
    segments: Option<Segments>,
    stamps: Stamps,
    dropped: Dropped,
    removed: bool,
}

/// Lines that could not be written, and that no line has told of yet.
struct Dropped {
    lines: u64,
    since: Timestamp,
}

/// Formatted lines on their way to the disk.
#[derive(Default)]
struct Batch {
    text: Vec<u8>,
    lines: u64,
    /// How many dropped lines the batch's first line tells of; zero if it does not.
    told: u64,
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
            state: Mutex::new(State {
                segments: None,
                stamps: Stamps::after(None),
                dropped: Dropped {
                    lines: 0,
                    since: common.clock.now(),
                },
                removed: false,
            }),
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
        let mut guard = self.state();
        let state = &mut *guard;
        if state.removed {
            return;
        }
        self.open_segments(state);
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
        self.end_readers(Life::Removed);
        let _held = self.common.deleter.hold();
        match std::fs::remove_dir_all(&self.dir) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => Err(cause.into()),
            _ => Ok(()),
        }
    }

    /// What can be read, and word of every change to it.
    pub(super) fn watch(&self) -> watch::Receiver<Extent> {
        let mut state = self.state();
        if !state.removed {
            self.open_segments(&mut state);
        }
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

    fn open_segments(&self, state: &mut State) {
        if state.segments.is_some() {
            return;
        }
        let (open_files, deleter) = (&self.common.open_files, &self.common.deleter);
        match Segments::open(
            self.dir.clone(),
            Arc::clone(open_files),
            Arc::clone(deleter),
        ) {
            Ok((segments, newest)) => {
                state.stamps = Stamps::after(newest);
                self.announce(&segments);
                state.segments = Some(segments);
            }
            Err(cause) => tracing::warn!(app = %self.app, %cause, "the app's log cannot be opened"),
        }
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
                    state.dropped.since = now;
                }
                let lines = batch.lines - u64::from(batch.told > 0);
                self.common.dropped.fetch_add(lines, Ordering::Relaxed);
                state.dropped.lines += lines;
            }
        }
        batch.text.clear();
        batch.lines = 0;
        batch.told = 0;
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

impl State {
    fn begin(&mut self, now: Timestamp) -> Batch {
        let mut batch = Batch::default();
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
    fn push(&mut self, stamps: &mut Stamps, now: Timestamp, label: &str, message: &[u8]) {
        stamps.put(now, &mut self.text);
        self.text.extend_from_slice(label.as_bytes());
        self.text.extend_from_slice(message);
        self.text.push(b'\n');
        self.lines += 1;
    }
}
