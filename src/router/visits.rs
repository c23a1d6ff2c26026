//! How many requests an app had, and how many are under way: what it takes to know that nobody visits it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The requests for one app, shared by all threads and all tables.
#[derive(Default)]
pub(super) struct Visits {
    begun: AtomicU64,
    ended: AtomicU64,
    /// Those that wait for the app to start.
    pub queued: AtomicUsize,
}

/// One of them. It is under way until this is dropped.
pub(super) struct Visit(Arc<Visits>);

impl Visits {
    /// Requests that have begun, and those of them that have not ended.
    pub(super) fn count(&self) -> (u64, u64) {
        // In this order, so that none is missed that has begun.
        let ended = self.ended.load(Ordering::SeqCst);
        let begun = self.begun.load(Ordering::SeqCst);
        (begun, begun.saturating_sub(ended))
    }
}

impl Visit {
    pub(super) fn begin(visits: &Arc<Visits>) -> Visit {
        visits.begun.fetch_add(1, Ordering::Relaxed);
        Visit(visits.clone())
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}
