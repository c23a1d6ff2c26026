//! The buildpacks that are kept on this machine, by their names: `<data>/buildpacks/heroku/nodejs.tgz`.
//!
//! Each is one file, put in its place in one step, so that whoever replaces one does so under the builds that run.

use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::Serialize;

use crate::archive::{self, Limits, Strip, Symlinks};
use crate::error::{Error, Result};
use crate::name::Id;
use crate::sandbox::folders;
use crate::store::buildpacks::Buildpack;
use crate::time::Timestamp;

use super::halt::{Halt, Halting};

/// The folder in the file that has the buildpack.
const PREFIX: &str = "pack";
const ENDING: &str = ".tgz";

/// Where they are.
#[derive(Clone, Debug)]
pub struct Registry {
    dir: PathBuf,
}

/// One that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// `heroku/nodejs`.
    pub name: String,
    /// Bytes of its file.
    pub size: u64,
    /// When it was imported last.
    pub imported_at: Timestamp,
}

/// How much a buildpack may hold. Links may lead anywhere: they are followed only in a build's sandbox.
pub(super) fn limits() -> Limits {
    Limits {
        compressed: 256 << 20,
        total_bytes: 1 << 30,
        symlinks: Symlinks::Any,
        ..Limits::default()
    }
}

impl Registry {
    pub fn new(dir: PathBuf) -> Registry {
        Registry { dir }
    }

    /// Keeps a buildpack under a name, from a folder or a tar.gz. 422 for a name that is none, and for what is no buildpack.
    pub fn import(&self, name: &str, from: &Path) -> Result<Kept> {
        let (owner, word) = parts(name)?;
        let place = self.dir.join(owner);
        for folder in [&self.dir, &place] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        let unfinished = self.dir.join(format!("unfinished-{}", Id::new()));
        let imported = put(from, &unfinished)
            .and_then(|()| Ok(fs::rename(unfinished.join("file"), place.join(file(word)))?))
            .and_then(|()| Ok(File::open(&place)?.sync_all()?));
        folders::remove(&unfinished)?;
        imported?;
        kept(name.to_owned(), &place.join(file(word)))
    }

    /// All that are kept, by their names.
    pub fn list(&self) -> Result<Vec<Kept>> {
        let mut kept = Vec::new();
        for owner in entries(&self.dir)? {
            for found in entries(&self.dir.join(&owner))? {
                let Some(word) = found.strip_suffix(ENDING) else {
                    continue;
                };
                kept.push(self::kept(
                    format!("{owner}/{word}"),
                    &self.dir.join(&owner).join(&found),
                )?);
            }
        }
        kept.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(kept)
    }

    /// Removes one. 404 when there is none of this name.
    pub fn remove(&self, name: &str) -> Result<()> {
        let (owner, word) = parts(name)?;
        match fs::remove_file(self.dir.join(owner).join(file(word))) {
            Err(cause) if cause.kind() == ErrorKind::NotFound => Err(Error::not_found("buildpack")),
            removed => Ok(removed?),
        }
    }

    /// Unpacks one into an empty folder. False when there is none of this name. Blocks.
    pub(super) fn unpack(&self, name: &str, into: &Path, halt: Halt) -> Result<bool> {
        let (owner, word) = parts(name)?;
        match File::open(self.dir.join(owner).join(file(word))) {
            Ok(inner) => {
                let file = Halting { inner, halt };
                archive::unpack(file, into, &limits(), Strip::Prefix(PREFIX)).map(|_| true)
            }
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(false),
            Err(cause) => Err(cause.into()),
        }
    }
}

fn kept(name: String, file: &Path) -> Result<Kept> {
    let found = fs::metadata(file)?;
    let since = found.modified()?.duration_since(UNIX_EPOCH);
    let micros = since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(0));
    Ok(Kept {
        name,
        size: found.len(),
        imported_at: Timestamp::from_micros(micros),
    })
}

fn file(word: &str) -> String {
    format!("{word}{ENDING}")
}

/// The two words of a name, neither of which leads anywhere.
fn parts(name: &str) -> Result<(&str, &str)> {
    let known = Buildpack::parse(name).ok();
    let known = known.filter(|known| known.name == name);
    let both = known.and_then(|_| name.split_once('/'));
    both.filter(|(owner, word)| !owner.starts_with('.') && !word.starts_with('.'))
        .ok_or_else(|| {
            Error::invalid(format!(
                "{name:?} is no name for a buildpack. Give it two words with a slash between them, such as heroku/nodejs."
            ))
        })
}

fn entries(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) if cause.kind() == ErrorKind::NotADirectory => return Ok(Vec::new()),
        entries => entries?,
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names
        .filter(|name| !name.starts_with("unfinished-"))
        .collect())
}

/// Makes `unfinished/file` of a buildpack.
fn put(from: &Path, unfinished: &Path) -> Result<()> {
    DirBuilder::new().mode(0o700).create(unfinished)?;
    let found = fs::metadata(from).map_err(|cause| Error::unreadable(from, &cause))?;
    let tree = match found.is_dir() {
        // Whoever names a link to a folder means the folder.
        true => fs::canonicalize(from)?,
        false => {
            let unpacked = unfinished.join("tree");
            DirBuilder::new().mode(0o700).create(&unpacked)?;
            archive::unpack(File::open(from)?, &unpacked, &limits(), Strip::Nothing)?;
            unpacked
        }
    };
    let root = root(&tree)?;
    let mut file = File::create(unfinished.join("file"))?;
    archive::pack(&root, &format!("./{PREFIX}"), &mut file, &limits())?;
    file.flush()?;
    Ok(file.sync_all()?)
}

/// The folder that has the buildpack: this one, or the one folder in it, as in archives of repositories. 422 when it is neither.
pub(super) fn root(tree: &Path) -> Result<PathBuf> {
    let is_pack = |folder: &Path| super::make::is_file(&folder.join("bin/compile"));
    if is_pack(tree) {
        return Ok(tree.to_owned());
    }
    let mut inner = fs::read_dir(tree)?.filter_map(|entry| Some(entry.ok()?.path()));
    match (inner.next(), inner.next()) {
        (Some(sole), None) if folders::is_folder(&sole) && is_pack(&sole) => Ok(sole),
        _ => Err(Error::invalid(
            "There is no bin/compile in it, so it is no buildpack. Cloud Native Buildpacks, with bin/build, are of another kind.",
        )),
    }
}
