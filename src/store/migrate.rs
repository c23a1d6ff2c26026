//! Brings a database to the schema of this version: a new one from `schema.sql`, an older one by the steps kept here.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::seals;
use crate::error::{Error, ErrorId, Result};

const SCHEMA: &str = include_str!("../../schema.sql");
/// The `user_version` that `schema.sql` sets.
pub const VERSION: i64 = 2;
/// `STEPS[n]` takes a database from version `n + 1` to `n + 2`.
const STEPS: &[&str] = &["CREATE TABLE IF NOT EXISTS app_repository (
    app_id TEXT PRIMARY KEY REFERENCES app (id) ON DELETE CASCADE,
    size   INTEGER NOT NULL
) STRICT"];

/// Where a database file has its `user_version`, in bytes from its start (sqlite.org/fileformat.html, 1.3).
const VERSION_AT: usize = 60;

/// Whether [`migrate`] may have to change or make the database at `path`: no file there says that it has this version.
pub fn is_to_be_changed(path: &Path) -> Result<bool> {
    let mut header = [0; VERSION_AT + size_of::<u32>()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    match read {
        Ok(()) => Ok(!header.ends_with(&VERSION.to_be_bytes()[4..])),
        Err(cause) => match cause.kind() {
            ErrorKind::NotFound | ErrorKind::UnexpectedEof => Ok(true),
            _ => Err(cause.into()),
        },
    }
}

/// All or nothing, in one transaction: a crash in the middle leaves the old database as it was.
pub fn migrate(connection: &mut Connection) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > VERSION {
        return Err(Error::new(
            ErrorId::Conflict,
            format!(
                "The database has version {found} and this Penstock knows up to version {VERSION}. Run the newer Penstock that wrote it."
            ),
        ));
    }
    if found == VERSION {
        // A commit would wait for the disk, at every start.
        return Ok(());
    }
    if found == 0 {
        transaction.execute_batch(SCHEMA)?;
        seals::mark(&transaction)?;
    } else {
        for step in STEPS.iter().skip(usize::try_from(found - 1).unwrap_or(0)) {
            transaction.execute_batch(step)?;
        }
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    Ok(())
}
