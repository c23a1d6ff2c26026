//! The app's cache in a workshop: a copy is laid ready, and what the commands leave of it is taken for the next build.

use std::path::PathBuf;

use crate::error::Result;
use crate::sandbox::folders;

use super::super::halt::Halt;
use super::Workshop;

/// Heroku's, below `/tmp`.
const CACHE: &str = "codon/tmp/cache";

impl Workshop {
    /// Lays a copy of the app's cache at [`CACHE`]. Before any command runs. Blocks.
    pub(in super::super) fn lay_cache(&self, halt: &Halt) -> Result<()> {
        let mut folder = self.outside_tmp();
        for part in CACHE.split('/') {
            folder.push(part);
            if !folders::is_folder(&folder) {
                self.make_folder(&folder)?;
            }
        }
        let copy = || {
            let caches = &self.bench.caches;
            caches.copy_to(self.app, self.uid, &folder, || halt.go_on())
        };
        let generation = copy().or_else(|error| {
            halt.check()?;
            tracing::warn!(app = %self.app, %error, "a build begins without its cache");
            self.bench.caches.purge(self.app)?;
            folders::remove(&folder)?;
            self.make_folder(&folder)?;
            copy()
        })?;
        // Laid once.
        let _ = self.cache.set(generation);
        Ok(())
    }

    /// The cache, as commands see it.
    pub(in super::super) fn cache(&self) -> PathBuf {
        self.tmp().join(CACHE)
    }

    /// Takes the cache that the commands have left, for the next build; false if it is too large for that. Nothing of theirs runs
    /// any more, so what is a folder now stays one.
    pub(super) fn keep_cache(&self) -> Result<bool> {
        let Some(generation) = self.cache.get() else {
            return Ok(true);
        };
        let mut folder = self.outside_tmp();
        for part in CACHE.split('/') {
            folder.push(part);
            if !folders::is_folder(&folder) {
                return Ok(true);
            }
        }
        let staged = self.bench.caches.stage(self.app, *generation, &folder)?;
        let kept = staged.is_some();
        self.place.keep(staged);
        Ok(kept)
    }
}
