//! Logins of the official CLI by way of a browser: begun by whoever runs the CLI, answered by a person who has the link, and fetched
//! by the CLI. Each is good for a few minutes, and only digests of its two secrets are kept.

use rusqlite::{Connection, Row, params};

use super::row::optional;
use crate::error::{Error, ErrorId, Result};
use crate::name::Id;
use crate::time::Timestamp;

/// That may wait at once, of all strangers together.
const MOST: i64 = 1_000;
/// Of those from one address, lest one stranger keep everybody else out.
const MOST_OF_ADDRESS: i64 = 50;

#[derive(Clone, Debug)]
pub struct CliLogin {
    pub id: Id,
    /// What the CLI says of itself: `Heroku CLI login from HOST`.
    pub description: String,
    /// From which it was begun.
    pub address: String,
    pub outcome: Option<Outcome>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The token that was made for the CLI.
    Granted(String),
    Refused,
}

/// What a new login is made from.
pub struct New<'a> {
    pub description: &'a str,
    pub address: &'a str,
    /// SHA-256 of what stands in the link for the browser.
    pub code: [u8; 32],
    /// SHA-256 of what the CLI shows when it asks how it went.
    pub poll: [u8; 32],
    pub expires_at: Timestamp,
}

const COLUMNS: &str = "id, description, address, refused,
    CASE WHEN token IS NULL THEN NULL ELSE unseal(id, token) END, created_at, expires_at";

fn login(row: &Row<'_>) -> rusqlite::Result<CliLogin> {
    let (refused, token): (bool, Option<String>) = (row.get(3)?, row.get(4)?);
    let outcome = match (refused, token) {
        (true, _) => Some(Outcome::Refused),
        (false, token) => token.map(Outcome::Granted),
    };
    Ok(CliLogin {
        id: row.get(0)?,
        description: row.get(1)?,
        address: row.get(2)?,
        outcome,
        created_at: row.get(5)?,
        expires_at: row.get(6)?,
    })
}

/// Begins a login. 429 when too many wait already.
pub fn create(connection: &Connection, new: &New<'_>, now: Timestamp) -> Result<Id> {
    delete_expired(connection, now)?;
    let (waiting, of_address): (i64, i64) = connection
        .prepare_cached("SELECT count(*), count(*) FILTER (WHERE address = ?1) FROM cli_login")?
        .query_row([new.address], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if waiting >= MOST || of_address >= MOST_OF_ADDRESS {
        return Err(Error::new(
            ErrorId::RateLimit,
            "Too many logins wait for their browsers. Try again in a few minutes, or use `heroku login -i`.",
        ));
    }
    let id = Id::new();
    connection
        .prepare_cached(
            "INSERT INTO cli_login (id, description, address, code_digest, poll_digest, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            id,
            new.description,
            new.address,
            new.code,
            new.poll,
            now,
            new.expires_at
        ])?;
    Ok(id)
}

/// The login whose link has this code, while it is good.
pub fn by_code(
    connection: &Connection,
    code: &[u8; 32],
    now: Timestamp,
) -> Result<Option<CliLogin>> {
    let sql = format!("SELECT {COLUMNS} FROM cli_login WHERE code_digest = ?1 AND expires_at > ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    optional(statement.query_row(params![code, now], login))
}

/// The login that the CLI asks after, while it is good.
pub fn by_poll(
    connection: &Connection,
    id: Id,
    poll: &[u8; 32],
    now: Timestamp,
) -> Result<Option<CliLogin>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM cli_login WHERE poll_digest = ?1 AND id = ?2 AND expires_at > ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    optional(statement.query_row(params![poll, id, now], login))
}

/// Gives the CLI its token. 409 when it was answered already.
pub fn grant(connection: &Connection, id: Id, token: &str) -> Result<()> {
    answered(
        connection
            .prepare_cached(
                "UPDATE cli_login SET token = seal(id, ?2) WHERE id = ?1 AND token IS NULL AND refused = 0",
            )?
            .execute(params![id, token])?,
    )
}

/// The CLI is told that nobody wants it to be let in. 409 when it was answered already.
pub fn refuse(connection: &Connection, id: Id) -> Result<()> {
    answered(
        connection
            .prepare_cached(
                "UPDATE cli_login SET refused = 1 WHERE id = ?1 AND token IS NULL AND refused = 0",
            )?
            .execute([id])?,
    )
}

fn answered(rows: usize) -> Result<()> {
    match rows {
        0 => Err(Error::conflict(
            "This login was answered already. Begin another with `heroku login`.",
        )),
        _ => Ok(()),
    }
}

/// Removes those that are over, with the tokens that were not fetched.
pub fn delete_expired(connection: &Connection, now: Timestamp) -> Result<()> {
    connection.execute("DELETE FROM cli_login WHERE expires_at <= ?1", [now])?;
    Ok(())
}
