//! The folder that one build works in. It is gone when the last who works there has let go of it, or at the next start.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::name::Id;
use crate::sandbox::folders;

pub(super) struct Workspace {
    path: PathBuf,
}

impl Workspace {
    /// Makes the folder `dir` and removes what a crash left in it.
    pub(super) fn sweep(dir: &Path) -> Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        for left in fs::read_dir(dir)? {
            folders::remove(&left?.path())?;
        }
        Ok(())
    }

    /// Makes an empty folder for a build.
    pub(super) fn create(dir: &Path, build: Id) -> Result<Workspace> {
        let path = dir.join(build.to_string());
        folders::remove(&path)?;
        let workspace = Workspace { path };
        for folder in [workspace.path.clone(), workspace.tree()] {
            DirBuilder::new().mode(0o700).create(folder)?;
        }
        Ok(workspace)
    }

    /// All of it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the source is unpacked, and what becomes the slug.
    pub(super) fn tree(&self) -> PathBuf {
        self.path.join("tree")
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Err(cause) = folders::remove(&self.path) {
            tracing::warn!(%cause, path = %self.path.display(), "a build's folder stays until the next start");
        }
    }
}
