//! The state of everything, in one SQLite file, and the only place with SQL.
//!
//! Reads run on the calling thread, each in one deferred transaction over a pooled read-only connection, so a caller sees one
//! snapshot. Writes run one after another on a thread of their own that commits them in groups (see [`writer`]). One file a group
//! of nouns holds the rows and the functions over them; each takes a connection, so that a caller composes several in one
//! transaction. The store does not know HTTP, and what it tells the world is only that something changed.

pub mod access;
pub mod accounts;
pub mod acm;
pub mod addon_attaching;
pub mod addon_attachments;
pub mod addon_changes;
pub mod addon_plans;
pub mod addon_services;
pub mod addon_tasks;
pub mod addon_tokens;
pub mod addon_vars;
pub mod addons;
mod afterwards;
pub mod app_setup_ends;
pub mod app_setups;
pub mod app_transfers;
pub mod app_uids;
pub mod apps;
pub mod audit_trail;
pub mod backup;
pub mod buildpacks;
pub mod builds;
pub mod changes;
pub mod cli_logins;
pub mod collaborators;
pub mod config_vars;
pub mod couplings;
mod courier;
pub mod cron_jobs;
pub mod cron_runs;
pub mod domains;
pub mod dyno_ends;
pub mod dynos;
pub mod favorites;
pub mod features;
pub mod figures;
pub mod formation;
pub mod gates;
pub mod held_back;
pub mod idling;
pub mod keys;
pub mod log_drains;
mod migrate;
mod net;
pub mod oauth_authorizations;
pub mod oauth_clients;
pub mod oauth_tokens;
pub mod one_offs;
pub mod ownership;
pub mod page;
pub mod pipeline_config_vars;
pub mod pipelines;
pub mod promotions;
mod readers;
pub mod release_phases;
pub mod release_statuses;
pub mod releases;
pub mod review_app_configs;
pub mod review_apps;
pub mod routes;
mod row;
pub mod scopes;
pub mod seals;
pub mod server_certificates;
pub mod slugs;
pub mod sni_endpoints;
pub mod sources;
pub mod team_access;
pub mod team_apps;
pub mod team_invitations;
pub mod team_members;
pub mod teams;
pub mod telemetry_drains;
mod wanted;
pub mod webhook_deliveries;
pub mod webhook_events;
pub mod webhooks;
mod witness;
mod writer;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock, watch};

use crate::error::{Error, ErrorId, Result};
use crate::secret::{self, SealingKey};

pub use afterwards::once_committed;
pub use courier::Courier;
pub use migrate::{VERSION, is_to_be_changed};
pub use readers::Snapshot;
pub use row::optional;
pub use witness::{Resource, Witness, acting};
pub use writer::{AfterCommit, Table};

/// How long a connection waits for another process (`penstock account`, a backup) to let go of the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// rusqlite keeps 16 prepared statements by default, fewer than the API has.
const STATEMENTS: usize = 256;

/// The state. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    readers: readers::Readers,
    writer: writer::Writer,
    witness: Arc<OnceLock<Arc<dyn Witness>>>,
    /// Writers share it; who has a turn has it alone.
    turns: Arc<RwLock<()>>,
}

/// The right to be the only one who writes. Held shortly, and never while another [`Store::write`] of one's own is awaited.
pub struct Turn {
    store: Store,
    _alone: OwnedRwLockWriteGuard<()>,
}

impl Turn {
    /// As [`Store::write`].
    pub async fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.store.queued(f).await
    }
}

impl Store {
    /// Opens the database at `path`, making or migrating it first. 409 when it was written by a newer Penstock, and
    /// when the key is not the one that it was made with.
    pub fn open(path: &Path, key: SealingKey) -> Result<Store> {
        Store::open_observed(path, key, None)
    }

    /// As [`Store::open`]; `after_commit` is told the number of each commit of this process, once it is on disk and before
    /// anyone is answered. A test that ends the process there proves that every commit is a safe place to be killed.
    pub fn open_observed(
        path: &Path,
        key: SealingKey,
        after_commit: Option<AfterCommit>,
    ) -> Result<Store> {
        leave_uncounted();
        make_private(path)?;
        let mut connection = Connection::open(path)?;
        configure(&connection)?;
        seals::define(&connection, &key)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // FULL, since a 2xx means that it is on disk: NORMAL loses acknowledged writes when power goes.
        connection.pragma_update(None, "synchronous", "FULL")?;
        // Checkpoints run on a thread of their own; inside a commit they would hold everybody up.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        // In KiB. Pages that fall out of the cache are read again, and each write touches a dozen.
        connection.pragma_update(None, "cache_size", -16 * 1024)?;
        migrate::migrate(&mut connection)?;
        if !seals::opens(&connection, &key)? {
            return Err(secret::no_key(&path.with_file_name(secret::SEALING_KEY)));
        }
        let checkpoints = Connection::open(path)?;
        configure(&checkpoints)?;
        let witness = Arc::default();
        let before = readers::open(path, &key)?;
        let changes = witness::Changes::new(before, Arc::clone(&witness))?;
        Ok(Store {
            readers: readers::Readers::open(path, key)?,
            writer: writer::Writer::start(connection, checkpoints, changes, after_commit)?,
            witness,
            turns: Arc::default(),
        })
    }

