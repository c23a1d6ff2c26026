//! Makes waiting promotions come true: releases the source's slug on each target, all in one transaction.
//!
//! It must not know how a release is run; that follows from the release being there.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::Platform;
use crate::error::Result;
use crate::log::platform as lines;
use crate::store::{Table, promotions};

/// The longest between two ticks.
const EVERY: Duration = Duration::from_secs(10);

/// The promotion loop.
pub struct Promoter {
    platform: Arc<Platform>,
}

impl Promoter {
    pub fn new(platform: Arc<Platform>) -> Promoter {
        Promoter { platform }
    }

    /// Completes what is waiting, and returns how many releases that made.
    pub async fn tick(&self) -> Result<usize> {
        if !self.platform.store.read(promotions::any_pending)? {
            return Ok(0);
        }
        let now = self.platform.clock.now();
        let made = self
            .platform
            .store
            .write(move |connection| promotions::run_pending(connection, now))
            .await?;
        for release in &made {
            lines::released(
                &self.platform.logs,
                release.app_id,
                &release.description,
                release.version,
                &release.account_email,
            );
        }
        Ok(made.len())
    }

    /// Ticks after each change, and now and then for the sake of a tick that failed, until the store is no more.
    pub async fn run(&self) {
        let mut changes = self.platform.store.changes(&[Table::Promotion]);
        loop {
            changes.mark_unchanged();
            if let Err(error) = self.tick().await {
                tracing::error!(%error, "promotions are waiting and could not be completed; they are tried again in a while");
            }
            if let Ok(Err(_)) = timeout(EVERY, changes.changed()).await {
                return;
            }
        }
    }
}
