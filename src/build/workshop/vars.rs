//! The app's config vars in a workshop, a file each: in the memory of a tree of its own, else on the disk for as long as the workshop
//! is there, readable by its user alone.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use crate::error::Result;
use crate::sandbox::{VARS, folders};

use super::Workshop;

impl Workshop {
    /// The folder with them, as commands see it.
    pub(in super::super) fn vars_dir(&self) -> PathBuf {
        match self.has_own_tree() {
            true => VARS.into(),
            false => self.outside_vars(),
        }
    }

    /// Where they are on the disk, if they are: in a folder of their own, whose names the commands cannot change.
    pub(super) fn outside_vars(&self) -> PathBuf {
        self.place.path().join("vars")
    }

    /// Lays them on the disk, where all is the server's user's. Blocks.
    pub(super) fn lay_vars(&self) -> Result<()> {
        let dir = self.outside_vars();
        DirBuilder::new().mode(0o700).create(&dir)?;
        for (name, value) in &self.vars {
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(dir.join(name))?
                .write_all(value.as_bytes())?;
        }
        Ok(())
    }

    /// Overwrites and removes those on the disk. Blocks.
    pub(super) fn wipe_vars(&self) {
        let dir = self.outside_vars();
        for (name, value) in &self.vars {
            // Commands without a sandbox may have put something else in its place.
            let path = dir.join(name);
            let is_ours = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
            if is_ours && let Ok(mut file) = OpenOptions::new().write(true).open(&path) {
                // What cannot be overwritten is still removed.
                let _ = file
                    .write_all(&vec![0; value.len()])
                    .and_then(|()| file.sync_data());
            }
        }
        match folders::remove(&dir) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => {
                tracing::warn!(%cause, build = %self.build, "a build's config vars stay on the disk until the next start");
            }
            _ => {}
        }
    }
}
