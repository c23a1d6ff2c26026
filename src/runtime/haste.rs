//! A wish that whatever a stopping server still waits for be ended at once.
//!
//! It must not know who waits, nor for what.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::{Ended, Runtime};
use crate::name::Id;

/// What is about to end by itself may do so even then.
const MOMENT: Duration = Duration::from_millis(500);

/// Called for once, by whoever has had enough. Clones are the same.
#[derive(Clone, Default)]
pub struct Haste(watch::Sender<bool>);

impl Haste {
    /// From here on there is haste.
    pub fn call_for(&self) {
        self.0.send_replace(true);
    }

    /// Resolves when there is.
    pub async fn is_called_for(&self) {
        // The sender is our own, so this cannot fail.
        let _ = self.0.subscribe().wait_for(|haste| *haste).await;
    }

    /// What comes of the work, unless it takes longer than this, or longer than a moment when there is haste.
    pub async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let late = async {
            tokio::select! {
                () = sleep(limit) => {}
                () = async { self.is_called_for().await; sleep(MOMENT).await } => {}
            }
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = late => None,
        }
    }

    /// Stops a dyno. When there is haste, its grace is but a moment, and nobody is told that it made use of that.
    pub(super) async fn stop(&self, runtime: &dyn Runtime, dyno: Id, grace: Duration) -> Ended {
        let mut stopping = pin!(runtime.stop(dyno, grace));
        tokio::select! {
            biased;
            ended = &mut stopping => return ended,
            () = self.is_called_for() => runtime.hasten(dyno, grace.min(MOMENT)),
        }
        // It goes on: what it knows of the dyno's end is known to nobody else.
        Ended {
            killed: false,
            ..stopping.await
        }
    }
}
