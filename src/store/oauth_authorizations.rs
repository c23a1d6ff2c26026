//! OAuth authorizations: what lets somebody use an account, from the API key that the operator made to a client's tokens.
//!
//! An authorization is made with its secrets in one transaction. Deleting one ends all that was given out under it.

use rusqlite::{Connection, Row, params};

use super::oauth_tokens;
use super::page::{self, Field, Kind, Listing, Page};
use super::row::found;
use super::scopes::Scopes;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::time::Timestamp;

/// Of one account.
const MOST: i64 = 1_000;

/// A secret of an authorization, as far as it is known: its hint.
#[derive(Clone, Debug)]
pub struct Hinted {
    pub id: Id,
    pub hint: String,
    pub expires_at: Option<Timestamp>,
}

/// The client of an authorization.
#[derive(Clone, Debug)]
pub struct ClientRef {
    pub id: Id,
    pub name: String,
    pub redirect_uri: String,
}

#[derive(Clone, Debug)]
pub struct Authorization {
    pub id: Id,
    pub account_id: Id,
    pub account_email: String,
    pub account_name: Option<String>,
    pub client: Option<ClientRef>,
    pub description: String,
    pub scopes: Scopes,
    /// Waiting to be exchanged.
    pub grant: Option<Hinted>,
    /// The newest.
    pub access_token: Option<Hinted>,
    pub refresh_token: Option<Hinted>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "oauth_authorization.id", Kind::Id),
    Field::new("created_at", "oauth_authorization.created_at", Kind::Time),
];

const COLUMNS: &str = "oauth_authorization.id, account.id, account.email, account.name, oauth_authorization.description,
    oauth_authorization.scopes, oauth_authorization.created_at, oauth_authorization.updated_at,
    oauth_client.id, oauth_client.name, oauth_client.redirect_uri,
    oauth_grant.id, oauth_grant.hint, oauth_grant.expires_at,
    access_token.id, access_token.hint, access_token.expires_at,
    refresh_token.id, refresh_token.hint, NULL";
const FROM: &str = "oauth_authorization JOIN account ON account.id = oauth_authorization.account_id
    LEFT JOIN oauth_client ON oauth_client.id = oauth_authorization.client_id
    LEFT JOIN oauth_grant ON oauth_grant.authorization_id = oauth_authorization.id
    LEFT JOIN access_token ON access_token.id =
        (SELECT max(newest.id) FROM access_token AS newest WHERE newest.authorization_id = oauth_authorization.id)
    LEFT JOIN refresh_token ON refresh_token.authorization_id = oauth_authorization.id";

fn authorization(row: &Row<'_>) -> rusqlite::Result<Authorization> {
    let client: Option<Id> = row.get(8)?;
    let client = client.map(|id| {
        Ok::<_, rusqlite::Error>(ClientRef {
            id,
            name: row.get(9)?,
            redirect_uri: row.get(10)?,
        })
    });
    Ok(Authorization {
        id: row.get(0)?,
        account_id: row.get(1)?,
        account_email: row.get(2)?,
        account_name: row.get(3)?,
        client: client.transpose()?,
        description: row.get(4)?,
        scopes: row.get(5)?,
        grant: hinted(row, 11)?,
        access_token: hinted(row, 14)?,
        refresh_token: hinted(row, 17)?,
        created_at: row.get(6)?,
        updated_at: row.get(7)?,
    })
}

fn hinted(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Hinted>> {
    let id: Option<Id> = row.get(at)?;
    id.map(|id| {
        Ok(Hinted {
            id,
            hint: row.get(at + 1)?,
            expires_at: row.get(at + 2)?,
        })
    })
    .transpose()
}

/// What a new authorization is.
pub struct New<'a> {
    pub account: Id,
    pub client: Option<Id>,
    pub description: &'a str,
    pub scopes: Scopes,
    /// Of its access tokens, in seconds; `None` is for ever.
    pub lifetime: Option<u32>,
}

