//! Accounts: whoever may use the API. What opens them is in [`super::oauth_tokens`].

use rusqlite::{Connection, Row, params};

use super::row::{optional, unique};
use super::teams;
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::time::Timestamp;

/// Somebody who may use the API.
#[derive(Clone, Debug)]
pub struct Account {
    pub id: Id,
    pub email: String,
    pub name: Option<String>,
    /// Runs the server, and may do everything with every app.
    pub admin: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Account {
    /// Stands where somebody has a token that opens no account. No row has this id, so nothing is found through it.
    pub(super) fn nobody(id: Id, email: String, since: Timestamp) -> Account {
        Account {
            id,
            email,
            name: None,
            admin: false,
            created_at: since,
            updated_at: since,
        }
    }
}

pub(super) fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        id: row.get(0)?,
        email: row.get(1)?,
        name: row.get(2)?,
        admin: row.get(3)?,
        created_at: row.get(4)?,
        updated_at: row.get(5)?,
    })
}

/// What [`account`] reads, and how many columns that is.
pub(super) const COLUMNS: &str = "account.id, account.email, account.name, account.admin, account.created_at, account.updated_at";
pub(super) const COUNT: usize = 6;

/// 422 for what is no e-mail address, and for the addresses by which Heroku's clients know the apps of teams.
pub fn check_email(email: &str) -> Result<()> {
    let (user, host) = email.split_once('@').unwrap_or_default();
    if user.is_empty()
        || host.is_empty()
        || email.len() > 254
        || email.contains(|c: char| c.is_whitespace() || c.is_control())
        || host == teams::HOST
    {
        return Err(Error::invalid(
            "An account needs an e-mail address, such as ann@example.com.",
        ));
    }
    Ok(())
}

/// Makes an account. 422 when the address is taken or is none.
pub fn create(connection: &Connection, email: &str, now: Timestamp) -> Result<Account> {
    let email = email.trim().to_lowercase();
    check_email(&email)?;
    let id = Id::new();
    let inserted = connection
        .prepare_cached(
            "INSERT INTO account (id, email, created_at, updated_at) VALUES (?1, ?2, ?3, ?3)",
        )?
        .execute(params![id, email, now]);
    unique(inserted, || {
        Error::invalid(format!("There is an account for {email} already."))
    })?;
    Ok(Account {
        id,
        email,
        name: None,
        admin: false,
        created_at: now,
        updated_at: now,
    })
}

/// The account with this address.
pub fn by_email(connection: &Connection, email: &str) -> Result<Option<Account>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM account WHERE email = ?1"))?;
    optional(statement.query_row([email.trim().to_lowercase()], account))
}

/// The account that somebody names: by its id, its address, or `~` for his own. 404 when there is none.
pub fn named(connection: &Connection, by: &Account, identity: &Identity) -> Result<Account> {
    let found = match identity {
        Identity::Id(id) => by_id(connection, *id)?,
        Identity::Name(name) if name == "~" => Some(by.clone()),
        Identity::Name(email) => by_email(connection, email)?,
    };
    found.ok_or_else(|| Error::not_found("account"))
}

/// Makes an account an admin, which runs the server.
pub fn make_admin(connection: &Connection, id: Id) -> Result<()> {
    connection
        .prepare_cached("UPDATE account SET admin = 1 WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// The account with this id.
pub fn by_id(connection: &Connection, id: Id) -> Result<Option<Account>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM account WHERE id = ?1"))?;
    optional(statement.query_row([id], account))
}
