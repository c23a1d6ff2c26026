//! Sends the lines of apps' logs where their drains lead: by syslog, over HTTPS as Heroku's Logplex does, or as OpenTelemetry logs.
//!
//! Each drain has a task of its own that reads the app's log like any other reader, so who is slow or dead holds no lines, which
//! stay in the log's files. What is on its way at once is limited, for each owner of apps and for all of them: dead receivers keep
//! only their owner's other drains waiting. How far a drain has come is kept beside the lines. So a drain gets every line at least
//! once, as long as it falls no further behind than what is kept of the log, and across restarts of the server too; what went
//! before it could be sent is counted and told: to the drain as Heroku's L10, and to the app's log by the drain's name.
//! It must not know who adds drains, nor what a line means.

mod carrier;
mod otlp;
mod syslog;
mod unsure;
mod worker;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::Platform;
use crate::error::Result;
use crate::log::Logs;
use crate::name::Id;
use crate::outbound::Outbound;
use crate::store::telemetry_drains::{Exporter, ExporterType, Signal};
use crate::store::{Table, log_drains, telemetry_drains};
use crate::time::{Clock, Timestamp};

/// The longest between two ticks.
const EVERY: Duration = Duration::from_secs(10);

/// How much is done at once, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Frames that are in memory at the same time, of some 100 KB each.
    pub frames: usize,
    /// Of those, how many may be of apps of one owner.
    pub frames_of_one: usize,
    /// For one frame to be taken, as on Heroku. The time to connect comes before it. Who acknowledges nothing more of what was
    /// written to a syslog connection for as long is given up, too.
    pub attempt: Duration,
    /// Between the first attempt and the second. It doubles with each one after that.
    pub first_wait: Duration,
    pub longest_wait: Duration,
    /// How long a syslog connection has to live on until what was written to it counts as delivered. By then its machine has to
    /// have acknowledged it, which is all there is: nobody says that it was read.
    pub settle: Duration,
    /// Between two lines in an app's log that tell of the same drain.
    pub telling: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            frames: 256,
            frames_of_one: 32,
            attempt: Duration::from_secs(5),
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(60),
            settle: Duration::from_secs(2),
            telling: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// How long a drain rests after so many attempts in a row that came to nothing.
    pub fn wait(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let wait = self.first_wait.saturating_mul(1 << doublings);
        wait.min(self.longest_wait)
    }
}

/// Where the lines of an app go.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    id: Id,
    app: Id,
    /// The account or team that the app belongs to.
    owner: Id,
    /// What the app's log calls it.
    name: String,
    created_at: Timestamp,
    way: Way,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// To a `syslog://` or `syslog+tls://` URL.
    Syslog { url: String, token: String },
    /// To an `http://` or `https://` one.
    Logplex { url: String, token: String },
    /// To an OTLP/HTTP endpoint.
    Otlp {
        exporter: Exporter,
        app_name: String,
    },
}

/// What is known of all drains, for whoever wants to see how they do.
#[derive(Default)]
pub struct Figures {
    delivered: AtomicU64,
    lost: AtomicU64,
    failed: AtomicU64,
    /// By drain: when the oldest line was said that it has not got, in microseconds; 0 for none.
    waiting: Mutex<HashMap<Id, Arc<AtomicI64>>>,
}

/// All drains in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub drains: usize,
    /// Drains that have not got all lines.
    pub behind: usize,
    /// How old the oldest line is that waits.
    pub lag: Duration,
    pub delivered: u64,
    pub lost: u64,
    /// Attempts that came to nothing.
    pub failed: u64,
}

