//! Which requests were under way at a moment, so that whoever is about to stop can go on serving until those have ended.
//!
//! Requests belong to a generation. To know when all that are here now have ended, a new one is begun, and the end of the old one is
//! waited for: a request costs two counts, however many others there are. It must not know what a request is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::Notify;

/// Requests that have lasted for less than this are taken for short ones.
const SHORT: Duration = Duration::from_secs(1);

/// The requests of one thread, or of whoever else shares it.
#[derive(Default)]
pub struct UnderWay {
    generation: AtomicUsize,
    /// Of even and of odd generations: there are never more than two.
    even: AtomicUsize,
    odd: AtomicUsize,
    ended: Notify,
}

/// One request, until this is dropped.
pub struct Turn {
    of: Arc<UnderWay>,
    generation: usize,
}

impl UnderWay {
    /// A request has begun.
    pub fn begin(self: &Arc<UnderWay>) -> Turn {
        let generation = self.generation.load(Ordering::SeqCst);
        self.count(generation).fetch_add(1, Ordering::SeqCst);
        Turn {
            of: self.clone(),
            generation,
        }
    }

    /// How many are under way.
    pub fn requests(&self) -> usize {
        self.even.load(Ordering::Relaxed) + self.odd.load(Ordering::Relaxed)
    }

    /// Resolves when all requests that are under way now have ended, and those who came meanwhile are few and short: all of
    /// them have begun within about a second. At the latest after so long.
    pub async fn settle(all: &[Arc<UnderWay>], patience: Duration) {
        let settling = async {
            loop {
                let begun = Instant::now();
                join_all(all.iter().map(|one| one.next())).await;
                if begun.elapsed() < SHORT {
                    return;
                }
            }
        };
        // What is not over by then is for the caller to end.
        let _ = tokio::time::timeout(patience, settling).await;
    }

    /// Begins a new generation, and waits for the end of the old one.
    async fn next(&self) {
        let old = self.generation.fetch_add(1, Ordering::SeqCst);
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.count(old).load(Ordering::SeqCst) == 0 {
                return;
            }
            ended.await;
        }
    }

    fn count(&self, generation: usize) -> &AtomicUsize {
        match generation.is_multiple_of(2) {
            true => &self.even,
            false => &self.odd,
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let before = self
            .of
            .count(self.generation)
            .fetch_sub(1, Ordering::SeqCst);
        // Somebody may be waiting for it if it was the last of its time.
        if before == 1 && self.of.generation.load(Ordering::SeqCst) != self.generation {
            self.of.ended.notify_waiters();
        }
    }
}
