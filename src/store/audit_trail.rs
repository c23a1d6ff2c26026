//! The audit trail: what was done over the API, by whom and from where, and the archives of past months.
//!
//! An event is written in the transaction of the deed, so there is none without the other. It outlives all that it names, and so
//! points at nothing. It must not know what an HTTP request is, nor how an archive is written.

use std::cell::Cell;

use rusqlite::{Connection, Row, ToSql, params};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::accounts::Account;
use super::page::{self, Field, Kind, Listing, Page};
use super::row::{json, optional};
use crate::catalog::{self, Entry};
use crate::error::Result;
use crate::name::{Id, Identity};
use crate::time::{Month, Timestamp};

/// What somebody is about to do.
pub struct Deed {
    /// `config-var`.
    pub entity: String,
    /// `create`, `update`, `destroy`, or the name of an action, such as `stop`.
    pub action: String,
    /// What it is done with, as the caller named it.
    pub app: Option<Identity>,
    pub team: Option<Identity>,
    /// The address that the request came from.
    pub from: Option<String>,
    /// More about it, without secrets.
    pub data: Value,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditTrailUser")]
pub struct Person {
    pub id: Id,
    pub email: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditTrailResource")]
pub struct Named {
    pub id: Id,
    pub name: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditTrailRequest")]
pub struct Request {
    /// Of whoever was connected with the server: of a proxy in front of it, if there is one.
    pub ip_address: Option<String>,
}

/// Something that was done, as the API and the archives show it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditTrailEvent")]
pub struct Event {
    pub action: String,
    pub actor: Person,
    /// The app that it was done to, as it was called before.
    pub app: Option<Named>,
    pub created_at: Timestamp,
    pub data: Value,
    /// This server.
    pub enterprise_account: Entry,
    pub id: Id,
    /// Of the app; null where a team has it.
    pub owner: Option<Person>,
    pub request: Request,
    pub team: Option<Named>,
    pub r#type: String,
}

/// Unless asked otherwise they go by time, as Heroku's do.
pub const FIELDS: &[Field] = &[
    Field::new("created_at", "audit_trail_event.created_at", Kind::Time),
    Field::new("id", "audit_trail_event.id", Kind::Id),
];

const COLUMNS: &str = "id, type, action, actor_id, actor_email, app_id, app_name, owner_id, owner_email, team_id, team_name,
    ip_address, data, created_at";

thread_local! {
    /// The app that the writer's thread is making.
    static MADE: Cell<Option<Id>> = const { Cell::new(None) };
}

/// Says, from within a deed, which app it made: its caller could not name it.
pub(super) fn made(app: Id) {
    MADE.set(Some(app));
}

/// The app that a deed is done to, and whose it is.
struct Subject {
    app: Named,
    owner: Option<Person>,
    team: Option<Named>,
}

/// Does the deed and writes it down, unless it changed nothing. Also gives the event's id.
pub fn noted<T>(
    connection: &Connection,
    deed: Deed,
    actor: &Account,
    now: Timestamp,
    act: impl FnOnce() -> Result<T>,
) -> Result<(T, Option<Id>)> {
    MADE.set(None);
    // Looked at before, since it may be about to go.
    let subject = deed.app.as_ref();
    let subject = subject.map(|app| subject_of(connection, app)).transpose()?;
    let team = deed.team.as_ref();
    let team = team.map(|team| team_of(connection, team)).transpose()?;
    let before = connection.total_changes();
    let done = act()?;
    if connection.total_changes() == before {
        return Ok((done, None));
    }
    let subject = match (subject.flatten(), MADE.take()) {
        (None, Some(app)) => subject_of(connection, &Identity::Id(app))?,
        (subject, _) => subject,
    };
    let id = create(connection, &deed, actor, subject, team.flatten(), now)?;
    Ok((done, Some(id)))
}

/// Takes back what was written down of a deed that has come to nothing after all.
pub fn withdraw(connection: &Connection, id: Id, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM audit_trail_event WHERE created_at = ?1 AND id = ?2")?
        .execute(params![now, id])?;
    Ok(())
}

fn create(
    connection: &Connection,
    deed: &Deed,
    actor: &Account,
    subject: Option<Subject>,
    team: Option<Named>,
    now: Timestamp,
) -> Result<Id> {
    let id = Id::new();
    let (app, owner, its_team) = match subject {
        Some(subject) => (Some(subject.app), subject.owner, subject.team),
        None => (None, None, None),
    };
    let team = team.or(its_team);
    connection
        .prepare_cached(
            "INSERT INTO audit_trail_event (id, type, action, actor_id, actor_email, app_id, app_name, owner_id, owner_email,
                 team_id, team_name, ip_address, data, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            id,
            deed.entity,
            deed.action,
            actor.id,
            actor.email,
            app.as_ref().map(|app| app.id),
            app.as_ref().map(|app| &app.name),
            owner.as_ref().map(|owner| owner.id),
            owner.as_ref().map(|owner| &owner.email),
            team.as_ref().map(|team| team.id),
            team.as_ref().map(|team| &team.name),
            deed.from,
            deed.data.to_string(),
            now
        ])?;
    Ok(id)
}

/// Not by way of the caller's access: the deed itself sees to that, and nothing is written where it fails.
fn subject_of(connection: &Connection, app: &Identity) -> Result<Option<Subject>> {
    const BY_ID: &str = "SELECT app.id, app.name, account.id, account.email, team.id, team.name FROM app
        LEFT JOIN account ON account.id = app.owner_id LEFT JOIN team ON team.id = app.team_id WHERE app.id = ?1";
    const BY_NAME: &str = "SELECT app.id, app.name, account.id, account.email, team.id, team.name FROM app
        LEFT JOIN account ON account.id = app.owner_id LEFT JOIN team ON team.id = app.team_id WHERE app.name = ?1";
    let (sql, value): (&str, &dyn ToSql) = match app {
        Identity::Id(id) => (BY_ID, id),
        Identity::Name(name) => (BY_NAME, name),
    };
    let mut statement = connection.prepare_cached(sql)?;
    optional(statement.query_row([value], |row| {
        Ok(Subject {
            app: Named {
                id: row.get(0)?,
                name: row.get(1)?,
            },
            owner: person(row, 2)?,
            team: named(row, 4)?,
        })
    }))
}

fn team_of(connection: &Connection, team: &Identity) -> Result<Option<Named>> {
    let (sql, value): (&str, &dyn ToSql) = match team {
        Identity::Id(id) => ("SELECT id, name FROM team WHERE id = ?1", id),
        Identity::Name(name) => ("SELECT id, name FROM team WHERE name = ?1", name),
    };
    let mut statement = connection.prepare_cached(sql)?;
    Ok(optional(statement.query_row([value], |row| named(row, 0)))?.flatten())
}

fn named(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Named>> {
    let id: Option<Id> = row.get(at)?;
    id.map(|id| {
        Ok(Named {
            id,
            name: row.get(at + 1)?,
        })
    })
    .transpose()
}

fn person(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Person>> {
    let person = named(row, at)?;
    Ok(person.map(|Named { id, name }| Person { id, email: name }))
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        id: row.get(0)?,
        r#type: row.get(1)?,
        action: row.get(2)?,
        actor: Person {
            id: row.get(3)?,
            email: row.get(4)?,
        },
        app: named(row, 5)?,
        owner: person(row, 7)?,
        team: named(row, 9)?,
        request: Request {
            ip_address: row.get(11)?,
        },
        data: json(row, 12)?,
        created_at: row.get(13)?,
        enterprise_account: catalog::SERVER,
    })
}

/// Which events are asked for. What is `None` may be anything.
#[derive(Debug)]
pub struct Filter {
    /// From this moment on, and before that one.
    pub from: Timestamp,
    pub until: Timestamp,
    pub entity: Option<String>,
    pub action: Option<String>,
    /// By email or by id.
    pub actor: Option<String>,
}

pub fn list(connection: &Connection, filter: &Filter, page: &Page) -> Result<Listing<Event>> {
    let query = page::Query {
        columns: COLUMNS,
        from: "audit_trail_event WHERE created_at >= ?1 AND created_at < ?2 AND (?3 IS NULL OR type = ?3)
            AND (?4 IS NULL OR action = ?4) AND (?5 IS NULL OR actor_email = ?5 OR actor_id = ?5)",
        id: "audit_trail_event.id",
        parameters: &[
            &filter.from,
            &filter.until,
            &filter.entity,
            &filter.action,
            &filter.actor,
        ],
    };
    page::select(connection, &query, page, event)
}

/// Calls `each` with every event of a month, in order, until it fails.
pub fn each_of(
    connection: &Connection,
    month: Month,
    mut each: impl FnMut(Event) -> Result<()>,
) -> Result<()> {
    let sql = format!(
        "SELECT {COLUMNS} FROM audit_trail_event WHERE created_at >= ?1 AND created_at < ?2 ORDER BY created_at, id"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![month.begin(), month.next().begin()])?;
    while let Some(row) = rows.next()? {
        each(event(row)?)?;
    }
    Ok(())
}

/// The oldest month with events that comes after all that have archives.
pub fn unarchived(connection: &Connection) -> Result<Option<Month>> {
    let last: Option<String> = connection
        .prepare_cached("SELECT max(month) FROM audit_trail_archive")?
        .query_row([], |row| row.get(0))?;
    let last = last.as_deref().and_then(Month::parse);
    let since = last.map_or(Timestamp::from_micros(0), |month| month.next().begin());
    let first: Option<Timestamp> = connection
        .prepare_cached("SELECT min(created_at) FROM audit_trail_event WHERE created_at >= ?1")?
        .query_row([since], |row| row.get(0))?;
    Ok(first.map(Month::of))
}

/// Forgets the oldest of those before this moment that are in an archive, a bounded number of them. Returns how many went.
pub fn forget_before(connection: &Connection, moment: Timestamp) -> Result<usize> {
    Ok(connection
        .prepare_cached(
            "DELETE FROM audit_trail_event WHERE (created_at, id) IN (
                 SELECT created_at, id FROM audit_trail_event
                 WHERE created_at < ?1 AND substr(created_at, 1, 7) <= (SELECT max(month) FROM audit_trail_archive)
                 ORDER BY created_at, id LIMIT 1000)",
        )?
        .execute([moment])?)
}

/// The events of a month that is over, as one blob.
#[derive(Debug)]
pub struct Archive {
    pub month: Month,
    pub digest: String,
    /// In bytes.
    pub size: i64,
    pub created_at: Timestamp,
}

pub const ARCHIVE_FIELDS: &[Field] = &[
    Field::new("month", "audit_trail_archive.month", Kind::Text),
    Field::new("created_at", "audit_trail_archive.created_at", Kind::Time),
];

const ARCHIVE_COLUMNS: &str = "month, digest, size, created_at";

fn archive(row: &Row<'_>) -> rusqlite::Result<Archive> {
    let month: String = row.get(0)?;
    Ok(Archive {
        month: Month::parse(&month).ok_or(rusqlite::Error::InvalidQuery)?,
        digest: row.get(1)?,
        size: row.get(2)?,
        created_at: row.get(3)?,
    })
}

/// One there already stays.
pub fn create_archive(connection: &Connection, archive: &Archive) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO audit_trail_archive (month, digest, size, created_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            archive.month.to_string(),
            archive.digest,
            archive.size,
            archive.created_at
        ])?;
    Ok(())
}

pub fn find_archive(connection: &Connection, month: Month) -> Result<Option<Archive>> {
    let sql = format!("SELECT {ARCHIVE_COLUMNS} FROM audit_trail_archive WHERE month = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    optional(statement.query_row([month.to_string()], archive))
}

pub fn list_archives(connection: &Connection, page: &Page) -> Result<Listing<Archive>> {
    let query = page::Query {
        columns: ARCHIVE_COLUMNS,
        // So that it is a search, as every list is.
        from: "audit_trail_archive WHERE month > ''",
        id: "audit_trail_archive.month",
        parameters: &[],
    };
    page::select(connection, &query, page, archive)
}
