//! Looking into an archive without unpacking it.
//!
//! It passes the same walk as unpacking does, so that what is found good here can be unpacked, and it writes nothing.

use std::collections::BTreeMap;
use std::io::Read;

use super::path::under;
use super::walk::{Content, Sink, walk};
use super::{Limits, Strip, Summary};
use crate::error::Result;

/// How much is looked at of one file, in bytes.
pub const KEPT: u64 = 256 * 1024;

/// What an archive holds.
#[derive(Debug)]
pub struct Listing {
    /// Those of the wanted files that are there as regular files, by name.
    pub files: BTreeMap<String, RootFile>,
    pub summary: Summary,
}

/// A file of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootFile {
    /// At most the first [`KEPT`].
    pub bytes: Vec<u8>,
    /// Of all of it, in bytes.
    pub size: u64,
}

/// Reads an archive to its end, and keeps the beginnings of the `wanted` files, such as `Procfile` and `bin/detect`, by their paths
/// from its root. The root is what [`unpack`](super::unpack) makes it with the same `strip`. Links to such files are not followed.
pub fn inspect<R: Read + Send>(
    reader: R,
    limits: &Limits,
    strip: Strip,
    wanted: &[&str],
) -> Result<Listing> {
    let mut roots = Roots {
        wanted,
        top: None,
        found: BTreeMap::new(),
    };
    let walked = walk(reader, limits, strip, &mut roots)?;
    let folder = walked.lifted.unwrap_or_default();
    let files = roots
        .found
        .into_iter()
        .filter_map(|(path, file)| {
            let inner = match folder.is_empty() {
                true => path.as_slice(),
                false => under(&path, &folder)?,
            };
            let name = wanted.iter().find(|wanted| wanted.as_bytes() == inner)?;
            Some(((*name).to_owned(), file))
        })
        .collect();
    Ok(Listing {
        files,
        summary: walked.summary,
    })
}

struct Roots<'a> {
    wanted: &'a [&'a str],
    /// The first folder at the top: only that one can turn out to be the root.
    top: Option<Vec<u8>>,
    found: BTreeMap<Vec<u8>, RootFile>,
}

impl Roots<'_> {
    fn may_be_wanted(&mut self, path: &[u8]) -> bool {
        let is_wanted = |path: &[u8]| self.wanted.iter().any(|wanted| wanted.as_bytes() == path);
        if is_wanted(path) {
            return true;
        }
        let Some(at) = path.iter().position(|&byte| byte == b'/') else {
            return false;
        };
        let (top, inner) = (&path[..at], &path[at + 1..]);
        is_wanted(inner) && self.top.get_or_insert_with(|| top.to_vec()) == top
    }
}

impl Sink for Roots<'_> {
    fn folder(&mut self, _path: &[u8]) -> Result<()> {
        Ok(())
    }

    fn file(&mut self, path: &[u8], content: &mut Content<'_>) -> Result<()> {
        if self.may_be_wanted(path) {
            let size = content.size;
            let mut bytes = Vec::new();
            content.take(KEPT).read_to_end(&mut bytes)?;
            self.found.insert(path.to_vec(), RootFile { bytes, size });
        }
        Ok(())
    }

    fn symlink(&mut self, _path: &[u8], _target: &[u8]) -> Result<()> {
        Ok(())
    }

    fn hard_link(&mut self, _path: &[u8], _target: &[u8]) -> Result<()> {
        Ok(())
    }
}
