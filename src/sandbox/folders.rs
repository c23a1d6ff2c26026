//! Folders that sandboxed programs have written to, or will: whose they are, how much is in them, and how they go.
//!
//! Nothing in such a folder can be trusted: names are resolved beneath handles, no link is followed, and no depth is too great.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, lchown, symlink};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Timespec, Timestamps, openat, renameat, statat,
    unlinkat, utimensat,
};
use rustix::io::Errno;

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
    /// Of the disk that it takes. A file with two names counts twice.
    pub bytes: u64,
    pub files: u64,
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
/// somebody who means harm makes, which count as all there is. Blocks.
pub fn size(folder: &Path, enough: Size) -> io::Result<Size> {
    let mut size = Size::default();
    let folder = openat(CWD, folder, FOLDER, Mode::empty())?;
    add_up(&folder, 0, enough, &mut size)?;
    Ok(size)
}

fn add_up(folder: &OwnedFd, depth: usize, enough: Size, size: &mut Size) -> io::Result<()> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if size.bytes > enough.bytes || size.files > enough.files {
            return Ok(());
        }
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        // Whatever is gone again counts nothing.
        let Ok(stat) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        size.files += 1;
        size.bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            continue;
        }
        if depth == MAX_DEPTH {
            size.files = u64::MAX;
            return Ok(());
        }
        if let Ok(inner) = openat(folder, name, FOLDER, Mode::empty()) {
            add_up(&inner, depth + 1, enough, size)?;
        }
    }
    Ok(())
}

/// Whether this is a folder itself and no link to one.
pub fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found: Metadata| found.is_dir())
}

/// Copies what is in one folder into another, which is empty: contents, links, times, and who may do what, but no owner. Pipes,
/// sockets and devices are left out. Nobody may be writing to either. Blocks.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    copy_within(from, to, 0)
}

fn copy_within(from: &Path, to: &Path, depth: usize) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Err(io::Error::other("folders lie in folders without end"));
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        let found = entry.metadata()?;
        if found.is_dir() {
            fs::create_dir(&copy)?;
            copy_within(&source, &copy, depth + 1)?;
            fs::set_permissions(&copy, found.permissions())?;
        } else if found.is_symlink() {
            symlink(fs::read_link(&source)?, &copy)?;
        } else if found.is_file() {
            fs::copy(&source, &copy)?;
            keep_times(&found, &copy)?;
        }
    }
    Ok(())
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
    // Whoever wrote in it may have been its owner, too.
    let _ = rustix::fs::chmodat(CWD, path, Mode::RWXU, AtFlags::empty());
    let root = openat(CWD, path, FOLDER, Mode::empty())?;
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

/// Removes all that lies in a folder and not too deep below it.
fn empty(root: &OwnedFd, folder: &OwnedFd, depth: usize) -> io::Result<()> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        match unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => continue,
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(errno) => return Err(errno.into()),
        }
        if depth == DEPTH {
            let unlike_any = secret::random::<8>().map_err(io::Error::other)?;
            renameat(folder, name, root, hex::encode(unlike_any))?;
            continue;
        }
        // Without the right to look into its own folder, a plain user's server could not empty it.
        let _ = rustix::fs::chmodat(folder, name, Mode::RWXU, AtFlags::empty());
        let inner = openat(folder, name, FOLDER, Mode::empty())?;
        empty(root, &inner, depth + 1)?;
        drop(inner);
        match unlinkat(folder, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
