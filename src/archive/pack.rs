//! Packing a tree such that the same tree gives the same bytes, and so the same digest.
//!
//! The tree may have been left behind by a hostile build: it is read beneath its own handle, no link is followed, and what
//! [`unpack`](super::unpack) would refuse under the same limits is refused here, where a person can still mend it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, open, openat, readlinkat, statat};
use tar::{EntryType, Header};

use super::disk::{io, names};
use super::members::Members;
use super::path::{parse, refuse};
use super::{Limits, Summary};
use crate::error::Result;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// Should a pipe take a file's place, opening it must not wait for a writer.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// Bytes of a name that fit in a header; longer ones get an entry of their own before it.
const NAME: usize = 100;

/// Packs `tree` under the name `prefix` (`./app` for a slug) as a gzip tar file.
///
/// Folders are sorted by the bytes of their names; times, owners and all mode bits but the owner's right to execute are left
/// out; hard links become files of their own, and sockets, pipes and devices are left out and counted.
pub fn pack(tree: &Path, prefix: &str, writer: impl Write, limits: &Limits) -> Result<Summary> {
    let root = open(tree, FOLDER, Mode::empty()).map_err(io)?;
    std::thread::scope(|scope| {
        let mut packer = Packer {
            out: Members::new(scope, writer),
            limits,
            summary: Summary::default(),
            entries: 0,
            name_bytes: 0,
            written: 0,
            buffer: vec![0; 128 * 1024],
        };
        let mut name = prefix.trim_end_matches('/').as_bytes().to_vec();
        packer.folder(&root, &mut name)?;
        packer.put(&[0; 1024])?;
        packer.out.finish()?;
        Ok(packer.summary)
    })
}

struct Packer<'scope, 'env, W> {
    out: Members<'scope, 'env, W>,
    limits: &'env Limits,
    summary: Summary,
    entries: u64,
    name_bytes: u64,
    /// Bytes of the tar file so far.
    written: u64,
    buffer: Vec<u8>,
}

impl<W: Write> Packer<'_, '_, W> {
    /// Packs a folder and all that is in it. `name` is put back as it was.
    fn folder(&mut self, folder: &OwnedFd, name: &mut Vec<u8>) -> Result<()> {
        let length = name.len();
        name.push(b'/');
        self.header(name, EntryType::Directory, 0, true, b"")?;
        let mut children = names(folder)?;
        children.sort();
        for child in &children {
            name.truncate(length + 1);
            name.extend_from_slice(child);
            self.child(folder, child, name)?;
        }
        name.truncate(length);
        Ok(())
    }

    fn child(&mut self, folder: &OwnedFd, child: &[u8], name: &mut Vec<u8>) -> Result<()> {
        let stat = statat(folder, child, AtFlags::SYMLINK_NOFOLLOW).map_err(io)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.folder(
                &openat(folder, child, FOLDER, Mode::empty()).map_err(io)?,
                name,
            ),
            FileType::RegularFile => self.file(
                openat(folder, child, FILE, Mode::empty()).map_err(io)?,
                name,
            ),
            FileType::Symlink => {
                let target = readlinkat(folder, child, Vec::new()).map_err(io)?;
                self.header(name, EntryType::Symlink, 0, true, target.as_bytes())
            }
            _ => {
                self.summary.left_out += 1;
                Ok(())
            }
        }
    }

    fn file(&mut self, file: OwnedFd, name: &[u8]) -> Result<()> {
        let stat = fstat(&file).map_err(io)?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(changed(name));
        }
        if size > self.limits.file {
            return Err(refuse(
                name,
                format_args!(
                    "is {size} bytes long; at most {} are taken. Remove it at the end of the build.",
                    self.limits.file
                ),
            ));
        }
        self.header(
            name,
            EntryType::Regular,
            size,
            stat.st_mode & 0o100 != 0,
            b"",
        )?;
        self.contents(File::from(file), size, name)?;
        self.summary.files += 1;
        self.summary.bytes += size;
        Ok(())
    }

    fn contents(&mut self, mut file: File, size: u64, name: &[u8]) -> Result<()> {
        let mut left = size;
        while left > 0 {
            let most = self
                .buffer
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            let length = file.read(&mut self.buffer[..most])?;
            if length == 0 {
                return Err(changed(name));
            }
            left -= length as u64;
            self.out.write_all(&self.buffer[..length])?;
        }
        self.pad(size)
    }

    /// Writes an entry's header, with the entries before it that long names need, if it is within the limits.
    fn header(
        &mut self,
        name: &[u8],
        kind: EntryType,
        size: u64,
        executable: bool,
        link: &[u8],
    ) -> Result<()> {
        let kept = parse(name, kind.is_dir(), self.limits)?;
        self.entries += 1;
        self.name_bytes += super::path::split(&kept).1.len() as u64;
        if self.entries > self.limits.entries || self.name_bytes > self.limits.name_bytes {
            return Err(refuse(
                name,
                format_args!(
                    "is one too many: at most {} files and folders are taken, with {} bytes of names. Remove some at the end of the build.",
                    self.limits.entries, self.limits.name_bytes
                ),
            ));
        }
        if self.written.saturating_add(size) > self.limits.total_bytes {
            return Err(refuse(
                name,
                format_args!(
                    "brings the archive to more than {} bytes. Remove what is not needed at the end of the build.",
                    self.limits.total_bytes
                ),
            ));
        }
        if link.len() > NAME {
            self.long(EntryType::GNULongLink, link)?;
        }
        if name.len() > NAME {
            self.long(EntryType::GNULongName, name)?;
        }
        let mode = if executable { 0o755 } else { 0o644 };
        self.put(header(name, kind, size, mode, link).as_bytes())?;
        self.written += size.next_multiple_of(512);
        Ok(())
    }

    fn long(&mut self, kind: EntryType, text: &[u8]) -> Result<()> {
        let size = text.len() as u64 + 1;
        self.put(header(b"././@LongLink", kind, size, 0o644, b"").as_bytes())?;
        self.out.write_all(text)?;
        self.out.write_all(&[0])?;
        self.written += size.next_multiple_of(512);
        self.pad(size)
    }

    /// Fills up to a whole number of blocks.
    fn pad(&mut self, size: u64) -> Result<()> {
        let rest = usize::try_from(size.next_multiple_of(512) - size).unwrap_or(0);
        self.out.write_all(&[0; 512][..rest])?;
        Ok(())
    }

    fn put(&mut self, blocks: &[u8]) -> Result<()> {
        self.out.write_all(blocks)?;
        self.written += blocks.len() as u64;
        Ok(())
    }
}

fn header(name: &[u8], kind: EntryType, size: u64, mode: u32, link: &[u8]) -> Header {
    let mut header = Header::new_gnu();
    let old = header.as_old_mut();
    let (name, link) = (&name[..name.len().min(NAME)], &link[..link.len().min(NAME)]);
    old.name[..name.len()].copy_from_slice(name);
    old.linkname[..link.len()].copy_from_slice(link);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    header
}

fn changed(name: &[u8]) -> crate::error::Error {
    refuse(
        name,
        "changed while it was packed. Let the build end only when its processes have.",
    )
}
