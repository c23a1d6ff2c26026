//! The one thread that writes.
//!
//! It begins a transaction, runs the first write and whatever else is waiting, each inside a savepoint of its own, commits once,
//! and then answers everybody. One fsync pays for the group, which is what makes `synchronous=FULL` cheap. It knows nothing of
//! what a write does; it only notes which tables were touched, to wake the loops that wait for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::watch;

use super::afterwards;
use super::courier::{self, Address, Answers};
use super::witness::Changes;
use crate::error::{Error, ErrorId, Result};

/// Writes in one commit at most, so that nobody waits long for a stranger's group.
const GROUP: usize = 64;
/// Jobs that may wait; past it a submitter is told to come back.
const QUEUE: usize = 4096;
const CHECKPOINT_EVERY: Duration = Duration::from_millis(250);
/// A log of more pages than this is to be begun again from its start: 16 MB.
const LONG_LOG: i64 = 4096;

/// Is told the number of each commit of this process, once it is on disk.
pub type AfterCommit = Box<dyn Fn(u64) + Send>;

/// Tables whose changes a loop may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    AccessToken,
    Account,
    AcmOrder,
    Addon,
    AddonRemoval,
    App,
    AppFeature,
    AppSetup,
    Build,
    CliLogin,
    Collaborator,
    CronJob,
    CronRun,
    Domain,
    Dyno,
    Formation,
    LogDrain,
    Promotion,
    Release,
    ReleasePhase,
    ServerCertificate,
    SniEndpoint,
    TelemetryDrain,
    WebhookDelivery,
}

impl Table {
    const ALL: &[(Table, &str)] = &[
        (Table::AccessToken, "access_token"),
        (Table::Account, "account"),
        (Table::AcmOrder, "acm_order"),
        (Table::Addon, "addon"),
        (Table::AddonRemoval, "addon_removal"),
        (Table::App, "app"),
        (Table::AppFeature, "app_feature"),
        (Table::AppSetup, "app_setup"),
        (Table::Build, "build"),
        (Table::CliLogin, "cli_login"),
        (Table::Collaborator, "collaborator"),
        (Table::CronJob, "cron_job"),
        (Table::CronRun, "cron_run"),
        (Table::Domain, "domain"),
        (Table::Dyno, "dyno"),
        (Table::Formation, "formation"),
        (Table::LogDrain, "log_drain"),
        (Table::Promotion, "pipeline_promotion"),
        (Table::Release, "release"),
        (Table::ReleasePhase, "release_phase"),
        (Table::ServerCertificate, "server_certificate"),
        (Table::SniEndpoint, "sni_endpoint"),
        (Table::TelemetryDrain, "telemetry_drain"),
        (Table::WebhookDelivery, "app_webhook_delivery"),
    ];

    fn bit(self) -> u64 {
        1 << self as u64
    }

    fn bit_of(name: &str) -> u64 {
        Table::ALL
            .iter()
            .find(|(_, table)| *table == name)
            .map_or(0, |(table, _)| table.bit())
    }
}

/// Tells the submitter how its write ended, once the group's fate is known.
pub(super) type Reply = Box<dyn FnOnce(std::result::Result<(), String>) + Send>;
/// A write, to be run in the group's transaction, or told that none could be begun.
type Run = Box<dyn FnOnce(Option<(&Connection, &mut Changes, &AtomicU64)>) -> Reply + Send>;
/// A write, and where its answer goes.
type Job = (Run, Option<Address>);
/// The replies of a group, by where they go.
type Replies = Vec<(Option<Address>, Vec<Reply>)>;
type Listeners = Arc<Mutex<Vec<(u64, watch::Sender<u64>)>>>;

#[derive(Clone)]
pub struct Writer {
    jobs: mpsc::SyncSender<Job>,
    listeners: Listeners,
}

