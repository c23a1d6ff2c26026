//! The tree that an archive has described so far, kept to refuse what contradicts it.
//!
//! It holds names and kinds, in memory that [`Limits`] bounds, and never looks at the disk: [`inspect`](super::inspect) and
//! [`unpack`](super::unpack) must come to the same answer.

use std::collections::{HashMap, HashSet};

use super::path::{refuse, shown};
use super::{Limits, Symlinks};
use crate::error::{Error, Result};

/// What is added to a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    Folder,
    File,
    Symlink,
}

enum Node {
    Folder(HashMap<Box<[u8]>, usize>),
    File { hard_links: u32 },
    Symlink,
}

pub(super) struct Tree {
    /// The root is the first.
    nodes: Vec<Node>,
    name_bytes: u64,
    /// Names with capitals in them, in small letters, by their folder.
    capitals: HashSet<(usize, Box<[u8]>)>,
    /// The first entry with a name, or a folder in it, that is like one before it but for capitals.
    alike: Option<Vec<u8>>,
}

impl Tree {
    pub(super) fn new() -> Tree {
        Tree {
            nodes: vec![Node::Folder(HashMap::new())],
            name_bytes: 0,
            capitals: HashSet::new(),
            alike: None,
        }
    }

    pub(super) fn alike(&self) -> Option<&[u8]> {
        self.alike.as_deref()
    }

    /// Adds an entry, and the folders that its name implies. A folder may come again; nothing else may.
    pub(super) fn add(&mut self, path: &[u8], leaf: Leaf, limits: &Limits) -> Result<()> {
        if path.is_empty() {
            return Ok(());
        }
        let mut at = 0;
        let mut parts = path.split(|&byte| byte == b'/').peekable();
        let mut length = 0;
        while let Some(part) = parts.next() {
            length += part.len() + 1;
            let wanted = if parts.peek().is_some() {
                Leaf::Folder
            } else {
                leaf
            };
            at = match self.child(at, part) {
                None => self.grow(at, part, wanted, path, limits)?,
                Some(there) => {
                    self.may_come_again(there, wanted, path, &path[..length - 1])?;
                    there
                }
            };
        }
        Ok(())
    }

    fn child(&self, at: usize, part: &[u8]) -> Option<usize> {
        match self.nodes.get(at) {
            Some(Node::Folder(children)) => children.get(part).copied(),
            _ => None,
        }
    }

    fn may_come_again(&self, there: usize, wanted: Leaf, path: &[u8], at: &[u8]) -> Result<()> {
        match (&self.nodes[there], wanted) {
            (Node::Folder(_), Leaf::Folder) => Ok(()),
            (Node::Folder(_), _) | (_, Leaf::Folder) if path == at => Err(refuse(
                path,
                "is there both as a folder and as something else. Keep one of them.",
            )),
            _ if path == at => Err(refuse(path, "is there twice. Keep one of them.")),
            (Node::Symlink, _) => Err(refuse(
                path,
                format_args!(
                    "lies beyond the symlink `{}`, which may lead anywhere. Keep the link or the folder.",
                    shown(at)
                ),
            )),
            _ => Err(refuse(
                path,
                format_args!(
                    "lies in `{}`, which is a file. Keep one of them.",
                    shown(at)
                ),
            )),
        }
    }

    fn grow(
        &mut self,
        at: usize,
        part: &[u8],
        leaf: Leaf,
        path: &[u8],
        limits: &Limits,
    ) -> Result<usize> {
        let new = self.nodes.len();
        // The root is no entry.
        if new as u64 > limits.entries {
            return Err(refuse(
                path,
                format_args!(
                    "is one too many: at most {} files and folders are taken. Leave out what the build can make.",
                    limits.entries
                ),
            ));
        }
        self.name_bytes += part.len() as u64;
        if self.name_bytes > limits.name_bytes {
            return Err(refuse(
                path,
                format_args!(
                    "is one too many: the names together are longer than {} bytes. Leave out what the build can make.",
                    limits.name_bytes
                ),
            ));
        }
        let Some(Node::Folder(children)) = self.nodes.get_mut(at) else {
            return Err(Error::internal(
                "a tree's node was to grow, and is no folder",
            ));
        };
        if self.alike.is_none() && limits.symlinks == Symlinks::Within {
            let small = part.to_ascii_lowercase();
            let has_capitals = small != part;
            let plain = has_capitals && children.contains_key(small.as_slice());
            let key = (at, small.into_boxed_slice());
            let other = match has_capitals {
                true => !self.capitals.insert(key),
                false => self.capitals.contains(&key),
            };
            self.alike = (plain || other).then(|| path.to_vec());
        }
        children.insert(part.into(), new);
        self.nodes.push(match leaf {
            Leaf::Folder => Node::Folder(HashMap::new()),
            Leaf::File => Node::File { hard_links: 0 },
            Leaf::Symlink => Node::Symlink,
        });
        Ok(new)
    }

    /// Counts one more hard link to a file that came before.
    pub(super) fn link(&mut self, target: &[u8], entry: &[u8], limits: &Limits) -> Result<()> {
        let found = target
            .split(|&byte| byte == b'/')
            .try_fold(0, |at, part| self.child(at, part));
        match found.and_then(|at| self.nodes.get_mut(at)) {
            Some(Node::File { hard_links }) if *hard_links < limits.hard_links => {
                *hard_links += 1;
                Ok(())
            }
            Some(Node::File { .. }) => Err(refuse(
                entry,
                format_args!(
                    "is one hard link too many to `{}`: at most {} are taken. Make the archive with `--hard-dereference`.",
                    shown(target),
                    limits.hard_links
                ),
            )),
            _ => Err(refuse(
                entry,
                format_args!(
                    "is a hard link to `{}`, which is no file that came before it. Make the archive with `--hard-dereference`.",
                    shown(target)
                ),
            )),
        }
    }

    /// The name of the one folder at the top, if there is nothing beside it.
    pub(super) fn sole_folder(&self) -> Option<&[u8]> {
        let Some(Node::Folder(top)) = self.nodes.first() else {
            return None;
        };
        let mut top = top.iter();
        let (name, &at) = top.next()?;
        let folder = matches!(self.nodes.get(at), Some(Node::Folder(_)));
        (folder && top.next().is_none()).then_some(name)
    }
}
