//! The folder that one build works in. It is gone when the last who works there has let go of it, or at the next start.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::caches::Staged;
use crate::error::Result;
use crate::name::Id;
use crate::sandbox::folders;

pub(super) struct Workspace {
    path: PathBuf,
    cache: Mutex<Option<Staged>>,
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
        let workspace = Workspace {
            path,
            cache: Mutex::default(),
        };
        for folder in [workspace.path.clone(), workspace.tree()] {
            DirBuilder::new().mode(0o700).create(folder)?;
        }
        Ok(workspace)
    }

    /// All of it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Holds the cache that the build has left, until it is known how the build ends.
    pub(super) fn keep(&self, cache: Option<Staged>) {
        *self.cache.lock().unwrap_or_else(PoisonError::into_inner) = cache;
    }

    /// Gives it away.
    pub(super) fn cache(&self) -> Option<Staged> {
        self.cache
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
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