impl Writer {
    /// Starts the writer's thread, and the one that checkpoints. Both end when the last `Writer` is dropped.
    pub fn start(
        mut connection: Connection,
        checkpoints: Connection,
        changes: Changes,
        after_commit: Option<AfterCommit>,
    ) -> Result<Writer> {
        let (jobs, waiting) = mpsc::sync_channel(QUEUE);
        let listeners = Listeners::default();
        let touched = Arc::new(AtomicU64::new(0));
        let (note, witnessed) = (touched.clone(), changes.hook());
        connection.update_hook(Some(move |touch, _: &str, table: &str, row| {
            note.fetch_or(Table::bit_of(table), Ordering::Relaxed);
            witnessed(touch, table, row);
        }))?;
        let finish = Arc::new(AtomicBool::new(false));
        let group = Group {
            connection,
            changes,
            touched,
            listeners: listeners.clone(),
            after_commit,
            commits: 0,
            finish: finish.clone(),
        };
        let (written, dirty) = mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || group.run(&waiting, &written))?;
        std::thread::Builder::new()
            .name("store-checkpoint".into())
            .spawn(move || checkpoint(&checkpoints, &dirty, &finish))?;
        Ok(Writer { jobs, listeners })
    }

    pub fn changes(&self, tables: &[Table]) -> watch::Receiver<u64> {
        let mask = tables.iter().fold(0, |mask, table| mask | table.bit());
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|(_, sender)| !sender.is_closed());
        match listeners.iter().find(|(known, _)| *known == mask) {
            Some((_, sender)) => sender.subscribe(),
            None => {
                let (sender, receiver) = watch::channel(0);
                listeners.push((mask, sender));
                receiver
            }
        }
    }

    /// Queues `f`; `reply` gets its answer after the commit, or its error after its own undoing.
    pub fn submit<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
        reply: impl FnOnce(Result<T>) + Send + 'static,
    ) -> Result<()> {
        let run: Run = Box::new(move |begun| {
            let result = begun.map(|(connection, changes, touched)| {
                // What was undone was not changed, and a loop that waits for changes must not be woken by its own failure.
                let before = touched.load(Ordering::Relaxed);
                in_savepoint(connection, changes, f)
                    .inspect_err(|_| touched.store(before, Ordering::Relaxed))
            });
            Box::new(move |commit| {
                reply(match (result, commit) {
                    (Some(Err(error)), _) => Err(error),
                    (_, Err(cause)) => Err(uncommitted(cause)),
                    (Some(Ok(answer)), Ok(())) => Ok(answer),
                    (None, Ok(())) => Err(stopped()),
                });
            })
        });
        self.jobs
            .try_send((run, courier::here()))
            .map_err(|refused| match refused {
                mpsc::TrySendError::Full(_) => Error::new(
                    ErrorId::Unavailable,
                    "The server is busy. Send the request again in a moment.",
                ),
                mpsc::TrySendError::Disconnected(_) => stopped(),
            })
    }
}

/// What a caller is told when the writer is no more.
pub fn stopped() -> Error {
    Error::new(
        ErrorId::Unavailable,
        "The server is stopping. Send the request again in a moment.",
    )
}

fn uncommitted(cause: String) -> Error {
    Error {
        cause: Some(cause.into()),
        ..Error::new(
            ErrorId::Unavailable,
            "The server could not write to its disk, so nothing was changed. Send the request again.",
        )
    }
}

/// Runs one write so that it undoes itself alone, whether it fails or panics.
fn in_savepoint<T>(
    connection: &Connection,
    changes: &mut Changes,
    f: impl FnOnce(&Connection) -> Result<T>,
) -> Result<T> {
    changes.begin();
    let due = afterwards::count();
    connection.prepare_cached("SAVEPOINT job")?.execute([])?;
    let result = catch_unwind(AssertUnwindSafe(|| {
        let answer = f(connection)?;
        changes.tell(connection)?;
        Ok(answer)
    }))
    .unwrap_or_else(|_| {
        Err(Error::internal(
            "a write panicked; the panic is in the log above",
        ))
    });
    let result = result.and_then(|answer| {
        connection.prepare_cached("RELEASE job")?.execute([])?;
        Ok(answer)
    });
    // With the whole transaction gone, so is the savepoint; asking for it would only hide why.
    if result.is_err() {
        changes.undone();
        afterwards::forget_since(due);
    }
    if result.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK TO job; RELEASE job")?;
    }
    result
}

struct Group {
    connection: Connection,
    changes: Changes,
    touched: Arc<AtomicU64>,
    listeners: Listeners,
    after_commit: Option<AfterCommit>,
    commits: u64,
    /// Set when the log is long and nearly all of it is in the database.
    finish: Arc<AtomicBool>,
}

