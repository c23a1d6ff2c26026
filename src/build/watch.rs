//! Looking after what a build uses while it runs: memory where the kernel says that it ended something, and disk, which no kernel
//! limits for a folder.
//!
//! Folders are gone through as seldom as can be: only when the disk as a whole has lost so much room that the build may have
//! taken it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{StatVfs, statvfs};

use crate::error::{Error, Result};
use crate::name::Id;
use crate::sandbox::cgroup::{Cgroup, Controller};
use crate::sandbox::folders::{self, Size};
use crate::shim::memory::{self, Measured};

use super::limits::Limits;

const EVERY: Duration = Duration::from_millis(100);
/// All of `/proc` is read for it, where no control group counts memory.
const MEMORY_EVERY: Duration = Duration::from_secs(1);
/// Folders are looked at after so long even if the disk seems to have lost nothing.
const DISK_EVERY: Duration = Duration::from_secs(20);
/// A build that leaves less than this of the machine's disk is ended, whoever has filled it: the server needs room to go on.
const RESERVE: u64 = 256 << 20;

/// What one command is watched by.
pub(super) struct Watch {
    pub(super) build: Id,
    /// All of the command's processes descend from this one.
    pub(super) shim: i32,
    pub(super) cgroup: Option<Cgroup>,
    /// Where it writes.
    pub(super) folder: PathBuf,
    pub(super) limits: Limits,
}

impl Watch {
    /// Resolves when the command has used too much, with what.
    pub(super) async fn overuse(&self) -> Error {
        let mut disk = Disk::new(&self.folder, &self.limits);
        let mut measured = Instant::now();
        loop {
            tokio::time::sleep(EVERY).await;
            if self.was_killed() {
                return self.too_much_memory();
            }
            if !self.is_counted() && measured.elapsed() > MEMORY_EVERY {
                if self.takes_too_much().await {
                    return self.too_much_memory();
                }
                measured = Instant::now();
            }
            if let Err(error) = disk.look().await {
                return error;
            }
        }
    }

    fn is_counted(&self) -> bool {
        let groups = self.cgroup.iter().flat_map(|cgroup| &cgroup.groups);
        groups
            .into_iter()
            .any(|group| group.controllers.contains(&Controller::Memory))
    }

    fn was_killed(&self) -> bool {
        let usage = self.cgroup.as_ref().and_then(Cgroup::usage);
        usage.is_some_and(|usage| usage.oom_kills > 0)
    }

    async fn takes_too_much(&self) -> bool {
        let measured = Measured {
            dyno: self.build,
            shim: self.shim,
            cgroup: self.cgroup.clone(),
            quota: self.limits.memory << 20,
        };
        let measuring = tokio::task::spawn_blocking(move || memory::over(vec![measured]));
        measuring.await.is_ok_and(|over| !over.is_empty())
    }

    fn too_much_memory(&self) -> Error {
        Error::invalid(format!(
            "The build used more than {} MiB of memory, and was ended. Let it do less at once, or start the server with a larger \
             --build-memory.",
            self.limits.memory
        ))
    }
}

/// The disk that a build writes to.
struct Disk {
    folder: PathBuf,
    enough: Size,
    /// At the last look into the folder: when, how much the disk held as a whole, and how much more may come before the next.
    last: Instant,
    held: u64,
    slack: u64,
}

impl Disk {
    fn new(folder: &Path, limits: &Limits) -> Disk {
        let held = statvfs(folder).map_or(0, |disk| held(&disk));
        Disk {
            folder: folder.to_owned(),
            enough: Size {
                bytes: limits.disk_bytes(),
                files: limits.max_files(),
            },
            last: Instant::now(),
            held,
            // What was there before counts too, so the first look comes early.
            slack: limits.disk_bytes() / 16,
        }
    }

    async fn look(&mut self) -> Result<()> {
        let Ok(disk) = statvfs(&self.folder) else {
            return Ok(());
        };
        if disk.f_bavail.saturating_mul(disk.f_frsize) < RESERVE {
            return Err(Error::invalid(
                "This machine's disk is nearly full, so the build was ended. Whoever runs the server has to make room.",
            ));
        }
        let more = held(&disk).saturating_sub(self.held);
        if more < self.slack && self.last.elapsed() < DISK_EVERY {
            return Ok(());
        }
        let (folder, enough) = (self.folder.clone(), self.enough);
        let sizing = tokio::task::spawn_blocking(move || folders::size(&folder, enough));
        let size = match sizing.await {
            Ok(Ok(size)) => size,
            // Something was moved away just then.
            _ => return Ok(()),
        };
        if size.is_over(&enough) {
            return Err(self.too_much());
        }
        self.held = held(&disk);
        self.slack = (enough.bytes - size.bytes) / 4;
        self.last = Instant::now();
        Ok(())
    }

    fn too_much(&self) -> Error {
        Error::invalid(format!(
            "The build used more than {} MiB of disk, or made more than {} files, or folders in folders without end or that \
             nobody may look into, and was ended. \
             Let it leave less behind, or start the server with a larger --build-disk.",
            self.enough.bytes >> 20,
            self.enough.files
        ))
    }
}

/// Bytes that a disk holds, and a block for each file, so that many empty ones are noticed too.
fn held(disk: &StatVfs) -> u64 {
    let blocks = disk.f_blocks.saturating_sub(disk.f_bfree);
    let files = disk.f_files.saturating_sub(disk.f_ffree);
    blocks
        .saturating_mul(disk.f_frsize)
        .saturating_add(files.saturating_mul(4096))
}
