//! Reading a backup: every byte is hashed, and nothing is believed before the manifest has said the same.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path};

use tar::EntryType;

use super::{
    BLOBS, CERTIFICATE, Entry, FORMAT, FORMAT_ENTRY, GIT, Hashed, KEYS, Key, MANIFEST, Manifest,
    SIGNATURE, WHOLE,
};
use crate::data_dir::DATABASE;
use crate::error::{Error, Result};
use crate::secret::SEALING_KEY;

/// Deeper and longer than anything that is written.
const DEEPEST: usize = 20;
const LONGEST: usize = 1_024;
/// Of what is read into memory, in bytes: a manifest has some 200 for each file.
const MOST: u64 = 512 << 20;

/// What a backup says of itself, and what was found to be so.
pub struct Backup {
    pub manifest: Manifest,
    /// As it stands in the file.
    json: String,
    signature: String,
    /// The key, if the file has it.
    pub key: Option<String>,
}

/// Reads a backup and writes nothing. Returns how many files are in it.
pub fn check(file: &Path, key: Option<&Key>) -> Result<usize> {
    let backup = read(file, None)?;
    if let Some(key) = key {
        backup.verify(key)?;
    }
    Ok(backup.manifest.files.len())
}

/// Reads a backup, into a folder of which nobody else knows. 422 for anything but a whole and unaltered one; 409 for one of a newer
/// format.
pub fn read(file: &Path, into: Option<&Path>) -> Result<Backup> {
    let opened = File::open(file).map_err(|cause| Error::unreadable(file, &cause))?;
    if opened.metadata()?.is_dir() {
        return Err(Error::invalid(format!(
            "{} is a folder. Name the file that `penstock backup` has written.",
            file.display()
        )));
    }
    let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 20, opened));
    let mut seen = Seen::default();
    let entries = archive
        .entries()
        .map_err(|_| damaged("it is no tar archive"))?;
    for entry in entries {
        let entry = entry.map_err(broken)?;
        seen.take(entry, into)?;
    }
    let backup = seen.finish()?;
    ends(archive.into_inner())?;
    Ok(backup)
}

/// An archive ends with two empty blocks, after which nothing but more of them may come (POSIX.1-2017, pax).
fn ends(mut rest: impl Read) -> Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = rest.read(&mut buffer).map_err(broken)?;
        if length == 0 {
            return Ok(());
        }
        if buffer[..length].iter().any(|byte| *byte != 0) {
            return Err(damaged("something was added after its end"));
        }
    }
}

#[derive(Default)]
struct Seen {
    files: BTreeMap<String, Entry>,
    /// Those that are read into memory.
    texts: BTreeMap<String, String>,
}

impl Seen {
    fn take<R: Read>(&mut self, mut entry: tar::Entry<'_, R>, into: Option<&Path>) -> Result<()> {
        let kind = entry.header().entry_type();
        let path = entry.path().map_err(broken)?;
        let path = path
            .to_str()
            .unwrap_or_default()
            .trim_end_matches('/')
            .to_owned();
        allowed(&path)?;
        if self.files.is_empty() && path != FORMAT_ENTRY {
            return Err(damaged("it does not begin as one"));
        }
        match kind {
            EntryType::Directory => into.map_or(Ok(()), |root| folder(&root.join(&path))),
            EntryType::Regular => {
                let mut hashed = Hashed::new(&mut entry);
                if self.kept_in_memory(&path) {
                    let mut text = String::new();
                    let mut limited = (&mut hashed).take(MOST);
                    limited.read_to_string(&mut text).map_err(broken)?;
                    if path == FORMAT_ENTRY {
                        known_format(&text)?;
                    }
                    self.texts.insert(path.clone(), text);
                } else {
                    match into {
                        Some(root) => write(&root.join(&path), &mut hashed)?,
                        None => drop(io::copy(&mut hashed, &mut io::sink()).map_err(broken)?),
                    }
                }
                let read = hashed.entry(&path);
                match self.files.insert(path, read) {
                    None => Ok(()),
                    Some(twice) => Err(damaged(&format!("{} is in it twice", twice.path))),
                }
            }
            _ => Err(damaged(&format!("{path} is neither a file nor a folder"))),
        }
    }

