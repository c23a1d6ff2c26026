//! Writing a tree, beneath one folder and nowhere else.
//!
//! Every name is resolved by the kernel from that folder's handle, without following a link, so that not even a mistake in the
//! walk's policy could lead out. Which entries are written it does not decide.

use std::fs::File;
use std::io::{BufRead, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, Mode, OFlags, ResolveFlags, fchmod, fstat, linkat, mkdirat, open, openat,
    openat2, renameat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::path::split;
use super::walk::{Content, Sink};
use crate::error::{Error, Result};

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

/// An empty folder that a tree is written into.
pub(super) struct Disk {
    root: OwnedFd,
    /// The folder that was written to last, which is most often the next one too.
    near: (Vec<u8>, OwnedFd),
}

impl Disk {
    pub(super) fn open(into: &Path) -> Result<Disk> {
        let root = open(into, FOLDER, Mode::empty()).map_err(io)?;
        if !names(&root)?.is_empty() {
            return Err(Error::internal(
                "an archive was to be unpacked into a folder that is not empty",
            ));
        }
        let near = (Vec::new(), root.try_clone()?);
        Ok(Disk { root, near })
    }

    /// Opens a folder, making it if it is not there.
    fn enter(&self, folder: &[u8]) -> Result<OwnedFd> {
        if folder.is_empty() {
            return Ok(self.root.try_clone()?);
        }
        match openat2(&self.root, folder, FOLDER, Mode::empty(), BENEATH) {
            Ok(found) => Ok(found),
            // Some containers forbid the call, and some kernels lack it. Part by part the answer is the same.
            Err(Errno::NOENT | Errno::NOSYS | Errno::PERM) => self.make(folder),
            Err(error) => Err(io(error)),
        }
    }

    /// Makes a folder, and those it lies in.
    fn make(&self, folder: &[u8]) -> Result<OwnedFd> {
        let (parent, name) = split(folder);
        let parent = self.enter(parent)?;
        let made = match mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(io(error)),
        };
        let opened = openat(&parent, name, FOLDER, Mode::empty()).map_err(io)?;
        if made {
            hold_to(&opened, Mode::from_raw_mode(0o755))?;
        }
        Ok(opened)
    }

    fn go_to(&mut self, folder: &[u8]) -> Result<&OwnedFd> {
        if self.near.0 != folder {
            self.near = (folder.to_vec(), self.enter(folder)?);
        }
        Ok(&self.near.1)
    }

    /// Makes the contents of the tree's one folder the tree.
    pub(super) fn lift(&self, folder: &[u8]) -> Result<()> {
        let children = names(&self.enter(folder)?)?;
        // The folder may hold one of its own name, so it steps aside first.
        let mut aside = b".lifted".to_vec();
        while children.contains(&aside) || aside == folder {
            aside.push(b'_');
        }
        renameat(&self.root, folder, &self.root, &aside).map_err(io)?;
        let from = self.enter(&aside)?;
        for child in &children {
            renameat(&from, child, &self.root, child).map_err(io)?;
        }
        unlinkat(&self.root, &aside, AtFlags::REMOVEDIR).map_err(io)
    }
}

impl Sink for Disk {
    fn folder(&mut self, path: &[u8]) -> Result<()> {
        self.go_to(path).map(|_| ())
    }

    fn file(&mut self, path: &[u8], content: &mut Content<'_>) -> Result<()> {
        let (folder, name) = split(path);
        let mode = Mode::from_raw_mode(if content.executable { 0o755 } else { 0o644 });
        let mut file = File::from(openat(self.go_to(folder)?, name, NEW_FILE, mode).map_err(io)?);
        hold_to(&file, mode)?;
        loop {
            let decoded = content.fill_buf()?;
            if decoded.is_empty() {
                return Ok(());
            }
            file.write_all(decoded)?;
            let length = decoded.len();
            content.consume(length);
        }
    }

    fn symlink(&mut self, path: &[u8], target: &[u8]) -> Result<()> {
        let (folder, name) = split(path);
        symlinkat(target, self.go_to(folder)?, name).map_err(io)
    }

    fn hard_link(&mut self, path: &[u8], target: &[u8]) -> Result<()> {
        let (target_folder, target_name) = split(target);
        let target_folder = self.enter(target_folder)?;
        let (folder, name) = split(path);
        linkat(
            &target_folder,
            target_name,
            self.go_to(folder)?,
            name,
            AtFlags::empty(),
        )
        .map_err(io)
    }
}

/// Gives what was just made the mode that it was meant to have: the process's umask may have taken bits away, and a dyno runs as another
/// user. To look costs a fraction of a change, which the file system would have to log.
fn hold_to(made: impl AsFd, mode: Mode) -> Result<()> {
    let found = fstat(&made).map_err(io)?;
    if Mode::from_raw_mode(found.st_mode) == mode {
        return Ok(());
    }
    fchmod(&made, mode).map_err(io)
}

/// The names in a folder, in no order.
pub(super) fn names(folder: &OwnedFd) -> Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

pub(super) fn io(error: Errno) -> Error {
    std::io::Error::from(error).into()
}
