//! Formations: how many dynos of each process type an app should have, and of what size.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};

use super::page::{self, Field, Kind, Listing, Page};
use super::release_phases::RELEASE;
use super::row::found;
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::time::Timestamp;

/// Dynos of one type at most, as on Heroku.
pub const MAX_QUANTITY: i64 = 100;
/// The size of a new process type.
pub const DEFAULT_SIZE: &str = "Basic";

#[derive(Clone, Debug)]
pub struct Formation {
    pub id: Id,
    pub app_id: Id,
    pub app_name: String,
    pub r#type: String,
    pub quantity: i64,
    pub size: String,
    pub command: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "formation.id", Kind::Id),
    Field::new("type", "formation.type", Kind::Text),
    Field::new("created_at", "formation.created_at", Kind::Time),
];

const COLUMNS: &str =
    "formation.id, formation.app_id, app.name, formation.type, formation.quantity, formation.size,
    formation.command, formation.created_at, formation.updated_at";
const FROM: &str = "formation JOIN app ON app.id = formation.app_id";

fn formation(row: &Row<'_>) -> rusqlite::Result<Formation> {
    Ok(Formation {
        id: row.get(0)?,
        app_id: row.get(1)?,
        app_name: row.get(2)?,
        r#type: row.get(3)?,
        quantity: row.get(4)?,
        size: row.get(5)?,
        command: row.get(6)?,
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
    })
}

/// Brings the formation in line with a new slug: types that are gone vanish, commands are taken over, new types begin at 0 dynos,
/// but `web` at 1 when this is the app's first slug.
pub(super) fn sync(
    connection: &Connection,
    app: Id,
    process_types: &BTreeMap<String, String>,
    first: bool,
    now: Timestamp,
) -> Result<()> {
    let names = serde_json::to_string(&process_types.keys().collect::<Vec<_>>())
        .map_err(Error::internal)?;
    connection
        .prepare_cached("DELETE FROM formation WHERE app_id = ?1 AND type NOT IN (SELECT value FROM json_each(?2))")?
        .execute(params![app, names])?;
    for (name, command) in process_types {
        let quantity = i64::from(first && name == "web");
        connection
            .prepare_cached(
                "INSERT INTO formation (id, app_id, type, quantity, size, command, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
                 ON CONFLICT (app_id, type) DO UPDATE SET command = excluded.command, updated_at = excluded.updated_at
                 WHERE command <> excluded.command",
            )?
            .execute(params![Id::new(), app, name, quantity, DEFAULT_SIZE, command, now])?;
    }
    Ok(())
}

/// One process type of an app, by id or type.
pub fn find(connection: &Connection, app: Id, identity: &Identity) -> Result<Formation> {
    let select = |column: &str, value: &dyn rusqlite::ToSql| {
        let sql =
            format!("SELECT {COLUMNS} FROM {FROM} WHERE formation.app_id = ?1 AND {column} = ?2");
        found(
            connection
                .prepare_cached(&sql)?
                .query_row(params![app, value], formation),
            "process type",
        )
    };
    match identity {
        Identity::Id(id) => select("formation.id", id),
        Identity::Name(name) => select("formation.type", name),
    }
}

pub fn list(connection: &Connection, app: Id, page: &Page) -> Result<Listing<Formation>> {
    let query = page::Query {
        columns: COLUMNS,
        from: &format!("{FROM} WHERE formation.app_id = ?1"),
        id: "formation.id",
        parameters: &[&app],
    };
    page::select(connection, &query, page, formation)
}

/// The whole formation of an app, by type.
pub fn all(connection: &Connection, app: Id) -> Result<Vec<Formation>> {
    let sql =
        format!("SELECT {COLUMNS} FROM {FROM} WHERE formation.app_id = ?1 ORDER BY formation.type");
    let rows = connection
        .prepare_cached(&sql)?
        .query_map([app], formation)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

/// A formation as logs show it: `web@1:Basic worker@0:Basic`.
pub fn text(formation: &[Formation]) -> String {
    let shown = |entry: &Formation| format!("{}@{}:{}", entry.r#type, entry.quantity, entry.size);
    formation.iter().map(shown).collect::<Vec<_>>().join(" ")
}

/// How many dynos: a number, or so many more or fewer than now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    Exactly(i64),
    By(i64),
}

/// Scales or resizes one process type. 404 for a type the app does not have, 422 outside 0 to 100.
pub fn update(
    connection: &Connection,
    app: Id,
    identity: &Identity,
    quantity: Option<Quantity>,
    size: Option<&str>,
    now: Timestamp,
) -> Result<Formation> {
    let before = find(connection, app, identity)?;
    let wanted = match quantity {
        Some(Quantity::Exactly(quantity)) => quantity,
        Some(Quantity::By(change)) => before.quantity.saturating_add(change).max(0),
        None => before.quantity,
    };
    if !(0..=MAX_QUANTITY).contains(&wanted) {
        return Err(Error::invalid(format!(
            "The quantity of {} must be from 0 to {MAX_QUANTITY}.",
            before.r#type
        )));
    }
    if before.r#type == RELEASE && wanted > 0 {
        return Err(Error::invalid(
            "The process type release runs once with each release, by itself. It cannot be scaled.",
        ));
    }
    connection
        .prepare_cached(
            "UPDATE formation SET quantity = ?2, size = ?3, updated_at = ?4 WHERE id = ?1 AND (quantity <> ?2 OR size <> ?3)",
        )?
        .execute(params![before.id, wanted, size.unwrap_or(&before.size), now])?;
    find(connection, app, &Identity::Id(before.id))
}
