//! Collaborators: the accounts that may do something with an app, its owner among them.

use rusqlite::{Connection, Row, params};

use super::access::Permissions;
use super::page::{self, Field, Kind, Listing, Page};
use super::row::{found, text_enum};
use super::team_access::{self, Scope};
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
    /// Those that were given by name; the others follow from the role.
    pub granted: Permissions,
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
    collaborator.granted, collaborator.permissions, collaborator.created_at, collaborator.updated_at";
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
        granted: row.get(6)?,
        permissions: row.get(7)?,
        created_at: row.get(8)?,
        updated_at: row.get(9)?,
    })
}

/// Lets an account in. 422 when somebody let it in already; a member of the team that has the app is let in to do more.
pub fn create(
    connection: &Connection,
    app: Id,
    account: Id,
    role: Role,
    permissions: Permissions,
    now: Timestamp,
) -> Result<Collaborator> {
    let inserted = connection
        .prepare_cached(
            "INSERT INTO collaborator (id, app_id, account_id, role, granted, permissions, created_at, updated_at,
                 app_name, app_team_id, app_created_at, app_updated_at)
             SELECT ?1, id, ?3, ?4, ?5, ?5, ?6, ?6, name, team_id, created_at, updated_at FROM app WHERE id = ?2
             ON CONFLICT (app_id, account_id) DO UPDATE SET granted = ?5, updated_at = ?6 WHERE granted = 0",
        )?
        .execute(params![Id::new(), app, account, role, permissions, now])?;
    if inserted == 0 {
        return Err(Error::invalid(
            "This account is a collaborator of the app already.",
        ));
    }
    team_access::apply(connection, Scope::One { app, account }, now)?;
    find(connection, app, &Identity::Id(account))
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

/// Gives a collaborator other permissions. 403 for who has all of them: the owner, and the admins of the team.
pub fn permit(
    connection: &Connection,
    collaborator: &Collaborator,
    permissions: Permissions,
    now: Timestamp,
) -> Result<Collaborator> {
    match collaborator.role {
        Role::Owner => Err(Error::forbidden(
            "The owner of an app may do everything with it.",
        )),
        Role::Admin => Err(Error::forbidden(
            "An admin of the team may do everything with its apps. Give him another role in the team first.",
        )),
        Role::Collaborator | Role::Member => {
            grant(connection, collaborator, permissions, now)?;
            find(
                connection,
                collaborator.app_id,
                &Identity::Id(collaborator.id),
            )
        }
    }
}

fn grant(
    connection: &Connection,
    collaborator: &Collaborator,
    granted: Permissions,
    now: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE collaborator SET granted = ?2, permissions = max(?2, 1), updated_at = ?3 WHERE id = ?1",
        )?
        .execute(params![collaborator.id, granted, now])?;
    let (app, account) = (collaborator.app_id, collaborator.account_id);
    team_access::apply(connection, Scope::One { app, account }, now)
}

/// Shows a collaborator out. 403 for the owner, who gives the app away instead, and for who is there as a member of the team. A
/// member who was let in to do more is a member like the others again.
pub fn delete(connection: &Connection, collaborator: &Collaborator, now: Timestamp) -> Result<()> {
    if collaborator.role == Role::Owner {
        return Err(Error::forbidden(
            "The owner of an app cannot be removed from it. Transfer the app first.",
        ));
    }
    if collaborator.granted == Permissions::NONE {
        return Err(Error::forbidden(
            "Members of the team have access to its apps. Lock the app, or remove the member from the team.",
        ));
    }
    match collaborator.role {
        Role::Admin | Role::Member => grant(connection, collaborator, Permissions::NONE, now),
        Role::Owner | Role::Collaborator => {
            connection
                .prepare_cached("DELETE FROM collaborator WHERE id = ?1")?
                .execute([collaborator.id])?;
            Ok(())
        }
    }
}