impl Figures {
    pub fn seen(&self, now: Timestamp) -> Seen {
        let waiting = lock(&self.waiting);
        let since = waiting.values().map(|since| since.load(Ordering::Relaxed));
        let behind: Vec<i64> = since.filter(|since| *since > 0).collect();
        let oldest = behind.iter().min().copied().map(Timestamp::from_micros);
        Seen {
            drains: waiting.len(),
            behind: behind.len(),
            lag: oldest.map_or(Duration::ZERO, |oldest| now.since(oldest)),
            delivered: self.delivered.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }
}

/// What all drains share.
struct Common {
    logs: Logs,
    clock: Clock,
    outbound: Outbound,
    limits: Limits,
    figures: Arc<Figures>,
    /// One for each frame in memory.
    frames: Semaphore,
    /// What each owner may have of them.
    shares: Mutex<HashMap<Id, Weak<Semaphore>>>,
}

impl Common {
    /// That of this owner, which all drains of theirs have in common.
    fn share(&self, owner: Id) -> Arc<Semaphore> {
        let mut shares = lock(&self.shares);
        if let Some(share) = shares.get(&owner).and_then(Weak::upgrade) {
            return share;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(self.limits.frames_of_one));
        shares.insert(owner, Arc::downgrade(&share));
        share
    }
}

/// The loop that starts and ends the tasks of drains.
pub struct Drains {
    platform: Arc<Platform>,
    common: Arc<Common>,
    tasks: Mutex<HashMap<Id, (Target, Task)>>,
}

/// Ends with its drain.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drains {
    pub fn new(platform: Arc<Platform>, outbound: Outbound, limits: Limits) -> Drains {
        Drains {
            common: Arc::new(Common {
                logs: platform.logs.clone(),
                clock: platform.clock.clone(),
                outbound,
                limits,
                figures: platform.drains.clone(),
                frames: Semaphore::new(limits.frames),
                shares: Mutex::default(),
            }),
            platform,
            tasks: Mutex::default(),
        }
    }

    /// Starts the drains that are new or lead elsewhere now, and ends those that are no more. From then on the log keeps more of
    /// the app's lines, so this is called before the dynos of an earlier server are heard again. Needs a Tokio runtime.
    pub fn tick(&self) -> Result<usize> {
        let mut wanted = self.platform.store.read(wanted)?;
        let mut tasks = lock(&self.tasks);
        let mut changed = 0;
        tasks.retain(|id, (target, task)| {
            let stays = wanted.get(id) == Some(&*target) && !task.0.is_finished();
            changed += usize::from(!stays);
            stays
        });
        let mut waiting = lock(&self.common.figures.waiting);
        waiting.retain(|id, _| wanted.contains_key(id));
        wanted.retain(|id, _| !tasks.contains_key(id));
        changed += wanted.len();
        for (id, target) in wanted {
            let since = waiting.entry(id).or_default().clone();
            let worker = worker::Worker::new(self.common.clone(), target.clone(), since);
            let task = Task(tokio::spawn(worker.run()));
            tasks.insert(id, (target, task));
        }
        Ok(changed)
    }

    /// Ticks after each change, and now and then, until the store is no more.
    pub async fn run(&self) {
        self.forget();
        let tables = [Table::App, Table::LogDrain, Table::TelemetryDrain];
        let mut changes = self.platform.store.changes(&tables);
        loop {
            changes.mark_unchanged();
            if let Err(error) = self.tick() {
                tracing::error!(%error, "the drains were not looked at; they are in a while");
            }
            if let Ok(Err(_)) = timeout(EVERY, changes.changed()).await {
                return;
            }
        }
    }

    /// Removes what is left of drains that went.
    fn forget(&self) {
        let (Ok(wanted), Ok(apps)) = (self.platform.store.read(wanted), self.common.logs.stored())
        else {
            return;
        };
        let drains: Vec<Id> = wanted.into_keys().collect();
        for app in apps {
            self.common.logs.keep_drains(app, &drains);
        }
    }
}

fn wanted(connection: &rusqlite::Connection) -> Result<HashMap<Id, Target>> {
    let owners = log_drains::owners(connection)?;
    // Both are read at one moment, so there is an owner for each; an app is its own where there is none.
    let owner = |app: Id| owners.get(&app).copied().unwrap_or(app);
    let logs = log_drains::all(connection)?.into_iter().map(|drain| {
        let (url, token) = (drain.url, drain.token.clone());
        let way = match url.starts_with("syslog") {
            true => Way::Syslog { url, token },
            false => Way::Logplex { url, token },
        };
        Target {
            id: drain.id,
            app: drain.app_id,
            owner: owner(drain.app_id),
            name: drain.token,
            created_at: drain.created_at,
            way,
        }
    });
    let telemetry = telemetry_drains::all(connection)?.into_iter();
    let telemetry = telemetry.filter(|(drain, _)| {
        let settings = &drain.settings;
        let http = settings.exporter.r#type == ExporterType::Http;
        http && settings.signals.contains(&Signal::Logs)
    });
    let telemetry = telemetry.map(|(drain, app_name)| Target {
        id: drain.id,
        app: drain.app_id,
        owner: owner(drain.app_id),
        name: drain.id.to_string(),
        created_at: drain.created_at,
        way: Way::Otlp {
            exporter: drain.settings.exporter,
            app_name,
        },
    });
    let all = logs.chain(telemetry);
    Ok(all.map(|target| (target.id, target)).collect())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
