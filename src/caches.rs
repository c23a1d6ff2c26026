//! What builds keep for the next one of their app: a folder each, taken over whole or not at all.
//!
//! A build works on a copy. Only if it succeeds does its copy take the place of what was there, in one step, so that neither a
//! failed build nor a crash leaves half of something. It must not know what is in a cache: only builds look, in their sandbox.

use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::error::Result;
use crate::name::Id;
use crate::sandbox::folders::{self, Size};

/// What is over is not kept: a larger one takes longer to copy than most things take to be made anew.
pub const LARGEST: Size = Size {
    bytes: 2 << 30,
    files: 500_000,
};
/// What is being taken over, or removed.
const UNFINISHED: &str = "tmp";

/// `<data>/caches`. Clones are the same.
#[derive(Clone)]
pub struct Caches {
    dir: Arc<Path>,
    /// How often each app's was purged: a build that began before does not bring it back.
    purged: Arc<Mutex<HashMap<Id, u64>>>,
}

/// Tells a cache from the one after a purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(u64);

impl Caches {
    /// What a crash left unfinished is removed.
    pub fn open(dir: &Path) -> Result<Caches> {
        folders::remove(&dir.join(UNFINISHED))?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir.join(UNFINISHED))?;
        Ok(Caches {
            dir: fs::canonicalize(dir)?.into(),
            purged: Arc::default(),
        })
    }

    /// Copies an app's cache into an empty folder, and makes it `owner`'s. One that was another user's is of no use to this one.
    /// It fails as soon as `go_on` does. Blocks.
    pub fn copy_to(
        &self,
        app: Id,
        owner: Option<u32>,
        to: &Path,
        go_on: impl Fn() -> io::Result<()>,
    ) -> Result<Generation> {
        let generation = self.generation(app);
        let cache = self.path(app);
        if !folders::is_folder(&cache)
            || owner.is_some_and(|uid| folders::owner(&cache) != Some(uid))
        {
            return Ok(generation);
        }
        folders::copy(&cache, to, LARGEST, go_on)?;
        if let Some(uid) = owner {
            folders::give(to, uid)?;
        }
        Ok(generation)
    }

    /// Takes a build's folder in, on the same disk, to become the app's cache. `None` if it is too large to be kept. Blocks.
    pub fn stage(&self, app: Id, generation: Generation, from: &Path) -> Result<Option<Staged>> {
        if folders::size_of_copy(from, LARGEST)?.is_over(&LARGEST) {
            return Ok(None);
        }
        let path = self.dir.join(UNFINISHED).join(Id::new().to_string());
        fs::rename(from, &path)?;
        Ok(Some(Staged {
            caches: self.clone(),
            app,
            generation,
            path,
        }))
    }

    /// Removes an app's cache. Harmless if it has none. Blocks.
    pub fn purge(&self, app: Id) -> Result<()> {
        *self.purged().entry(app).or_default() += 1;
        self.remove(app)
    }

    /// The same, for an app that is no more.
    pub fn remove(&self, app: Id) -> Result<()> {
        // Under a name that is none's first, since a crash may come in between.
        let going = self.dir.join(UNFINISHED).join(Id::new().to_string());
        match fs::rename(self.path(app), &going) {
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
            renamed => renamed?,
        }
        Ok(folders::remove(&going)?)
    }

    /// The apps that have one.
    pub fn stored(&self) -> Result<Vec<Id>> {
        let mut stored = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            stored.extend(entry?.file_name().to_str().and_then(Id::parse));
        }
        Ok(stored)
    }

    fn path(&self, app: Id) -> PathBuf {
        self.dir.join(app.to_string())
    }

    fn generation(&self, app: Id) -> Generation {
        Generation(self.purged().get(&app).copied().unwrap_or_default())
    }

    fn purged(&self) -> MutexGuard<'_, HashMap<Id, u64>> {
        self.purged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A cache to be. It goes when this does.
pub struct Staged {
    caches: Caches,
    app: Id,
    generation: Generation,
    path: PathBuf,
}

impl Staged {
    /// Becomes the app's cache, in place of the one before, unless that was purged meanwhile. Blocks.
    pub fn commit(self) -> Result<()> {
        if self.caches.generation(self.app) != self.generation {
            return Ok(());
        }
        let place = self.caches.path(self.app);
        match renameat_with(CWD, &self.path, CWD, &place, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(()),
            // There was none, or the disk cannot do it in one step: then the build after a crash in between has none.
            Err(Errno::NOENT | Errno::INVAL) => {
                self.caches.remove(self.app)?;
                Ok(fs::rename(&self.path, &place)?)
            }
            Err(errno) => Err(io::Error::from(errno).into()),
        }
    }
}

impl Drop for Staged {
    /// Removes what was not taken over, or the cache from before.
    fn drop(&mut self) {
        if let Err(cause) = folders::remove(&self.path) {
            tracing::warn!(%cause, app = %self.app, "a build's cache stays until the next start");
        }
    }
}
