//! Slugs as files: each unpacked once for whoever owns its dynos, and laid under all of them.
//!
//! A tree is there in whole or not at all, and nobody writes to it. One that no dyno uses stays for a while, since the next
//! release may well be a restart or a rollback. It must not know what a dyno is run for.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::archive::{self, Limits, Strip};
use crate::blob::{Blobs, Digest};
use crate::error::{Error, ErrorId, Result};
use crate::name::Id;
use crate::sandbox::folders;

/// Trees that no dyno uses go after this time, and sooner if there are more than so many of them.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
const KEPT: usize = 10;
/// In a dyno's folder: the name of the tree that it uses.
const NOTE: &str = "tree";
/// Trees that are being unpacked.
const UNFINISHED: &str = "tmp";
/// Beside the trees: since when the machine has run that they were unpacked on.
const BOOT: &str = "boot";
/// Another one after each start of the machine: see random(4).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// `<data>/trees`.
pub struct Trees {
    dir: PathBuf,
    /// Held while one is unpacked, so that many dynos of one app that start together unpack it once.
    unpacking: Mutex<()>,
    /// Held while it is decided that one is used, or that it is not.
    places: Mutex<()>,
}

impl Trees {
    /// What a crash left unfinished is removed, and every tree that a machine unpacked which has been started anew since.
    pub fn open(data: &Path) -> Result<Trees> {
        let dir = data.join("trees");
        let unfinished = dir.join(UNFINISHED);
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        // Whoever is in a sandbox does not see it at all.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&unfinished)?;
        trust(&dir)?;
        Ok(Trees {
            dir: fs::canonicalize(dir)?,
            unpacking: Mutex::new(()),
            places: Mutex::new(()),
        })
    }

    /// The app's files for a dyno whose folder this is, owned by `owner` or by the server's user. Blocks.
    pub fn lay_under(
        &self,
        folder: &Path,
        blobs: &Blobs,
        slug: &Digest,
        owner: Option<u32>,
    ) -> Result<PathBuf> {
        let name = match owner {
            Some(uid) => format!("{slug}-{uid}"),
            None => slug.to_string(),
        };
        if !self.take(folder, &name)? {
            let _held = lock(&self.unpacking);
            // Whoever held it before may have unpacked just this one.
            if !self.take(folder, &name)? {
                self.unpack(&name, blobs, slug, owner)?;
                self.take(folder, &name)?;
            }
        }
        Ok(self.dir.join(name).join("app"))
    }

    /// Notes that the dyno uses a tree, if it is there.
    fn take(&self, folder: &Path, name: &str) -> Result<bool> {
        let _held = lock(&self.places);
        let tree = self.dir.join(name);
        let Ok(opened) = File::open(&tree) else {
            return Ok(false);
        };
        opened.set_modified(SystemTime::now())?;
        fs::write(folder.join(NOTE), name)?;
        Ok(true)
    }

    fn unpack(&self, name: &str, blobs: &Blobs, slug: &Digest, owner: Option<u32>) -> Result<()> {
        let unfinished = self.dir.join(UNFINISHED).join(name);
        let home = unfinished.join("app");
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&home)?;
        let made = unpack(blobs, slug, &home)
            .and_then(|()| owner.map_or(Ok(()), |uid| Ok(folders::give(&home, uid)?)))
            .and_then(|()| Ok(fs::rename(&unfinished, self.dir.join(name))?));
        if made.is_err() {
            fs::remove_dir_all(&unfinished)?;
        }
        made
    }

    /// Removes trees that no dyno has used for long. `dynos` has the folders of all that there are. Blocks.
    pub fn sweep(&self, dynos: &Path) -> Result<()> {
        let _held = lock(&self.places);
        let used: HashSet<String> = fs::read_dir(dynos)?
            .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join(NOTE)).ok())
            .collect();
        let mut unused: Vec<(SystemTime, PathBuf)> = fs::read_dir(&self.dir)?
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let name = entry.file_name().into_string().ok()?;
                let kept = [UNFINISHED, BOOT].contains(&name.as_str()) || used.contains(&name);
                (!kept).then_some((entry.metadata().ok()?.modified().ok()?, entry.path()))
            })
            .collect();
        unused.sort_by_key(|(last, _)| std::cmp::Reverse(*last));
        for (at, (last, path)) in unused.into_iter().enumerate() {
            if at >= KEPT || last.elapsed().is_ok_and(|age| age > KEPT_FOR) {
                // Under a name that is no tree's first, since a crash may come in between.
                let going = self.dir.join(UNFINISHED).join(Id::new().to_string());
                // Litter keeps no server from its start.
                if let Err(error) =
                    fs::rename(&path, &going).and_then(|()| fs::remove_dir_all(&going))
                {
                    tracing::warn!(%error, "a tree that no dyno uses could not be removed");
                }
            }
        }
        Ok(())
    }
}

/// Unpacks a slug into an empty folder. Its bytes are hashed on the way; if the disk has altered them, that is what the error says,
/// with a [`Mismatch`](crate::blob::Mismatch) as its cause, whatever the archive looked like then.
pub(super) fn unpack(blobs: &Blobs, slug: &Digest, into: &Path) -> Result<()> {
    let archive = blobs.open_checked(slug)?;
    let unpacked = archive::unpack(archive, into, &Limits::slug(), Strip::Prefix("app"));
    let Err(error) = unpacked else {
        return Ok(());
    };
    match blobs.damage(slug)? {
        None => Err(error),
        Some(mismatch) => Err(Error {
            cause: Some(Box::new(mismatch)),
            ..Error::new(
                ErrorId::Internal,
                "The app's slug is not what it was when it was made: the server's disk has altered it. Deploy the app again.",
            )
        }),
    }
}

/// Nothing of a tree is synced when it is unpacked, so after a power cut there may be less in it than its name promises. No dyno that uses
/// one has come through that.
fn trust(dir: &Path) -> Result<()> {
    // Where the kernel does not say it, nothing ever differs.
    let boot = fs::read(BOOT_ID).unwrap_or_default();
    let note = dir.join(BOOT);
    if fs::read(&note).is_ok_and(|noted| noted == boot) {
        return Ok(());
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if ![UNFINISHED, BOOT]
            .into_iter()
            .any(|own| entry.file_name() == own)
        {
            folders::remove(&entry.path())?;
        }
    }
    Ok(fs::write(note, boot)?)
}

fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
