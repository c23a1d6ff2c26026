//! Content-addressed files: sources and slugs, each named by the SHA-256 of its bytes.
//!
//! A blob is there in whole or not at all, through any crash: it is written under a temporary name, flushed, renamed, and its
//! folder flushed, before anyone learns its digest. Two uploads of the same bytes are one file. Who may read a blob, and which
//! are still referred to, its callers know; a [signed URL](signed) says the first.

mod digest;
pub mod signed;
mod stream;
mod sweep;
mod writer;

use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sha2::Digest as _;

use crate::error::{Error, Result};

pub use digest::Digest;
pub use sweep::Held;
pub use writer::Writer;

/// A file that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
}

/// The store of all blobs. Cheap to clone; clones are the same store.
#[derive(Clone, Debug)]
pub struct Blobs {
    root: Arc<Path>,
    /// Held while a blob is renamed into its place or swept away, so that a sweep cannot judge an old file and remove a new one.
    places: Arc<Mutex<()>>,
}

impl Blobs {
    /// Opens the store in `<dir>/blobs`, which is made if it is not there, readable by this user alone. What uploads a crash cut
    /// off is removed, so no two processes may open one directory.
    pub fn open(dir: &Path) -> Result<Blobs> {
        let root = dir.join("blobs");
        let unfinished = root.join("tmp");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&unfinished)?;
        for left in fs::read_dir(&unfinished)? {
            fs::remove_file(left?.path())?;
        }
        // The names in the store itself are flushed with each blob.
        sync_folder(dir)?;
        Ok(Blobs {
            root: root.into(),
            places: Arc::default(),
        })
    }

    /// The store in `<dir>/blobs` that a server may have opened, only to be read from.
    pub fn beside(dir: &Path) -> Blobs {
        Blobs {
            root: dir.join("blobs").into(),
            places: Arc::default(),
        }
    }

    /// A file of at most `max_bytes` to be written. It blocks, as all of this does but [`Blobs::store`] and [`Blobs::read`].
    pub fn writer(&self, max_bytes: u64) -> Result<Writer> {
        Writer::new(self.clone(), max_bytes)
    }

    /// The blob's file, for reading. What it holds is as good as the disk; [`Blobs::open_checked`] does not rely on that.
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        File::open(self.place(digest)).map_err(absent)
    }

    /// The blob's bytes, hashed once more on the way. A reader that has come to their end has read what the digest names; if the
    /// disk has altered them, the end is an error.
    pub fn open_checked(&self, digest: &Digest) -> Result<Checked> {
        Ok(Checked {
            file: self.open_blob(digest)?,
            hash: sha2::Sha256::new(),
            digest: *digest,
        })
    }

    /// Looks whether the blob still holds the bytes that it is named after, and says what it holds if not. Reads all of it.
    pub fn damage(&self, digest: &Digest) -> Result<Option<Mismatch>> {
        let mut file = self.open_blob(digest)?;
        let mut hash = sha2::Sha256::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                length => hash.update(&buffer[..length]),
            }
        }
        let (expected, actual) = (*digest, Digest::from(hash));
        Ok((actual != expected).then_some(Mismatch { expected, actual }))
    }

    /// Whether the blob is there. That is no claim to it: a sweep may take it, unless a row refers to it.
    pub fn contains(&self, digest: &Digest) -> Result<bool> {
        match self.size(digest) {
            Ok(_) => Ok(true),
            Err(error) if error.id == crate::error::ErrorId::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The blob's size, in bytes.
    pub fn size(&self, digest: &Digest) -> Result<u64> {
        Ok(fs::metadata(self.place(digest)).map_err(absent)?.len())
    }

    fn unfinished(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// 256 folders, by the digest's first two digits.
    fn place(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.root.join(&name[..2]).join(&name)
    }
}

/// The disk has altered a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    pub expected: Digest,
    pub actual: Digest,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mismatch { expected, actual } = self;
        write!(f, "the blob {expected} holds the bytes of {actual}")
    }
}

impl std::error::Error for Mismatch {}

/// A blob's bytes, checked against its digest at their end.
pub struct Checked {
    file: File,
    hash: sha2::Sha256,
    digest: Digest,
}

impl Read for Checked {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(into)?;
        self.hash.update(&into[..length]);
        if length == 0 && !into.is_empty() && Digest::from(self.hash.clone()) != self.digest {
            return Err(io::Error::other(Error::internal(format!(
                "the blob {} does not hold the bytes it is named after",
                self.digest
            ))));
        }
        Ok(length)
    }
}

fn absent(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        Error::not_found("blob")
    } else {
        error.into()
    }
}

/// Makes the names in a folder outlive a power cut.
fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)?.sync_all()?;
    Ok(())
}
