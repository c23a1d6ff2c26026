//! Removing blobs that nothing refers to any more.
//!
//! What is referred to is the caller's to say. A blob is written before the row that refers to it, so only those older than a
//! grace are judged at all.

use std::fs::{self, DirEntry, File};
use std::io;
use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::{Blobs, Digest};
use crate::error::Result;

/// While it is there, no process sweeps, or none but this one. The kernel lets go of it when the process ends, however it ends.
pub struct Held {
    _folder: File,
}

impl Blobs {
    /// Keeps every process from sweeping, such as the server beside which a backup is made. Waits for a sweep that is under way.
    pub fn hold(&self) -> Result<Held> {
        let folder = File::open(&self.root)?;
        flock(&folder, FlockOperation::LockShared)?;
        Ok(Held { _folder: folder })
    }

    /// The right to sweep: `None` while anybody holds it up.
    pub fn alone(&self) -> Result<Option<Held>> {
        let folder = File::open(&self.root)?;
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Held { _folder: folder })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes the blobs that `keep` refuses and the unfinished files, where they are older than `older_than`, and says how many.
    ///
    /// Ages are counted by the machine's clock, as the files' times are. The grace must be longer than any caller takes from
    /// [`Writer::finish`](super::Writer::finish) to its committed row, and longer than an upload may stall. What `keep` says must
    /// be read from the rows at that moment, and not from a list made before.
    pub fn sweep(&self, keep: &dyn Fn(&Digest) -> bool, older_than: Duration) -> Result<u64> {
        let mut removed = 0;
        for folder in entries(&self.root)? {
            for file in entries(&folder.path())? {
                let name = file.file_name();
                let unfinished = folder.file_name() == "tmp";
                let digest = name.to_str().and_then(Digest::parse);
                let unwanted = match digest {
                    _ if unfinished => true,
                    Some(digest) => !keep(&digest),
                    // Not ours, and so not ours to remove.
                    None => false,
                };
                if unwanted && self.remove_aged(&file.path(), older_than)? {
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// Removes a file if it is old enough at this moment: an upload of the same bytes may have just replaced it.
    fn remove_aged(&self, path: &Path, older_than: Duration) -> Result<bool> {
        let _places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let removed = fs::metadata(path).and_then(|metadata| {
            let age = SystemTime::now().duration_since(metadata.modified()?);
            // A time in the future has no age yet.
            if age.is_ok_and(|age| age >= older_than) {
                fs::remove_file(path).map(|()| true)
            } else {
                Ok(false)
            }
        });
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            removed => Ok(removed?),
        }
    }
}

/// The entries of a folder; none if it is not one.
fn entries(folder: &Path) -> Result<Vec<DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.collect::<io::Result<_>>()?),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(error.into()),
    }
}
