//! The one walk through an archive, on which every decision about an entry is made.
//!
//! What is let in goes to a [`Sink`], which writes it or looks at it and decides nothing. The walk never touches a disk.

use std::io::{self, BufRead, Read};

use tar::Header;

use super::ahead::ahead;
use super::blocks::{Blocks, cut_short};
use super::member::{Announced, Kind, Member, is_extension};
use super::path::{climb, refuse, shown, under};
use super::tree::{Leaf, Tree};
use super::{Limits, Strip, Summary, Symlinks};
use crate::error::{Error, Result};

/// Where the entries go. Names are as [`parse`](super::path::parse) keeps them, below [`Strip::Prefix`]'s folder.
pub(super) trait Sink {
    /// May come again for the same folder, and for the root. Folders that a name only implies are not announced.
    fn folder(&mut self, path: &[u8]) -> Result<()>;
    /// What is left unread of `content` is skipped.
    fn file(&mut self, path: &[u8], content: &mut Content<'_>) -> Result<()>;
    fn symlink(&mut self, path: &[u8], target: &[u8]) -> Result<()>;
    /// The target is a file that came before.
    fn hard_link(&mut self, path: &[u8], target: &[u8]) -> Result<()>;
}

/// A file's contents. They are as long as promised, or reading them fails.
pub(super) struct Content<'a> {
    /// In bytes.
    pub size: u64,
    pub executable: bool,
    blocks: &'a mut Blocks,
}

impl Read for Content<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.blocks.read(into)
    }
}

impl BufRead for Content<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.blocks.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.blocks.consume(amount);
    }
}

/// How a walk ended.
pub(super) struct Walked {
    pub summary: Summary,
    /// The folder whose contents are the tree, if [`Strip::SoleFolder`] found one.
    pub lifted: Option<Vec<u8>>,
}

/// Walks through all of an archive, to its last byte.
pub(super) fn walk<R: Read + Send>(
    reader: R,
    limits: &Limits,
    strip: Strip,
    sink: &mut dyn Sink,
) -> Result<Walked> {
    ahead(reader, limits, |decoded| {
        let walk = Walk {
            limits,
            strip,
            sink,
            tree: Tree::new(),
            announced: Announced::default(),
            headers: 0,
            contents: 0,
            to_top: None,
            rooted: false,
            summary: Summary::default(),
        };
        walk.through(Blocks::new(decoded))
    })
}

struct Walk<'a> {
    limits: &'a Limits,
    strip: Strip,
    sink: &'a mut dyn Sink,
    tree: Tree,
    announced: Announced,
    headers: u64,
    /// Bytes of contents promised so far.
    contents: u64,
    /// The first link that climbs to the archive's top, and so out of a sole folder.
    to_top: Option<Vec<u8>>,
    /// Some entry's name begins with the root's.
    rooted: bool,
    summary: Summary,
}

