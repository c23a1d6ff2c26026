//! Dynos: one row a process that runs, should run or is ending, written before the process is started.

use std::net::Ipv4Addr;

use rusqlite::{Connection, Row, params};

use super::one_offs::{self, OneOff};
use super::page::{self, Field, Kind, Listing, Page};
use super::row::{found, optional, text_enum};
use super::wanted;
use crate::error::Result;
use crate::name::{Id, Identity};
use crate::time::Timestamp;

pub use super::wanted::Wanted;

text_enum! {
    /// `Down` is a dyno that is being stopped; the others are Heroku's. Of a dyno that is `Crashed` or `Idle` nothing runs.
    State { Starting = "starting", Up = "up", Crashed = "crashed", Idle = "idle", Down = "down" }
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
    /// Where a web dyno listens: on its own address, if it has one, else on the loopback address.
    pub port: Option<u16>,
    pub address: Option<Ipv4Addr>,
    /// The leader of its process group, once it runs.
    pub pid: Option<i64>,
    /// How many times in a row this place in the formation has crashed. A crashed dyno with none went with the server or the machine,
    /// and by no fault of its own.
    pub crashes: i64,
    /// Not to be started again before this, after a crash.
    pub start_at: Option<Timestamp>,
    /// Somebody asked for it to be replaced, or it is down to make place for its successor.
    pub restart: bool,
    /// It has been up, or it comes in the place of one of its release that has.
    pub served: bool,
    /// Runs once, beside the formation (see [`one_offs`]).
    pub one_off: bool,
    /// False for a one-off dyno that nobody has begun to start.
    pub launched: bool,
    /// The dyno in whose sandbox it runs, and with which it ends.
    pub inside: Option<Id>,
    /// When a one-off dyno is ended.
    pub expires_at: Option<Timestamp>,
    /// Somebody is to sit in front of it.
    pub attach: Option<Attach>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// How somebody sits in front of a one-off dyno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attach {
    /// Until when the dyno waits to be launched for its client to come; `None` once that has.
    pub by: Option<Timestamp>,
    /// Rows and columns of the terminal that it has, if it has one.
    pub terminal: Option<(u16, u16)>,
}

impl Dyno {
    /// Whether it has been launched, and neither has it ended nor is it to.
    pub fn runs(&self) -> bool {
        matches!(self.state, State::Starting | State::Up) && self.launched
    }

    /// Whether it went with the machine or the server, of which nobody is told. One that is asked to restart begins to count its
    /// crashes anew.
    pub fn is_lost(&self) -> bool {
        self.state == State::Crashed && self.crashes == 0 && !self.restart
    }

    /// Whether something of it may run, or is about to.
    pub fn has_process(&self) -> bool {
        !matches!(self.state, State::Crashed | State::Idle)
    }

    /// `web.1`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.r#type, self.ordinal)
    }
}

const NAME: &str = "dyno.type || '.' || dyno.ordinal";

pub const FIELDS: &[Field] = &[
    Field::new("id", "dyno.id", Kind::Id),
    Field::new("name", NAME, Kind::SharedText),
    Field::new("created_at", "dyno.created_at", Kind::Time),
];

pub(super) const COLUMNS: &str = "dyno.id, dyno.app_id, dyno.release_id, dyno.release_version, dyno.type, dyno.ordinal, dyno.size,
    dyno.command, dyno.state, dyno.port, dyno.pid, dyno.crashes, dyno.start_at, dyno.restart, dyno.created_at, dyno.updated_at,
    dyno.one_off, dyno.launched, dyno.expires_at, dyno.attach_digest IS NOT NULL, dyno.attach_by, dyno.terminal_rows,
    dyno.terminal_columns, dyno.address, dyno.inside, dyno.served";

/// What a client sees: of the dynos in one place of the formation the newest of the newest release, and none that is being stopped.
/// Where newer web dynos have crashed on their way up, those that serve visitors in their place are seen beside them.
const SHOWN: &str = "dyno WHERE dyno.app_id = ?1 AND dyno.state <> 'down' AND (NOT EXISTS (
    SELECT 1 FROM dyno AS newer WHERE newer.app_id = dyno.app_id AND newer.type = dyno.type AND newer.ordinal = dyno.ordinal
    AND (newer.release_version, newer.id) > (dyno.release_version, dyno.id) AND newer.state <> 'down')
    OR dyno.served = 1 AND dyno.type = 'web' AND dyno.one_off = 0 AND EXISTS (
    SELECT 1 FROM dyno AS failing WHERE failing.app_id = dyno.app_id AND failing.type = 'web' AND failing.one_off = 0
    AND failing.crashes > 0 AND failing.state NOT IN ('up', 'down')
    AND (failing.release_version, failing.id) > (dyno.release_version, dyno.id)))";

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
        one_off: row.get(16)?,
        launched: row.get(17)?,
        expires_at: row.get(18)?,
        attach: match row.get(19)? {
            false => None,
            true => Some(Attach {
                by: row.get(20)?,
                terminal: row.get::<_, Option<u16>>(21)?.zip(row.get(22)?),
            }),
        },
        address: row
            .get::<_, Option<String>>(23)?
            .and_then(|address| address.parse().ok()),
        inside: row.get(24)?,
        served: row.get(25)?,
    })
}

