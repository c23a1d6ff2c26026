//! Making a backup beside a running server, whose writers wait for nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::process::geteuid;
use serde::Serialize;

use super::folders::{self, Found};
use super::{
    BLOBS, CERTIFICATE, Entry, FORMAT, FORMAT_ENTRY, GIT, Hashed, KEYS, Key, MANIFEST, Manifest,
    Progress, SEALED, SECRETS, SIGNATURE, WHOLE, now_text, place, read,
};
use crate::blob::{Blobs, Digest};
use crate::data_dir::{DATABASE, DataDir};
use crate::error::{Error, ErrorId, Result};
use crate::secret::{self, SEALING_KEY};
use crate::store::backup as database;
use crate::store::backup::NamedBlob;
use crate::time::Timestamp;

/// A backup that was made.
#[derive(Debug, Serialize)]
pub struct Made {
    pub file: PathBuf,
    /// In bytes.
    pub size: u64,
    pub files: usize,
    pub has_key: bool,
    pub created_at: String,
}

/// Makes a backup of a data directory, whether or not a server runs on it, reads it all once more, and gives it its name. What was
/// there under that name before is there until then. 404 where no server has ever run.
pub fn make(
    data: &DataDir,
    file: &Path,
    with_key: bool,
    now: Timestamp,
    progress: Progress<'_>,
) -> Result<Made> {
    if file.is_dir() {
        return Err(Error::conflict(format!(
            "{} is a folder. Name a file in it, such as {}.",
            file.display(),
            file.join("penstock.tar").display()
        )));
    }
    let key = key(data)?;
    let part = beside(file, ".part")?;
    let copy = beside(file, ".db.part")?;
    let begun = begin(&part)?;
    let written = Written {
        data,
        archive: tar::Builder::new(BufWriter::with_capacity(1 << 20, &begun)),
        files: Vec::new(),
        done: 0,
        progress,
    };
    let made = written
        .all(&key, with_key, &copy, now)
        .and_then(|manifest| {
            begun.sync_all()?;
            let seen = read::check(&part, Some(&key))?;
            fs::rename(&part, file)?;
            sync_folder(file)?;
            Ok(Made {
                file: file.to_owned(),
                size: begun.metadata()?.len(),
                files: seen,
                has_key: with_key,
                created_at: manifest.created_at,
            })
        });
    remove(&copy);
    if made.is_err() {
        remove(&part);
    }
    made
}

struct Written<'a, 'f> {
    data: &'a DataDir,
    archive: tar::Builder<BufWriter<&'f File>>,
    files: Vec<Entry>,
    done: u64,
    progress: Progress<'a>,
}

impl Written<'_, '_> {
    fn all(mut self, key: &Key, with_key: bool, copy: &Path, now: Timestamp) -> Result<Manifest> {
        let blobs = Blobs::beside(self.data.root());
        // From here on no blob goes, and no repository is packed anew.
        let _held = blobs.hold()?;
        self.text(FORMAT_ENTRY, &format!("penstock backup {FORMAT}\n"))?;
        remove(copy);
        database::copy(&self.data.path(DATABASE), copy)?;
        let found = database::inspect(copy, &key.sealing, now)?;
        if !found.is_its_key {
            return Err(secret::no_key(&self.data.path(SEALING_KEY)));
        }
        self.file(DATABASE, File::open(copy)?)?;
        remove(copy);
        self.keys(key, with_key)?;
        for named in &found.blobs {
            self.blob(&blobs, named)?;
        }
        for folder in WHOLE {
            self.folder(folders::below(self.data.root(), folder)?)?;
        }
        self.folder(folders::repositories(self.data.root(), GIT)?)?;
        let manifest = Manifest {
            format: FORMAT,
            penstock: env!("CARGO_PKG_VERSION").to_owned(),
            database: found.version,
            created_at: now_text(now),
            has_key: with_key,
            files: std::mem::take(&mut self.files),
        };
        let json = serde_json::to_string_pretty(&manifest).map_err(Error::internal)?;
        self.text(MANIFEST, &json)?;
        self.text(SIGNATURE, &key.sign(&json))?;
        self.archive.into_inner()?.flush()?;
        Ok(manifest)
    }

    fn keys(&mut self, key: &Key, with_key: bool) -> Result<()> {
        if let Some(certificate) = self.data.read_private(CERTIFICATE)? {
            self.text(CERTIFICATE, &format!("{certificate}\n"))?;
        }
        if with_key {
            self.text(&format!("{KEYS}/{SEALING_KEY}"), &format!("{}\n", key.hex))?;
        }
        for name in SECRETS {
            if let Some(secret) = self.data.read_private(name)? {
                let sealed = key.sealing.seal(&place(name), &secret)?;
                self.bytes(&format!("{KEYS}/{name}{SEALED}"), &sealed)?;
            }
        }
        Ok(())
    }

