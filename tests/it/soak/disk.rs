//! A disk of the test's own, which fills up, breaks and loses its power: a file with ext4 in it, mounted where the server keeps
//! everything. It takes root, and mkfs.ext4.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::unistd::geteuid;
use rustix::fs::{FallocateFlags, fallocate};

use crate::binary::{HANG, Place, processes};

const SIZE: u64 = 1 << 30;
const FILLER: &str = "filler";
/// Without writing out what is only in memory: as when the power goes.
const NOTHING_WRITTEN: u32 = 2;

nix::ioctl_read!(shut_down, b'X', 125, u32);

pub struct Disk {
    image: PathBuf,
    at: PathBuf,
}

impl Disk {
    /// Mounted at the place's data directory; `None` where that cannot be done.
    pub fn make(place: &Place) -> Option<Disk> {
        if !geteuid().is_root() {
            return None;
        }
        let (image, at) = (place.path("disk"), place.data());
        std::fs::create_dir(&at).unwrap();
        File::create(&image).unwrap().set_len(SIZE).unwrap();
        let made = tried("mkfs.ext4", &["-q", "-F"], &[&image]);
        // One that is not mounted is none, and not to be unmounted.
        (made && mount(&image, &at)).then(|| Disk { image, at })
    }

    pub fn mount(&self) -> bool {
        mount(&self.image, &self.at)
    }

    /// Whoever works on it has to be gone, which the kernel may notice a little later.
    pub fn unmount(&self) {
        let begun = Instant::now();
        while !tried("umount", &[], &[&self.at]) {
            assert!(begun.elapsed() < HANG, "the disk is still in use");
        }
        // The trees of killed dynos may hold on to it for longer than they do: what is mounted meanwhile is the broken one again.
        while self.is_in_use() {
            assert!(begun.elapsed() < HANG, "the disk is still being let go of");
        }
    }

    fn is_in_use(&self) -> bool {
        let mut losetup = Command::new("losetup");
        let devices = losetup.arg("--associated").arg(&self.image).output();
        !devices.unwrap().stdout.is_empty()
    }

    /// The power goes: nothing more gets to the disk, and what was not synced may be lost.
    pub fn cut(&self) {
        let folder = File::open(&self.at).unwrap();
        let mut how = NOTHING_WRITTEN;
        #[expect(
            unsafe_code,
            reason = "the kernel reads one number, which outlives the call"
        )]
        let cut = unsafe { shut_down(folder.as_raw_fd(), &raw mut how) };
        cut.unwrap();
    }

    /// The kernel gives up on it: from now on it can only be read.
    pub fn give_up(&self) {
        assert!(tried("mount", &["-o", "remount,abort"], &[&self.at]));
    }

    /// After [`Disk::give_up`], while it is not mounted.
    pub fn check(&self) {
        // It says by its status what it has put right.
        tried("e2fsck", &["-fy"], &[&self.image]);
    }

    /// Takes all that is free, to the last block.
    pub fn fill(&self) {
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true);
        let file = file.open(self.at.join(FILLER)).unwrap();
        let mut end = 0;
        for chunk in [64 << 20, 1 << 20, 64 << 10, 4 << 10] {
            while fallocate(&file, FallocateFlags::empty(), end, chunk).is_ok() {
                end += chunk;
            }
        }
    }

    /// Gives it back.
    pub fn empty(&self) {
        std::fs::remove_file(self.at.join(FILLER)).unwrap();
        // Else it is back when the power goes.
        File::open(&self.at).unwrap().sync_all().unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        processes::kill_all(&self.at);
        let begun = Instant::now();
        while !tried("umount", &[], &[&self.at]) {
            if begun.elapsed() > HANG {
                tried("umount", &["-l"], &[&self.at]);
                return;
            }
        }
    }
}

fn mount(image: &Path, at: &Path) -> bool {
    tried("mount", &["-o", "loop"], &[image, at])
}

/// Whether a program did what it was asked for.
fn tried(program: &str, arguments: &[&str], paths: &[&Path]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).args(paths);
    let command = command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
