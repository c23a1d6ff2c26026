//! To whom an app or a pipeline belongs, and how it goes to somebody else.
//!
//! Nobody is given what he has not asked for: an account gets an app that it is a collaborator of, or one that it accepted
//! ([`super::app_transfers`]); a team gets one from its members. Facts: Heroku's articles on transferring apps and on the
//! ownership of pipelines.

use rusqlite::{Connection, params};

use super::access::{self, Permission, Permissions};
use super::accounts::{self, Account};
use super::apps::{self, App};
use super::collaborators::Role;
use super::pipelines::{self, Pipeline};
use super::row::unique;
use super::team_access::{self, Scope};
use super::teams;
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::time::Timestamp;

/// Whose something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Account(Id),
    Team(Id),
}

impl Owner {
    pub fn id(self) -> Id {
        let (Owner::Account(id) | Owner::Team(id)) = self;
        id
    }

    /// Heroku's word for it.
    pub fn kind(self) -> &'static str {
        match self {
            Owner::Account(_) => "user",
            Owner::Team(_) => "team",
        }
    }

    /// What stands in `owner_id` and in `team_id`.
    pub(super) fn columns(self) -> (Option<Id>, Option<Id>) {
        match self {
            Owner::Account(id) => (Some(id), None),
            Owner::Team(id) => (None, Some(id)),
        }
    }
}

/// 403 for whoever may not give this app away: its owner may, and of a team its admins.
pub fn may_give(connection: &Connection, by: &Account, app: &App) -> Result<()> {
    match &app.team {
        None => access::require(connection, by, app.id, Permission::Own),
        Some(team) => match teams::find(connection, by, &Identity::Id(team.id)) {
            Ok(team) if team.clone().for_admins().is_ok() => Ok(()),
            Err(error) if error.resource.is_none() => Err(error),
            _ => Err(Error::forbidden(
                "Only an admin of the app's team may transfer it.",
            )),
        },
    }
}

/// 422 for an account that has not been let in to the app, 403 or 404 for a team of which `by` is no member.
pub fn may_get(connection: &Connection, by: &Account, app: &App, to: Owner) -> Result<()> {
    match to {
        Owner::Team(team) => teams::find(connection, by, &Identity::Id(team))?
            .for_members()
            .map(drop),
        Owner::Account(account) if account == by.id || by.admin => Ok(()),
        Owner::Account(account) if is_collaborator(connection, app.id, account)? => Ok(()),
        Owner::Account(_) => Err(Error::invalid(format!(
            "Only who has access to the app {} already can be given it. Make the new owner a collaborator first.",
            app.name
        ))),
    }
}

/// Whether this account may do anything with the app by a row of its own.
pub fn is_collaborator(connection: &Connection, app: Id, account: Id) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM collaborator WHERE app_id = ?1 AND account_id = ?2)",
    )?;
    Ok(statement.query_row((app, account), |row| row.get(0))?)
}

/// Gives an app away. Who had it stays a collaborator, and so do the others; who knew it as a team's does not. The app leaves a
/// pipeline that is not the new owner's, and an offer of it to somebody is void.
pub fn give_app(
    connection: &Connection,
    app: &App,
    to: Owner,
    by: &Account,
    now: Timestamp,
) -> Result<()> {
    if app.owner() == to {
        return Err(Error::invalid(format!(
            "The app {} belongs to this owner already.",
            app.name
        )));
    }
    let (account, team) = to.columns();
    connection
        .prepare_cached(
            "UPDATE app SET owner_id = ?2, team_id = ?3, locked = 0, updated_at = ?4 WHERE id = ?1",
        )?
        .execute(params![app.id, account, team, now])?;
    collaborators_after(connection, app, to, by, now)?;
    connection
        .prepare_cached(
            "DELETE FROM pipeline_coupling WHERE app_id = ?1 AND pipeline_id NOT IN (
                 SELECT id FROM pipeline WHERE id = pipeline_coupling.pipeline_id AND (owner_id = ?2 OR team_id = ?3))",
        )?
        .execute((app.id, account, team))?;
    connection
        .prepare_cached("DELETE FROM app_transfer WHERE app_id = ?1 AND state = 'pending'")?
        .execute([app.id])?;
    Ok(())
}

