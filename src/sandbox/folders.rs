//! Folders that sandboxed programs have written to, or will: whose they are, how much is in them, and how they go.
//!
//! Nothing in such a folder can be trusted: names are resolved beneath handles, no link is followed, and no depth is too great.

use std::ffi::CStr;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, lchown, symlink};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps, chmod, fchmod, openat,
    renameat, statat, unlinkat, utimensat,
};
use rustix::io::Errno;
use rustix::path::Arg;

use crate::secret;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Folders within folders that are entered before what lies deeper is brought up.
const DEPTH: usize = 64;
/// For a nest of a depth that no disk has room for.
const ROUNDS: usize = 100_000;
/// No program that means well goes deeper, and no slug may.
const MAX_DEPTH: usize = 256;

/// How much is in a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Of the disk that it takes, or that its copy would take. A file with two names counts twice.
    pub bytes: u64,
    pub files: u64,
}

impl Size {
    pub fn is_over(&self, most: &Size) -> bool {
        self.bytes > most.bytes || self.files > most.files
    }
}

/// Everything in a folder, and itself, becomes a user's. Nobody else may be writing to it, and its depth is known to be small.
pub fn give(folder: &Path, uid: u32) -> io::Result<()> {
    lchown(folder, Some(uid), Some(uid))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => give(&entry.path(), uid)?,
            false => lchown(entry.path(), Some(uid), Some(uid))?,
        }
    }
    Ok(())
}

/// How much is in a folder, in which programs may be at work. It stops counting at `enough`, or in folders of a depth that only
/// somebody who means harm makes. Those, and what nobody may look into, count as all there is. Blocks.
pub fn size(folder: &Path, enough: Size) -> io::Result<Size> {
    counted(folder, enough, on_disk)
}

/// The same of what [`copy`] would make of it: it fills the holes of files. Blocks.
pub fn size_of_copy(folder: &Path, enough: Size) -> io::Result<Size> {
    counted(folder, enough, |stat| {
        on_disk(stat).max(u64::try_from(stat.st_size).unwrap_or(0))
    })
}

type Bytes = fn(&Stat) -> u64;

fn on_disk(stat: &Stat) -> u64 {
    u64::try_from(stat.st_blocks)
        .unwrap_or(0)
        .saturating_mul(512)
}

fn counted(folder: &Path, enough: Size, bytes: Bytes) -> io::Result<Size> {
    let mut size = Size::default();
    let folder = openat(CWD, folder, FOLDER, Mode::empty())?;
    match add_up(&folder, 0, (enough, bytes), &mut size) {
        Err(cause) if cause.kind() == ErrorKind::PermissionDenied => size.files = u64::MAX,
        counted => counted?,
    }
    Ok(size)
}

fn add_up(
    folder: &OwnedFd,
    depth: usize,
    (enough, bytes): (Size, Bytes),
    size: &mut Size,
) -> io::Result<()> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if size.is_over(&enough) {
            return Ok(());
        }
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        // Whatever is gone again counts nothing.
        let stat = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::ACCESS) => return Err(Errno::ACCESS.into()),
            Err(_) => continue,
            Ok(stat) => stat,
        };
        size.files += 1;
        size.bytes = size.bytes.saturating_add(bytes(&stat));
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            continue;
        }
        if depth == MAX_DEPTH {
            size.files = u64::MAX;
            return Ok(());
        }
        match openat(folder, name, FOLDER, Mode::empty()) {
            Ok(inner) => add_up(&inner, depth + 1, (enough, bytes), size)?,
            Err(Errno::ACCESS) => return Err(Errno::ACCESS.into()),
            Err(_) => {}
        }
    }
    Ok(())
}

/// Whether this is a folder itself and no link to one.
pub fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found: Metadata| found.is_dir())
}

/// Copies what is in one folder into another, which is empty: contents, links, times, and who may do what, but no owner. Pipes,
/// sockets and devices are left out. Nobody may be writing to either.
///
/// It fails before more than `most` is copied, and as soon as `go_on` does, which is asked before each entry. What was copied until
/// then stays, and is the caller's to remove. Blocks.
pub fn copy(
    from: &Path,
    to: &Path,
    most: Size,
    go_on: impl Fn() -> io::Result<()>,
) -> io::Result<()> {
    let mut copying = Copying {
        copied: Size::default(),
        most,
        go_on,
    };
    copying.folder(from, to, 0)
}

struct Copying<F> {
    copied: Size,
    most: Size,
    go_on: F,
}

