//! The connections that reads run on, each for one snapshot at a time.
//!
//! An r2d2 pool of read-only connections. What is ours is how a snapshot begins and ends: by statements that stay prepared, which
//! rusqlite's own transactions do not, and which would otherwise take longer than the read; and who waits for one: a request that
//! keeps its snapshot for a while waits in line and keeps no thread waiting, and finds some connections kept free for what is read
//! on the spot. It must not know what is read.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::{BUSY_TIMEOUT, seals, settings};
use crate::error::{Error, ErrorId, Result};
use crate::secret::SealingKey;

/// Snapshots that requests keep at the same time. The next one waits for one of them.
const KEPT: u32 = 16;
/// For which it waits.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections for what is read on the spot: a thread has no more than one of these, and gives it back before it does anything else.
const ON_THE_SPOT: u32 = 32;

/// In bytes. After each commit a connection has to forget the pages that it has read; those that it finds in memory again cost it
/// neither a copy nor a call.
const MAPPED: i64 = 1 << 30;

#[derive(Clone)]
pub struct Readers {
    pool: r2d2::Pool<Opener>,
    places: Arc<Semaphore>,
}

impl Readers {
    /// Over the database at `path`, which has to be there. What is sealed in it, `key` opens.
    pub fn open(path: &Path, key: SealingKey) -> Result<Readers> {
        let pool = r2d2::Pool::builder()
            .max_size(KEPT + ON_THE_SPOT)
            .min_idle(Some(1))
            .test_on_check_out(false)
            .connection_timeout(BUSY_TIMEOUT)
            .build(Opener {
                path: path.to_owned(),
                key,
            })
            .map_err(Error::internal)?;
        Ok(Readers {
            pool,
            places: Arc::new(Semaphore::new(KEPT as usize)),
        })
    }

    /// The state as it is now, to read from here and now.
    pub fn on_the_spot(&self) -> Result<Snapshot> {
        self.begin(None)
    }

    /// The state as it is now, to be kept for a while. Whoever asks first gets the first that is free; 503 when that takes too long.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let place = timeout(PATIENCE, self.places.clone().acquire_owned()).await;
        match place {
            Ok(Ok(place)) => self.begin(Some(place)),
            Ok(Err(cause)) => Err(busy(cause)),
            Err(cause) => Err(busy(cause)),
        }
    }

    fn begin(&self, place: Option<OwnedSemaphorePermit>) -> Result<Snapshot> {
        let connection = self.pool.get().map_err(busy)?;
        connection.prepare_cached("BEGIN DEFERRED")?.execute([])?;
        Ok(Snapshot {
            connection,
            _place: place,
        })
    }
}

fn busy(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error {
        cause: Some(cause.into()),
        ..Error::new(
            ErrorId::Unavailable,
            "The server is busy. Send the request again in a moment.",
        )
    }
}

/// A connection that only reads.
pub fn open(path: &Path, key: &SealingKey) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    settings(&connection)?;
    connection.pragma_update(None, "mmap_size", MAPPED)?;
    seals::define(&connection, key)?;
    Ok(connection)
}

/// Opens the pool's connections.
pub struct Opener {
    path: PathBuf,
    key: SealingKey,
}

impl r2d2::ManageConnection for Opener {
    type Connection = Connection;
    type Error = rusqlite::Error;

    fn connect(&self) -> rusqlite::Result<Connection> {
        open(&self.path, &self.key)
    }

    fn is_valid(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        connection.execute_batch("")
    }

    /// One whose snapshot could not be ended would show it for ever.
    fn has_broken(&self, connection: &mut Connection) -> bool {
        !connection.is_autocommit()
    }
}

/// A read transaction, ended when this is dropped, also by a panic in what reads.
pub struct Snapshot {
    connection: r2d2::PooledConnection<Opener>,
    /// Given back after the connection.
    _place: Option<OwnedSemaphorePermit>,
}

impl Deref for Snapshot {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let end = self.connection.prepare_cached("COMMIT");
        if let Err(cause) = end.and_then(|mut end| end.execute([])) {
            tracing::warn!(%cause, "a snapshot could not be ended, so its connection is closed");
        }
    }
}