    fn kept_in_memory(&self, path: &str) -> bool {
        [FORMAT_ENTRY, MANIFEST, SIGNATURE].contains(&path)
            || path
                .strip_prefix(KEYS)
                .and_then(|path| path.strip_prefix('/'))
                == Some(SEALING_KEY)
    }

    fn finish(mut self) -> Result<Backup> {
        let mut own = |name: &str| {
            self.files.remove(name);
            let text = self.texts.remove(name);
            text.ok_or_else(|| damaged("it was cut off before its end"))
        };
        let (json, signature) = (own(MANIFEST)?, own(SIGNATURE)?);
        let manifest: Manifest =
            serde_json::from_str(&json).map_err(|_| damaged("its manifest cannot be read"))?;
        let mut files = self.files;
        for said in &manifest.files {
            match files.remove(&said.path) {
                Some(read) if read == *said => {}
                Some(_) => return Err(damaged(&format!("{} was altered", said.path))),
                None => return Err(damaged(&format!("{} is not in it", said.path))),
            }
        }
        if let Some(path) = files.keys().next() {
            return Err(damaged(&format!("{path} was added to it")));
        }
        let key = self.texts.remove(&format!("{KEYS}/{SEALING_KEY}"));
        Ok(Backup {
            manifest,
            json,
            signature,
            key,
        })
    }
}

impl Backup {
    /// 422 where the backup was not made under this key.
    pub fn verify(&self, key: &Key) -> Result<()> {
        match key.signed(&self.json, self.signature.trim()) {
            true => Ok(()),
            false => Err(Error::invalid(
                "The backup was not made with this key, or somebody has altered it. Give the sealing_key of the data directory that was backed up.",
            )),
        }
    }
}

/// 409 for a format of the future.
fn known_format(text: &str) -> Result<()> {
    let version = text.trim().strip_prefix("penstock backup ");
    match version.and_then(|version| version.parse::<u32>().ok()) {
        Some(FORMAT) => Ok(()),
        Some(version) => Err(Error::conflict(format!(
            "The backup has format {version}, and this Penstock knows format {FORMAT}. Restore it with the Penstock that made it, or a newer one."
        ))),
        None => Err(damaged("it does not begin as one")),
    }
}

/// Only what a backup has, and nothing that leads out of it.
fn allowed(path: &str) -> Result<()> {
    let refused = || damaged(&format!("{path:?} has no place in one"));
    let parts: Vec<Component<'_>> = Path::new(path).components().collect();
    let plain = parts
        .iter()
        .all(|part| matches!(part, Component::Normal(_)));
    let first = path.split('/').next().unwrap_or_default();
    let known = [
        FORMAT_ENTRY,
        DATABASE,
        CERTIFICATE,
        KEYS,
        BLOBS,
        GIT,
        MANIFEST,
        SIGNATURE,
    ];
    let known = known.contains(&first) || WHOLE.contains(&first);
    let short = path.len() <= LONGEST && parts.len() <= DEEPEST;
    // As they are written, so that no path has two spellings.
    let spelled = parts.len() == path.split('/').count() && !path.contains(char::is_control);
    match plain && known && short && spelled {
        true => Ok(()),
        false => Err(refused()),
    }
}

fn folder(path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    Ok(())
}

fn write(path: &Path, bytes: &mut impl Read) -> Result<()> {
    if let Some(parent) = path.parent() {
        folder(parent)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        // What cannot be read is the backup's fault, and what cannot be written is the disk's.
        let length = bytes.read(&mut buffer).map_err(broken)?;
        if length == 0 {
            return Ok(());
        }
        io::Write::write_all(&mut file, &buffer[..length])?;
    }
}

fn broken(cause: io::Error) -> Error {
    match cause.kind() {
        io::ErrorKind::UnexpectedEof => damaged("it was cut off before its end"),
        _ => damaged(&cause.to_string()),
    }
}

fn damaged(what: &str) -> Error {
    Error::invalid(format!(
        "This is no whole backup: {what}. Nothing was restored from it; try another one."
    ))
}
