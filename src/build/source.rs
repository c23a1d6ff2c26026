//! The tree of a source: unpacked, rid of what is no part of the app, and looked at. All of it blocks.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::app_json;
use crate::archive::{self, Limits, RootFile, Strip};
use crate::blob::{Blobs, Digest};
use crate::cron;
use crate::error::Result;
use crate::health_checks;
use crate::process_types::{self, Built, Decision};
use crate::store::cron_jobs::Entry;

use super::halt::{Halt, Halting};
use super::ignore;

/// What a source was before anything is built of it.
pub(super) struct Unpacked {
    /// How much its `.slugignore` names, where there is one.
    pub(super) ignored: Option<usize>,
    /// An entry that differs from another in capitals alone.
    pub(super) alike: Option<String>,
    /// A file that was setuid or setgid.
    pub(super) privileged: Option<String>,
    /// The archive's one folder, in which the tree was.
    pub(super) lifted: Option<String>,
}

/// Unpacks a source into the empty folder `tree`, less what its `.slugignore` names.
pub(super) fn unpack(blobs: &Blobs, source: &Digest, tree: &Path, halt: Halt) -> Result<Unpacked> {
    let archive = Halting {
        inner: blobs.open_checked(source)?,
        halt,
    };
    let summary = archive::unpack(archive, tree, &Limits::default(), Strip::SoleFolder)?;
    remove_history(tree)?;
    Ok(Unpacked {
        ignored: ignore::remove_ignored(tree)?,
        alike: summary.alike,
        privileged: summary.privileged,
        lifted: summary.lifted,
    })
}

/// What a tree runs, and what at which times.
pub(super) struct Found {
    pub(super) decision: Decision,
    pub(super) cron: Vec<Entry>,
    /// Of an `app.json` that cannot be read, and seems to ask for nothing of this: why that is so.
    pub(super) unread_app_json: Option<String>,
}

/// Decides that. What has built the tree, if anything did, has a say in it.
pub(super) fn decide(tree: &Path, built: Option<Built>) -> Result<Found> {
    let root = root_files(tree)?;
    health_checks::check(&root)?;
    let decision = match built {
        Some(built) => process_types::merge(&root, built)?,
        None => process_types::decide(&root)?,
    };
    Ok(Found {
        decision,
        cron: cron::entries(&root)?,
        unread_app_json: root
            .get(app_json::NAME)
            .and_then(|file| app_json::read(file).err()),
    })
}

/// Whether a Procfile says what runs.
pub(super) fn declares(tree: &Path) -> Result<bool> {
    Ok(!process_types::declared(&root_files(tree)?)?.0.is_empty())
}

/// `.git` is a folder, or a file in a submodule; as on Heroku it is no part of the slug.
fn remove_history(tree: &Path) -> Result<()> {
    let git = tree.join(".git");
    match fs::symlink_metadata(&git) {
        Ok(found) if found.is_dir() => Ok(fs::remove_dir_all(&git)?),
        Ok(_) => Ok(fs::remove_file(&git)?),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(cause.into()),
    }
}

/// The files that the decision looks at. As in [`archive::inspect`], links to such files are not followed.
fn root_files(tree: &Path) -> Result<BTreeMap<String, RootFile>> {
    let mut files = BTreeMap::new();
    for name in process_types::FILES.iter().chain([&app_json::NAME]) {
        let path = tree.join(name);
        let size = match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() => found.len(),
            Ok(_) => continue,
            Err(cause) if cause.kind() == ErrorKind::NotFound => continue,
            Err(cause) => return Err(cause.into()),
        };
        let mut bytes = Vec::new();
        File::open(&path)?
            .take(process_types::FILE_BYTES)
            .read_to_end(&mut bytes)?;
        files.insert((*name).to_owned(), RootFile { bytes, size });
    }
    Ok(files)
}
