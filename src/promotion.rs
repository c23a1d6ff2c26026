//! Makes waiting promotions come true: releases the source's slug on each target, all in one transaction.
//!
//! It must not know how a release is run; that follows from the release being there. Targets whose release command has to run first
//! are ended by that ([`release_phases`](crate::store::release_phases)).

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::timeout;

use crate::Platform;
use crate::error::Result;
use crate::log::Logs;
use crate::log::platform as lines;
use crate::store::formation::{self, Formation};
use crate::store::releases::{self, Release};
use crate::store::{Table, once_committed, promotions};

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

    /// Releases what is waiting, and returns how many releases that made.
    pub async fn tick(&self) -> Result<usize> {
        if !self.platform.store.read(promotions::any_pending)? {
            return Ok(0);
        }
        let (now, logs) = (self.platform.clock.now(), self.platform.logs.clone());
        let write = move |connection: &Connection| {
            let made = promotions::run_pending(connection, now)?;
            let count = made.len();
            for release in made {
                let formation = match releases::is_first_deploy(connection, &release)? {
                    true => formation::all(connection, release.app_id)?,
                    false => Vec::new(),
                };
                let logs = logs.clone();
                once_committed(move || announce(&logs, &release, &formation));
            }
            Ok(count)
        };
        self.platform.store.write(write).await
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

/// Tells the target's log. A formation is told of with the release that made it.
fn announce(logs: &Logs, release: &Release, formation: &[Formation]) {
    lines::release(logs, release);
    if !formation.is_empty() {
        let (app, text) = (release.app_id, formation::text(formation));
        lines::scaled(logs, app, &text, &release.account_email);
    }
}
