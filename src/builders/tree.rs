//! The files of a source, to be looked at.
//!
//! Links are not followed: an archive's check before a build and the build itself have to see the same.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, open, openat, statat};

use crate::archive::RootFile;
use crate::error::{Error, Result};

/// Bytes of one file that are looked at.
pub const FILE_BYTES: u64 = crate::archive::KEPT;
const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// Names of one folder that are looked at.
const NAMES: usize = 1_000;

/// A source's files, by their paths from its root.
pub trait Tree: Sync {
    /// A regular file, its beginning at least.
    fn file(&self, path: &str) -> Option<RootFile>;

    /// Whether there is a regular file.
    fn has(&self, path: &str) -> bool;

    /// The names in a folder, in order.
    fn names(&self, folder: &str) -> Vec<String>;
}

impl dyn Tree + '_ {
    /// A file as text; `None` if there is none. 422 for one that is too long or no text.
    pub fn text(&self, path: &str) -> Result<Option<String>> {
        let Some(file) = self.file(path) else {
            return Ok(None);
        };
        if file.size > file.bytes.len() as u64 {
            return Err(Error::invalid(format!(
                "The {path} is {} bytes long, and at most {} are read. Shorten it.",
                file.size,
                file.bytes.len()
            )));
        }
        String::from_utf8(file.bytes).map(Some).map_err(|_| {
            Error::invalid(format!(
                "The {path} is not UTF-8 text. Save it as plain text."
            ))
        })
    }

    /// As much of a file as is read of it, such as the first lines of a lockfile.
    pub fn beginning(&self, path: &str) -> String {
        let bytes = self.file(path).map(|file| file.bytes).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The first of these files that is there.
    pub fn first<'a>(&self, paths: &[&'a str]) -> Option<&'a str> {
        paths.iter().copied().find(|path| self.has(path))
    }
}

/// Some files of a tree that is still in its archive.
impl Tree for BTreeMap<String, RootFile> {
    fn file(&self, path: &str) -> Option<RootFile> {
        self.get(path).cloned()
    }

    fn has(&self, path: &str) -> bool {
        self.contains_key(path)
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let inner = self.keys().filter_map(|path| match folder {
            "" => Some(path.as_str()),
            folder => path.strip_prefix(folder)?.strip_prefix('/'),
        });
        let names = inner.filter_map(|path| path.split('/').next());
        let mut names: Vec<String> = names.take(NAMES).map(str::to_owned).collect();
        names.dedup();
        names
    }
}

/// A tree on disk, in which programs that nobody trusts may have left anything: no link is followed, on the way to a file either.
pub struct Folder(OwnedFd);

impl Folder {
    pub fn open(path: &Path) -> Result<Folder> {
        let root = open(path, FOLDER, Mode::empty()).map_err(std::io::Error::from)?;
        Ok(Folder(root))
    }

    fn enter(&self, folder: &str) -> Option<OwnedFd> {
        let mut at = self.0.try_clone().ok()?;
        for part in folder.split('/').filter(|part| !part.is_empty()) {
            at = openat(&at, part, FOLDER, Mode::empty()).ok()?;
        }
        Some(at)
    }

    /// The folder of a regular file, its name there and its size.
    fn regular<'a>(&self, path: &'a str) -> Option<(OwnedFd, &'a str, u64)> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = self.enter(folder)?;
        let found = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let regular = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
        regular.then_some((folder, name, u64::try_from(found.st_size).unwrap_or(0)))
    }
}

impl Tree for Folder {
    fn file(&self, path: &str) -> Option<RootFile> {
        let (folder, name, size) = self.regular(path)?;
        // Should it have become a pipe meanwhile, nobody waits for who writes to it.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&folder, name, flags, Mode::empty()).ok()?);
        let mut bytes = Vec::new();
        file.take(FILE_BYTES).read_to_end(&mut bytes).ok()?;
        Some(RootFile { bytes, size })
    }

    fn has(&self, path: &str) -> bool {
        self.regular(path).is_some()
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let Some(entries) = self.enter(folder).and_then(|at| Dir::read_from(&at).ok()) else {
            return Vec::new();
        };
        let names = entries.filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().to_str().ok()?;
            (name != "." && name != "..").then(|| name.to_owned())
        });
        let mut names: Vec<String> = names.take(NAMES).collect();
        names.sort_unstable();
        names
    }
}
