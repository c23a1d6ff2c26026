//! Backups: one file that has all that a server is made anew from, made while it serves.
//!
//! # The file
//!
//! A tar archive, readable with `tar`, of regular files and of git's folders, in this order:
//!
//! | entry | what it is |
//! | --- | --- |
//! | `format` | `penstock backup 1` and a line break: what it is, and in which version of this format |
//! | `penstock.db` | the database, as it was at one moment. Secrets in it are sealed |
//! | `ca.pem` | the certificate of the server's authority |
//! | `keys/sealing_key` | the key that opens what is sealed, as hex; it is left out if so asked |
//! | `keys/NAME.sealed` | the other secrets of the data directory, sealed with that key |
//! | `blobs/XX/DIGEST` | each blob that the database names |
//! | `outputs/ID`, `git/ID.git/..`, `buildpacks/..` | outputs of builds and releases, repositories, the buildpacks that are kept |
//! | `manifest.json` | what is in it: each file's path, size and SHA-256 |
//! | `manifest.hmac` | the HMAC-SHA256 of the manifest under the key, as hex |
//!
//! A file that was cut off has no manifest; one that was altered has other digests; one whose manifest was altered has another
//! HMAC, so that who keeps the key apart knows that the backup is her own. Logs and the caches of builds are left out.
//!
//! # The moment
//!
//! The database is copied first, in one snapshot, and then what it names. Blobs never change, and none is removed while a backup
//! holds the sweep, so each that the copy names is there when its turn comes. A repository's refs are read before its objects.

mod folders;
mod read;
mod restore;
mod write;

use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::secret::{SealingKey, SigningKey};
use crate::time::Timestamp;

pub use restore::{Restored, restore};
pub use write::{Made, make};

/// The version of the format that is written, and the newest that is read.
pub const FORMAT: u32 = 1;

const FORMAT_ENTRY: &str = "format";
const CERTIFICATE: &str = "ca.pem";
const KEYS: &str = "keys";
const SEALED: &str = ".sealed";
const MANIFEST: &str = "manifest.json";
const SIGNATURE: &str = "manifest.hmac";
/// Folders of the data directory of which all that is in them is kept.
const WHOLE: [&str; 2] = ["outputs", "buildpacks"];
const BLOBS: &str = "blobs";
const GIT: &str = "git";
/// The secrets of a data directory, besides the key that seals them. Some servers have no ACME account.
const SECRETS: [&str; 4] = ["api_key", "signing_key", "ca_key.pem", "acme_account.json"];

/// What is in a backup.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    /// The version that made it.
    penstock: String,
    /// Of the database.
    database: i64,
    created_at: String,
    has_key: bool,
    files: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    path: String,
    /// In bytes.
    size: u64,
    sha256: String,
}

/// The key that opens the secrets of a server. Whoever has it and a backup has everything.
pub struct Key {
    hex: String,
    sealing: SealingKey,
    signing: SigningKey,
}

impl Key {
    /// From the text of a `sealing_key`. 422 for anything else.
    pub fn parse(text: &str) -> Result<Key> {
        let hex = text.trim().to_owned();
        let mut key = [0; 32];
        hex::decode_to_slice(&hex, &mut key).map_err(|_| {
            Error::invalid("The key is 64 hex digits: the file sealing_key of the data directory that was backed up.")
        })?;
        Ok(Key {
            sealing: SealingKey::new(key)?,
            signing: SigningKey::new(key),
            hex,
        })
    }

    fn sign(&self, manifest: &str) -> String {
        self.signing.sign(&["penstock backup", manifest])
    }

    fn signed(&self, manifest: &str, signature: &str) -> bool {
        let parts = ["penstock backup", manifest];
        self.signing.verify(&parts, signature)
    }
}

/// Bytes on their way, hashed and counted.
struct Hashed<R> {
    inner: R,
    hash: Sha256,
    size: u64,
}

impl<R> Hashed<R> {
    fn new(inner: R) -> Hashed<R> {
        Hashed {
            inner,
            hash: Sha256::new(),
            size: 0,
        }
    }

    fn entry(self, path: &str) -> Entry {
        Entry {
            path: path.to_owned(),
            size: self.size,
            sha256: hex::encode(self.hash.finalize()),
        }
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(into)?;
        self.hash.update(&into[..length]);
        self.size += length as u64;
        Ok(length)
    }
}

/// Is told how many bytes are done, now and then.
pub type Progress<'a> = &'a mut dyn FnMut(u64);

fn place(name: &str) -> String {
    format!("backup {name}")
}

fn now_text(now: Timestamp) -> String {
    now.to_seconds()
}
