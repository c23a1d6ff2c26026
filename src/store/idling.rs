//! Apps that go to sleep when nobody visits them, and wake up: their dynos of the size Eco are idle, which is a row each and no
//! process.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::dynos::{self, Dyno, State};
use super::wanted::{self, Wanted};
use crate::catalog::ECO;
use crate::error::Result;
use crate::name::Id;
use crate::time::Timestamp;

/// An app that is awake and may go to sleep.
#[derive(Clone, Copy, Debug)]
pub struct Awake {
    pub app: Id,
    /// When something happened to its web dynos last, other than visits.
    pub since: Timestamp,
}

/// The apps with web dynos of the size Eco of which none is idle, and none on its way up.
pub fn awake(connection: &Connection) -> Result<Vec<Awake>> {
    let mut statement = connection.prepare_cached(
        "SELECT formation.app_id, max(dyno.updated_at) FROM formation
         JOIN dyno ON dyno.app_id = formation.app_id AND dyno.type = 'web' AND dyno.one_off = 0 AND dyno.state <> 'down'
         WHERE formation.quantity > 0 AND formation.type = 'web' AND formation.size = ?1
         GROUP BY formation.app_id HAVING sum(dyno.state IN ('starting', 'idle')) = 0",
    )?;
    let rows = statement.query_map([ECO], |row| {
        Ok(Awake {
            app: row.get(0)?,
            since: row.get(1)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Puts an app to sleep: every dyno of the size Eco that is wanted becomes an idle one, and those there were are on their way out.
/// The idle ones, each with the state of the dyno that was in its place. Nothing happens to an app that is not awake any more.
pub fn put_to_sleep(
    connection: &Connection,
    app: Id,
    now: Timestamp,
) -> Result<Vec<(Dyno, State)>> {
    if !awake(connection)?.iter().any(|awake| awake.app == app) {
        return Ok(Vec::new());
    }
    let mut idle = Vec::new();
    for wanted in wanted::all(connection, Some(app))? {
        if wanted.size == ECO {
            let states = retire(connection, &wanted, now)?;
            for ordinal in 1..=wanted.quantity {
                let dyno = wanted.row(ordinal, State::Idle, now);
                dynos::insert(connection, &dyno)?;
                idle.extend(states.get(&ordinal).map(|state| (dyno, *state)));
            }
        }
    }
    Ok(idle)
}

/// What was in each place of a process type, all of which goes.
fn retire(connection: &Connection, wanted: &Wanted, now: Timestamp) -> Result<HashMap<i64, State>> {
    let (app, kind) = (wanted.app_id, &wanted.r#type);
    let present = "app_id = ?1 AND type = ?2 AND one_off = 0";
    let states = connection
        .prepare_cached(&format!(
            "SELECT ordinal, state FROM dyno WHERE {present} AND state <> 'down' ORDER BY id"
        ))?
        .query_map(params![app, kind], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    connection
        .prepare_cached(&format!(
            "DELETE FROM dyno WHERE {present} AND state IN ('crashed', 'idle')"
        ))?
        .execute(params![app, kind])?;
    connection
        .prepare_cached(&format!(
            "UPDATE dyno SET state = 'down', served = 0, restart = 0, updated_at = ?3 WHERE {present} AND state <> 'down'"
        ))?
        .execute(params![app, kind, now])?;
    Ok(states)
}

/// The apps that sleep, or are half asleep.
pub fn asleep(connection: &Connection) -> Result<Vec<Id>> {
    let rows = connection
        .prepare_cached("SELECT DISTINCT app_id FROM dyno WHERE state = 'idle' AND restart = 0")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

/// Asks for the idle dynos of an app to be replaced by others that run. Whether it had any.
pub fn wake(connection: &Connection, app: Id, now: Timestamp) -> Result<bool> {
    Ok(connection
        .prepare_cached(
            "UPDATE dyno SET restart = 1, updated_at = ?2 WHERE app_id = ?1 AND state = 'idle' AND restart = 0",
        )?
        .execute(params![app, now])?
        > 0)
}
