//! Log drains: where the lines of an app's log are to be sent. URLs are sealed, since they may hold credentials.
//!
//! A person adds and removes the drains of an app. An add-on may have one of its own: the provider says where it leads, and it goes
//! with the add-on. It must not know which URLs may be used: what is kept here was checked.

use std::collections::HashMap;

use rusqlite::{Connection, Row, params};

use super::addons::AddOn;
use super::page::{self, Field, Kind, Listing, Page};
use super::row::found;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::time::Timestamp;

/// Drains of one app at most, as on Heroku, besides those of its add-ons.
const MAX_DRAINS: usize = 5;

#[derive(Clone, Debug)]
pub struct LogDrain {
    pub id: Id,
    pub app_id: Id,
    pub app_name: String,
    /// The add-on that it belongs to, which belongs to the app.
    pub addon: Option<(Id, String)>,
    pub url: String,
    /// Names the drain to whoever receives from it: `d.` and a UUID.
    pub token: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// An app has so few that sorting them by what is sealed costs nothing. The id goes along with a URL, in which any character may
/// stand that parts a value from an id.
pub const FIELDS: &[Field] = &[
    Field::new("id", "log_drain.id", Kind::Id),
    Field::new(
        "url",
        "unseal(log_drain.id, log_drain.url)",
        Kind::SharedText,
    ),
    Field::new("created_at", "log_drain.created_at", Kind::Time),
];

const COLUMNS: &str = "log_drain.id, log_drain.app_id, app.name, unseal(log_drain.id, log_drain.url), log_drain.token,
    log_drain.created_at, log_drain.updated_at, addon.id, addon.name";
const ALL: &str = "log_drain JOIN app ON app.id = log_drain.app_id LEFT JOIN addon ON addon.id = log_drain.addon_id";
const OF_APP: &str = "log_drain JOIN app ON app.id = log_drain.app_id LEFT JOIN addon ON addon.id = log_drain.addon_id
    WHERE log_drain.app_id = ?1";
const OF_ADDON: &str =
    "log_drain JOIN app ON app.id = log_drain.app_id JOIN addon ON addon.id = log_drain.addon_id
    WHERE log_drain.addon_id = ?1";

fn log_drain(row: &Row<'_>) -> rusqlite::Result<LogDrain> {
    let addon = |id| Ok::<_, rusqlite::Error>((id, row.get(8)?));
    Ok(LogDrain {
        id: row.get(0)?,
        app_id: row.get(1)?,
        app_name: row.get(2)?,
        url: row.get(3)?,
        token: row.get(4)?,
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
        addon: row.get::<_, Option<Id>>(7)?.map(addon).transpose()?,
    })
}

/// Every drain that somebody has added to an app, the oldest first.
fn added(connection: &Connection, app: Id) -> Result<Vec<LogDrain>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {OF_APP} AND log_drain.addon_id IS NULL ORDER BY log_drain.id"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([app], log_drain)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Adds a drain. 422 for a URL that the app drains to already, and for one drain too many.
pub fn create(connection: &Connection, app: Id, url: &str, now: Timestamp) -> Result<LogDrain> {
    let drains = added(connection, app)?;
    if drains.iter().any(|drain| drain.url == url) {
        return Err(Error::invalid(
            "This app has a log drain with this URL already.",
        ));
    }
    if drains.len() >= MAX_DRAINS {
        return Err(Error::invalid(format!(
            "This app has {MAX_DRAINS} log drains already. Remove one that is no longer used."
        )));
    }
    let id = Id::new();
    let token = token();
    connection
        .prepare_cached(
            "INSERT INTO log_drain (id, app_id, url, token, created_at, updated_at) VALUES (?1, ?2, seal(?1, ?3), ?4, ?5, ?5)",
        )?
        .execute(params![id, app, url, token, now])?;
    find(connection, app, &id.to_string())
}

/// What names a new drain.
pub(super) fn token() -> String {
    format!("d.{}", Id::new())
}

/// Sets where the drain of an add-on leads, and makes the drain if there is none. 404 for an add-on that gets no log.
pub fn put(connection: &Connection, addon: &AddOn, url: &str, now: Timestamp) -> Result<LogDrain> {
    let token = addon.log_drain_token.as_deref();
    let token = token.ok_or_else(|| Error::not_found("log drain"))?;
    connection
        .prepare_cached(
            "INSERT INTO log_drain (id, app_id, addon_id, url, token, created_at, updated_at)
             VALUES (?1, ?2, ?3, seal(?1, ?4), ?5, ?6, ?6) ON CONFLICT (addon_id) DO UPDATE SET
                 url = seal(log_drain.id, ?4), updated_at = excluded.updated_at",
        )?
        .execute(params![Id::new(), addon.app_id, addon.id, url, token, now])?;
    find_of_addon(connection, addon.id, token)
}

/// A drain of this app, by its id, its token, or its URL as it was given.
pub fn find(connection: &Connection, app: Id, text: &str) -> Result<LogDrain> {
    find_among(connection, OF_APP, app, text)
}

/// The drain of this add-on, likewise.
pub fn find_of_addon(connection: &Connection, addon: Id, text: &str) -> Result<LogDrain> {
    find_among(connection, OF_ADDON, addon, text)
}

fn find_among(connection: &Connection, among: &str, owner: Id, text: &str) -> Result<LogDrain> {
    let text = Id::parse(text).map_or_else(|| text.to_owned(), |id| id.to_string());
    let sql = format!(
        "SELECT {COLUMNS} FROM {among}
         AND ?2 IN (log_drain.id, log_drain.token, unseal(log_drain.id, log_drain.url)) ORDER BY log_drain.id"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    found(
        statement.query_row(params![owner, text], log_drain),
        "log drain",
    )
}

pub fn list(connection: &Connection, app: Id, page: &Page) -> Result<Listing<LogDrain>> {
    listing(connection, OF_APP, app, page)
}

/// The drain of an add-on, if it has one.
pub fn list_of_addon(connection: &Connection, addon: Id, page: &Page) -> Result<Listing<LogDrain>> {
    listing(connection, OF_ADDON, addon, page)
}

fn listing(
    connection: &Connection,
    from: &str,
    owner: Id,
    page: &Page,
) -> Result<Listing<LogDrain>> {
    let query = page::Query {
        columns: COLUMNS,
        from,
        id: "log_drain.id",
        parameters: &[&owner],
    };
    page::select(connection, &query, page, log_drain)
}

/// Every drain of every app, the oldest first.
pub fn all(connection: &Connection) -> Result<Vec<LogDrain>> {
    let sql = format!("SELECT {COLUMNS} FROM {ALL} ORDER BY log_drain.id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], log_drain)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whose each app is that has drains of any kind: an account's or a team's.
pub fn owners(connection: &Connection) -> Result<HashMap<Id, Id>> {
    let sql = "SELECT id, coalesce(team_id, owner_id) FROM app
        WHERE id IN (SELECT app_id FROM log_drain UNION SELECT app_id FROM telemetry_drain)";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Takes its log from an add-on.
pub(super) fn delete_of_addon(connection: &Connection, addon: Id) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM log_drain WHERE addon_id = ?1")?
        .execute([addon])?;
    Ok(())
}

pub fn delete(connection: &Connection, id: Id) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM log_drain WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}
