//! Where buildpacks find what is theirs: their own folders and the cache, at Heroku's places below `/tmp`.
//!
//! All of it is made before the first of them runs: after that no name below `/tmp` can be trusted.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::Digest as _;

use crate::error::Result;
use crate::sandbox::folders;

use super::super::buildpacks::Fetched;
use super::super::halt::Halt;
use super::super::limits::MAX_FILES;
use super::super::make::is_file;
use super::super::workshop::Workshop;
use super::Pack;

const BUILDPACKS: &str = "codon/tmp/buildpacks";

/// Makes the folders. Blocks.
pub(in super::super) fn prepare(workshop: &Workshop, halt: &Halt) -> Result<()> {
    let tmp = workshop.outside_tmp();
    for folder in ["codon", "codon/tmp", BUILDPACKS] {
        workshop.make_folder(&tmp.join(folder))?;
    }
    workshop.lay_cache(halt)
}

/// The cache, as seen from inside.
pub(in super::super) fn cache(workshop: &Workshop) -> PathBuf {
    workshop.cache()
}

/// The source itself as a buildpack. Blocks.
pub(in super::super) fn inline(workshop: &Workshop, halt: &Halt) -> Result<Pack> {
    let most = folders::Size {
        bytes: workshop.disk_bytes(),
        files: MAX_FILES,
    };
    lay(workshop, "the source's own bin/compile", |folder| {
        DirBuilder::new().mode(0o755).create(folder)?;
        let tree = workshop.outside_tree();
        Ok(folders::copy(&tree, folder, most, || halt.go_on())?)
    })
}

/// Buildpacks that were fetched. Blocks.
pub(in super::super) fn fetched(workshop: &Workshop, fetched: Vec<Fetched>) -> Result<Vec<Pack>> {
    let lay = |fetched: Fetched| {
        lay(workshop, &fetched.shown, |folder| {
            Ok(fs::rename(&fetched.folder, folder)?)
        })
    };
    fetched.into_iter().map(lay).collect()
}

/// Lays a buildpack ready, whose folder `make` makes.
fn lay(workshop: &Workshop, shown: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<Pack> {
    let name = hex::encode(&sha2::Sha256::digest(shown.as_bytes())[..20]);
    let outside = workshop.outside_tmp().join(BUILDPACKS).join(&name);
    make(&outside)?;
    make_executable(&outside.join("bin"))?;
    if let Some(uid) = workshop.uid() {
        folders::give(&outside, uid)?;
    }
    Ok(Pack {
        shown: shown.to_owned(),
        folder: workshop.tmp().join(BUILDPACKS).join(name),
    })
}

/// Scripts come from git without their bits now and then, and Heroku sets them.
fn make_executable(bin: &Path) -> Result<()> {
    if !folders::is_folder(bin) {
        return Ok(());
    }
    for entry in fs::read_dir(bin)? {
        let path = entry?.path();
        if is_file(&path) {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}
