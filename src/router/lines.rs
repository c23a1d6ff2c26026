//! The log lines of one thread's requests on their way to the log: those of one turn of the thread's loop go together.
//!
//! To write a line costs about as much however long it is, so a busy thread writes a few dozen at once. One that has nothing else
//! to do writes each line as soon as it is there. Nothing waits for time to pass.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::yield_now;

use super::RequestLog;
use crate::name::Id;

/// So many lines do not wait for the end of the turn.
const MOST: usize = 128;

/// Bytes of room for lines that a quiet thread keeps.
const ROOM: usize = 64 * 1024;

pub(super) struct Lines {
    pub log: Arc<dyn RequestLog>,
    waiting: Mutex<Waiting>,
    some: Notify,
}

/// Lines one behind the other, since each in a place of its own would cost more than it takes to write it.
#[derive(Default)]
struct Waiting {
    text: String,
    /// Whose each line is, and where.
    of: Vec<(Id, Range<usize>)>,
}

impl Lines {
    pub(super) fn new(log: Arc<dyn RequestLog>) -> Lines {
        Lines {
            log,
            waiting: Mutex::default(),
            some: Notify::new(),
        }
    }

    /// Takes the line of one request, which is written down when [`run`](Lines::run) gets its turn. `say` says it behind what is there,
    /// and must not come back here.
    pub(super) fn put(&self, app: Id, say: impl FnOnce(&mut String)) {
        let count = {
            let mut waiting = self.waiting();
            let begin = waiting.text.len();
            say(&mut waiting.text);
            let line = begin..waiting.text.len();
            waiting.of.push((app, line));
            waiting.of.len()
        };
        match count {
            1 => self.some.notify_one(),
            MOST.. => self.write(),
            _ => {}
        }
    }

    /// Writes what waits, in the order in which it came for each app.
    pub(super) fn write(&self) {
        let mut written = std::mem::take(&mut *self.waiting());
        written.of.sort_by_key(|(app, _)| *app);
        let mut said: Vec<&str> = Vec::with_capacity(written.of.len());
        for of_app in written.of.chunk_by(|(one, _), (other, _)| one == other) {
            let lines = of_app
                .iter()
                .filter_map(|(_, line)| written.text.get(line.clone()));
            said.clear();
            said.extend(lines);
            if let Some((app, _)) = of_app.first() {
                self.log.requests(*app, &said);
            }
        }
        written.text.clear();
        written.of.clear();
        let mut waiting = self.waiting();
        if waiting.of.is_empty() && written.text.capacity() <= ROOM {
            *waiting = written;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes whatever comes, for as long as the thread runs. It lets whoever is in line go first, so what they have to say goes along.
    pub(super) async fn run(self: Arc<Lines>) {
        loop {
            self.some.notified().await;
            yield_now().await;
            self.write();
        }
    }
}

/// With the thread end its last requests, and their lines come when nobody runs any more.
impl Drop for Lines {
    fn drop(&mut self) {
        self.write();
    }
}
