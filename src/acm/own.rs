//! The certificate of the API's own host, where the router leads to it. Without it nobody reaches the server by its name, so it is never
//! given up.

use std::sync::Arc;
use std::time::Duration;

use super::authority::Refused;
use super::{Acm, TAKEN, WAITS, renewal};
use crate::error::Result;
use crate::store::server_certificates::{self, Due};
use crate::time::Timestamp;

impl Acm {
    /// Begins to ask for it if it is due, and says how many that were. It is put off first, so that what a crash cuts off is paced.
    pub(super) async fn begin_own(self: &Arc<Acm>, now: Timestamp) -> Result<usize> {
        let store = &self.platform.store;
        let due = store.read(|connection| server_certificates::due(connection, now))?;
        let Some(due) = due else { return Ok(0) };
        let Some(place) = self.place(&due.hostname) else {
            return Ok(0);
        };
        self.put_off(&due, due.attempts, now.plus(TAKEN)).await?;
        let this = self.clone();
        self.tasks().spawn(async move {
            if let Err(error) = this.see_own_through(&due).await {
                tracing::error!(%error, hostname = due.hostname, "what came of asking for a certificate could not be written");
            }
            drop(place);
        });
        Ok(1)
    }

    async fn see_own_through(&self, due: &Due) -> Result<()> {
        let outcome = self.ask_in_time(&due.hostname, due.attempts).await;
        let now = self.platform.clock.now();
        if !matches!(outcome, Err(Refused::Authority(_))) {
            *self.paused() = (None, 0);
        }
        match outcome {
            Ok(pair) => {
                tracing::info!(
                    hostname = due.hostname,
                    "a certificate was issued for the API"
                );
                let (hostname, renew_at) = (due.hostname.clone(), renewal(&pair, now));
                let write = move |connection: &rusqlite::Connection| {
                    server_certificates::issued(connection, &hostname, &pair, renew_at)
                };
                self.platform.store.write(write).await
            }
            Err(Refused::Host(error)) => {
                tracing::warn!(%error, hostname = due.hostname, "no certificate could be had for the API; it shows one of this server's own");
                let last = WAITS[WAITS.len() - 1];
                let tried = usize::try_from(due.attempts).unwrap_or(usize::MAX);
                let wait = Duration::from_secs(*WAITS.get(tried).unwrap_or(&last));
                self.put_off(due, due.attempts.saturating_add(1), now.plus(wait))
                    .await
            }
            Err(Refused::Authority(error)) => {
                tracing::warn!(%error, hostname = due.hostname, "no certificate could be asked for");
                self.put_off(due, due.attempts, self.pause(now)).await
            }
        }
    }

    async fn put_off(&self, due: &Due, attempts: u32, until: Timestamp) -> Result<()> {
        let hostname = due.hostname.clone();
        let write = move |connection: &rusqlite::Connection| {
            server_certificates::put_off(connection, &hostname, attempts, until)
        };
        self.platform.store.write(write).await
    }
}
