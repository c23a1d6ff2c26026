//! File descriptors for work that has to be done even when this process has none left: a thread may have a table of its own.
//!
//! Whoever ends processes has to look for them in files of the kernel's, and would find none while visitors have every descriptor there
//! is. It must not know what the work is.

use std::io;
use std::panic::resume_unwind;
use std::thread::Builder;

use nix::sched::{CloneFlags, unshare};

/// The first one behind the standard streams.
const FIRST: i32 = 3;
/// So many are closed unseen, to have one for the look at the others.
const UNSEEN: i32 = 16;

/// Does the work in a thread that has the standard streams, and whatever it opens itself: it must use nothing that others have opened.
/// Where no such thread is to be had, it is done with what there is.
pub fn with_own<T: Default + Send>(work: impl FnOnce() -> T + Send) -> T {
    let mut work = Some(work);
    let done = std::thread::scope(|scope| {
        let work = &mut work;
        let thread = Builder::new().name("own-files".to_owned());
        let thread = thread.spawn_scoped(scope, move || {
            let own = unshare(CloneFlags::CLONE_FILES).is_ok();
            if own {
                (FIRST..FIRST + UNSEEN).for_each(close);
                // What stays open is held for as long as the work takes.
                let _ = close_all();
            }
            work.take().map(|work| work())
        });
        thread.map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    match done {
        Ok(done) => done.unwrap_or_default(),
        Err(_) => work.take().map(|work| work()).unwrap_or_default(),
    }
}

/// Closes all but the standard streams in the caller's table, which nobody else may be using.
pub fn close_all() -> io::Result<()> {
    let open: Vec<i32> = std::fs::read_dir("/proc/thread-self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    // The one that the folder was read with is closed already.
    let strays = open.into_iter().filter(|descriptor| *descriptor >= FIRST);
    strays.for_each(close);
    Ok(())
}

fn close(descriptor: i32) {
    // There may be none.
    let _ = nix::unistd::close(descriptor);
}
