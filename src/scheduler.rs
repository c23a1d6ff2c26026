//! Runs cron jobs when their moments come: a loop that queues runs, and asks for a dyno for each that may begin.
//!
//! The rows say what is due; it holds nothing but the time of its last tick. Of the moments that passed while no server ran, each job
//! is run for the last one. It must not know how a schedule is read or a dyno is run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use crate::Platform;
use crate::error::{Error, Result};
use crate::log::platform as lines;
use crate::store::cron_runs::{self, CronRun, Status};
use crate::store::{Table, cron_jobs};
use crate::time::Timestamp;

/// The longest between two ticks, so that a clock that was moved is noticed soon.
const EVERY: Duration = Duration::from_secs(10);
/// Jobs that are queued, begun or moved in one write. Everybody's writes wait for it.
const AT_ONCE: usize = 100;

/// The loop.
pub struct Scheduler {
    platform: Arc<Platform>,
    last: Mutex<Option<Timestamp>>,
}

impl Scheduler {
    pub fn new(platform: Arc<Platform>) -> Scheduler {
        Scheduler {
            platform,
            last: Mutex::default(),
        }
    }

    /// Queues what is due and begins what may begin. How many runs that were.
    pub async fn tick(&self) -> Result<usize> {
        let (store, now) = (&self.platform.store, self.platform.clock.now());
        if self.is_behind(now) {
            self.realign(now).await?;
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        let mut done = 0;
        if store.read(|connection| cron_jobs::any_due(connection, now))? {
            let queued = store
                .write(move |connection| cron_jobs::take_due(connection, AT_ONCE, now))
                .await?;
            queued.iter().for_each(|run| self.tell(run));
            done += queued.len();
        }
        if store.read(cron_runs::any_ready)? {
            let begun = store
                .write(move |connection| cron_runs::begin_ready(connection, AT_ONCE, now))
                .await?;
            begun.iter().for_each(|run| self.tell(run));
            done += begun.len();
        }
        Ok(done)
    }

    async fn realign(&self, now: Timestamp) -> Result<()> {
        let store = self.platform.store.clone();
        let far = tokio::task::spawn_blocking(move || {
            store.read(|connection| cron_jobs::misaligned(connection, now))
        });
        for far in far.await.map_err(Error::internal)??.chunks(AT_ONCE) {
            let far = far.to_vec();
            let write =
                move |connection: &rusqlite::Connection| cron_jobs::realign(connection, &far);
            self.platform.store.write(write).await?;
        }
        Ok(())
    }

    /// The clock was put back, or nobody knows: what was noted of the future may be further away than it is.
    fn is_behind(&self, now: Timestamp) -> bool {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_none_or(|last| now < last)
    }

    fn tell(&self, run: &CronRun) {
        let (logs, app) = (&self.platform.logs, run.app_id);
        match (run.status, &run.message, &run.dyno_name) {
            (Status::Skipped, Some(reason), _) => {
                lines::cron_skipped(logs, app, &run.command, reason);
            }
            (Status::Running, _, Some(dyno)) => lines::cron_begun(logs, app, &run.command, dyno),
            _ => {}
        }
    }

    /// Until the next moment, as far as it is known.
    fn rest(&self) -> Duration {
        let next = self.platform.store.read(cron_jobs::next_due);
        let now = self.platform.clock.now();
        match next {
            Ok(Some(next)) => next.since(now).min(EVERY),
            _ => EVERY,
        }
    }

    /// Ticks at each moment and after each change, until the store is no more.
    pub async fn run(&self) {
        let mut changes = self
            .platform
            .store
            .changes(&[Table::CronJob, Table::CronRun]);
        loop {
            changes.mark_unchanged();
            let wait = match self.tick().await {
                Ok(_) => self.rest(),
                Err(error) => {
                    tracing::error!(%error, "cron jobs are due and could not be run; they are tried again in a while");
                    EVERY
                }
            };
            if let Ok(Err(_)) = timeout(wait, changes.changed()).await {
                return;
            }
        }
    }
}
