//! What is going on at one dyno, and what is known of its ways.
//!
//! It must not know of tables, nor of connections.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::name::Id;

/// After so many connections that a dyno closed right after their first answer, and none that it kept, none is kept for it any more.
const ENOUGH: u8 = 3;

/// Shared by all threads and all tables.
pub(super) struct Load {
    pub id: Id,
    pub in_flight: AtomicUsize,
    /// Whether no table lists it any more.
    pub retired: AtomicBool,
    pub keeping: Keeping,
    /// Wakes whoever drains it.
    idle: Notify,
    known_since: Instant,
    /// Until when it is set aside, in milliseconds after `known_since`.
    aside_until: AtomicU64,
}

/// How a dyno treats connections on which it has answered. Some servers close each without saying so: a request that is sent just
/// then is lost, and whether it was read nobody knows.
#[derive(Default)]
pub(super) struct Keeping {
    kept: AtomicBool,
    erratic: AtomicBool,
    /// After its first request.
    closed: AtomicU8,
}

impl Keeping {
    /// A connection has rested for a while, and is still there.
    pub(super) fn kept(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    /// The dyno has closed one that had hardly begun to rest, and perhaps had carried one request only.
    pub(super) fn closed(&self, after_one: bool) {
        self.erratic.store(true, Ordering::Relaxed);
        if after_one {
            let more = |closed: u8| closed.checked_add(1);
            // At its end it stays there.
            let _ = self
                .closed
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        }
    }

    /// Whether a request that must not be sent twice may go on a connection that has rested: only if the dyno was seen to keep
    /// them, and never to close one early.
    pub(super) fn is_trusted(&self) -> bool {
        self.kept.load(Ordering::Relaxed) && !self.erratic.load(Ordering::Relaxed)
    }

    /// Whether it is of no use to keep connections, even for requests that can be sent again.
    pub(super) fn is_hopeless(&self) -> bool {
        !self.kept.load(Ordering::Relaxed) && self.closed.load(Ordering::Relaxed) >= ENOUGH
    }
}

impl Load {
    pub(super) fn new(id: Id) -> Load {
        Load {
            id,
            in_flight: AtomicUsize::new(0),
            retired: AtomicBool::new(false),
            keeping: Keeping::default(),
            idle: Notify::new(),
            known_since: Instant::now(),
            aside_until: AtomicU64::new(0),
        }
    }

    pub(super) fn retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// Leaves the dyno alone for a while, since it took no connection.
    pub(super) fn set_aside(&self, wait: Duration) {
        let until = self.known_since.elapsed() + wait;
        self.aside_until.store(
            u64::try_from(until.as_millis()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }

    pub(super) fn aside(&self) -> bool {
        let until = self.aside_until.load(Ordering::Relaxed);
        until > 0 && self.known_since.elapsed() < Duration::from_millis(until)
    }

    /// Resolves when nothing is in flight.
    pub(super) async fn empty(&self) {
        loop {
            let mut idle = std::pin::pin!(self.idle.notified());
            idle.as_mut().enable();
            if self.in_flight.load(Ordering::SeqCst) == 0 {
                return;
            }
            idle.await;
        }
    }

    pub(super) fn leave(&self) {
        if self.in_flight.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.idle.notify_waiters();
        }
    }
}
