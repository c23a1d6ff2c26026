//! A copy of the database, made while others write to it, and what has to be beside the copy.
//!
//! SQLite's online backup reads one snapshot, which keeps no writer waiting. It must not know where copies are kept.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::{BUSY_TIMEOUT, migrate, seals, settings};
use crate::error::{Error, Result};
use crate::secret::SealingKey;
use crate::time::Timestamp;

/// Between two tries to get at a database that somebody holds.
const AGAIN: Duration = Duration::from_millis(50);

/// What was found in a database.
pub struct Inspection {
    /// Its schema's.
    pub version: i64,
    /// Whether what is sealed in it opens with the key that was given.
    pub is_its_key: bool,
    /// The blobs that it names.
    pub blobs: Vec<NamedBlob>,
}

/// A blob that a row names.
pub struct NamedBlob {
    /// SHA-256, as hex.
    pub digest: String,
    /// Whether its row still needs it: an upload that has expired may be gone.
    pub needed: bool,
}

/// Copies the database as it is at one moment. `to` must not be there, and is a whole database of its own afterwards.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags)?;
    settings(&source)?;
    source.pragma_update(None, "query_only", true)?;
    // SQLite takes an empty file as it is; one that it made itself, others could read.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    let mut copy = Connection::open(to)?;
    {
        let backup = Backup::new(&source, &mut copy)?;
        let begun = Instant::now();
        // All pages in one step: between two steps a commit would begin the copy anew.
        while backup.step(-1)? != StepResult::Done {
            if begun.elapsed() > BUSY_TIMEOUT {
                return Err(Error::internal("the database is held by another process"));
            }
            std::thread::sleep(AGAIN);
        }
    }
    // So that there is no second file to it.
    let mode: String =
        copy.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))?;
    match mode.as_str() {
        "delete" => Ok(()),
        other => Err(Error::internal(format!(
            "the copy stays in journal mode {other}"
        ))),
    }
}

/// Looks through a whole database that nobody uses. 422 for one that is damaged, 409 for one of a newer Penstock.
pub fn inspect(path: &Path, key: &SealingKey, now: Timestamp) -> Result<Inspection> {
    let damaged = |what: &str| Error::invalid(format!("The database is damaged: {what}."));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    let integrity =
        connection.pragma_query_value(None, "integrity_check", |row| row.get::<_, String>(0));
    let integrity = integrity.map_err(|cause| damaged(&cause.to_string()))?;
    if integrity != "ok" {
        return Err(damaged(&integrity));
    }
    if connection
        .prepare("SELECT 1 FROM pragma_foreign_key_check")?
        .exists([])?
    {
        return Err(damaged("rows refer to rows that are not there"));
    }
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > migrate::VERSION {
        return Err(Error::conflict(format!(
            "The database has version {version} and this Penstock knows up to version {}. Use the newer Penstock that wrote it.",
            migrate::VERSION
        )));
    }
    let mut statement = connection.prepare(
        "SELECT digest, max(needed) FROM (
             SELECT digest, 1 AS needed FROM slug
             UNION ALL SELECT digest, 1 FROM audit_trail_archive
             UNION ALL SELECT digest, expires_at > ?1 FROM source
             UNION ALL SELECT source_digest, 1 FROM build WHERE status = 'pending'
             UNION ALL SELECT source_digest, 1 FROM app_setup WHERE status = 'pending'
         ) WHERE digest IS NOT NULL GROUP BY digest ORDER BY digest",
    )?;
    let blobs = statement.query_map([now], |row| {
        Ok(NamedBlob {
            digest: row.get(0)?,
            needed: row.get(1)?,
        })
    })?;
    Ok(Inspection {
        version,
        is_its_key: seals::opens(&connection, key)?,
        blobs: blobs.collect::<rusqlite::Result<_>>()?,
    })
}