    /// Runs `f` over one snapshot. Short indexed reads may run on an async worker; longer ones belong in `spawn_blocking`.
    pub fn read<T>(&self, f: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let snapshot = self.readers.on_the_spot()?;
        f(&snapshot)
    }

    /// One snapshot for several reads in a row. There are not many at once, so nothing slow is awaited while it is there, and no
    /// second one.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        self.readers.snapshot().await
    }

    /// Runs `f` in the writer's next group and answers once it is on disk. An error from `f`, or a panic in it, undoes all that
    /// `f` did and nothing else. `f` does SQL and arithmetic only: everybody's writes wait for it.
    pub async fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let _others = self.turns.read().await;
        self.queued(f).await
    }

    /// Waits until no write of this process is under way, and keeps all others waiting until the turn is dropped. What is read
    /// during a turn is still so when it writes.
    pub async fn turn(&self) -> Turn {
        Turn {
            store: self.clone(),
            _alone: self.turns.clone().write_owned().await,
        }
    }

    async fn queued<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.writer
            .submit(f, move |result| drop(reply.send(result)))?;
        answer.await.unwrap_or_else(|_| Err(writer::stopped()))
    }

    /// As [`Store::write`], for threads that may block, in a process in which nobody takes a turn.
    pub fn write_blocking<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        self.writer
            .submit(f, move |result| drop(reply.send(result)))?;
        answer.recv().unwrap_or_else(|_| Err(writer::stopped()))
    }

    /// From here on, what happens to an app is told to its webhooks as this witness shows it. The first one stays.
    pub fn tell_by(&self, witness: Arc<dyn Witness>) {
        let _ = self.witness.set(witness);
    }

    /// A counter that rises after each commit that touched one of `tables`. A loop waits on it instead of asking again and again.
    pub fn changes(&self, tables: &[Table]) -> watch::Receiver<u64> {
        self.writer.changes(tables)
    }
}

/// SQLite counts what it allocates under one lock of the process, for which all connections wait for each other. Nobody asks for the
/// count. Where a connection was opened before, it stays as it is.
fn leave_uncounted() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[expect(
            unsafe_code,
            reason = "SQLite takes one number for this setting, and the first store of a process is opened before anybody else uses it"
        )]
        unsafe {
            rusqlite::ffi::sqlite3_config(rusqlite::ffi::SQLITE_CONFIG_MEMSTATUS, 0);
        }
    });
}

/// Makes the file for this user alone, since config vars are secrets. SQLite gives the files beside it the same mode.
fn make_private(path: &Path) -> Result<()> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    Ok(())
}

/// Settings of the connections that write.
fn configure(connection: &Connection) -> Result<()> {
    settings(connection)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What a savepoint has to remember stays out of files: it is gone with the process anyhow.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}

/// Settings that every connection needs.
fn settings(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // Without it, each new value for a parameter that a partial index may depend on compiles the statement anew, which takes
    // longer than running it. No statement of ours is planned better for knowing its values.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// A unique constraint that matters to a client is turned into an answer where it is hit (see [`row::unique`]); whatever else
/// SQLite says is a fault of ours, or of the disk.
impl From<rusqlite::Error> for Error {
    fn from(cause: rusqlite::Error) -> Error {
        match cause.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => {
                std::io::Error::from(std::io::ErrorKind::StorageFull).into()
            }
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                Error {
                    cause: Some(cause.into()),
                    ..Error::new(
                        ErrorId::Unavailable,
                        "The server is busy. Send the request again in a moment.",
                    )
                }
            }
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Error {
                    cause: Some(cause.into()),
                    ..Error::new(
                        ErrorId::Internal,
                        "The server's database, penstock.db in its data directory, is damaged. Its operator puts that directory aside and \
                     makes a new one of a backup: penstock restore.",
                    )
                }
            }
            _ => Error::internal(cause),
        }
    }
}
