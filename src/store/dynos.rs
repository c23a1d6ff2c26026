//! Dynos: one row a process that runs, should run or is ending, written before the process is started.

use rusqlite::{Connection, Row, params};

use super::page::{self, Field, Kind, Listing, Page};
use super::row::{found, text_enum};
use crate::error::Result;
use crate::name::{Id, Identity};
use crate::time::Timestamp;

text_enum! {
    /// `Down` is a dyno that is being stopped; the others are Heroku's.
    State { Starting = "starting", Up = "up", Crashed = "crashed", Down = "down" }
}

#[derive(Clone, Debug)]
pub struct Dyno {
    pub id: Id,
    pub app_id: Id,
    pub release_id: Id,
    pub release_version: i64,
    pub r#type: String,
    /// 1 for `web.1`.
    pub ordinal: i64,
    pub size: String,
    pub command: String,
    pub state: State,
    /// Where a web dyno listens on the loopback address.
    pub port: Option<u16>,
    /// The leader of its process group, once it runs.
    pub pid: Option<i64>,
    /// How many times in a row this place in the formation has crashed.
    pub crashes: i64,
    /// Not to be started again before this, after a crash.
    pub start_at: Option<Timestamp>,
    /// Somebody asked for it to be replaced.
    pub restart: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Dyno {
    /// `web.1`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.r#type, self.ordinal)
    }
}

const NAME: &str = "dyno.type || '.' || dyno.ordinal";

pub const FIELDS: &[Field] = &[
    Field::new("id", "dyno.id", Kind::Id),
    Field::new("name", NAME, Kind::Text),
];

pub(super) const COLUMNS: &str = "dyno.id, dyno.app_id, dyno.release_id, dyno.release_version, dyno.type, dyno.ordinal, dyno.size,
    dyno.command, dyno.state, dyno.port, dyno.pid, dyno.crashes, dyno.start_at, dyno.restart, dyno.created_at, dyno.updated_at";

/// What a client sees: of the dynos in one place of the formation the newest, and none that is being stopped.
const SHOWN: &str = "dyno WHERE dyno.app_id = ?1 AND dyno.state <> 'down' AND NOT EXISTS (
    SELECT 1 FROM dyno AS newer WHERE newer.app_id = dyno.app_id AND newer.type = dyno.type AND newer.ordinal = dyno.ordinal
    AND newer.id > dyno.id AND newer.state <> 'down')";

pub(super) fn dyno(row: &Row<'_>) -> rusqlite::Result<Dyno> {
    Ok(Dyno {
        id: row.get(0)?,
        app_id: row.get(1)?,
        release_id: row.get(2)?,
        release_version: row.get(3)?,
        r#type: row.get(4)?,
        ordinal: row.get(5)?,
        size: row.get(6)?,
        command: row.get(7)?,
        state: row.get(8)?,
        port: row.get(9)?,
        pid: row.get(10)?,
        crashes: row.get(11)?,
        start_at: row.get(12)?,
        restart: row.get(13)?,
        created_at: row.get(14)?,
        updated_at: row.get(15)?,
    })
}

/// A dyno of this app, by id or name.
pub fn find(connection: &Connection, app: Id, identity: &Identity) -> Result<Dyno> {
    let select = |column: &str, value: &dyn rusqlite::ToSql| {
        let sql = format!("SELECT {COLUMNS} FROM {SHOWN} AND {column} = ?2");
        found(
            connection
                .prepare_cached(&sql)?
                .query_row(params![app, value], dyno),
            "dyno",
        )
    };
    match identity {
        Identity::Id(id) => select("dyno.id", id),
        Identity::Name(name) => select(NAME, name),
    }
}

pub fn list(connection: &Connection, app: Id, page: &Page) -> Result<Listing<Dyno>> {
    let query = page::Query {
        columns: COLUMNS,
        from: SHOWN,
        id: "dyno.id",
        parameters: &[&app],
    };
    page::select(connection, &query, page, dyno)
}

/// Asks for dynos of an app to be replaced: all, those of one type, or one (`web.1`). How many there were.
pub fn restart(
    connection: &Connection,
    app: Id,
    which: Which<'_>,
    now: Timestamp,
) -> Result<usize> {
    let (kind, id) = match which {
        Which::All => (None, None),
        Which::Type(kind) => (Some(kind), None),
        Which::One(id) => (None, Some(id)),
    };
    Ok(connection
        .prepare_cached(
            "UPDATE dyno SET restart = 1, crashes = 0, start_at = NULL, updated_at = ?4
             WHERE app_id = ?1 AND state <> 'down' AND (?2 IS NULL OR type = ?2) AND (?3 IS NULL OR id = ?3)",
        )?
        .execute(params![app, kind, id, now])?)
}

/// The dynos that a restart is meant for.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    All,
    Type(&'a str),
    One(Id),
}
