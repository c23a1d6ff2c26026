//! Source archives and slugs: gzip tar files that strangers make, and that are read here by a policy of our own.
//!
//! `tar`'s own unpacking skips or rewrites hostile names in silence, ignores a wrong checksum and can be held up for minutes by
//! ten kilobytes. Here one [walk](walk) decides on every entry before anything is written, and the same walk serves
//! [`inspect`], which writes nothing, and [`unpack`]. An archive with anything in it that is not a plain file, a folder or a
//! link within the tree is refused as a whole, with a message that names the entry.
//!
//! Names are bytes. A backslash, a drive letter, a newline or text that is not UTF-8 are kept as they are; only `/` separates.
//! Owners, times, extended attributes and all mode bits but one are dropped: a file is 0755 if its owner may execute it, else
//! 0644.
//!
//! It must not know where an archive comes from, or what an app is. Everything here blocks: call it off the async workers.

mod ahead;
mod blocks;
mod disk;
mod gunzip;
mod listing;
mod member;
mod members;
mod pack;
mod path;
mod pax;
mod tree;
mod walk;

use std::io::Read;
use std::path::Path;

use crate::error::Result;

pub use listing::{KEPT, Listing, RootFile, inspect};
pub use pack::pack;

/// How much an archive may hold. All are checked while it is read, before the bytes in question reach the disk.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of the gzip file.
    pub compressed: u64,
    /// Bytes of the tar file within: contents, headers and padding.
    pub total_bytes: u64,
    /// How many times larger than what was decoded of the gzip file the tar file may be, once `ratio_from` bytes are past.
    pub ratio: u64,
    /// Bytes of the tar file for which `ratio` is not looked at: small archives of repetitive text expand a lot.
    pub ratio_from: u64,
    /// Files, links and folders, with the folders that are only implied by a name.
    pub entries: u64,
    /// Bytes of the names of all entries together, each part counted once. It bounds the memory that a walk takes.
    pub name_bytes: u64,
    /// Bytes of one name, and of a symlink's target.
    pub path: usize,
    /// Bytes of one part of a name.
    pub component: usize,
    /// Parts of one name.
    pub depth: usize,
    /// Bytes of one extension header: PAX records, a GNU long name.
    pub header: u64,
    /// Bytes of one file.
    pub file: u64,
    /// Hard links to one file.
    pub hard_links: u32,
    /// Which symlinks are let in.
    pub symlinks: Symlinks,
}

/// Which symlinks an archive may have. None is ever followed when an archive is unpacked; this is for who reads the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symlinks {
    /// Those that lead somewhere within the tree, whatever other links they lead through.
    Within,
    /// Any. A slug's are followed only inside a dyno, where `/usr/bin/python3` is the dyno's own.
    Any,
}

impl Default for Limits {
    /// For a source archive.
    fn default() -> Limits {
        Limits {
            compressed: 1 << 30,
            total_bytes: 2 << 30,
            ratio: 200,
            ratio_from: 10 << 20,
            entries: 200_000,
            name_bytes: 16 << 20,
            path: 1024,
            component: 255,
            depth: 64,
            header: 64 * 1024,
            file: 1 << 30,
            hard_links: 10_000,
            symlinks: Symlinks::Within,
        }
    }
}

impl Limits {
    /// For a slug: a build leaves symlinks to the stack's programs in it, and may well make a file of zeros.
    pub fn slug() -> Limits {
        Limits {
            ratio: 2_000,
            symlinks: Symlinks::Any,
            // All of it is in one folder more than the source was.
            depth: Limits::default().depth + 1,
            ..Limits::default()
        }
    }
}

/// Which part of an archive is the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strip {
    /// All of it.
    Nothing,
    /// What is in the one folder at its top, as in GitHub's and npm's archives; all of it if there is anything beside that
    /// folder, or if names begin with `./`: whoever made such an archive has said where the root is.
    SoleFolder,
    /// What is under this folder at its top, as under `app` in a slug. The rest is checked and left out.
    Prefix(&'static str),
}

/// What was unpacked or packed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Regular files, hard links among them.
    pub files: u64,
    /// The bytes of their contents; a hard link adds none.
    pub bytes: u64,
    /// Sockets, pipes and devices that were met while packing, and left out.
    pub left_out: u64,
    /// The folder whose contents are the tree, if [`Strip::SoleFolder`] found one, fit to be shown.
    pub lifted: Option<String>,
    /// Of a source that was unpacked: the first entry that differs from one before it in capitals alone, fit to be shown. They are two
    /// here, and one where disks do not tell capitals.
    pub alike: Option<String>,
    /// The first file that was to run as its owner or its group, whoever starts it, and here does not. Fit to be shown.
    pub privileged: Option<String>,
}

/// Unpacks an archive into the empty folder `into`, which nobody else may be writing to.
///
/// After an error the folder holds part of the tree, and is the caller's to remove. Nothing is ever written outside of it.
pub fn unpack<R: Read + Send>(
    reader: R,
    into: &Path,
    limits: &Limits,
    strip: Strip,
) -> Result<Summary> {
    let mut disk = disk::Disk::open(into)?;
    let walked = walk::walk(reader, limits, strip, &mut disk)?;
    if let Some(folder) = walked.lifted {
        disk.lift(&folder)?;
    }
    Ok(walked.summary)
}
