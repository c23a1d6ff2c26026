//! What apps and the platform say: taken in line by line, kept on disk, read back and followed.
//!
//! Each app has its own files under one directory, bounded in size, and its own lock; loud apps do not slow quiet ones.
//! Nothing here knows HTTP, SQL, or what an app is beyond its id, and nobody who appends a line can be held up or made to
//! fail by the state of the log: a line that cannot be kept is counted, and a later line tells of it.
//!
//! - `line`: one line, and how a message becomes lines that cannot be mistaken for others
//! - `lines`: raw output of a process into lines
//! - `app`, `state`: one app's log, where lines get their order
//! - `segments`, `opener`, `reader`, `deleter`, `aside`: its files, written, read and given up, and what outlives them
//! - `session`, `filter`, `place`, `sse`, `terminal`: following a log
//! - `platform`, `losses`: the platform's own lines, word for word, and those about lines that were lost
//! - `syslog`, `cursor`: lines on their way to a drain, which is a session that tails, and how far it has come

mod app;
mod aside;
mod cursor;
mod deleter;
mod filter;
mod line;
mod lines;
pub mod losses;
mod opener;
mod place;
pub mod platform;
mod reader;
mod segments;
pub mod session;
pub mod sse;
mod state;
pub mod syslog;
pub mod terminal;

use std::collections::HashSet;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

pub use cursor::{Cursor, Lost};
pub use filter::Filter;
pub use line::{LINE_BYTES, Line, Source};
pub use lines::Lines;
pub use place::{Counted, Place};
pub use session::{Batch, Mark, Session};

use crate::error::Result;
use crate::name::{ById, Id};
use crate::time::{Clock, Timestamp};
use app::{AppLog, Common};
use opener::Opener;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Size of one segment file, in bytes.
    pub segment_bytes: u64,
    /// Segments kept of an app, at least 2. After a rotation all but one of them are full, so `segment_bytes * (segments - 1)`
    /// bytes of history are certain: 1500 lines of 699 bytes by default.
    pub segments: usize,
    /// Segments kept while somebody reads the log: how far a session may fall behind before it loses lines.
    pub tail_segments: usize,
    /// Segment files held open for writing, in all apps together.
    pub open_files: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            segment_bytes: 1 << 20,
            segments: 2,
            tail_segments: 16,
            open_files: 256,
        }
    }
}

/// The logs of all apps. Clones are the same logs.
#[derive(Clone)]
pub struct Logs {
    common: Arc<Common>,
    apps: Arc<RwLock<Apps>>,
}

#[derive(Default)]
struct Apps {
    known: ById<Arc<AppLog>>,
    /// Apps that were removed while this server ran. A dyno that is still being stopped must not bring their files back.
    removed: HashSet<Id>,
}

