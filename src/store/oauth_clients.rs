//! OAuth clients: programs that accounts may authorize, and the secret that each of them proves itself with.

use rusqlite::{Connection, Row, params};

use super::page::{self, Field, Kind, Listing, Page};
use super::row::{found, optional};
use crate::error::{Error, Result};
use crate::name::Id;
use crate::time::Timestamp;

/// Of one account.
const MOST: i64 = 100;

#[derive(Clone, Debug)]
pub struct Client {
    pub id: Id,
    /// Whoever registered it.
    pub account_id: Id,
    pub name: String,
    pub redirect_uri: String,
    pub secret: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "oauth_client.id", Kind::Id),
    Field::new("name", "oauth_client.name", Kind::SharedText),
    Field::new("created_at", "oauth_client.created_at", Kind::Time),
];

const COLUMNS: &str =
    "oauth_client.id, oauth_client.account_id, oauth_client.name, oauth_client.redirect_uri,
    unseal(oauth_client.id, oauth_client.secret), oauth_client.created_at, oauth_client.updated_at";

fn client(row: &Row<'_>) -> rusqlite::Result<Client> {
    Ok(Client {
        id: row.get(0)?,
        account_id: row.get(1)?,
        name: row.get(2)?,
        redirect_uri: row.get(3)?,
        secret: row.get(4)?,
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
    })
}

/// Registers a client. 422 when the account has as many as it may.
pub fn create(
    connection: &Connection,
    account: Id,
    name: &str,
    redirect_uri: &str,
    secret: &str,
    now: Timestamp,
) -> Result<Client> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM oauth_client WHERE account_id = ?1")?
        .query_row([account], |row| row.get(0))?;
    if count >= MOST {
        return Err(Error::invalid(format!(
            "An account has {MOST} clients at most. Delete one first."
        )));
    }
    let id = Id::new();
    connection
        .prepare_cached(
            "INSERT INTO oauth_client (id, account_id, name, redirect_uri, secret, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, seal(?1, ?5), ?6, ?6)",
        )?
        .execute(params![id, account, name, redirect_uri, secret, now])?;
    find(connection, id)
}

/// The client with this id, whoever registered it: whoever is asked to authorize one may look at it.
pub fn find(connection: &Connection, id: Id) -> Result<Client> {
    let sql = format!("SELECT {COLUMNS} FROM oauth_client WHERE id = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    found(statement.query_row([id], client), "client")
}

/// The same, for the account that registered it; 404 for another's.
pub fn owned(connection: &Connection, account: Id, id: Id) -> Result<Client> {
    let client = find(connection, id)?;
    match client.account_id == account {
        true => Ok(client),
        false => Err(Error::not_found("client")),
    }
}

pub fn list(connection: &Connection, account: Id, page: &Page) -> Result<Listing<Client>> {
    let query = page::Query {
        columns: COLUMNS,
        from: "oauth_client WHERE oauth_client.account_id = ?1",
        id: "oauth_client.id",
        parameters: &[&account],
    };
    page::select(connection, &query, page, client)
}

/// Writes the name, address and secret of a client as they are in `client`.
pub fn update(connection: &Connection, client: &Client, now: Timestamp) -> Result<Client> {
    connection
        .prepare_cached(
            "UPDATE oauth_client SET name = ?2, redirect_uri = ?3, secret = seal(?1, ?4), updated_at = ?5 WHERE id = ?1",
        )?
        .execute(params![
            client.id,
            client.name,
            client.redirect_uri,
            client.secret,
            now
        ])?;
    find(connection, client.id)
}

/// Deletes a client, and with it whatever it was authorized to.
pub fn delete(connection: &Connection, id: Id) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM oauth_client WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// The secret with which a code or refresh token of this authorization has to come; `None` when it has no client, and so nothing
/// that could be exchanged.
pub fn secret_of(connection: &Connection, authorization: Id) -> Result<Option<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT unseal(oauth_client.id, oauth_client.secret)
         FROM oauth_authorization JOIN oauth_client ON oauth_client.id = oauth_authorization.client_id
         WHERE oauth_authorization.id = ?1",
    )?;
    optional(statement.query_row([authorization], |row| row.get(0)))
}