/// A dyno of this app, by id or name. Of two with one name the newer is meant.
pub fn find(connection: &Connection, app: Id, identity: &Identity) -> Result<Dyno> {
    let select = |column: &str, value: &dyn rusqlite::ToSql| {
        let sql = format!(
            "SELECT {COLUMNS} FROM {SHOWN} AND {column} = ?2 ORDER BY dyno.release_version DESC, dyno.id DESC LIMIT 1"
        );
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

/// Asks for dynos of an app to be replaced: all, those of one type, or one (`web.1`). How many there were. A one-off dyno is
/// meant only when it is named, and nothing takes its place.
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
             WHERE app_id = ?1 AND state <> 'down' AND (?2 IS NULL OR type = ?2) AND (id = ?3 OR ?3 IS NULL AND one_off = 0)",
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

/// What should run and what there is, as of one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub wanted: Vec<Wanted>,
    pub one_offs: Vec<OneOff>,
    /// What it takes to start those again that have crashed and had served: each with its dyno.
    pub served: Vec<(Id, Wanted)>,
    pub dynos: Vec<Dyno>,
}

/// All that the reconciler looks at. An app without dynos, wanted or there, costs nothing.
pub fn snapshot(connection: &Connection) -> Result<Snapshot> {
    Ok(Snapshot {
        wanted: wanted::all(connection, None)?,
        one_offs: one_offs::wanted(connection)?,
        served: wanted::served(connection)?,
        dynos: all(connection)?,
    })
}

/// Every dyno of every app, oldest first.
pub fn all(connection: &Connection) -> Result<Vec<Dyno>> {
    let sql = format!("SELECT {COLUMNS} FROM dyno ORDER BY dyno.id");
    let rows = connection
        .prepare_cached(&sql)?
        .query_map([], dyno)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

/// A dyno, for the platform's own work.
pub fn by_id(connection: &Connection, id: Id) -> Result<Option<Dyno>> {
    let sql = format!("SELECT {COLUMNS} FROM dyno WHERE dyno.id = ?1");
    optional(connection.prepare_cached(&sql)?.query_row([id], dyno))
}

/// Writes the row of a dyno that is about to be started.
pub fn insert(connection: &Connection, dyno: &Dyno) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO dyno (id, app_id, release_id, release_version, type, ordinal, size, command, state, port, pid, crashes,
                 start_at, restart, created_at, updated_at, served)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        )?
        .execute(params![
            dyno.id,
            dyno.app_id,
            dyno.release_id,
            dyno.release_version,
            dyno.r#type,
            dyno.ordinal,
            dyno.size,
            dyno.command,
            dyno.state,
            dyno.port,
            dyno.pid,
            dyno.crashes,
            dyno.start_at,
            dyno.restart,
            dyno.created_at,
            dyno.updated_at,
            dyno.served
        ])?;
    Ok(())
}

/// Notes the process of a dyno, and the port and the address where it will listen, unless it has ended already.
pub fn set_process(
    connection: &Connection,
    id: Id,
    pid: Option<i64>,
    port: Option<u16>,
    address: Option<Ipv4Addr>,
) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE dyno SET pid = ?2, port = ?3, address = ?4 WHERE id = ?1 AND state <> 'crashed'",
        )?
        .execute(params![id, pid, port, address.map(|address| address.to_string())])?;
    Ok(())
}

/// Takes a dyno from one state to another, and says whether it was in the first one.
pub fn change(
    connection: &Connection,
    id: Id,
    from: State,
    to: State,
    now: Timestamp,
) -> Result<bool> {
    Ok(connection
        .prepare_cached(
            "UPDATE dyno SET state = ?3, served = served OR ?3 = 'up', updated_at = ?4 WHERE id = ?1 AND state = ?2",
        )?
        .execute(params![id, from, to, now])?
        == 1)
}
