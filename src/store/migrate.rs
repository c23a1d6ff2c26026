//! Brings a database to the schema of this version: a new one from `schema.sql`, an older one by the steps kept here.

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
