//! Apps: every look-up goes through the account that asks, so that what is not its own does not exist for it.

use std::sync::OnceLock;

use rusqlite::{Connection, Row, ToSql, params};

use super::access::{self, Permission, Permissions};
use super::accounts::Account;
use super::addon_changes;
use super::audit_trail;
use super::collaborators::{self, Role};
use super::ownership::Owner;
use super::page::{self, Field, Kind, Listing, Page};
use super::releases::{self, Change, Release};
use super::row::{found, unique};
use super::team_access::{self, Scope};
use super::teams::{self, Team};
use crate::error::{Error, Result};
use crate::name::{AppName, Id, Identity};
use crate::time::Timestamp;

/// An app, with what its releases say of it.
#[derive(Clone, Debug)]
pub struct App {
    pub id: Id,
    pub name: String,
    /// An account's, or a team's.
    pub owner_id: Id,
    /// A team's is the one by which Heroku's clients know it.
    pub owner_email: String,
    pub team: Option<TeamRef>,
    /// Hidden from those members of the team who were not let in by name.
    pub locked: bool,
    pub maintenance: bool,
    /// An authority is asked for the certificates of its domains.
    pub acm: bool,
    /// When the release that it runs was made.
    pub released_at: Option<Timestamp>,
    /// Of the current release's slug, in bytes.
    pub slug_size: Option<i64>,
    pub buildpack_provided_description: Option<String>,
    /// Of what was pushed with git, in bytes, once something was.
    pub repo_size: Option<i64>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The team that has an app.
#[derive(Clone, Debug)]
pub struct TeamRef {
    pub id: Id,
    pub name: String,
}

impl App {
    pub fn owner(&self) -> Owner {
        match &self.team {
            Some(team) => Owner::Team(team.id),
            None => Owner::Account(self.owner_id),
        }
    }
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "collaborator.app_id", Kind::Id),
    Field::new("name", "collaborator.app_name", Kind::Text),
    Field::new("created_at", "collaborator.app_created_at", Kind::Time),
    Field::new("updated_at", "collaborator.app_updated_at", Kind::Time),
];

pub(super) const COLUMNS: &str = "app.id, app.name, app.owner_id, account.email, app.maintenance, app.created_at, app.updated_at,
    release.created_at, slug.size, slug.description,
    app.team_id, team.name, app.locked, app.acm, app_repository.size";
/// How many these are: what else is asked for comes after them.
pub(super) const WIDTH: usize = 15;
/// The current release is the newest that succeeded; its slug is what the app runs.
pub(super) const FROM: &str =
    "app LEFT JOIN account ON account.id = app.owner_id LEFT JOIN team ON team.id = app.team_id
    LEFT JOIN release ON release.app_id = app.id AND release.version =
        (SELECT max(version) FROM release WHERE app_id = app.id AND status = 'succeeded')
    LEFT JOIN slug ON slug.id = release.slug_id
    LEFT JOIN app_repository ON app_repository.app_id = app.id";

pub(super) fn app(row: &Row<'_>) -> rusqlite::Result<App> {
    let team = match row.get(10)? {
        Some(id) => Some(TeamRef {
            id,
            name: row.get(11)?,
        }),
        None => None,
    };
    let (owner_id, owner_email) = match &team {
        Some(team) => (team.id, format!("{}@{}", team.name, teams::HOST)),
        None => (row.get(2)?, row.get(3)?),
    };
    Ok(App {
        id: row.get(0)?,
        name: row.get(1)?,
        owner_id,
        owner_email,
        team,
        locked: row.get(12)?,
        maintenance: row.get(4)?,
        acm: row.get(13)?,
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
        released_at: row.get(7)?,
        slug_size: row.get(8)?,
        buildpack_provided_description: row.get(9)?,
        repo_size: row.get(14)?,
    })
}

fn taken() -> Error {
    Error::invalid("Name is already taken")
}

/// Makes an app with the two releases that Heroku makes: `Initial release` and `Enable Logplex`. 422 when the name is taken.
pub fn create(
    connection: &Connection,
    name: &AppName,
    owner: &Account,
    now: Timestamp,
) -> Result<App> {
    let id = Id::new();
    let inserted = connection
        .prepare_cached("INSERT INTO app (id, name, owner_id, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4)")?
        .execute(params![id, name.as_str(), owner.id, now]);
    unique(inserted, taken)?;
    collaborators::create(connection, id, owner.id, Role::Owner, Permissions::ALL, now)?;
    first_releases(connection, id, owner, now)
}

fn first_releases(connection: &Connection, id: Id, by: &Account, now: Timestamp) -> Result<App> {
    audit_trail::made(id);
    releases::create(connection, id, by, Change::Initial, now)?;
    releases::create(connection, id, by, Change::EnableLogplex, now)?;
    by_id(connection, id)
}

