//! Collaborators: the accounts that may do something with an app, its owner among them.

use rusqlite::{Connection, Row, params};

use super::access::Permissions;
use super::page::{self, Field, Kind, Listing, Page};
use super::row::{found, text_enum, unique};
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::time::Timestamp;

text_enum! {
    /// Why an account may do something with an app: it owns it, was let in, or belongs to the team that has it.
    Role { Owner = "owner", Collaborator = "collaborator", Admin = "admin", Member = "member" }
}

#[derive(Clone, Debug)]
pub struct Collaborator {
    pub id: Id,
    pub app_id: Id,
    pub app_name: String,
    pub account_id: Id,
    pub account_email: String,
    pub role: Role,
    pub permissions: Permissions,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "collaborator.id", Kind::Id),
    Field::new("email", "account.email", Kind::Text),
    Field::new("created_at", "collaborator.created_at", Kind::Time),
];

const COLUMNS: &str = "collaborator.id, collaborator.app_id, app.name, collaborator.account_id, account.email, collaborator.role,
    collaborator.permissions, collaborator.created_at, collaborator.updated_at";
const FROM: &str = "collaborator JOIN app ON app.id = collaborator.app_id
    JOIN account ON account.id = collaborator.account_id";

fn collaborator(row: &Row<'_>) -> rusqlite::Result<Collaborator> {
    Ok(Collaborator {
        id: row.get(0)?,
        app_id: row.get(1)?,
        app_name: row.get(2)?,
        account_id: row.get(3)?,
        account_email: row.get(4)?,
        role: row.get(5)?,
        permissions: row.get(6)?,
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
    })
}

/// Lets an account in. 422 when it is in already.
pub fn create(
    connection: &Connection,
    app: Id,
    account: Id,
    role: Role,
    permissions: Permissions,
    now: Timestamp,
) -> Result<Collaborator> {
    let id = Id::new();
    let inserted = connection
        .prepare_cached(
            "INSERT INTO collaborator (id, app_id, account_id, role, permissions, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
        )?
        .execute(params![id, app, account, role, permissions, now]);
    unique(inserted, || {
        Error::invalid("This account is a collaborator of the app already.")
    })?;
    find(connection, app, &Identity::Id(id))
}

/// A collaborator of an app, by its id, or by the id or the e-mail address of its account.
pub fn find(connection: &Connection, app: Id, identity: &Identity) -> Result<Collaborator> {
    let select = |condition: &str, value: &dyn rusqlite::ToSql| {
        let sql =
            format!("SELECT {COLUMNS} FROM {FROM} WHERE collaborator.app_id = ?1 AND {condition}");
        found(
            connection
                .prepare_cached(&sql)?
                .query_row(params![app, value], collaborator),
            "collaborator",
        )
    };
    match identity {
        Identity::Id(id) => select("(collaborator.id = ?2 OR collaborator.account_id = ?2)", id),
        Identity::Name(email) => select("account.email = ?2", email),
    }
}

pub fn list(connection: &Connection, app: Id, page: &Page) -> Result<Listing<Collaborator>> {
    let query = page::Query {
        columns: COLUMNS,
        from: &format!("{FROM} WHERE collaborator.app_id = ?1"),
        id: "collaborator.id",
        parameters: &[&app],
    };
    page::select(connection, &query, page, collaborator)
}

/// Gives a collaborator other permissions.
pub fn permit(
    connection: &Connection,
    id: Id,
    permissions: Permissions,
    now: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached("UPDATE collaborator SET permissions = ?2, updated_at = ?3 WHERE id = ?1")?
        .execute(params![id, permissions, now])?;
    Ok(())
}

/// Shows a collaborator out. 403 for the owner, who gives the app away instead.
pub fn delete(connection: &Connection, collaborator: &Collaborator) -> Result<()> {
    if collaborator.role == Role::Owner {
        return Err(Error::forbidden(
            "The owner of an app cannot be removed from it. Transfer the app first.",
        ));
    }
    connection
        .prepare_cached("DELETE FROM collaborator WHERE id = ?1")?
        .execute([collaborator.id])?;
    Ok(())
}
