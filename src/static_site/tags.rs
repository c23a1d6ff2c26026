//! Entity tags, by content: a slug's files have no times of their own, and every dyno has to give the same one.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

/// Files whose tags are remembered.
const REMEMBERED: usize = 100_000;

#[derive(Default)]
pub struct Tags(Mutex<HashMap<PathBuf, Known>>);

struct Known {
    length: u64,
    modified: Option<SystemTime>,
    tag: String,
}

impl Tags {
    /// The tag of a file, in quotes. Reads all of it the first time, so it blocks.
    pub fn of(&self, path: &Path) -> io::Result<String> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        let (length, modified) = (metadata.len(), metadata.modified().ok());
        let known = |known: &&Known| known.length == length && known.modified == modified;
        if let Some(known) = self.known().get(path).filter(known) {
            return Ok(known.tag.clone());
        }
        let mut digest = Sha256::new();
        let mut buffer = vec![0; 128 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => digest.update(&buffer[..read]),
            }
        }
        let tag = format!("\"{}\"", hex::encode(&digest.finalize()[..16]));
        let mut all = self.known();
        if all.len() < REMEMBERED {
            let known = Known {
                length,
                modified,
                tag: tag.clone(),
            };
            all.insert(path.to_owned(), known);
        }
        Ok(tag)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
