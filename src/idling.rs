//! Puts apps of Eco dynos to sleep when nobody visits them, and wakes those that somebody does visit.
//!
//! Whether an app sleeps is in the rows, and so outlives the server; since when nobody has visited it is only in memory, and is
//! counted anew by each server. It must not know how a request is passed on, nor how a dyno is started or stopped.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::Platform;
use crate::error::Result;
use crate::log::platform as lines;
use crate::name::Id;
use crate::store::dynos::{Dyno, State};
use crate::store::idling::{self, Awake};
use crate::time::Timestamp;

/// The longest and the shortest between two looks at who was visited.
const EVERY: Duration = Duration::from_secs(10);
const AT_LEAST: Duration = Duration::from_millis(100);

/// How much an app was visited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visits {
    /// Since the server was started.
    pub begun: u64,
    /// Streams and tunnels included.
    pub under_way: u64,
}

/// Who counts visits.
pub trait Visited: Send + Sync {
    fn visits(&self, app: Id) -> Visits;
}

/// The bell of the apps that sleep: visitors ring it and wait.
#[derive(Default)]
pub struct Bell {
    rung: Mutex<HashSet<Id>>,
    heard: Notify,
}

impl Bell {
    /// Somebody waits for this app. Never blocks.
    pub fn ring(&self, app: Id) {
        if self.rung().insert(app) {
            self.heard.notify_one();
        }
    }

    fn rung(&self) -> MutexGuard<'_, HashSet<Id>> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The loop.
pub struct Idler {
    platform: Arc<Platform>,
    visited: Arc<dyn Visited>,
    bell: Arc<Bell>,
    /// Of each app that may go to sleep: the visits that it had, and when that was noticed.
    noted: Mutex<HashMap<Id, (Visits, Timestamp)>>,
}

impl Idler {
    pub fn new(platform: Arc<Platform>, visited: Arc<dyn Visited>, bell: Arc<Bell>) -> Idler {
        Idler {
            platform,
            visited,
            bell,
            noted: Mutex::default(),
        }
    }

    /// Wakes who is visited, and puts to sleep who was not for long enough. How many apps that were.
    pub async fn tick(&self) -> Result<usize> {
        let woken = self.wake().await?;
        let Some(limit) = self.platform.config.eco_idle.0 else {
            return Ok(woken + self.wake_all().await?);
        };
        let awake = self.platform.store.read(idling::awake)?;
        let mut done = woken;
        for app in self.quiet(&awake, limit) {
            let now = self.platform.clock.now();
            let write =
                move |connection: &rusqlite::Connection| idling::put_to_sleep(connection, app, now);
            let idle = self.platform.store.write(write).await?;
            idle.iter()
                .for_each(|(dyno, before)| self.tell(dyno, *before));
            done += usize::from(!idle.is_empty());
        }
        Ok(done)
    }

    async fn wake(&self) -> Result<usize> {
        let rung: Vec<Id> = self.bell.rung().iter().copied().collect();
        let woken = self.wake_these(rung.clone()).await?;
        // Only now: whoever rings meanwhile is heard already.
        rung.iter().for_each(|app| {
            self.bell.rung().remove(app);
        });
        Ok(woken)
    }

    /// Nobody shall sleep any more.
    async fn wake_all(&self) -> Result<usize> {
        let asleep = self.platform.store.read(idling::asleep)?;
        self.wake_these(asleep).await
    }

    async fn wake_these(&self, apps: Vec<Id>) -> Result<usize> {
        if apps.is_empty() {
            return Ok(0);
        }
        let now = self.platform.clock.now();
        let write = move |connection: &rusqlite::Connection| {
            let woken = apps.iter().map(|app| idling::wake(connection, *app, now));
            let woken: Vec<bool> = woken.collect::<Result<_>>()?;
            Ok(woken.into_iter().filter(|woken| *woken).count())
        };
        self.platform.store.write(write).await
    }

    /// Notes who was visited, and says who was not for so long.
    fn quiet(&self, awake: &[Awake], limit: Duration) -> Vec<Id> {
        let now = self.platform.clock.now();
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *noted);
        let mut quiet = Vec::new();
        for app in awake {
            let visits = self.visited.visits(app.app);
            let since = quiet_since(before.get(&app.app), visits, app.since, now);
            noted.insert(app.app, (visits, since));
            if now.since(since) >= limit {
                quiet.push(app.app);
            }
        }
        quiet
    }

    fn tell(&self, dyno: &Dyno, before: State) {
        let before = before.as_str();
        lines::idling(&self.platform.logs, dyno.app_id, &dyno.name(), before);
    }

    /// Ticks now and then, and whenever somebody rings, until the store is no more.
    pub async fn run(&self) {
        let limit = self.platform.config.eco_idle.0;
        let every = limit.map_or(EVERY, |limit| (limit / 4).clamp(AT_LEAST, EVERY));
        loop {
            if let Err(error) = self.tick().await {
                tracing::error!(%error, "apps could not be put to sleep or woken; trying again");
            }
            // Who rang while the store could not be written waits for the next round, as all do who come after.
            let _ = timeout(every, self.bell.heard.notified()).await;
        }
    }
}

/// Since when there was nothing: no visit, and no news of the app's dynos. What is in the future was written before the clock went
/// back, and says nothing.
fn quiet_since(
    before: Option<&(Visits, Timestamp)>,
    visits: Visits,
    news: Timestamp,
    now: Timestamp,
) -> Timestamp {
    match before {
        Some((same, since)) if *same == visits && visits.under_way == 0 => {
            let known = [*since, news].into_iter().filter(|at| *at <= now);
            known.max().unwrap_or(now)
        }
        _ => now,
    }
}
