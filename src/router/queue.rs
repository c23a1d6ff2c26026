//! The requests that wait for apps that are starting: counted for the whole router, and no more than it may hold.
//!
//! It must not know what they wait for, nor for how long.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A place among the requests that wait for starting apps.
pub(super) struct Place<'a>(&'a AtomicUsize);

impl Place<'_> {
    /// A place until it is dropped; none while `most` are taken.
    pub(super) fn take(queued: &AtomicUsize, most: usize) -> Option<Place<'_>> {
        let place = Place(queued);
        (queued.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