impl<F: Fn() -> io::Result<()>> Copying<F> {
    fn folder(&mut self, from: &Path, to: &Path, depth: usize) -> io::Result<()> {
        if depth > MAX_DEPTH {
            return Err(io::Error::other("folders lie in folders without end"));
        }
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            self.entry(&entry.path(), &to.join(entry.file_name()), depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, source: &Path, copy: &Path, depth: usize) -> io::Result<()> {
        (self.go_on)()?;
        let found = fs::symlink_metadata(source)?;
        self.copied.files += 1;
        self.copied.bytes = self.copied.bytes.saturating_add(found.len());
        if self.copied.is_over(&self.most) {
            return Err(ErrorKind::FileTooLarge.into());
        }
        if found.is_dir() {
            fs::create_dir(copy)?;
            self.folder(source, copy, depth + 1)?;
            fs::set_permissions(copy, found.permissions())?;
        } else if found.is_symlink() {
            symlink(fs::read_link(source)?, copy)?;
        } else if found.is_file() {
            fs::copy(source, copy)?;
            keep_times(&found, copy)?;
        }
        Ok(())
    }
}

/// Package managers and compilers go by them.
fn keep_times(found: &Metadata, copy: &Path) -> io::Result<()> {
    let written = Timespec {
        tv_sec: found.mtime(),
        tv_nsec: found.mtime_nsec(),
    };
    let times = Timestamps {
        last_access: written,
        last_modification: written,
    };
    Ok(utimensat(CWD, copy, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Whose a folder is.
pub fn owner(path: &Path) -> Option<u32> {
    fs::symlink_metadata(path).ok().map(|found| found.uid())
}

/// Removes a folder or whatever else is in its place. Harmless when there is nothing. Nobody may be writing to it. Blocks.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_dir() => return fs::remove_file(path),
        Ok(_) => {}
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(cause),
    }
    let root = enter(CWD, path)?;
    // Each round empties what it can reach, and brings what lies deeper up for the next one.
    for _ in 0..ROUNDS {
        empty(&root, &root, 0)?;
        match fs::remove_dir(path) {
            Err(cause) if cause.kind() == ErrorKind::DirectoryNotEmpty => {}
            removed => return removed,
        }
    }
    Err(ErrorKind::DirectoryNotEmpty.into())
}

/// Opens a folder. Whoever wrote in it may have been its owner, and kept everybody out, a plain user's server too. Then its mode is
/// changed by its handle: by its name, a link put in its place meanwhile would be followed.
fn enter(parent: impl AsFd, name: impl Arg + Copy) -> io::Result<OwnedFd> {
    match openat(&parent, name, FOLDER, Mode::empty()) {
        Err(Errno::ACCESS) => {}
        opened => return Ok(opened?),
    }
    const HANDLE: OFlags = FOLDER.union(OFlags::PATH);
    let handle = openat(&parent, name, HANDLE, Mode::empty())?;
    let itself = format!("/proc/self/fd/{}", handle.as_raw_fd());
    chmod(itself.as_str(), Mode::RWXU)?;
    Ok(openat(&parent, name, FOLDER, Mode::empty())?)
}

/// What a folder that was entered has in it, once that may be read and removed.
fn entries(folder: &OwnedFd) -> io::Result<Dir> {
    match Dir::read_from(folder) {
        Err(Errno::ACCESS) => {
            fchmod(folder, Mode::RWXU)?;
            Ok(Dir::read_from(folder)?)
        }
        entries => Ok(entries?),
    }
}

/// Removes one name. False if a folder is in its place.
fn remove_name(folder: &OwnedFd, name: &CStr) -> io::Result<bool> {
    let mut removed = unlinkat(folder, name, AtFlags::empty());
    if removed == Err(Errno::ACCESS) {
        fchmod(folder, Mode::RWXU)?;
        removed = unlinkat(folder, name, AtFlags::empty());
    }
    match removed {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR | Errno::PERM) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes all that lies in a folder and not too deep below it.
fn empty(root: &OwnedFd, folder: &OwnedFd, depth: usize) -> io::Result<()> {
    for entry in entries(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." || remove_name(folder, name)? {
            continue;
        }
        if depth == DEPTH {
            let unlike_any = secret::random::<8>().map_err(io::Error::other)?;
            // It is moved by who may write to it.
            fchmod(enter(folder, name)?, Mode::RWXU)?;
            renameat(folder, name, root, hex::encode(unlike_any))?;
            continue;
        }
        let inner = enter(folder, name)?;
        empty(root, &inner, depth + 1)?;
        drop(inner);
        match unlinkat(folder, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
