//! Deletes files of logs that are full and old, where nobody waits for it, once what is to outlive them is set aside.
//!
//! To look through a megabyte and to give it back to the disk takes milliseconds, in which the lines of a busy app, and visitors whose
//! requests they tell of, would wait. It must not know what is set aside.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::aside;

/// Files that wait to be deleted. When so many do, the disk is slower than those who write, and they wait for it after all.
const WAITING: usize = 16;
/// Smaller files are deleted in less time than it takes to hand them over, in bytes.
const LARGE: u64 = 256 * 1024;

/// Its thread is there from the first large file on, and ends with it.
#[derive(Default)]
pub(super) struct Deleter {
    thread: OnceLock<Option<SyncSender<PathBuf>>>,
    /// Held by who works on an app's files besides its log.
    hands: Arc<Mutex<()>>,
}

impl Deleter {
    /// Deletes a file of at most this size, now or soon. A kill before that leaves it there.
    pub(super) fn delete(&self, path: PathBuf, bytes: u64) -> io::Result<()> {
        if bytes < LARGE {
            return give_up(&path, &self.hands);
        }
        match self.thread.get_or_init(|| start(self.hands.clone())) {
            Some(thread) => match thread.try_send(path) {
                Ok(()) => Ok(()),
                Err(TrySendError::Full(path) | TrySendError::Disconnected(path)) => {
                    give_up(&path, &self.hands)
                }
            },
            None => give_up(&path, &self.hands),
        }
    }

    /// Nothing is set aside anywhere for as long as this is held.
    pub(super) fn hold(&self) -> MutexGuard<'_, ()> {
        lock(&self.hands)
    }
}

fn start(hands: Arc<Mutex<()>>) -> Option<SyncSender<PathBuf>> {
    let (sender, paths) = sync_channel::<PathBuf>(WAITING);
    let thread = std::thread::Builder::new().name("log-deleter".to_owned());
    let started = thread.spawn(move || {
        for path in paths {
            if let Err(cause) = give_up(&path, &hands) {
                tracing::warn!(%cause, "an old file of a log cannot be deleted");
            }
        }
    });
    started.is_ok().then_some(sender)
}

fn give_up(path: &Path, hands: &Mutex<()>) -> io::Result<()> {
    let _held = lock(hands);
    match aside::set_aside(path) {
        // Its app is gone.
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
        // A full disk gets its room back all the same.
        Err(cause) => tracing::debug!(%cause, "nothing was set aside of an old file of a log"),
        Ok(()) => {}
    }
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

fn lock(hands: &Mutex<()>) -> MutexGuard<'_, ()> {
    hands.lock().unwrap_or_else(PoisonError::into_inner)
}
