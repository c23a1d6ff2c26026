//! The connections that reads run on, each for one snapshot at a time.
//!
//! An r2d2 pool of read-only connections. What is ours is how a snapshot begins and ends: by statements that stay prepared, which
//! rusqlite's own transactions do not, and which would otherwise take longer than the read. It must not know what is read.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::{BUSY_TIMEOUT, seals, settings};
use crate::error::{Error, ErrorId, Result};
use crate::secret::SealingKey;

/// Connections at most. A read that finds none waits for one.
const MOST: u32 = 16;

/// In bytes. After each commit a connection has to forget the pages that it has read; those that it finds in memory again cost it
/// neither a copy nor a call.
const MAPPED: i64 = 1 << 30;

#[derive(Clone)]
pub struct Readers {
    pool: r2d2::Pool<Opener>,
}

impl Readers {
    /// Over the database at `path`, which has to be there. What is sealed in it, `key` opens.
    pub fn open(path: &Path, key: SealingKey) -> Result<Readers> {
        let pool = r2d2::Pool::builder()
            .max_size(MOST)
            .min_idle(Some(1))
            .test_on_check_out(false)
            .connection_timeout(BUSY_TIMEOUT)
            .build(Opener {
                path: path.to_owned(),
                key,
            })
            .map_err(Error::internal)?;
        Ok(Readers { pool })
    }

    /// The state as it is now, to read from. It holds one of the connections until it is dropped, so it is dropped soon.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let connection = self.pool.get().map_err(|cause| Error {
            cause: Some(cause.into()),
            ..Error::new(
                ErrorId::Unavailable,
                "The server is busy. Send the request again in a moment.",
            )
        })?;
        connection.prepare_cached("BEGIN DEFERRED")?.execute([])?;
        Ok(Snapshot(connection))
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
pub struct Snapshot(r2d2::PooledConnection<Opener>);

impl Deref for Snapshot {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let end = self.0.prepare_cached("COMMIT");
        if let Err(cause) = end.and_then(|mut end| end.execute([])) {
            tracing::warn!(%cause, "a snapshot could not be ended, so its connection is closed");
        }
    }
}
