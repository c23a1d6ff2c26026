//! Opens logs for those who must not wait for it: a router's thread has other visitors.
//!
//! To open one, all that an earlier server left of it is read: a megabyte or two, sixteen where somebody reads along. It must not know
//! what is said meanwhile.

use std::sync::mpsc::{SendError, Sender, channel};
use std::sync::{Arc, OnceLock};

use super::app::AppLog;

/// Its thread is there from the first log on, and ends with it. One after the other: the disk is the same.
#[derive(Default)]
pub(super) struct Opener {
    thread: OnceLock<Option<Sender<Arc<AppLog>>>>,
}

impl Opener {
    /// Opens this log soon.
    pub(super) fn open(&self, log: &Arc<AppLog>) {
        match self.thread.get_or_init(start) {
            Some(thread) => {
                if let Err(SendError(log)) = thread.send(Arc::clone(log)) {
                    log.open();
                }
            }
            // The system has no thread to give: late is better than never.
            None => log.open(),
        }
    }
}

fn start() -> Option<Sender<Arc<AppLog>>> {
    let (sender, logs) = channel::<Arc<AppLog>>();
    let thread = std::thread::Builder::new().name("log-opener".to_owned());
    let started = thread.spawn(move || {
        for log in logs {
            log.open();
        }
    });
    started.is_ok().then_some(sender)
}
