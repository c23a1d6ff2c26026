//! Sources: slots that a tarball is uploaded into before a build.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::accounts::Account;
use super::row::found;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::time::Timestamp;

/// How long a source's URLs live.
pub const LIFE: Duration = Duration::from_secs(60 * 60);

#[derive(Clone, Debug)]
pub struct Source {
    pub id: Id,
    /// SHA-256 as hex; `None` until something is uploaded.
    pub digest: Option<String>,
    pub expires_at: Timestamp,
}

fn source(row: &Row<'_>) -> rusqlite::Result<Source> {
    Ok(Source {
        id: row.get(0)?,
        digest: row.get(1)?,
        expires_at: row.get(2)?,
    })
}

pub fn create(connection: &Connection, account: &Account, now: Timestamp) -> Result<Source> {
    let source = Source {
        id: Id::new(),
        digest: None,
        expires_at: now.plus(LIFE),
    };
    connection
        .prepare_cached(
            "INSERT INTO source (id, account_id, expires_at, created_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![source.id, account.id, source.expires_at, now])?;
    Ok(source)
}

/// The source with this id, for whoever holds a signed URL to it.
pub fn by_id(connection: &Connection, id: Id) -> Result<Source> {
    let mut statement =
        connection.prepare_cached("SELECT id, digest, expires_at FROM source WHERE id = ?1")?;
    found(statement.query_row([id], source), "source")
}

/// Points the source at its uploaded bytes. A later upload to the same URL replaces an earlier one: builds keep what they read.
/// 403 when the slot expired and was swept away during the upload, since nothing then points at the bytes.
pub fn uploaded(connection: &Connection, id: Id, digest: &str, size: i64) -> Result<()> {
    let changed = connection
        .prepare_cached("UPDATE source SET digest = ?2, size = ?3 WHERE id = ?1")?
        .execute(params![id, digest, size])?;
    if changed == 0 {
        return Err(Error::forbidden(
            "This link expired during the upload, so nothing was kept. Ask for a new one, and send it again.",
        ));
    }
    Ok(())
}

/// Deletes the slots whose URLs have expired.
pub fn delete_expired(connection: &Connection, now: Timestamp) -> Result<usize> {
    Ok(connection.execute("DELETE FROM source WHERE expires_at <= ?1", [now])?)
}
