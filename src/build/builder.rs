//! The loop that claims waiting builds and runs a few at a time.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::error::Result;
use crate::name::Id;
use crate::store::{Table, builds};

use super::steps::Work;
use super::workspace::Workspace;
use super::{Parts, Settings};

/// How long a waiting build can go unseen at most, should a wake-up be lost.
const EVERY: Duration = Duration::from_secs(10);

/// Builds what waits. When it is dropped its builds stop where they are, and the next boot's builder takes them up again.
pub struct Builder {
    work: Arc<Work>,
    boot: Id,
    room: Arc<Semaphore>,
    running: watch::Sender<usize>,
    tasks: Mutex<JoinSet<()>>,
}

impl Builder {
    /// Makes a builder that claims for `boot`, the id of this start of the server, after removing what an earlier one left of
    /// its work.
    pub fn open(parts: Parts, settings: Settings, boot: Id) -> Result<Builder> {
        Workspace::sweep(&settings.dir)?;
        Ok(Builder {
            room: Arc::new(Semaphore::new(settings.at_once)),
            work: Arc::new(Work::new(parts, settings)),
            boot,
            running: watch::Sender::new(0),
            tasks: Mutex::default(),
        })
    }

    /// Begins waiting builds, as far as there is room and one an app, and says how many.
    pub async fn tick(&self) -> Result<usize> {
        let store = &self.work.parts.store;
        let boot = self.boot;
        let mut places = Vec::new();
        while let Ok(permit) = self.room.clone().try_acquire_owned() {
            places.push(permit);
        }
        let room = places.len();
        if room == 0 || !store.read(|connection| builds::claimable(connection, boot))? {
            return Ok(0);
        }
        let now = self.work.parts.clock.now();
        let claimed = store
            .write(move |connection| builds::claim(connection, boot, room, now))
            .await?;
        let begun = claimed.len();
        for (build, permit) in claimed.into_iter().zip(places) {
            let place = Place::take(permit, &self.running);
            let work = self.work.clone();
            work.tell_begun(&build);
            self.tasks().spawn(async move {
                let _place = place;
                work.run(build).await;
            });
        }
        Ok(begun)
    }

    /// Waits until none of this builder's builds runs.
    pub async fn idle(&self) {
        // The sender is ours, so this cannot fail.
        let _ = self
            .running
            .subscribe()
            .wait_for(|running| *running == 0)
            .await;
    }

    /// Builds until `shutdown`, and then stops what is being built.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut changes = self.work.parts.store.changes(&[Table::Build]);
        let mut ended = self.running.subscribe();
        loop {
            changes.mark_unchanged();
            ended.mark_unchanged();
            let failed = self.tick().await.inspect_err(|error| {
                tracing::error!(%error, "waiting builds could not be claimed; they are in a while");
            });
            // What has failed would fail again at once, whatever else happens meanwhile.
            let is_well = failed.is_ok();
            tokio::select! {
                () = &mut shutdown => break,
                _ = changes.changed(), if is_well => {}
                _ = ended.changed(), if is_well => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
        self.work.stop();
        self.idle().await;
    }

    /// The tasks, less those that have ended.
    fn tasks(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks
    }
}

/// A running build's place among those that may run at once.
struct Place {
    permit: Option<OwnedSemaphorePermit>,
    running: watch::Sender<usize>,
}

impl Place {
    fn take(permit: OwnedSemaphorePermit, running: &watch::Sender<usize>) -> Place {
        // Nobody waits for a build to begin.
        running.send_if_modified(|running| {
            *running += 1;
            false
        });
        Place {
            permit: Some(permit),
            running: running.clone(),
        }
    }
}

impl Drop for Place {
    /// The room is there before anyone hears of it.
    fn drop(&mut self) {
        self.permit = None;
        self.running.send_modify(|running| *running -= 1);
    }
}
