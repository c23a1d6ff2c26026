//! The apps of teams, as their members see them.

use rusqlite::{Connection, Row, ToSql, params};

use super::access::Permissions;
use super::accounts::Account;
use super::apps::{self, App, COLUMNS, FROM, WIDTH};
use super::page::{self, Field, Kind, Listing, Page};
use super::row;
use super::team_access::{self, Scope};
use crate::error::{Error, Result};
use crate::name::Id;
use crate::time::Timestamp;

/// An app, and whether the caller was let in to it by name.
#[derive(Clone, Debug)]
pub struct TeamApp {
    pub app: App,
    pub joined: bool,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "shown.id", Kind::Id),
    Field::new("name", "shown.name", Kind::Text),
    Field::new("created_at", "shown.created_at", Kind::Time),
    Field::new("updated_at", "shown.updated_at", Kind::Time),
];

/// The apps of the team ?2 that the account ?1 may see, with what they can be ordered by.
const SEEN: &str = "SELECT app_id AS id, app_name AS name, app_created_at AS created_at, app_updated_at AS updated_at
    FROM collaborator WHERE account_id = ?1 AND app_team_id = ?2";
/// Those that the account ?3 may see too.
const SEEN_BY_BOTH: &str = "SELECT app_id AS id, app_name AS name, app_created_at AS created_at, app_updated_at AS updated_at
    FROM collaborator WHERE account_id = ?3 AND app_team_id = ?2
    AND EXISTS (SELECT 1 FROM collaborator AS own WHERE own.app_id = collaborator.app_id AND own.account_id = ?1)";
/// Those that whoever runs the server sees: all, or those that the account ?3 may see.
const ALL: &str = "SELECT id, name, created_at, updated_at FROM app WHERE team_id = ?2";
const SEEN_BY_OTHER: &str = "SELECT app_id AS id, app_name AS name, app_created_at AS created_at, app_updated_at AS updated_at
    FROM collaborator WHERE account_id = ?3 AND app_team_id = ?2";

fn team_app(row: &Row<'_>) -> rusqlite::Result<TeamApp> {
    Ok(TeamApp {
        app: apps::app(row)?,
        joined: row.get(WIDTH)?,
    })
}

/// Whether this account was let in to the app by name, as `joined` says.
pub fn joined(connection: &Connection, app: Id, account: Id) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM collaborator WHERE app_id = ?1 AND account_id = ?2 AND granted > 0)",
    )?;
    Ok(statement.query_row((app, account), |row| row.get(0))?)
}

/// The apps of a team that `account` may see; of these, if a member is named, those that the member may see.
pub fn list(
    connection: &Connection,
    account: &Account,
    team: Id,
    member: Option<Id>,
    page: &Page,
) -> Result<Listing<TeamApp>> {
    let shown = match (account.admin, member) {
        (false, None) => SEEN,
        (false, Some(_)) => SEEN_BY_BOTH,
        (true, None) => ALL,
        (true, Some(_)) => SEEN_BY_OTHER,
    };
    let both: [&dyn ToSql; 3] = [&account.id, &team, &member];
    let query = page::Query {
        columns: &format!(
            "{COLUMNS}, EXISTS (SELECT 1 FROM collaborator AS own
                 WHERE own.app_id = app.id AND own.account_id = ?1 AND own.granted > 0)"
        ),
        from: &format!("({shown}) AS shown CROSS JOIN {FROM} WHERE app.id = shown.id"),
        id: "shown.id",
        parameters: match member {
            None => &both[..2],
            Some(_) => &both,
        },
    };
    page::select(connection, &query, page, team_app)
}

/// Hides an app from those members of its team who were not let in by name, or shows it again. 422 for an account's own app.
pub fn set_locked(connection: &Connection, app: &App, locked: bool, now: Timestamp) -> Result<()> {
    if app.team.is_none() {
        return Err(Error::invalid(
            "Only a team's app can be locked. This one belongs to an account.",
        ));
    }
    connection
        .prepare_cached(
            "UPDATE app SET locked = ?2, updated_at = ?3 WHERE id = ?1 AND locked <> ?2",
        )?
        .execute(params![app.id, locked, now])?;
    team_access::apply(connection, Scope::App(app.id), now)
}

/// An app of a team, and who may do what with it.
#[derive(Clone, Debug)]
pub struct Entity {
    pub id: Id,
    pub name: String,
    pub team_id: Id,
    pub users: Vec<EntityUser>,
}

#[derive(Clone, Debug, serde::Deserialize)]
pub struct EntityUser {
    pub id: Id,
    pub email: String,
    pub permissions: Permissions,
}

/// Who may do what with each app of a team that `account` may see.
pub fn permissions(
    connection: &Connection,
    account: &Account,
    team: Id,
    page: &Page,
) -> Result<Listing<Entity>> {
    let query = page::Query {
        columns: "shown.id, shown.name, ?2, (
            SELECT json_group_array(json_object('id', account.id, 'email', account.email, 'permissions', held.permissions) ORDER BY held.id)
            FROM collaborator AS held JOIN account ON account.id = held.account_id WHERE held.app_id = shown.id)",
        from: &format!("({}) AS shown WHERE true", if account.admin { ALL } else { SEEN }),
        id: "shown.id",
        parameters: &[&account.id, &team],
    };
    page::select(connection, &query, page, |row| {
        Ok(Entity {
            id: row.get(0)?,
            name: row.get(1)?,
            team_id: row.get(2)?,
            users: row::json(row, 3)?,
        })
    })
}
