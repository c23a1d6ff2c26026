//! What the members of a team may do with its apps: the rows of `collaborator` that follow from their roles.
//!
//! They are made anew in the transaction that changes a role, a member, a lock or an owner, so that whoever looks for a permission
//! looks in one place. A member is written into a team's thousand apps in some tens of milliseconds. What was granted by name
//! stays whatever becomes of the role. Facts: Heroku's articles on the users and the permissions of teams.

use rusqlite::{Connection, params};

use super::access::Permissions;
use super::collaborators::Role;
use super::teams;
use crate::error::Result;
use crate::name::Id;
use crate::time::Timestamp;

/// Of which rows a change speaks.
#[derive(Clone, Copy, Debug)]
pub enum Scope {
    /// One app, and every member of the team that has it.
    App(Id),
    /// Every app of a team, and one account.
    Member { team: Id, account: Id },
    /// One app and one account.
    One { app: Id, account: Id },
}

/// What a role in the team gives on each of its apps: everything to an admin, and to members and viewers the sight of those that
/// are not locked. A collaborator has what was granted by name.
pub fn given(role: teams::Role, locked: bool) -> Permissions {
    match role {
        teams::Role::Admin => Permissions::ALL,
        teams::Role::Member | teams::Role::Viewer if !locked => Permissions::VIEW,
        _ => Permissions::NONE,
    }
}

/// One member of a team and one of its apps, with the row that is there.
struct Pair {
    app: Id,
    account: Id,
    role: teams::Role,
    locked: bool,
    row: Option<Id>,
    granted: Permissions,
}

/// Makes the rows of this scope what they should be. An app of an account is left as it is.
pub fn apply(connection: &Connection, scope: Scope, now: Timestamp) -> Result<()> {
    for pair in pairs(connection, scope)? {
        let role = match pair.role {
            teams::Role::Admin => Role::Admin,
            teams::Role::Member | teams::Role::Viewer => Role::Member,
            teams::Role::Collaborator => Role::Collaborator,
        };
        let permissions = pair.granted.and(given(pair.role, pair.locked));
        if permissions == Permissions::NONE {
            connection
                .prepare_cached("DELETE FROM collaborator WHERE app_id = ?1 AND account_id = ?2")?
                .execute((pair.app, pair.account))?;
            continue;
        }
        match pair.row {
            Some(id) => connection
                .prepare_cached(
                    "UPDATE collaborator SET role = ?2, permissions = ?3, updated_at = ?4
                     WHERE id = ?1 AND (role <> ?2 OR permissions <> ?3)",
                )?
                .execute(params![id, role, permissions, now])?,
            None => connection
                .prepare_cached(
                    "INSERT INTO collaborator (id, app_id, account_id, role, granted, permissions, created_at, updated_at,
                         app_name, app_team_id, app_created_at, app_updated_at)
                     SELECT ?1, id, ?3, ?4, 0, ?5, ?6, ?6, name, team_id, created_at, updated_at FROM app WHERE id = ?2",
                )?
                .execute(params![Id::new(), pair.app, pair.account, role, permissions, now])?,
        };
    }
    Ok(())
}

fn pairs(connection: &Connection, scope: Scope) -> Result<Vec<Pair>> {
    let (condition, first, second) = match scope {
        Scope::App(app) => ("app.id = ?1", app, None),
        Scope::Member { team, account } => (
            "app.team_id = ?1 AND team_member.account_id = ?2",
            team,
            Some(account),
        ),
        Scope::One { app, account } => (
            "app.id = ?1 AND team_member.account_id = ?2",
            app,
            Some(account),
        ),
    };
    let sql = format!(
        "SELECT app.id, team_member.account_id, team_member.role, app.locked, collaborator.id, coalesce(collaborator.granted, 0)
         FROM app JOIN team_member ON team_member.team_id = app.team_id
         LEFT JOIN collaborator ON collaborator.app_id = app.id AND collaborator.account_id = team_member.account_id
         WHERE {condition} AND (?2 IS NULL OR team_member.account_id = ?2)"
    );
    let pairs = connection
        .prepare_cached(&sql)?
        .query_map((first, second), |row| {
            Ok(Pair {
                app: row.get(0)?,
                account: row.get(1)?,
                role: row.get(2)?,
                locked: row.get(3)?,
                row: row.get(4)?,
                granted: row.get(5)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(pairs)
}

/// Takes from an account all that it may do with a team's apps, for one that leaves the team.
pub fn revoke(connection: &Connection, team: Id, account: Id) -> Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM collaborator WHERE account_id = ?2 AND app_id IN (SELECT id FROM app WHERE team_id = ?1)",
        )?
        .execute((team, account))?;
    Ok(())
}
