//! Features of accounts that were switched. Which there are is said in [`crate::catalog`].

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use crate::error::Result;
use crate::name::Id;
use crate::time::Timestamp;

/// Whether a feature is on, and since when; of those that were ever switched.
pub fn switched(
    connection: &Connection,
    account: Id,
) -> Result<BTreeMap<String, (bool, Timestamp)>> {
    let mut statement = connection.prepare_cached(
        "SELECT name, enabled, updated_at FROM account_feature WHERE account_id = ?1",
    )?;
    let rows = statement.query_map([account], |row| {
        Ok((row.get(0)?, (row.get(1)?, row.get(2)?)))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Switches a feature on or off.
pub fn switch(
    connection: &Connection,
    account: Id,
    name: &str,
    enabled: bool,
    now: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO account_feature (account_id, name, enabled, updated_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (account_id, name) DO UPDATE SET enabled = ?3, updated_at = ?4",
        )?
        .execute(params![account, name, enabled, now])?;
    Ok(())
}
