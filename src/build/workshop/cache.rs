//! The app's cache in a workshop: a copy is laid ready, and what the commands leave of it is taken for the next build.

use std::path::PathBuf;

use crate::error::Result;
use crate::sandbox::folders;

use super::Workshop;

/// Heroku's, below `/tmp`.
const CACHE: &str = "codon/tmp/cache";

impl Workshop {
    /// Lays a copy of the app's cache at [`CACHE`]. Before any command runs. Blocks.
    pub(in super::super) fn lay_cache(&self) -> Result<()> {
        let mut folder = self.outside_tmp();
        for part in CACHE.split('/') {
            folder.push(part);
            if !folders::is_folder(&folder) {
                self.make_folder(&folder)?;
            }
        }
        let generation = self
            .bench
            .caches
            .copy_to(self.app, self.uid, &folder)
            .or_else(|error| {
                tracing::warn!(app = %self.app, %error, "a build begins without its cache");
                self.bench.caches.purge(self.app)?;
                folders::remove(&folder)?;
                self.make_folder(&folder)?;
                self.bench.caches.copy_to(self.app, self.uid, &folder)
            })?;
        // Laid once.
        let _ = self.cache.set(generation);
        Ok(())
    }

    /// The cache, as commands see it.
    pub(in super::super) fn cache(&self) -> PathBuf {
        self.tmp().join(CACHE)
    }

    /// Takes the cache that the commands have left, for the next build. Nothing of theirs runs any more, so what is a folder now
    /// stays one.
    pub(super) fn keep_cache(&self) -> Result<()> {
        let Some(generation) = self.cache.get() else {
            return Ok(());
        };
        let mut folder = self.outside_tmp();
        for part in CACHE.split('/') {
            folder.push(part);
            if !folders::is_folder(&folder) {
                return Ok(());
            }
        }
        let staged = self.bench.caches.stage(self.app, *generation, &folder)?;
        if staged.is_none() {
            tracing::warn!(build = %self.build, "a build's cache is too large to be kept");
        }
        self.place.keep(staged);
        Ok(())
    }
}
