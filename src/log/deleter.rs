//! Deletes files of logs that are full and old, where nobody waits for it.
//!
//! To give a megabyte back to the disk takes milliseconds, in which the lines of a busy app, and visitors whose requests they tell
//! of, would wait. It must not know what the files are.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

/// Files that wait to be deleted. When so many do, the disk is slower than those who write, and they wait for it after all.
const WAITING: usize = 16;
/// Smaller files are deleted in less time than it takes to hand them over, in bytes.
const LARGE: u64 = 256 * 1024;

/// Its thread is there from the first large file on, and ends with it.
#[derive(Default)]
pub(super) struct Deleter(OnceLock<Option<SyncSender<PathBuf>>>);

impl Deleter {
    /// Deletes a file of at most this size, now or soon. A kill before that leaves it there.
    pub(super) fn delete(&self, path: PathBuf, bytes: u64) -> io::Result<()> {
        if bytes < LARGE {
            return delete(path);
        }
        match self.0.get_or_init(start) {
            Some(thread) => match thread.try_send(path) {
                Ok(()) => Ok(()),
                Err(TrySendError::Full(path) | TrySendError::Disconnected(path)) => delete(path),
            },
            None => delete(path),
        }
    }
}

fn start() -> Option<SyncSender<PathBuf>> {
    let (sender, paths) = sync_channel(WAITING);
    let thread = std::thread::Builder::new().name("log-deleter".to_owned());
    let started = thread.spawn(move || {
        for path in paths {
            if let Err(cause) = delete(path) {
                tracing::warn!(%cause, "an old file of a log cannot be deleted");
            }
        }
    });
    started.is_ok().then_some(sender)
}

fn delete(path: PathBuf) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}
