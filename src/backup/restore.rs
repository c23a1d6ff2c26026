//! Making a data directory from a backup: all of it, checked, or nothing.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock, syncfs};
use serde::Serialize;

use super::write::beside;
use super::{BLOBS, KEYS, Key, SEALED, SECRETS, place, read};
use crate::data_dir::{DATABASE, DataDir, unusable};
use crate::error::{Error, ErrorId, Result};
use crate::secret::SEALING_KEY;
use crate::store::backup as database;
use crate::time::Timestamp;

/// A data directory that was made from a backup.
#[derive(Debug, Serialize)]
pub struct Restored {
    pub data_dir: PathBuf,
    pub files: usize,
    /// When the backup was made.
    pub created_at: String,
    /// The version that made it.
    pub penstock: String,
}

/// Makes the data directory `to` from a backup. `key` is needed where the file has none, and is believed before the file's own.
/// 409 where something is at `to` already; nothing is there if it fails.
pub fn restore(file: &Path, to: &Path, key: Option<Key>, now: Timestamp) -> Result<Restored> {
    refuse_to_overwrite(to)?;
    if let Some(parent) = to.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)
            .map_err(|cause| unusable(parent, &cause))?;
    }
    let part = beside(to, ".restoring")?;
    let _alone = begin(&part)?;
    let made = fill(file, &part, key, now).and_then(|backup| {
        // A folder takes the place of an empty one, and of nothing else.
        fs::rename(&part, to).map_err(|_| taken(to))?;
        sync_parent(to)?;
        Ok(Restored {
            data_dir: fs::canonicalize(to)?,
            files: backup.manifest.files.len(),
            created_at: backup.manifest.created_at,
            penstock: backup.manifest.penstock,
        })
    });
    if made.is_err() {
        // Should it fail, the next try begins with it.
        let _ = fs::remove_dir_all(&part);
    }
    made
}

fn fill(file: &Path, part: &Path, key: Option<Key>, now: Timestamp) -> Result<read::Backup> {
    let backup = read::read(file, Some(part))?;
    let key = match (key, &backup.key) {
        (Some(key), _) => key,
        (None, Some(inside)) => Key::parse(inside)?,
        (None, None) => {
            return Err(Error::invalid(
                "The backup was made without its key. Give the sealing_key of the data directory that was backed up, with --key FILE.",
            ));
        }
    };
    backup.verify(&key)?;
    let found = database::inspect(&part.join(DATABASE), &key.sealing, now)?;
    if !found.is_its_key {
        return Err(Error::invalid(
            "This backup is worthless: its key is not the one that its database is sealed with. Nothing was restored from it; try another one.",
        ));
    }
    for named in found.blobs.iter().filter(|named| named.needed) {
        let (folder, digest) = (named.digest.get(..2).unwrap_or_default(), &named.digest);
        if !part.join(BLOBS).join(folder).join(digest).is_file() {
            return Err(Error::invalid(format!(
                "This is no whole backup: the blob {digest}, which its database names, is not in it."
            )));
        }
    }
    keys(part, &key)?;
    syncfs(File::open(part)?)?;
    Ok(backup)
}

/// Opens what was sealed, and puts it where a server looks for it.
fn keys(part: &Path, key: &Key) -> Result<()> {
    let data = DataDir::open(part)?;
    for name in SECRETS {
        let sealed = match fs::read(part.join(KEYS).join(format!("{name}{SEALED}"))) {
            Err(cause) if cause.kind() == ErrorKind::NotFound => continue,
            sealed => sealed?,
        };
        data.write_private(name, &key.sealing.unseal(&place(name), &sealed)?)?;
    }
    data.write_private(SEALING_KEY, &key.hex)?;
    match fs::remove_dir_all(part.join(KEYS)) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(cause.into()),
        _ => Ok(()),
    }
}

/// The folder that is filled, emptied of what an earlier try has left, for one restore at a time.
fn begin(part: &Path) -> Result<File> {
    let make = || DirBuilder::new().recursive(true).mode(0o700).create(part);
    make().map_err(|cause| unusable(part, &cause))?;
    let held = File::open(part)?;
    if flock(&held, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Err(Error::conflict(format!(
            "Another restore is filling {}. Wait until it is done.",
            part.display()
        )));
    }
    for left in fs::read_dir(part)? {
        let left = left?.path();
        match left.is_dir() {
            true => fs::remove_dir_all(&left)?,
            false => fs::remove_file(&left)?,
        }
    }
    Ok(held)
}

fn refuse_to_overwrite(to: &Path) -> Result<()> {
    match fs::read_dir(to).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Err(taken(to)),
        Ok(false) => Ok(()),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
        Err(_) => Err(taken(to)),
    }
}

fn taken(to: &Path) -> Error {
    Error::new(
        ErrorId::Conflict,
        format!(
            "{} is there already, and nothing is overwritten. Move it away, or name another --data-dir.",
            to.display()
        ),
    )
}

fn sync_parent(to: &Path) -> Result<()> {
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(())
}
