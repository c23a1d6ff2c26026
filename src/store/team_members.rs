//! Members of teams. A team has an admin at all times.

use rusqlite::{Connection, Row, params};

use super::page::{self, Field, Kind, Listing, Page};
use super::row::found;
use super::team_access::{self, Scope};
use super::team_invitations;
use super::teams::{MAX_TEAMS, Role};
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::time::Timestamp;

/// Members of one team at most.
pub const MAX_MEMBERS: i64 = 500;

#[derive(Clone, Debug)]
pub struct Member {
    pub id: Id,
    pub team_id: Id,
    pub account_id: Id,
    pub email: String,
    pub name: Option<String>,
    pub role: Role,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "team_member.id", Kind::Id),
    Field::new("email", "account.email", Kind::Text),
    Field::new("created_at", "team_member.created_at", Kind::Time),
];

const COLUMNS: &str = "team_member.id, team_member.team_id, team_member.account_id, account.email, account.name, team_member.role,
    team_member.created_at, team_member.updated_at";
const FROM: &str = "team_member JOIN account ON account.id = team_member.account_id";

fn member(row: &Row<'_>) -> rusqlite::Result<Member> {
    Ok(Member {
        id: row.get(0)?,
        team_id: row.get(1)?,
        account_id: row.get(2)?,
        email: row.get(3)?,
        name: row.get(4)?,
        role: row.get(5)?,
        created_at: row.get(6)?,
        updated_at: row.get(7)?,
    })
}

/// A member of a team, by its id, or by the id or the e-mail address of its account.
pub fn find(connection: &Connection, team: Id, identity: &Identity) -> Result<Member> {
    let select = |condition: &str, value: &dyn rusqlite::ToSql| {
        let sql =
            format!("SELECT {COLUMNS} FROM {FROM} WHERE team_member.team_id = ?1 AND {condition}");
        found(
            connection
                .prepare_cached(&sql)?
                .query_row(params![team, value], member),
            "team member",
        )
    };
    match identity {
        Identity::Id(id) => select("(team_member.id = ?2 OR team_member.account_id = ?2)", id),
        Identity::Name(email) => select("account.email = ?2", email),
    }
}

pub fn list(connection: &Connection, team: Id, page: &Page) -> Result<Listing<Member>> {
    let query = page::Query {
        columns: COLUMNS,
        from: &format!("{FROM} WHERE team_member.team_id = ?1"),
        id: "team_member.id",
        parameters: &[&team],
    };
    page::select(connection, &query, page, member)
}

/// Takes an account into a team, or gives it another role there. 422 for the only admin, who has to stay one.
pub fn put(
    connection: &Connection,
    team: Id,
    account: Id,
    role: Role,
    now: Timestamp,
) -> Result<Member> {
    match find(connection, team, &Identity::Id(account)) {
        Ok(before) if before.role == role => return Ok(before),
        Ok(before) => {
            if before.role == Role::Admin {
                another_admin(connection, &before)?;
                team_invitations::delete_by(connection, team, account)?;
            }
            connection
                .prepare_cached("UPDATE team_member SET role = ?2, updated_at = ?3 WHERE id = ?1")?
                .execute(params![before.id, role, now])?;
        }
        Err(error) if error.resource.is_some() => insert(connection, team, account, role, now)?,
        Err(error) => return Err(error),
    }
    team_access::apply(connection, Scope::Member { team, account }, now)?;
    find(connection, team, &Identity::Id(account))
}

fn insert(
    connection: &Connection,
    team: Id,
    account: Id,
    role: Role,
    now: Timestamp,
) -> Result<()> {
    let count = |sql: &str, id: Id| -> Result<i64> {
        let mut statement = connection.prepare_cached(sql)?;
        Ok(statement.query_row([id], |row| row.get(0))?)
    };
    if count("SELECT count(*) FROM team_member WHERE team_id = ?1", team)? >= MAX_MEMBERS {
        return Err(Error::invalid(format!(
            "A team has {MAX_MEMBERS} members at most."
        )));
    }
    if count(
        "SELECT count(*) FROM team_member WHERE account_id = ?1",
        account,
    )? >= MAX_TEAMS
    {
        return Err(Error::invalid(format!(
            "An account can be in {MAX_TEAMS} teams at most."
        )));
    }
    connection
        .prepare_cached(
            "INSERT INTO team_member (id, team_id, account_id, role, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        )?
        .execute(params![Id::new(), team, account, role, now])?;
    Ok(())
}

/// Shows a member out of the team and of all its apps. 422 for the only admin.
pub fn delete(connection: &Connection, member: &Member) -> Result<()> {
    if member.role == Role::Admin {
        another_admin(connection, member)?;
    }
    team_invitations::delete_by(connection, member.team_id, member.account_id)?;
    team_access::revoke(connection, member.team_id, member.account_id)?;
    connection
        .prepare_cached("DELETE FROM team_member WHERE id = ?1")?
        .execute([member.id])?;
    Ok(())
}

/// 422 when this is the only admin of the team.
fn another_admin(connection: &Connection, admin: &Member) -> Result<()> {
    let another: bool = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM team_member WHERE team_id = ?1 AND role = 'admin' AND id <> ?2)",
        )?
        .query_row((admin.team_id, admin.id), |row| row.get(0))?;
    match another {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "{} is the only admin of the team. Make somebody else an admin first.",
            admin.email
        ))),
    }
}

/// The name of a team that would be left without an admin if this account went away.
pub fn only_admin_of(connection: &Connection, account: Id) -> Result<Option<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT team.name FROM team_member AS own JOIN team ON team.id = own.team_id
         WHERE own.account_id = ?1 AND own.role = 'admin' AND NOT EXISTS (
             SELECT 1 FROM team_member AS other WHERE other.team_id = own.team_id AND other.role = 'admin' AND other.id <> own.id)
         LIMIT 1",
    )?;
    super::optional(statement.query_row([account], |row| row.get(0)))
}