impl Group {
    fn run(mut self, waiting: &mpsc::Receiver<Job>, written: &mpsc::SyncSender<()>) {
        while let Ok(first) = waiting.recv() {
            let mut replies = Replies::new();
            self.touched.store(0, Ordering::Relaxed);
            let committed = self.commit(first, waiting, &mut replies);
            self.changes.over();
            if let Err(cause) = &committed {
                tracing::error!(%cause, "a group of writes was not committed");
                self.changes.undone();
                afterwards::forget_since(0);
                self.touched.store(0, Ordering::Relaxed);
            } else {
                self.commits += 1;
                if let Some(after_commit) = &self.after_commit {
                    after_commit(self.commits);
                }
                // A full channel means that a checkpoint is due already.
                let _ = written.try_send(());
                afterwards::act();
            }
            // Before the answers, so that whoever was answered can ask whether the loops have caught up with its write.
            self.wake();
            for (address, replies) in replies {
                let committed = committed.clone();
                courier::deliver(address.as_ref(), Answers { committed, replies });
            }
            self.finish_log();
        }
    }

    /// Under steady writes there are always some pages that no checkpoint has moved yet, and the log would grow without end. So
    /// the writer moves the few that are left, and with its next commit the log begins again from its start.
    fn finish_log(&self) {
        if self.finish.swap(false, Ordering::Relaxed)
            && let Err(cause) = move_log(&self.connection)
        {
            tracing::warn!(%cause, "the log could not be begun again; the next checkpoint asks once more");
        }
    }

    fn commit(
        &mut self,
        (first, address): Job,
        waiting: &mpsc::Receiver<Job>,
        replies: &mut Replies,
    ) -> std::result::Result<(), String> {
        let begun = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = match begun {
            Ok(transaction) => transaction,
            Err(cause) => {
                take_up(replies, address, first(None));
                return Err(cause.to_string());
            }
        };
        take_up(
            replies,
            address,
            first(Some((&transaction, &mut self.changes, &self.touched))),
        );
        let mut writes = 1;
        // A disk that fails or is full ends the transaction from within. What ran after that would be committed by itself, and its
        // submitter told that nothing was changed; so it waits for the next group.
        while writes < GROUP && !transaction.is_autocommit() {
            let Ok((run, address)) = waiting.try_recv() else {
                break;
            };
            let reply = run(Some((&transaction, &mut self.changes, &self.touched)));
            take_up(replies, address, reply);
            writes += 1;
        }
        transaction.commit().map_err(|cause| cause.to_string())
    }

    fn wake(&self) {
        let touched = self.touched.load(Ordering::Relaxed);
        for (mask, sender) in self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            if mask & touched != 0 {
                sender.send_modify(|commits| *commits += 1);
            }
        }
    }
}

/// Puts a reply to those that go to the same place. There are few places: one for each thread of the API, and one for all others.
fn take_up(replies: &mut Replies, address: Option<Address>, reply: Reply) {
    let same = |known: &Option<Address>| match (known, &address) {
        (Some(known), Some(address)) => known.same_channel(address),
        (known, address) => known.is_none() && address.is_none(),
    };
    match replies.iter_mut().find(|(known, _)| same(known)) {
        Some((_, there)) => there.push(reply),
        None => replies.push((address, vec![reply])),
    }
}

/// Moves the log into the database behind the writer's back, so that no commit waits for it.
fn checkpoint(connection: &Connection, dirty: &mpsc::Receiver<()>, finish: &AtomicBool) {
    let mut last = Instant::now();
    while dirty.recv().is_ok() {
        let rest = CHECKPOINT_EVERY.saturating_sub(last.elapsed());
        std::thread::sleep(rest);
        match move_log(connection) {
            Ok(pages) => finish.store(pages > LONG_LOG, Ordering::Relaxed),
            Err(cause) => {
                tracing::warn!(%cause, "a checkpoint failed; the next one does its work");
            }
        }
        last = Instant::now();
    }
}

/// How many pages the log has. PASSIVE takes no lock that a reader or the writer would notice.
fn move_log(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?
        .query_row([], |row| row.get(1))
}
