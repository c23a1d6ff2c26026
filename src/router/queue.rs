//! Places that are counted, and no more of them than may be: for requests that wait for apps that are starting, of the whole router and
//! of each app, and for answers that wait for their visitors.
//!
//! It must not know what is waited for, nor for how long.

use std::sync::atomic::{AtomicUsize, Ordering};

/// One of them.
pub(super) struct Place<'a>(&'a AtomicUsize);

impl Place<'_> {
    /// A place until it is dropped; `None` while `most` are taken.
    pub(super) fn take(taken: &AtomicUsize, most: usize) -> Option<Place<'_>> {
        let place = Place(taken);
        (taken.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
