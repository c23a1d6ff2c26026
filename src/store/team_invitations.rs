//! Invitations into teams. One waits for one address in one team at most; to invite again makes a new token, and the old one
//! opens nothing.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::accounts::Account;
use super::page::{self, Field, Kind, Listing, Page};
use super::row::found;
use super::teams::Role;
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::secret;
use crate::time::Timestamp;

/// How long an invitation can be accepted.
pub const LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Invitations of one team that wait.
const MAX_INVITATIONS: i64 = 500;

#[derive(Clone, Debug)]
pub struct Invitation {
    pub id: Id,
    pub team_id: Id,
    pub team_name: String,
    pub email: String,
    /// Of the address, if it has an account.
    pub account_id: Option<Id>,
    pub account_name: Option<String>,
    pub role: Role,
    pub invited_by: Id,
    pub inviter_email: String,
    pub inviter_name: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "team_invitation.id", Kind::Id),
    Field::new("email", "team_invitation.email", Kind::Text),
    Field::new("created_at", "team_invitation.created_at", Kind::Time),
];

const COLUMNS: &str = "team_invitation.id, team_invitation.team_id, team.name, team_invitation.email, invited.id, invited.name,
    team_invitation.role, inviter.id, inviter.email, inviter.name, team_invitation.created_at, team_invitation.updated_at";
const FROM: &str = "team_invitation JOIN team ON team.id = team_invitation.team_id
    JOIN account AS inviter ON inviter.id = team_invitation.invited_by
    LEFT JOIN account AS invited ON invited.email = team_invitation.email";
/// An invitation is worth what its inviter may do now: it ends when he is no admin any more, of the team or of the server.
const LIVE: &str = "(inviter.admin OR EXISTS (SELECT 1 FROM team_member WHERE team_member.team_id = team_invitation.team_id
    AND team_member.account_id = team_invitation.invited_by AND team_member.role = 'admin'))";

fn invitation(row: &Row<'_>) -> rusqlite::Result<Invitation> {
    Ok(Invitation {
        id: row.get(0)?,
        team_id: row.get(1)?,
        team_name: row.get(2)?,
        email: row.get(3)?,
        account_id: row.get(4)?,
        account_name: row.get(5)?,
        role: row.get(6)?,
        invited_by: row.get(7)?,
        inviter_email: row.get(8)?,
        inviter_name: row.get(9)?,
        created_at: row.get(10)?,
        updated_at: row.get(11)?,
    })
}

/// Invites an address into a team, or invites it anew. Only the token's digest is stored.
pub fn put(
    connection: &Connection,
    team: Id,
    email: &str,
    role: Role,
    token: &str,
    by: &Account,
    now: Timestamp,
) -> Result<Invitation> {
    delete_expired(connection, now)?;
    let waiting: i64 = connection
        .prepare_cached("SELECT count(*) FROM team_invitation WHERE team_id = ?1")?
        .query_row([team], |row| row.get(0))?;
    if waiting >= MAX_INVITATIONS {
        return Err(Error::invalid(format!(
            "{MAX_INVITATIONS} invitations of this team wait already. Revoke some first."
        )));
    }
    connection
        .prepare_cached(
            "INSERT INTO team_invitation (id, team_id, email, role, digest, invited_by, expires_at, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)
             ON CONFLICT (team_id, email) DO UPDATE SET role = ?4, digest = ?5, invited_by = ?6, expires_at = ?7, updated_at = ?8",
        )?
        .execute(params![
            Id::new(),
            team,
            email,
            role,
            secret::digest(token),
            by.id,
            now.plus(LIFETIME),
            now
        ])?;
    find(connection, team, &Identity::Name(email.to_owned()), now)
}

/// An invitation of a team, by its id or its address.
pub fn find(
    connection: &Connection,
    team: Id,
    identity: &Identity,
    now: Timestamp,
) -> Result<Invitation> {
    let (column, value): (&str, &dyn rusqlite::ToSql) = match identity {
        Identity::Id(id) => ("id", id),
        Identity::Name(email) => ("email", email),
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM {FROM}
         WHERE team_invitation.team_id = ?1 AND team_invitation.{column} = ?2 AND team_invitation.expires_at > ?3 AND {LIVE}"
    );
    found(
        connection
            .prepare_cached(&sql)?
            .query_row(params![team, value, now], invitation),
        "team invitation",
    )
}

/// The invitation that this token opens, if it has not expired and its inviter could still make it.
pub fn by_token(connection: &Connection, token: &str, now: Timestamp) -> Result<Invitation> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {FROM} WHERE team_invitation.digest = ?1 AND team_invitation.expires_at > ?2 AND {LIVE}"
    );
    found(
        connection
            .prepare_cached(&sql)?
            .query_row(params![secret::digest(token), now], invitation),
        "team invitation",
    )
}

/// The invitations of a team that can be accepted still.
pub fn list(
    connection: &Connection,
    team: Id,
    now: Timestamp,
    page: &Page,
) -> Result<Listing<Invitation>> {
    let query = page::Query {
        columns: COLUMNS,
        from: &format!(
            "{FROM} WHERE team_invitation.team_id = ?1 AND team_invitation.expires_at > ?2 AND {LIVE}"
        ),
        id: "team_invitation.id",
        parameters: &[&team, &now],
    };
    page::select(connection, &query, page, invitation)
}

/// Ends an invitation: it was revoked, or accepted.
pub fn delete(connection: &Connection, id: Id) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM team_invitation WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// Ends what an account invited into a team, which it no longer is an admin of.
pub(super) fn delete_by(connection: &Connection, team: Id, inviter: Id) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM team_invitation WHERE invited_by = ?2 AND team_id = ?1")?
        .execute((team, inviter))?;
    Ok(())
}

/// Forgets what can no longer be accepted.
pub fn delete_expired(connection: &Connection, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM team_invitation WHERE expires_at <= ?1")?
        .execute([now])?;
    Ok(())
}