/// Makes an authorization, without any secret yet. 422 when the account has as many as it may.
pub fn create(connection: &Connection, new: &New<'_>, now: Timestamp) -> Result<Id> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM oauth_authorization WHERE account_id = ?1")?
        .query_row([new.account], |row| row.get(0))?;
    if count >= MOST {
        return Err(Error::invalid(format!(
            "An account has {MOST} authorizations at most. Delete some that are not used any more."
        )));
    }
    let id = Id::new();
    connection
        .prepare_cached(
            "INSERT INTO oauth_authorization (id, account_id, client_id, description, scopes, lifetime, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
        )?
        .execute(params![
            id,
            new.account,
            new.client,
            new.description,
            new.scopes,
            new.lifetime,
            now
        ])?;
    Ok(id)
}

/// Lets `token` open the account, for ever and in everything, as the operator says. The first such token of an account is its API
/// key; one that opens an account already goes on doing so.
pub fn add_key(
    connection: &Connection,
    account: Id,
    token: &str,
    description: &str,
    now: Timestamp,
) -> Result<()> {
    let digest = crate::secret::digest(token);
    if oauth_tokens::credential(connection, &digest, now)?.is_some() {
        return Ok(());
    }
    let new = New {
        account,
        client: None,
        description,
        scopes: Scopes::GLOBAL,
        lifetime: None,
    };
    let id = create(connection, &new, now)?;
    connection
        .prepare_cached(
            "UPDATE oauth_authorization SET api_key = 1 WHERE id = ?1 AND NOT EXISTS
             (SELECT 1 FROM oauth_authorization AS other WHERE other.account_id = ?2 AND other.api_key = 1)",
        )?
        .execute(params![id, account])?;
    oauth_tokens::add_access_token(connection, id, token, now)
}

/// An authorization of the account.
pub fn find(connection: &Connection, account: Id, id: Id) -> Result<Authorization> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {FROM} WHERE oauth_authorization.id = ?1 AND oauth_authorization.account_id = ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    found(
        statement.query_row(params![id, account], authorization),
        "authorization",
    )
}

/// The account's API key.
pub fn api_key(connection: &Connection, account: Id) -> Result<Authorization> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {FROM} WHERE oauth_authorization.account_id = ?1 AND oauth_authorization.api_key = 1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    found(
        statement.query_row([account], authorization),
        "authorization",
    )
}

/// The authorization with this id, for whoever has just proved to hold what it gives out.
pub fn by_id(connection: &Connection, id: Id) -> Result<Authorization> {
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE oauth_authorization.id = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    found(statement.query_row([id], authorization), "authorization")
}

pub fn list(connection: &Connection, account: Id, page: &Page) -> Result<Listing<Authorization>> {
    let query = page::Query {
        columns: COLUMNS,
        from: &format!("{FROM} WHERE oauth_authorization.account_id = ?1"),
        id: "oauth_authorization.id",
        parameters: &[&account],
    };
    page::select(connection, &query, page, authorization)
}

/// Those of one account, or of all, for the operator; the oldest first.
pub fn of_all(connection: &Connection, account: Option<Id>) -> Result<Vec<Authorization>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {FROM} WHERE ?1 IS NULL OR oauth_authorization.account_id = ?1 ORDER BY oauth_authorization.id"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([account], authorization)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Describes an authorization anew, and says which client has it.
pub fn update(
    connection: &Connection,
    id: Id,
    description: Option<&str>,
    client: Option<Id>,
    now: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE oauth_authorization SET description = coalesce(?2, description), client_id = coalesce(?3, client_id),
             updated_at = ?4 WHERE id = ?1",
        )?
        .execute(params![id, description, client, now])?;
    Ok(())
}

/// Notes that an authorization has got other secrets.
pub fn touch(connection: &Connection, id: Id, now: Timestamp) -> Result<()> {
    update(connection, id, None, None, now)
}

/// Deletes an authorization; nothing that was given out under it opens anything after that.
pub fn delete(connection: &Connection, id: Id) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM oauth_authorization WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}
