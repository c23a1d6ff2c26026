//! Where buildpacks find what is theirs: their own folders and the cache, at Heroku's places below `/tmp`.
//!
//! All of it is made before the first of them runs: after that no name below `/tmp` can be trusted.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::Digest as _;

use crate::error::Result;
use crate::sandbox::folders;

use super::super::make::is_file;
use super::super::workshop::Workshop;
use super::Pack;

const BUILDPACKS: &str = "codon/tmp/buildpacks";
const CACHE: &str = "codon/tmp/cache";

/// Makes the folders. Blocks.
pub(in super::super) fn prepare(workshop: &Workshop) -> Result<()> {
    let tmp = workshop.outside_tmp();
    for folder in ["codon", "codon/tmp", BUILDPACKS, CACHE] {
        workshop.make_folder(&tmp.join(folder))?;
    }
    Ok(())
}

/// The cache, as seen from inside.
pub(in super::super) fn cache(workshop: &Workshop) -> PathBuf {
    workshop.tmp().join(CACHE)
}

/// The source itself as a buildpack. Blocks.
pub(in super::super) fn inline(workshop: &Workshop) -> Result<Pack> {
    lay(workshop, "the source's own bin/compile", |folder| {
        folders::copy(&workshop.outside_tree(), folder)
    })
}

/// Lays a buildpack ready, which `fill` puts into an empty folder.
fn lay(
    workshop: &Workshop,
    shown: &str,
    fill: impl FnOnce(&Path) -> std::io::Result<()>,
) -> Result<Pack> {
    let name = hex::encode(&sha2::Sha256::digest(shown.as_bytes())[..20]);
    let outside = workshop.outside_tmp().join(BUILDPACKS).join(&name);
    DirBuilder::new().mode(0o755).create(&outside)?;
    fill(&outside)?;
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
