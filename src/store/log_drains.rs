//! Log drains: where the lines of an app's log are to be sent. URLs are sealed, since they may hold credentials.
//!
//! It must not know which URLs may be used: what is kept here was checked.

use rusqlite::{Connection, Row, params};

use super::page::{self, Field, Kind, Listing, Page};
use super::row::found;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::time::Timestamp;

/// Drains of one app at most, as on Heroku.
const MAX_DRAINS: usize = 5;

#[derive(Clone, Debug)]
pub struct LogDrain {
    pub id: Id,
    pub app_id: Id,
    pub app_name: String,
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
    log_drain.created_at, log_drain.updated_at";
const OF_APP: &str = "log_drain JOIN app ON app.id = log_drain.app_id WHERE log_drain.app_id = ?1";

fn log_drain(row: &Row<'_>) -> rusqlite::Result<LogDrain> {
    Ok(LogDrain {
        id: row.get(0)?,
        app_id: row.get(1)?,
        app_name: row.get(2)?,
        url: row.get(3)?,
        token: row.get(4)?,
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
    })
}

/// Every drain of an app, the oldest first.
fn all(connection: &Connection, app: Id) -> Result<Vec<LogDrain>> {
    let sql = format!("SELECT {COLUMNS} FROM {OF_APP} ORDER BY log_drain.id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([app], log_drain)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Adds a drain. 422 for a URL that the app drains to already, and for one drain too many.
pub fn create(connection: &Connection, app: Id, url: &str, now: Timestamp) -> Result<LogDrain> {
    let drains = all(connection, app)?;
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
    let token = format!("d.{}", Id::new());
    connection
        .prepare_cached(
            "INSERT INTO log_drain (id, app_id, url, token, created_at, updated_at) VALUES (?1, ?2, seal(?1, ?3), ?4, ?5, ?5)",
        )?
        .execute(params![id, app, url, token, now])?;
    find(connection, app, &id.to_string())
}

/// A drain of this app, by its id, its token, or its URL as it was given.
pub fn find(connection: &Connection, app: Id, text: &str) -> Result<LogDrain> {
    let text = Id::parse(text).map_or_else(|| text.to_owned(), |id| id.to_string());
    let sql = format!(
        "SELECT {COLUMNS} FROM {OF_APP}
         AND ?2 IN (log_drain.id, log_drain.token, unseal(log_drain.id, log_drain.url))"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    found(
        statement.query_row(params![app, text], log_drain),
        "log drain",
    )
}

pub fn list(connection: &Connection, app: Id, page: &Page) -> Result<Listing<LogDrain>> {
    let query = page::Query {
        columns: COLUMNS,
        from: OF_APP,
        id: "log_drain.id",
        parameters: &[&app],
    };
    page::select(connection, &query, page, log_drain)
}

pub fn delete(connection: &Connection, id: Id) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM log_drain WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}