/// The same for a team. The member who makes an app may do everything with it.
pub fn create_in_team(
    connection: &Connection,
    name: &AppName,
    team: &Team,
    by: &Account,
    locked: bool,
    now: Timestamp,
) -> Result<App> {
    let id = Id::new();
    let inserted = connection
        .prepare_cached(
            "INSERT INTO app (id, name, team_id, locked, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        )?
        .execute(params![id, name.as_str(), team.id, locked, now]);
    unique(inserted, taken)?;
    team_access::apply(connection, Scope::App(id), now)?;
    if team.role.is_some() {
        collaborators::create(connection, id, by.id, Role::Member, Permissions::ALL, now)?;
    }
    first_releases(connection, id, by, now)
}

/// The app that `account` points at, if it may do this with it. To a stranger it does not exist.
pub fn find(
    connection: &Connection,
    account: &Account,
    identity: &Identity,
    permission: Permission,
) -> Result<App> {
    let app = by_identity(connection, identity)?;
    access::require(connection, account, app.id, permission)?;
    Ok(app)
}

/// The id of such an app, for whoever needs no more of it.
pub fn find_id(
    connection: &Connection,
    account: &Account,
    identity: &Identity,
    permission: Permission,
) -> Result<Id> {
    let (sql, value): (&str, &dyn ToSql) = match identity {
        Identity::Id(id) => ("SELECT id FROM app WHERE id = ?1", id),
        Identity::Name(name) => ("SELECT id FROM app WHERE name = ?1", name),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let id = found(statement.query_row([value], |row| row.get(0)), "app")?;
    access::require(connection, account, id, permission)?;
    Ok(id)
}

/// An app by its id, for who has been let through to it already.
pub fn by_id(connection: &Connection, id: Id) -> Result<App> {
    by_identity(connection, &Identity::Id(id))
}

fn by_identity(connection: &Connection, identity: &Identity) -> Result<App> {
    let by = |column: &str| format!("SELECT {COLUMNS} FROM {FROM} WHERE app.{column} = ?1");
    static BY_ID: OnceLock<String> = OnceLock::new();
    static BY_NAME: OnceLock<String> = OnceLock::new();
    let (sql, value): (&str, &dyn ToSql) = match identity {
        Identity::Id(id) => (BY_ID.get_or_init(|| by("id")), id),
        Identity::Name(name) => (BY_NAME.get_or_init(|| by("name")), name),
    };
    let mut statement = connection.prepare_cached(sql)?;
    found(statement.query_row([value], app), "app")
}

/// The apps that `account` is a collaborator of; of these ids, if some are named.
pub fn list(
    connection: &Connection,
    account: &Account,
    ids: Option<&[Id]>,
    page: &Page,
) -> Result<Listing<App>> {
    let own = own("");
    // Few are named, so they are looked up one by one and put in order after that.
    let named = format!(
        "{} AND collaborator.app_id IN (SELECT value FROM json_each(?2))",
        self::own("INDEXED BY collaborator_account")
    );
    let ids = ids
        .map(serde_json::to_string)
        .transpose()
        .map_err(Error::internal)?;
    let (from, parameters): (&str, &[&dyn ToSql]) = match &ids {
        None => (&own, &[&account.id]),
        Some(ids) => (&named, &[&account.id, ids]),
    };
    let query = page::Query {
        columns: COLUMNS,
        from,
        id: "collaborator.app_id",
        parameters,
    };
    page::select(connection, &query, page, app)
}

/// Those that `account` has or was let in to, less those of teams.
pub fn list_personal(
    connection: &Connection,
    account: &Account,
    page: &Page,
) -> Result<Listing<App>> {
    let query = page::Query {
        columns: COLUMNS,
        from: &format!("{} AND collaborator.app_team_id IS NULL", own("")),
        id: "collaborator.app_id",
        parameters: &[&account.id],
    };
    page::select(connection, &query, page, app)
}

fn own(indexed: &str) -> String {
    format!(
        "collaborator {indexed} CROSS JOIN {FROM} WHERE collaborator.account_id = ?1 AND app.id = collaborator.app_id"
    )
}

/// The name of an app, for the platform's own work; `None` when it is no more.
pub fn name(connection: &Connection, id: Id) -> Result<Option<String>> {
    super::optional(
        connection
            .prepare_cached("SELECT name FROM app WHERE id = ?1")?
            .query_row([id], |row| row.get(0)),
    )
}

/// Whether an app has this name.
pub fn is_taken(connection: &Connection, name: &AppName) -> Result<bool> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM app WHERE name = ?1)")?
        .query_row([name.as_str()], |row| row.get(0))?)
}

/// What a PATCH may change; `None` leaves it.
#[derive(Clone, Debug, Default)]
pub struct Update {
    pub name: Option<AppName>,
    pub maintenance: Option<bool>,
}

/// Renames an app or turns maintenance on or off. 422 when the new name is taken.
pub fn update(connection: &Connection, app: &App, update: &Update, now: Timestamp) -> Result<()> {
    let updated = connection
        .prepare_cached(
            "UPDATE app SET name = coalesce(?2, name), maintenance = coalesce(?3, maintenance), updated_at = ?4
             WHERE id = ?1 AND (name <> coalesce(?2, name) OR maintenance <> coalesce(?3, maintenance))",
        )?
        .execute(params![app.id, update.name.as_ref().map(AppName::as_str), update.maintenance, now]);
    unique(updated, taken)?;
    Ok(())
}

/// Notes how many bytes an app's repository has. That is no change of the app, which may be gone by now.
pub fn set_repo_size(connection: &Connection, app: Id, bytes: i64) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO app_repository (app_id, size) SELECT id, ?2 FROM app WHERE id = ?1
             ON CONFLICT (app_id) DO UPDATE SET size = excluded.size",
        )?
        .execute(params![app, bytes])?;
    Ok(())
}

/// Deletes an app and all that is its own. Its dynos' rows stay until their processes have ended, and its slugs while another
/// app's release runs them. Its add-ons are destroyed, and the releases are those that this makes on other apps.
pub fn delete(
    connection: &Connection,
    app: &App,
    by: &Account,
    now: Timestamp,
) -> Result<Vec<Release>> {
    let releases = addon_changes::destroy_all_of(connection, app.id, by, now)?;
    connection
        .prepare_cached("DELETE FROM app WHERE id = ?1")?
        .execute([app.id])?;
    Ok(releases)
}
