//! A wish that whatever a stopping server still waits for be ended at once.
//!
//! It must not know who waits, nor for what.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::{Ended, Runtime};
use crate::error::{Error, ErrorId, Result};
use crate::name::Id;

/// What is about to end by itself may do so even then.
const MOMENT: Duration = Duration::from_millis(500);

/// Called for once, by whoever has had enough. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Haste(watch::Sender<bool>);

impl Haste {
    /// From here on there is haste.
    pub fn call_for(&self) {
        self.0.send_replace(true);
    }

    /// Whether there is.
    pub fn is_called(&self) -> bool {
        *self.0.borrow()
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

    /// What comes of a start, unless there is haste first: then it is given up where it stands.
    pub(super) async fn unless<T>(&self, start: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.is_called_for() => Err(given_up()),
            started = start => started,
        }
    }

    /// The same of the last part of a start, in which the dyno begins to run. Whoever holds it says so at once, and has a moment for that: a
    /// dyno that is known to run is stopped like any other, and what it prints meanwhile is not lost.
    pub(super) async fn unless_it_runs<T>(
        &self,
        start: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.check()?;
        let started = self.within(Duration::MAX, start).await;
        started.unwrap_or_else(|| Err(given_up()))
    }

    /// An error when there is: of a start, what follows is for nobody.
    pub(super) fn check(&self) -> Result<()> {
        match self.is_called() {
            true => Err(given_up()),
            false => Ok(()),
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

fn given_up() -> Error {
    let message =
        "The server stops, so the dyno was not started. Try again once the server is back.";
    Error::new(ErrorId::Unavailable, message)
}
