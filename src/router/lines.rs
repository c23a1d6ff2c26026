//! The log lines of one thread's requests on their way to the log: those of one turn of the thread's loop go together.
//!
//! To write a line costs about as much however long it is, so a busy thread writes a few dozen at once. One that has nothing else
//! to do writes each line as soon as it is there. Nothing waits for time to pass.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::RequestLog;
use crate::name::Id;

/// So many lines do not wait for the end of the turn.
const MOST: usize = 128;

pub(super) struct Lines {
    pub log: Arc<dyn RequestLog>,
    waiting: Mutex<Vec<(Id, String)>>,
    some: Notify,
}

impl Lines {
    pub(super) fn new(log: Arc<dyn RequestLog>) -> Lines {
        Lines {
            log,
            waiting: Mutex::default(),
            some: Notify::new(),
        }
    }

    /// Takes the line of one request, which is written when [`run`](Lines::run) gets its turn.
    pub(super) fn put(&self, app: Id, line: String) {
        let count = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push((app, line));
            waiting.len()
        };
        match count {
            1 => self.some.notify_one(),
            MOST.. => self.write(),
            _ => {}
        }
    }

    /// Writes what waits, in the order in which it came for each app.
    pub(super) fn write(&self) {
        let mut waiting = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *waiting)
        };
        waiting.sort_by_key(|(app, _)| *app);
        for of_app in waiting.chunk_by(|(one, _), (other, _)| one == other) {
            let lines: Vec<&str> = of_app.iter().map(|(_, line)| line.as_str()).collect();
            if let Some((app, _)) = of_app.first() {
                self.log.requests(*app, &lines);
            }
        }
    }

    /// Writes whatever comes, for as long as the thread runs. Tasks take turns, so what others have to say by then goes along.
    pub(super) async fn run(self: Arc<Lines>) {
        loop {
            self.some.notified().await;
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
