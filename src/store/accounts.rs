//! Accounts: whoever may use the API. What opens them is in [`super::oauth_tokens`].

use rusqlite::{Connection, Row, params};

use super::page::{self, Field, Kind, Listing, Page};
use super::row::{json, optional, unique};
use super::{app_setup_ends, team_members, teams};
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

/// 422 for what is no e-mail address, for the addresses by which Heroku's clients know the apps of teams, and for the host of the
/// account that stands for deleted ones.
pub fn check_email(email: &str) -> Result<()> {
    let (user, host) = email.split_once('@').unwrap_or_default();
    if user.is_empty()
        || host.is_empty()
        || email.len() > 254
        || email.contains(|c: char| c.is_whitespace() || c.is_control())
        || host == teams::HOST
        || host == DELETED_HOST
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

/// The account with this address. The one that stands for deleted accounts is nobody, and nothing can be given to it.
pub fn by_email(connection: &Connection, email: &str) -> Result<Option<Account>> {
    let sql = format!("SELECT {COLUMNS} FROM account WHERE email = ?1 AND id <> ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    optional(statement.query_row(params![email.trim().to_lowercase(), DELETED], account))
}

/// Everybody who has an account, the oldest first.
pub fn all(connection: &Connection) -> Result<Vec<Account>> {
    let sql = format!("SELECT {COLUMNS} FROM account WHERE id <> ?1 ORDER BY id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([DELETED], account)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many people have an account.
pub fn count(connection: &Connection) -> Result<i64> {
    let mut statement = connection.prepare_cached("SELECT count(*) FROM account WHERE id <> ?1")?;
    Ok(statement.query_row([DELETED], |row| row.get(0))?)
}

/// The account that somebody names: by its id, its address, or `~` for his own. 404 when there is none.
pub fn named(connection: &Connection, by: &Account, identity: &Identity) -> Result<Account> {
    let found = match identity {
        Identity::Id(id) if *id == DELETED => None,
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

/// What clients keep with an account, besides what is in [`Account`].
#[derive(Clone, Debug)]
pub struct Flags {
    pub allow_tracking: bool,
    pub beta: bool,
    /// The team that has its new team apps when none is named.
    pub default_team: Option<(Id, String)>,
}

/// What [`kept`] reads, and where.
const KEPT: &str = "account.allow_tracking, account.beta, team.id, team.name";
const WITH_TEAM: &str =
    "account LEFT JOIN team_member AS its ON its.account_id = account.id AND its.is_default = 1
    LEFT JOIN team ON team.id = its.team_id";

fn kept(row: &Row<'_>, at: usize) -> rusqlite::Result<Flags> {
    let team = |id| Ok::<_, rusqlite::Error>((id, row.get(at + 3)?));
    Ok(Flags {
        allow_tracking: row.get(at)?,
        beta: row.get(at + 1)?,
        default_team: row.get::<_, Option<Id>>(at + 2)?.map(team).transpose()?,
    })
}

pub fn flags(connection: &Connection, id: Id) -> Result<Flags> {
    let sql = format!("SELECT {KEPT} FROM {WITH_TEAM} WHERE account.id = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row([id], |row| kept(row, 0))?)
}

/// What a PATCH may change; `None` leaves it.
#[derive(Clone, Debug, Default)]
pub struct Update {
    pub name: Option<Option<String>>,
    pub admin: Option<bool>,
    pub allow_tracking: Option<bool>,
    pub beta: Option<bool>,
}

/// Changes an account. 409 when no admin would be left.
pub fn update(
    connection: &Connection,
    account: &Account,
    update: &Update,
    now: Timestamp,
) -> Result<Account> {
    if account.admin && update.admin == Some(false) {
        another_admin(connection, account.id)?;
    }
    connection
        .prepare_cached(
            "UPDATE account SET name = ?2, admin = coalesce(?3, admin), allow_tracking = coalesce(?4, allow_tracking),
             beta = coalesce(?5, beta), updated_at = ?6 WHERE id = ?1",
        )?
        .execute(params![
            account.id,
            update.name.as_ref().unwrap_or(&account.name),
            update.admin,
            update.allow_tracking,
            update.beta,
            now
        ])?;
    by_id(connection, account.id)?.ok_or_else(|| Error::not_found("account"))
}

/// 409 unless somebody else runs the server too.
fn another_admin(connection: &Connection, id: Id) -> Result<()> {
    let mut statement = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM account WHERE admin = 1 AND id <> ?1)")?;
    match statement.query_row([id], |row| row.get(0))? {
        true => Ok(()),
        false => Err(Error::conflict(
            "This is the only admin of the server. Make another account an admin first.",
        )),
    }
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "account.id", Kind::Id),
    Field::new("email", "account.email", Kind::Text),
    Field::new("created_at", "account.created_at", Kind::Time),
];

/// Every account, but for the one that stands for the deleted ones.
pub fn list(connection: &Connection, page: &Page) -> Result<Listing<(Account, Flags)>> {
    let query = page::Query {
        columns: &format!("{COLUMNS}, {KEPT}"),
        // Whichever column the list goes by, its index is entered at the start and left at the end of the page.
        from: &format!(
            "{WITH_TEAM} WHERE account.id > '' AND account.email > '' AND account.created_at > '' AND account.id <> ?1"
        ),
        id: "account.id",
        parameters: &[&DELETED],
    };
    page::select(connection, &query, page, |row| {
        Ok((account(row)?, kept(row, COUNT)?))
    })
}

/// The account that stands for deleted ones in what they once did with the apps of others: releases, builds, promotions,
/// app setups, review apps.
const DELETED: Id = Id::fixed(0x59ac_cabd_0000_7000_8000_0000_0000_0004);
/// The host of its address, where no account can be made.
const DELETED_HOST: &str = "account.invalid";

/// Deletes an account, all that opens it, and its part in the apps of others. 409 while it owns something.
pub fn delete(connection: &Connection, account: &Account, now: Timestamp) -> Result<()> {
    if account.admin {
        another_admin(connection, account.id)?;
    }
    if let Some(team) = team_members::only_admin_of(connection, account.id)? {
        return Err(Error::conflict(format!(
            "This account is the only admin of the team {team}. Make another member an admin first, or delete the team."
        )));
    }
    for (sql, what) in [
        ("SELECT name FROM app WHERE owner_id = ?1 LIMIT 1", "app"),
        (
            "SELECT name FROM pipeline WHERE owner_id = ?1 LIMIT 1",
            "pipeline",
        ),
    ] {
        let mut statement = connection.prepare_cached(sql)?;
        let owned = optional(statement.query_row([account.id], |row| row.get::<_, String>(0)))?;
        if let Some(name) = owned {
            return Err(Error::conflict(format!(
                "This account owns the {what} {name}. Delete what it owns, or give it away, first."
            )));
        }
    }
    forget(connection, account.id, now)?;
    let deleted = connection
        .prepare_cached("DELETE FROM account WHERE id = ?1")?
        .execute([account.id]);
    deleted.map_err(|error| match error.sqlite_extended_error_code() {
        Some(rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => Error::conflict(
            "This account still owns something. Delete what it owns, or give it away, first.",
        ),
        _ => error.into(),
    })?;
    Ok(())
}

/// What the account did stays, and is no more known to have been its deed.
fn forget(connection: &Connection, id: Id, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO account (id, email, created_at, updated_at) VALUES (?1, 'deleted@' || ?3, ?2, ?2)
             ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![DELETED, now, DELETED_HOST])?;
    app_setup_ends::abandon_all_of(connection, id, now)?;
    let tables = [
        "release",
        "build",
        "pipeline_promotion",
        "app_setup",
        "review_app",
    ];
    for table in tables {
        connection
            .prepare_cached(&format!(
                "UPDATE {table} SET account_id = ?2 WHERE account_id = ?1"
            ))?
            .execute(params![id, DELETED])?;
    }
    Ok(())
}

/// The preferences that clients keep with an account, as a JSON object.
pub fn preferences(connection: &Connection, id: Id) -> Result<serde_json::Value> {
    let mut statement =
        connection.prepare_cached("SELECT preferences FROM account WHERE id = ?1")?;
    Ok(statement.query_row([id], |row| json(row, 0))?)
}

pub fn set_preferences(
    connection: &Connection,
    id: Id,
    preferences: &serde_json::Value,
) -> Result<()> {
    connection
        .prepare_cached("UPDATE account SET preferences = ?2 WHERE id = ?1")?
        .execute(params![id, preferences.to_string()])?;
    Ok(())
}

/// The account with this id.
pub fn by_id(connection: &Connection, id: Id) -> Result<Option<Account>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM account WHERE id = ?1"))?;
    optional(statement.query_row([id], account))
}
