//! Two SQL functions for secrets that must be read again: `seal(place, text)` makes a BLOB and `unseal(place, blob)` the text.
//!
//! The place is the id of the row, so that a sealed value moved to another row does not open. The key is no part of the database:
//! who has a copy of that alone has none of its secrets. It must not know what is sealed.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use crate::error::{Error, Result};
use crate::secret::SealingKey;

/// Gives both functions to a connection.
pub fn define(connection: &Connection, key: &SealingKey) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    let sealing = key.clone();
    connection.create_scalar_function("seal", 2, flags, move |call| {
        let (place, text) = (call.get_raw(0).as_str()?, call.get_raw(1).as_str()?);
        failing(sealing.seal(place, text))
    })?;
    let key = key.clone();
    connection.create_scalar_function("unseal", 2, flags, move |call| {
        let (place, sealed) = (call.get_raw(0).as_str()?, call.get_raw(1).as_blob()?);
        failing(key.unseal(place, sealed))
    })
}

/// The place of the word by which a key is known, and the word.
const CHECK: (&str, &str) = ("sealing_check", "penstock");

/// Writes down in a new database by what its key is known.
pub fn mark(connection: &Connection) -> rusqlite::Result<()> {
    let (place, word) = CHECK;
    connection.execute(
        "INSERT INTO sealing_check (id, sealed) VALUES (1, seal(?1, ?2))",
        [place, word],
    )?;
    Ok(())
}

/// Whether this key is the one that the database was made with.
pub fn opens(connection: &Connection, key: &SealingKey) -> rusqlite::Result<bool> {
    let (place, word) = CHECK;
    let sealed: Vec<u8> =
        connection.query_row("SELECT sealed FROM sealing_check", [], |row| row.get(0))?;
    Ok(key.unseal(place, &sealed).is_ok_and(|found| found == word))
}

fn failing<T>(result: Result<T>) -> rusqlite::Result<T> {
    result.map_err(|error: Error| {
        let cause = error.cause.unwrap_or_else(|| error.message.into());
        rusqlite::Error::UserFunctionError(cause)
    })
}