impl Walk<'_> {
    fn through(mut self, mut blocks: Blocks) -> Result<Walked> {
        while let Some((header, size)) = blocks.next()? {
            self.entry(&header, size, &mut blocks)?;
        }
        if !self.announced.is_empty() {
            return Err(cut_short(&blocks.name));
        }
        blocks.end()?;
        let lifted = match self.strip {
            Strip::SoleFolder if !self.rooted => self.tree.sole_folder().map(<[u8]>::to_vec),
            _ => None,
        };
        if let (Some(_), Some(link)) = (&lifted, &self.to_top) {
            return Err(leaves(link));
        }
        self.summary.lifted = lifted.as_deref().map(shown);
        self.summary.alike = self.tree.alike().map(shown);
        Ok(Walked {
            summary: self.summary,
            lifted,
        })
    }

    fn entry(&mut self, header: &Header, size: u64, blocks: &mut Blocks) -> Result<()> {
        // Every entry may have a few headers before it. More are an attempt to keep the walk busy.
        self.headers += 1;
        if self.headers > self.limits.entries.saturating_mul(4) {
            return Err(Error::invalid(
                "The archive has far more headers than entries. Make it anew, with GNU tar.",
            ));
        }
        let kind = header.entry_type();
        if is_extension(kind) {
            if size > self.limits.header {
                return Err(refuse(
                    &blocks.name,
                    format_args!(
                        "is a header of {size} bytes; at most {} are taken. Leave out extended attributes.",
                        self.limits.header
                    ),
                ));
            }
            let mut body = Vec::new();
            blocks.read_to_end(&mut body)?;
            return self.announced.take_in(kind, &blocks.name, body);
        }
        let member = std::mem::take(&mut self.announced).member(header, size, self.limits)?;
        blocks.name.clone_from(&member.path);
        self.rooted |= member.rooted;
        self.admit(&member)?;
        self.deliver(&member, blocks)
    }

    /// Whether an entry fits in with those before it. The root fits in with anything.
    fn admit(&mut self, member: &Member) -> Result<()> {
        let path = &member.path;
        match &member.kind {
            Kind::Folder => self.tree.add(path, Leaf::Folder, self.limits),
            Kind::File { size, .. } => {
                self.contents = self.contents.saturating_add(*size);
                if self.contents > self.limits.total_bytes {
                    return Err(refuse(
                        path,
                        format_args!(
                            "brings the archive to more than {} bytes. Leave out what the build can make.",
                            self.limits.total_bytes
                        ),
                    ));
                }
                self.tree.add(path, Leaf::File, self.limits)
            }
            Kind::Symlink { target } => {
                self.stays_within(path, target)?;
                self.tree.add(path, Leaf::Symlink, self.limits)
            }
            Kind::HardLink { target } => {
                self.tree.link(target, path, self.limits)?;
                self.tree.add(path, Leaf::File, self.limits)
            }
        }
    }

    fn stays_within(&mut self, path: &[u8], target: &[u8]) -> Result<()> {
        if self.limits.symlinks == Symlinks::Any {
            return Ok(());
        }
        let inside = match self.strip {
            Strip::Prefix(folder) => match under(path, folder.as_bytes()) {
                Some(inside) => inside,
                None => return Ok(()),
            },
            _ => path,
        };
        let up = climb(path, target)?;
        let folders = inside.iter().filter(|&&byte| byte == b'/').count();
        if up > folders {
            return Err(leaves(path));
        }
        if up == folders && self.to_top.is_none() {
            self.to_top = Some(path.to_vec());
        }
        Ok(())
    }

    fn deliver(&mut self, member: &Member, blocks: &mut Blocks) -> Result<()> {
        let Some(path) = self.kept(&member.path) else {
            return Ok(());
        };
        if path.is_empty() && !matches!(member.kind, Kind::Folder) {
            return Err(refuse(
                &member.path,
                "is in the place of the tree's root, and no folder. Make the archive anew.",
            ));
        }
        match &member.kind {
            Kind::Folder => self.sink.folder(path),
            Kind::File {
                size,
                executable,
                privileged,
            } => {
                if *privileged && self.summary.privileged.is_none() {
                    self.summary.privileged = Some(shown(path));
                }
                self.summary.files += 1;
                self.summary.bytes += size;
                let mut content = Content {
                    size: *size,
                    executable: *executable,
                    blocks,
                };
                self.sink.file(path, &mut content)
            }
            Kind::Symlink { target } => self.sink.symlink(path, target),
            Kind::HardLink { target } => {
                self.summary.files += 1;
                let target = self.kept(target).ok_or_else(|| {
                    refuse(&member.path, format_args!("is a hard link to `{}`, which is left out of the tree. Make the archive with `--hard-dereference`.", shown(target)))
                })?;
                self.sink.hard_link(path, target)
            }
        }
    }

    /// What a name is called in the tree, if it is in it.
    fn kept<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        match self.strip {
            Strip::Prefix(folder) => under(path, folder.as_bytes()),
            Strip::Nothing | Strip::SoleFolder => Some(path),
        }
    }
}

fn leaves(link: &[u8]) -> Error {
    refuse(
        link,
        "is a link that leads out of the project. Point it to a file within, or leave it out.",
    )
}
