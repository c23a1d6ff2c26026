//! The requests that wait for apps that are starting: counted for the whole router and for each app, and no more than may be.
//!
//! It must not know what they wait for, nor for how long.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::code::{self, Code};

/// A place among the requests that wait for starting apps.
pub(super) struct Place<'a>(&'a AtomicUsize);

impl Place<'_> {
    /// A place until it is dropped; H11 while `most` are taken.
    pub(super) fn take(queued: &AtomicUsize, most: usize) -> Result<Place<'_>, &'static Code> {
        let place = Place(queued);
        match queued.fetch_add(1, Ordering::Relaxed) < most {
            true => Ok(place),
            false => Err(&code::H11),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
