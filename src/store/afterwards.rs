//! What is to be done as soon as a write is on disk, before any loop hears of it: so the line that tells of a release stands before
//! those of the dynos that the release starts.
//!
//! It knows nothing of what that is, nor whether the write that asks for it comes to an end.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

type Act = Box<dyn FnOnce()>;

thread_local! {
    /// Of the writes of a group, in order, on the thread that writes.
    static DUE: RefCell<Vec<Act>> = const { RefCell::new(Vec::new()) };
}

/// Asks for it from within a write. It is not done if the write is undone. All writes wait for it, so it must not wait for anything.
pub fn once_committed(act: impl FnOnce() + 'static) {
    DUE.with_borrow_mut(|due| due.push(Box::new(act)));
}

/// How much is asked for so far.
pub(super) fn count() -> usize {
    DUE.with_borrow(Vec::len)
}

/// What was asked for since there was so much is not to be done: its write was undone.
pub(super) fn forget_since(count: usize) {
    DUE.with_borrow_mut(|due| due.truncate(count));
}

/// The writes are on disk.
pub(super) fn act() {
    for act in DUE.take() {
        if catch_unwind(AssertUnwindSafe(act)).is_err() {
            tracing::error!("what a write asked for panicked; the panic is in the log above");
        }
    }
}
