//! Teams: accounts that have apps and pipelines in common. Every look-up goes through the account that asks.

use rusqlite::{Connection, Row as SqlRow, ToSql, params};

use super::accounts::Account;
use super::page::{self, Field, Kind, Listing, Page};
use super::row::{found, text_enum, unique};
use super::team_members;
use crate::error::{Error, Result};
use crate::name::{Id, Identity, TeamName};
use crate::time::Timestamp;

text_enum! {
    /// What a member is to a team. An admin does everything. A member makes apps and pipelines, and sees the others' unless they
    /// are locked. A viewer only sees. A collaborator knows the apps that he was let in to by name.
    Role { Admin = "admin", Member = "member", Viewer = "viewer", Collaborator = "collaborator" }
}

/// Heroku shows `harbour@herokumanager.com` as the owner of the apps of the team harbour, and its clients tell a team's apps by it.
pub const HOST: &str = "herokumanager.com";

/// Teams that one account can be in.
pub const MAX_TEAMS: i64 = 100;

/// A team, as one account sees it.
#[derive(Clone, Debug)]
pub struct Team {
    pub id: Id,
    pub name: String,
    /// The account's; `None` for an admin of the server, who sees every team and does what its admins may.
    pub role: Option<Role>,
    /// Whether the account's new team apps go here when none is named.
    pub default: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Team {
    fn role(&self) -> Role {
        self.role.unwrap_or(Role::Admin)
    }

    /// 403 for whoever knows only some of its apps.
    pub fn for_viewers(self) -> Result<Team> {
        self.unless(
            |role| role == Role::Collaborator,
            "Collaborators of a team see only the apps that they were let in to.",
        )
    }

    /// 403 for whoever only sees: apps and pipelines are made by members.
    pub fn for_members(self) -> Result<Team> {
        self.unless(
            |role| matches!(role, Role::Viewer | Role::Collaborator),
            "Only members and admins of the team may do this.",
        )
    }

    /// 403 for everybody else.
    pub fn for_admins(self) -> Result<Team> {
        self.unless(
            |role| role != Role::Admin,
            "Only an admin of the team may do this.",
        )
    }

    fn unless(self, excluded: impl Fn(Role) -> bool, refusal: &'static str) -> Result<Team> {
        match excluded(self.role()) {
            true => Err(Error::forbidden(refusal)),
            false => Ok(self),
        }
    }
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "team_member.team_id", Kind::Id),
    Field::new("name", "team.name", Kind::Text),
    Field::new("created_at", "team.created_at", Kind::Time),
];

const COLUMNS: &str = "team.id, team.name, team_member.role, coalesce(team_member.is_default, 0), team.created_at, team.updated_at";

fn team(row: &SqlRow<'_>) -> rusqlite::Result<Team> {
    Ok(Team {
        id: row.get(0)?,
        name: row.get(1)?,
        role: row.get(2)?,
        default: row.get(3)?,
        created_at: row.get(4)?,
        updated_at: row.get(5)?,
    })
}

fn taken() -> Error {
    Error::invalid("A team of this name exists already. Choose another name.")
}

/// Makes a team, whose first admin is the account that makes it. 422 when the name is taken.
pub fn create(
    connection: &Connection,
    name: &TeamName,
    by: &Account,
    now: Timestamp,
) -> Result<Team> {
    let id = Id::new();
    let inserted = connection
        .prepare_cached(
            "INSERT INTO team (id, name, created_at, updated_at) VALUES (?1, ?2, ?3, ?3)",
        )?
        .execute(params![id, name.as_str(), now]);
    unique(inserted, taken)?;
    team_members::put(connection, id, by.id, Role::Admin, now)?;
    find(connection, by, &Identity::Id(id))
}

/// The team that `account` points at, if it is in it. To anybody else it does not exist.
pub fn find(connection: &Connection, account: &Account, identity: &Identity) -> Result<Team> {
    let (column, value): (&str, &dyn ToSql) = match identity {
        Identity::Id(id) => ("id", id),
        Identity::Name(name) => ("name", name),
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM team
         LEFT JOIN team_member ON team_member.team_id = team.id AND team_member.account_id = ?1
         WHERE team.{column} = ?2 AND (?3 OR team_member.id IS NOT NULL)"
    );
    found(
        connection
            .prepare_cached(&sql)?
            .query_row(params![account.id, value, account.admin], team),
        "team",
    )
}

/// The team that an account's apps go to when it names none.
pub fn default_of(connection: &Connection, account: &Account) -> Result<Option<Team>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM team_member JOIN team ON team.id = team_member.team_id
         WHERE team_member.account_id = ?1 AND team_member.is_default = 1"
    );
    super::optional(
        connection
            .prepare_cached(&sql)?
            .query_row([account.id], team),
    )
}

/// The teams that `account` is in.
pub fn list(connection: &Connection, account: &Account, page: &Page) -> Result<Listing<Team>> {
    let query = page::Query {
        columns: COLUMNS,
        from: "team_member CROSS JOIN team WHERE team_member.account_id = ?1 AND team.id = team_member.team_id",
        id: "team_member.team_id",
        parameters: &[&account.id],
    };
    page::select(connection, &query, page, team)
}

/// Gives a team another name. 422 when it is taken.
pub fn rename(connection: &Connection, id: Id, name: &TeamName, now: Timestamp) -> Result<()> {
    let updated = connection
        .prepare_cached("UPDATE team SET name = ?2, updated_at = ?3 WHERE id = ?1 AND name <> ?2")?
        .execute(params![id, name.as_str(), now]);
    unique(updated, taken)?;
    Ok(())
}

/// Makes a team the one that the account's apps go to, or no longer.
pub fn set_default(
    connection: &Connection,
    team: Id,
    account: &Account,
    default: bool,
    now: Timestamp,
) -> Result<()> {
    if default {
        connection
            .prepare_cached(
                "UPDATE team_member SET is_default = 0, updated_at = ?3
                 WHERE account_id = ?2 AND team_id <> ?1 AND is_default = 1",
            )?
            .execute(params![team, account.id, now])?;
    }
    let changed = connection
        .prepare_cached(
            "UPDATE team_member SET is_default = ?3, updated_at = ?4 WHERE team_id = ?1 AND account_id = ?2",
        )?
        .execute(params![team, account.id, default, now])?;
    match changed {
        0 => Err(Error::invalid(
            "Only a team that you are a member of can be your default.",
        )),
        _ => Ok(()),
    }
}

/// Deletes a team with its members and invitations. 409 while it has apps or pipelines.
pub fn delete(connection: &Connection, team: &Team) -> Result<()> {
    for (what, sql) in [
        (
            "apps",
            "SELECT EXISTS (SELECT 1 FROM app WHERE team_id = ?1)",
        ),
        (
            "pipelines",
            "SELECT EXISTS (SELECT 1 FROM pipeline WHERE team_id = ?1)",
        ),
    ] {
        let has: bool = connection
            .prepare_cached(sql)?
            .query_row([team.id], |row| row.get(0))?;
        if has {
            return Err(Error::conflict(format!(
                "The team {} still has {what}. Transfer or destroy them first.",
                team.name
            )));
        }
    }
    connection
        .prepare_cached("DELETE FROM team WHERE id = ?1")?
        .execute([team.id])?;
    Ok(())
}
