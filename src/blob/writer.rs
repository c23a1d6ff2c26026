//! Writing a blob: hashed on the way into a temporary file, and given its name only when it is safe on the disk.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::SystemTime;

use sha2::Digest as _;

use super::{Blob, Blobs, Digest, sync_folder};
use crate::error::{Error, ErrorId, Result};

/// A file on its way to be a blob. Dropped before [`Writer::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct Writer {
    blobs: Blobs,
    file: File,
    path: PathBuf,
    hash: sha2::Sha256,
    size: u64,
    max_bytes: u64,
    finished: bool,
}

impl Writer {
    pub(super) fn new(blobs: Blobs, max_bytes: u64) -> Result<Writer> {
        let name = hex::encode(crate::secret::random::<16>()?);
        let path = blobs.unfinished().join(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Writer {
            blobs,
            file,
            path,
            hash: sha2::Sha256::new(),
            size: 0,
            max_bytes,
            finished: false,
        })
    }

    /// Bytes written so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Makes the file a blob. When this returns, no power cut can take it away.
    ///
    /// It is renamed even over a blob of the same bytes, which gives that a fresh time, and its caller the sweep's grace to refer
    /// to it.
    pub fn finish(mut self) -> Result<Blob> {
        let digest = Digest::from(self.hash.clone());
        self.file.set_modified(SystemTime::now())?;
        self.file.sync_all()?;
        let place = self.blobs.place(&digest);
        let folder = place.parent().unwrap_or(&self.blobs.root);
        match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
        {
            let _places = self
                .blobs
                .places
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            fs::rename(&self.path, &place)?;
        }
        self.finished = true;
        sync_folder(folder)?;
        // Another writer may have made the folder and not flushed its name yet, so that is done whoever made it.
        sync_folder(&self.blobs.root)?;
        Ok(Blob {
            digest,
            size: self.size,
        })
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.max_bytes - self.size {
            return Err(io::Error::other(Error::new(
                ErrorId::RequestTooLarge,
                format!(
                    "The file is larger than {} bytes. Leave out what the build can make, such as node_modules.",
                    self.max_bytes
                ),
            )));
        }
        let length = self.file.write(bytes)?;
        self.hash.update(&bytes[..length]);
        self.size += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished {
            // Should it fail, the next start or sweep removes the file.
            let _ = fs::remove_file(&self.path);
        }
    }
}
