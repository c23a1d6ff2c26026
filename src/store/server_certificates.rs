//! The certificate of the API's own host: when an authority is to be asked for it, and what came of it.
//!
//! There is one at most. It must not know how one asks, nor who is shown it.

use rusqlite::{Connection, params};

use super::row::optional;
use super::sni_endpoints::KeyPair;
use crate::error::Result;
use crate::time::Timestamp;

/// A host that wants a certificate now.
#[derive(Clone, Debug)]
pub struct Due {
    pub hostname: String,
    /// How often it was tried in vain since it last came to something.
    pub attempts: u32,
}

/// From here on this host wants one, and no other; a host that has it already keeps it.
pub fn want(connection: &Connection, hostname: Option<&str>, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM server_certificate WHERE hostname IS NOT ?1")?
        .execute([hostname])?;
    if let Some(hostname) = hostname {
        connection
            .prepare_cached(
                "INSERT INTO server_certificate (hostname, next_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            )?
            .execute(params![hostname, now])?;
    }
    Ok(())
}

/// The host, if its time has come.
pub fn due(connection: &Connection, now: Timestamp) -> Result<Option<Due>> {
    let mut statement = connection
        .prepare_cached("SELECT hostname, attempts FROM server_certificate WHERE next_at <= ?1")?;
    let due = statement.query_row([now], |row| {
        Ok(Due {
            hostname: row.get(0)?,
            attempts: row.get(1)?,
        })
    });
    optional(due)
}

/// When it will be due.
pub fn next_due(connection: &Connection) -> Result<Option<Timestamp>> {
    let mut statement = connection.prepare_cached("SELECT min(next_at) FROM server_certificate")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Has it due at another time, and no sooner: while it is asked for, and after it was in vain.
pub fn put_off(
    connection: &Connection,
    hostname: &str,
    attempts: u32,
    next_at: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE server_certificate SET attempts = ?2, next_at = ?3 WHERE hostname = ?1",
        )?
        .execute(params![hostname, attempts, next_at])?;
    Ok(())
}

/// Keeps the certificate, if the host is still the server's.
pub fn issued(
    connection: &Connection,
    hostname: &str,
    pair: &KeyPair,
    renew_at: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE server_certificate SET attempts = 0, next_at = ?2, certificate_chain = ?3, private_key = seal(?1, ?4)
             WHERE hostname = ?1",
        )?
        .execute(params![hostname, renew_at, pair.chain, pair.private_key])?;
    Ok(())
}

/// The host with its chain and its key, as PEM; `None` while there are none.
pub fn served(connection: &Connection) -> Result<Option<(String, String, String)>> {
    let mut statement = connection.prepare_cached(
        "SELECT hostname, certificate_chain, unseal(hostname, private_key) FROM server_certificate
         WHERE certificate_chain IS NOT NULL",
    )?;
    let served = statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    optional(served)
}
