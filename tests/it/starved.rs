//! A thread with descriptors of its own, so that it can run out of them and nobody else does.

use std::fs::File;

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use penstock::descriptors;

/// Some machines allow a thousand million, and to take those would take gigabytes.
const MOST: u64 = 100_000;

/// Does the work in such a thread.
pub fn alone<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_FILES).unwrap();
        // Others wait for the end of what is theirs.
        descriptors::close_all().unwrap();
        work()
    });
    thread.join().unwrap()
}

/// Takes all descriptors that there are, until what this returns is dropped.
pub fn starve() -> Vec<File> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if soft > MOST {
        // It is the whole process's, where nobody else needs nearly as many.
        setrlimit(Resource::RLIMIT_NOFILE, MOST, hard).unwrap();
    }
    let nothing = File::open("/dev/null").unwrap();
    let mut all: Vec<File> = std::iter::from_fn(|| nothing.try_clone().ok()).collect();
    all.push(nothing);
    all
}