fn collaborators_after(
    connection: &Connection,
    app: &App,
    to: Owner,
    by: &Account,
    now: Timestamp,
) -> Result<()> {
    let before = app.owner();
    match (before, to) {
        (Owner::Team(_), _) => {
            connection
                .prepare_cached("DELETE FROM collaborator WHERE app_id = ?1")?
                .execute([app.id])?;
        }
        (Owner::Account(owner), Owner::Account(_)) => {
            let all = Permissions::of(&Permission::GRANTABLE);
            put(connection, app.id, owner, Role::Collaborator, all, now)?;
        }
        // Whoever brings an app into his team may do everything with it there.
        (Owner::Account(owner), Owner::Team(team)) => {
            let all = match is_in(connection, team, owner)? {
                true => Permissions::ALL,
                false => Permissions::of(&Permission::GRANTABLE),
            };
            put(connection, app.id, owner, Role::Collaborator, all, now)?;
        }
    }
    match to {
        Owner::Account(account) => put(
            connection,
            app.id,
            account,
            Role::Owner,
            Permissions::ALL,
            now,
        ),
        Owner::Team(team) => {
            if before != Owner::Account(by.id) && is_in(connection, team, by.id)? {
                put(
                    connection,
                    app.id,
                    by.id,
                    Role::Collaborator,
                    Permissions::ALL,
                    now,
                )?;
            }
            team_access::apply(connection, Scope::App(app.id), now)
        }
    }
}

fn is_in(connection: &Connection, team: Id, account: Id) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM team_member WHERE team_id = ?1 AND account_id = ?2)",
    )?;
    Ok(statement.query_row((team, account), |row| row.get(0))?)
}

/// Makes an account a collaborator with just these permissions, whether or not it was one.
fn put(
    connection: &Connection,
    app: Id,
    account: Id,
    role: Role,
    permissions: Permissions,
    now: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO collaborator (id, app_id, account_id, role, granted, permissions, created_at, updated_at,
                 app_name, app_team_id, app_created_at, app_updated_at)
             SELECT ?1, id, ?3, ?4, ?5, ?5, ?6, ?6, name, team_id, created_at, updated_at FROM app WHERE id = ?2
             ON CONFLICT (app_id, account_id) DO UPDATE SET role = ?4, granted = ?5, permissions = ?5, updated_at = ?6",
        )?
        .execute(params![Id::new(), app, account, role, permissions, now])?;
    Ok(())
}

/// Gives a pipeline away, and with it those of its apps that the new owner does not have. All of it or nothing.
pub fn give_pipeline(
    connection: &Connection,
    pipeline: &Pipeline,
    to: Owner,
    by: &Account,
    now: Timestamp,
) -> Result<()> {
    pipelines::may_give(connection, by, pipeline)?;
    match to {
        Owner::Team(team) => drop(teams::find(connection, by, &Identity::Id(team))?.for_members()?),
        Owner::Account(account) if accounts::by_id(connection, account)?.is_none() => {
            return Err(Error::not_found("account"));
        }
        Owner::Account(_) => {}
    }
    if pipeline.owner == to {
        return Err(Error::invalid(
            "The pipeline belongs to this owner already.",
        ));
    }
    let (account, team) = to.columns();
    let updated = connection
        .prepare_cached(
            "UPDATE pipeline SET owner_id = ?2, team_id = ?3, updated_at = ?4 WHERE id = ?1",
        )?
        .execute(params![pipeline.id, account, team, now]);
    unique(updated, || {
        Error::invalid("The new owner has a pipeline of this name. Rename this one first.")
    })?;
    let apps = coupled(connection, pipeline.id)?;
    if apps.is_empty()
        && to != Owner::Account(by.id)
        && matches!(to, Owner::Account(_))
        && !by.admin
    {
        return Err(Error::invalid(
            "An account is given a pipeline together with apps that it has access to, and this one has none.",
        ));
    }
    for app in apps {
        let app = apps::by_id(connection, app)?;
        if app.owner() != to {
            may_give(connection, by, &app)?;
            may_get(connection, by, &app, to)?;
            give_app(connection, &app, to, by, now)?;
        }
    }
    Ok(())
}

fn coupled(connection: &Connection, pipeline: Id) -> Result<Vec<Id>> {
    let apps = connection
        .prepare_cached("SELECT app_id FROM pipeline_coupling WHERE pipeline_id = ?1 ORDER BY id")?
        .query_map([pipeline], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(apps)
}