impl Logs {
    /// Opens the logs under `dir`. No app's files are looked at before they are needed.
    pub fn open(dir: &Path, clock: Clock, limits: Limits) -> Result<Logs> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)?;
        Ok(Logs {
            common: Arc::new(Common {
                note: OnceLock::new(),
                dir: dir.to_owned(),
                clock,
                limits,
                open_files: Arc::new(AtomicUsize::new(0)),
                deleter: Arc::default(),
                opener: Opener::default(),
                counting: Id::new(),
                closed: AtomicBool::new(false),
                stored: AtomicU64::new(0),
                dropped: AtomicU64::new(0),
            }),
            apps: Arc::default(),
        })
    }

    /// Appends a message, one line for each of its lines. `process` is `web.1`, `api`, `router`. It never fails: lines that
    /// cannot be stored are counted, and the next that can is preceded by Heroku's L12 line.
    pub fn append(&self, app: Id, source: Source, process: &str, message: &str) {
        let log = self.app(app);
        let label = line::label(source, process);
        self.write(&log, &label, line::messages(message.as_bytes()), None);
    }

    /// Appends messages that are one line each, with nothing between them; a newline in one is escaped. For text with parts
    /// that somebody else chose, which must not look like a line of their own.
    pub fn append_each(&self, app: Id, source: Source, process: &str, messages: &[&str]) {
        let log = self.app(app);
        let label = line::label(source, process);
        let messages = messages.iter().map(|text| text.as_bytes());
        self.write(&log, &label, messages, None);
    }

    /// The same, for who must not wait for a disk: lines of an app whose log was not looked at since the start are stored in a
    /// moment, and before any that are appended later. A kill in that moment loses them.
    pub fn append_soon(&self, app: Id, source: Source, process: &str, messages: &[&str]) {
        let log = self.app(app);
        log.write_soon(&line::label(source, process), messages);
        self.spare_files();
    }

    /// From here on this is said with the first release of any app. The first one counts.
    pub fn note_with_first_releases(&self, note: String) {
        let _ = self.common.note.set(note);
    }

    pub fn note(&self) -> Option<&str> {
        self.common.note.get().map(String::as_str)
    }

    /// Takes the raw output of a process from here on.
    pub fn lines(&self, app: Id, source: Source, process: &str) -> Lines {
        Lines::new(self.clone(), self.app(app), line::label(source, process))
    }

    /// The last `lines` wanted lines, without their newlines. Reads files: a few milliseconds.
    pub fn read(&self, app: Id, filter: &Filter, lines: usize) -> Result<Vec<String>> {
        let log = self.app(app);
        let extent = *log.watch().borrow();
        let end = extent.end;
        let start = reader::history(log.dir(), &extent.oldest, &end, filter, lines);
        let mut place = start.place;
        let earlier = start.earlier.iter().map(|line| line.trim_end_matches('\n'));
        let mut found: Vec<String> = earlier.map(str::to_owned).collect();
        while !place.reached(&end) {
            let chunk = match reader::chunk(log.dir(), place, &end) {
                Ok(chunk) => chunk,
                // Rotated away or removed meanwhile: what was read is still true.
                Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => break,
                Err(cause) => return Err(cause.into()),
            };
            let wanted = chunk.text.lines().filter(|line| filter.wants_text(line));
            found.extend(wanted.map(str::to_owned));
            place = chunk.next;
        }
        Ok(found)
    }

    /// Reads the last `lines` wanted lines (at most [`session::HISTORY_LINES`]) and then, with `tail`, all that follow.
    pub fn session(&self, app: Id, filter: Filter, lines: usize, tail: bool) -> Session {
        Session::new(self.app(app), filter, lines, tail)
    }

    /// Reads every line that this drain has not delivered yet, and all that follow. One that has never delivered any begins with
    /// those since `created`. Lines that went before they could be read are told of as Heroku's L10.
    pub fn drain(&self, app: Id, drain: Id, created: Timestamp) -> Session {
        let log = self.app(app);
        let delivered = cursor::read(log.dir(), drain).map(|cursor| cursor.last);
        // What was said at that very moment was said after it.
        let created = created.minus(Duration::from_micros(1));
        Session::of_drain(log, delivered.unwrap_or(created))
    }

    /// How far this drain has come, if anywhere.
    pub fn cursor(&self, app: Id, drain: Id) -> Option<Cursor> {
        cursor::read(&self.common.dir.join(app.to_string()), drain)
    }

    /// The drain is done with all lines up to this place. It is kept through a kill.
    pub fn delivered(&self, app: Id, drain: Id, cursor: &Cursor) {
        let dir = self.common.dir.join(app.to_string());
        if let Err(cause) = cursor::write(&dir, drain, cursor) {
            tracing::debug!(%drain, %cause, "how far a drain has come was not kept");
        }
    }

    /// Forgets how far the drains of an app have come that are not among these.
    pub fn keep_drains(&self, app: Id, drains: &[Id]) {
        cursor::keep(&self.common.dir.join(app.to_string()), drains);
    }

    /// Forgets a deleted app: its files are gone, its sessions end, and lines that still come for it go nowhere.
    pub fn remove(&self, app: Id) -> Result<()> {
        let known = {
            let mut apps = self.apps.write().unwrap_or_else(PoisonError::into_inner);
            apps.removed.insert(app);
            apps.known.remove(&app)
        };
        known
            .unwrap_or_else(|| Arc::new(AppLog::new(app, Arc::clone(&self.common))))
            .remove()
    }

    /// The apps that have files here. After a crash there may be some of apps that were deleted.
    pub fn stored(&self) -> Result<Vec<Id>> {
        let mut apps = Vec::new();
        for entry in std::fs::read_dir(&self.common.dir)? {
            apps.extend(entry?.file_name().to_str().and_then(Id::parse));
        }
        apps.sort_unstable();
        Ok(apps)
    }

    /// Lines that were stored since the start, and lines that could not be.
    pub fn counted(&self) -> (u64, u64) {
        let common = &self.common;
        let count = |counted: &AtomicU64| counted.load(Ordering::Relaxed);
        (count(&common.stored), count(&common.dropped))
    }

    /// Tells of dropped lines that nothing has told of yet. Lines themselves are never held back.
    pub fn flush(&self) {
        self.each_known(AppLog::flush);
    }

    /// Ends every session once it has read all there is. Lines that come later are stored, for the next start to show.
    pub fn close(&self) {
        self.common.closed.store(true, Ordering::SeqCst);
        self.each_known(AppLog::close);
    }

    fn write<'a>(
        &self,
        log: &AppLog,
        label: &str,
        messages: impl Iterator<Item = &'a [u8]>,
        said: Option<Timestamp>,
    ) {
        log.write(label, messages, said);
        self.spare_files();
    }

    /// Closing all of them is the simplest fair rule: busy apps open theirs again with their next line, in microseconds.
    fn spare_files(&self) {
        if self.common.open_files.load(Ordering::Relaxed) > self.common.limits.open_files {
            self.each_known(AppLog::close_idle_file);
        }
    }

    fn each_known(&self, act: impl Fn(&AppLog)) {
        let known: Vec<_> = {
            let apps = self.apps.read().unwrap_or_else(PoisonError::into_inner);
            apps.known.values().cloned().collect()
        };
        for log in known {
            act(&log);
        }
    }

    fn app(&self, app: Id) -> Arc<AppLog> {
        {
            let apps = self.apps.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(log) = apps.known.get(&app) {
                return Arc::clone(log);
            }
        }
        let mut apps = self.apps.write().unwrap_or_else(PoisonError::into_inner);
        if apps.removed.contains(&app) {
            return Arc::new(AppLog::removed(app, Arc::clone(&self.common)));
        }
        let new = || Arc::new(AppLog::new(app, Arc::clone(&self.common)));
        Arc::clone(apps.known.entry(app).or_insert_with(new))
    }
}