    fn blob(&mut self, blobs: &Blobs, named: &NamedBlob) -> Result<()> {
        let damaged = || {
            Error::conflict(format!(
                "The blob {} in {} is missing or damaged, so a backup would be, too. Restore that file from an earlier backup, \
                 or destroy the app or the release that needs it.",
                named.digest,
                self.data.path(BLOBS).display()
            ))
        };
        let digest = Digest::parse(&named.digest).ok_or_else(damaged)?;
        let file = match blobs.open_blob(&digest) {
            Err(error) if error.id == ErrorId::NotFound && !named.needed => return Ok(()),
            Err(error) if error.id == ErrorId::NotFound => return Err(damaged()),
            file => file?,
        };
        let path = format!("{BLOBS}/{}/{}", &named.digest[..2], named.digest);
        let written = self.file(&path, file)?;
        match written == named.digest {
            true => Ok(()),
            false => Err(damaged()),
        }
    }

    fn folder(&mut self, found: Vec<Found>) -> Result<()> {
        for found in found {
            match found {
                Found::Folder(path) => self.empty(&path)?,
                Found::File(path) => match File::open(self.data.root().join(&path)) {
                    Err(cause) if cause.kind() == ErrorKind::NotFound => {}
                    file => drop(self.file(&path, file?)?),
                },
            }
        }
        Ok(())
    }

    fn empty(&mut self, path: &str) -> Result<()> {
        let mut header = header(0, tar::EntryType::Directory);
        Ok(self
            .archive
            .append_data(&mut header, format!("{path}/"), std::io::empty())?)
    }

    fn text(&mut self, path: &str, text: &str) -> Result<()> {
        self.bytes(path, text.as_bytes())
    }

    fn bytes(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        self.add(path, bytes.len() as u64, bytes).map(drop)
    }

    /// As much of a file as it holds now: outputs grow meanwhile. Returns its digest.
    fn file(&mut self, path: &str, file: File) -> Result<String> {
        let size = file.metadata()?.len();
        self.add(path, size, file)
    }

    fn add(&mut self, path: &str, size: u64, bytes: impl Read) -> Result<String> {
        let mut hashed = Hashed::new(bytes.take(size));
        let mut header = header(size, tar::EntryType::Regular);
        self.archive.append_data(&mut header, path, &mut hashed)?;
        let entry = hashed.entry(path);
        if entry.size != size {
            return Err(Error::internal(format!(
                "{path} became shorter while it was read"
            )));
        }
        self.done += size;
        (self.progress)(self.done);
        let digest = entry.sha256.clone();
        self.files.push(entry);
        Ok(digest)
    }
}

fn header(size: u64, kind: tar::EntryType) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_entry_type(kind);
    let folder = kind == tar::EntryType::Directory;
    header.set_mode(if folder { 0o700 } else { 0o600 });
    header
}

fn key(data: &DataDir) -> Result<Key> {
    let none = || {
        Error::new(
            ErrorId::NotFound,
            format!(
                "No server has been started on {}, so there is nothing to back up. Name its --data-dir.",
                data.root().display()
            ),
        )
    };
    if !data.has_database() {
        return Err(none());
    }
    let lost = || secret::no_key(&data.path(SEALING_KEY));
    let key = data.read_private(SEALING_KEY)?.ok_or_else(lost)?;
    Key::parse(&key).map_err(|_| lost())
}

/// The name of what is unfinished, which the next try writes over.
pub fn beside(file: &Path, ending: &str) -> Result<PathBuf> {
    let name = file
        .file_name()
        .ok_or_else(|| Error::invalid(format!("{} is no name for a file.", file.display())))?;
    let mut name = name.to_owned();
    name.push(ending);
    Ok(file.with_file_name(name))
}

/// For this user alone, and for one backup at a time.
fn begin(part: &Path) -> Result<File> {
    let cannot = |cause: std::io::Error| {
        Error::conflict(format!(
            "{} cannot be written: {cause}. Name a file in a folder that this user can write to.",
            part.display()
        ))
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(part)
        .map_err(cannot)?;
    let found = file.metadata().map_err(cannot)?;
    if found.uid() != geteuid().as_raw() || found.nlink() != 1 || found.mode() & 0o077 != 0 {
        return Err(Error::conflict(format!(
            "{} is there already and is not yours alone. Remove it, or name another file.",
            part.display()
        )));
    }
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Err(Error::conflict(format!(
            "Another backup is being written to {}. Wait until it is done, or name another file.",
            part.display()
        )));
    }
    file.set_len(0).map_err(cannot)?;
    Ok(file)
}

fn sync_folder(file: &Path) -> Result<()> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(())
}

/// Should it fail, the next backup writes over it.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}
