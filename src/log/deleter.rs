//! Deletes files of logs that are full and old, where nobody waits for it, once what is to outlive them is set aside.
//!
//! To look through a megabyte and to give it back to the disk takes milliseconds, in which the lines of a busy app, and visitors whose
//! requests they tell of, would wait: of a file that one has filled alone, nothing is looked at. It must not know what is set aside.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::mpsc::{SendError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::process::nice;

use super::aside;

/// Files that wait to be deleted. When so many do, the disk is slower than those who write, and they wait for it after all.
const WAITING: usize = 16;
/// Smaller files are deleted in less time than it takes to hand them over, in bytes.
const LARGE: u64 = 256 * 1024;

/// More than the server's, of the thread: it makes way for whoever serves or says something.
const NICENESS: i32 = 10;

/// A file that is full, and old.
pub(super) struct Old {
    pub path: PathBuf,
    /// The label of all its lines, if they are known to have one.
    pub speaker: Option<String>,
}

/// Its thread is there from the first large file on, and ends with it.
#[derive(Default)]
pub(super) struct Deleter {
    thread: OnceLock<Option<SyncSender<Old>>>,
    /// Held by who works on an app's files besides its log.
    hands: Arc<Mutex<()>>,
}

impl Deleter {
    /// Deletes a file of at most this size, now or soon. A kill before that leaves it there.
    pub(super) fn delete(&self, old: Old, bytes: u64) -> io::Result<()> {
        if bytes < LARGE {
            return give_up(&old, &self.hands);
        }
        match self.thread.get_or_init(|| start(self.hands.clone())) {
            // In order, since what is set aside of a file takes the place of what was set aside of older ones.
            Some(thread) => thread
                .send(old)
                .or_else(|SendError(old)| give_up(&old, &self.hands)),
            None => give_up(&old, &self.hands),
        }
    }

    /// Nothing is set aside anywhere for as long as this is held.
    pub(super) fn hold(&self) -> MutexGuard<'_, ()> {
        lock(&self.hands)
    }
}

fn start(hands: Arc<Mutex<()>>) -> Option<SyncSender<Old>> {
    let (sender, files) = sync_channel::<Old>(WAITING);
    let thread = std::thread::Builder::new().name("log-deleter".to_owned());
    let started = thread.spawn(move || {
        // On Linux this is of the thread alone. Without it all works, at some cost to those it is for.
        let _ = nice(NICENESS);
        for old in files {
            if let Err(cause) = give_up(&old, &hands) {
                tracing::warn!(%cause, "an old file of a log cannot be deleted");
            }
        }
    });
    started.is_ok().then_some(sender)
}

fn give_up(old: &Old, hands: &Mutex<()>) -> io::Result<()> {
    let _held = lock(hands);
    match aside::set_aside(&old.path, old.speaker.as_deref()) {
        // Its app is gone.
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
        // A full disk gets its room back all the same.
        Err(cause) => tracing::debug!(%cause, "nothing was set aside of an old file of a log"),
        Ok(()) => {}
    }
    match fs::remove_file(&old.path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

fn lock(hands: &Mutex<()>) -> MutexGuard<'_, ()> {
    hands.lock().unwrap_or_else(PoisonError::into_inner)
}
