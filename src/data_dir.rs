//! The one directory in which everything is kept, who holds it, and the secrets in it that must outlive a restart.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};

use crate::error::{Error, ErrorId, Result};
use crate::secret::{self, SEALING_KEY, SealingKey, SigningKey};

/// The state.
pub const DATABASE: &str = "penstock.db";

/// The data directory. While a server holds its lock, no other server can.
#[derive(Clone)]
pub struct DataDir {
    root: PathBuf,
}

/// Held for as long as a server runs. The kernel lets go of it when the process ends, however it ends.
pub struct Lock {
    _file: File,
}

impl DataDir {
    /// Makes the directory if it is not there, for this user alone.
    pub fn open(root: &Path) -> Result<DataDir> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root)
            .map_err(|cause| unusable(root, &cause))?;
        let root = fs::canonicalize(root).map_err(|cause| unusable(root, &cause))?;
        Ok(DataDir { root })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Takes the directory for this process. 409 when a server has it already, saying which.
    pub fn lock(&self) -> Result<Lock> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.path("lock"))
            .map_err(|cause| unusable(&self.root, &cause))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            file.take(32).read_to_string(&mut holder)?;
            return Err(Error::new(
                ErrorId::Conflict,
                format!(
                    "The data directory {} is in use by process {}. Stop that server, or start this one with another --data-dir.",
                    self.root.display(),
                    holder.trim()
                ),
            ));
        }
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())?;
        Ok(Lock { _file: file })
    }

    /// The key that signs our URLs, made at the first start.
    pub fn signing_key(&self) -> Result<SigningKey> {
        Ok(SigningKey::new(self.key("signing_key")?))
    }

    /// The key that seals the secrets in the database, made at the first start. Without it they are lost, so whoever copies
    /// the database to another machine copies this too, and whoever has the database alone has no secrets. 409 where there is a
    /// database and no key: one made now would open nothing of it.
    pub fn sealing_key(&self) -> Result<SealingKey> {
        let lost = || secret::no_key(&self.path(SEALING_KEY));
        if self.read_private(SEALING_KEY)?.is_none() && self.has_database() {
            return Err(lost());
        }
        SealingKey::new(self.key(SEALING_KEY).map_err(|error| match error.id {
            ErrorId::InvalidParams => lost(),
            _ => error,
        })?)
    }

    /// Whether a server has been started here. SQLite makes a file before it writes to it, and the key is there sooner.
    pub fn has_database(&self) -> bool {
        fs::metadata(self.path(DATABASE)).is_ok_and(|file| file.len() > 0)
    }

    fn key(&self, name: &str) -> Result<[u8; 32]> {
        let hex = self.secret_file(name, || Ok(hex::encode(secret::random::<32>()?)))?;
        let mut key = [0; 32];
        hex::decode_to_slice(&hex, &mut key).map_err(|_| {
            Error::invalid(format!(
                "{} does not hold 64 hex digits: put the kept copy back.",
                self.path(name).display()
            ))
        })?;
        Ok(key)
    }

    /// The owner's API token, made at the first start and the same ever after.
    pub fn api_key(&self) -> Result<String> {
        self.secret_file("api_key", secret::token)
    }

    /// Another one in its place, for when the one that is there has been revoked.
    pub fn renew_api_key(&self) -> Result<String> {
        let token = secret::token()?;
        self.write_private("api_key", &token)?;
        Ok(token)
    }

    /// A secret of one line, made at the first start. It is on disk before it is used.
    fn secret_file(&self, name: &str, make: impl FnOnce() -> Result<String>) -> Result<String> {
        if let Some(secret) = self.read_private(name)? {
            return Ok(secret);
        }
        let secret = make()?;
        self.write_private(name, &secret)?;
        Ok(secret)
    }

    /// The text of a file here; `None` when there is none, or nothing in it.
    pub fn read_private(&self, name: &str) -> Result<Option<String>> {
        let path = self.path(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(unusable(&path, &cause)),
        }
    }

    /// Writes a file that only this user can read: whole and on disk, or not at all.
    pub fn write_private(&self, name: &str, text: &str) -> Result<()> {
        let (file, part) = self.part(name, text)?;
        file.sync_all()?;
        fs::rename(part, self.path(name))?;
        File::open(&self.root)?.sync_all()?;
        Ok(())
    }

    /// The same, for what each start writes anew: a power cut may take it, and waiting for the disk would only delay the start.
    pub fn write_passing(&self, name: &str, text: &str) -> Result<()> {
        let (_, part) = self.part(name, text)?;
        // File systems write a file out at once that takes another's name, but not one that changes names with it.
        match renameat_with(CWD, &part, CWD, self.path(name), RenameFlags::EXCHANGE) {
            // What it was before is in nobody's way.
            Ok(()) => drop(fs::remove_file(part)),
            Err(_) => fs::rename(part, self.path(name))?,
        }
        Ok(())
    }

    /// The file under a name that nobody reads.
    fn part(&self, name: &str, text: &str) -> Result<(File, PathBuf)> {
        let path = self.path(&format!("{name}.part"));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        writeln!(file, "{text}")?;
        Ok((file, path))
    }
}

/// What whoever named a folder is told that is of no use.
pub fn unusable(path: &Path, cause: &std::io::Error) -> Error {
    Error::new(
        ErrorId::Conflict,
        format!(
            "{} cannot be used: {cause}. Give a directory that this user can write to, with --data-dir.",
            path.display()
        ),
    )
}
