//! How dynos go: taken out of service, crashed, ended, or lost with an earlier server or the whole machine.
//!
//! What a row says of a dyno that is gone decides what takes its place.

use std::collections::HashSet;

use rusqlite::{Connection, params};

use super::dynos::{self, Dyno, State};
use super::one_offs;
use super::row::optional;
use crate::error::Result;
use crate::name::Id;
use crate::time::Timestamp;

/// Takes a dyno from this state out of service for good, and says whether it was in it. `for_successor`: its place is to be taken. Of
/// a one-off dyno, which has none, it stays written whether somebody has stopped it.
pub fn retire(
    connection: &Connection,
    id: Id,
    from: State,
    for_successor: bool,
    now: Timestamp,
) -> Result<bool> {
    Ok(connection
        .prepare_cached(
            "UPDATE dyno SET state = 'down', served = 0, restart = CASE one_off WHEN 1 THEN restart ELSE ?3 END, updated_at = ?4
             WHERE id = ?1 AND state = ?2",
        )?
        .execute(params![id, from, for_successor, now])?
        == 1)
}

/// Notes that the process of a dyno that was starting or up has ended by itself, and when it may be started again.
/// False when the dyno was in another state.
pub fn crash(
    connection: &Connection,
    id: Id,
    crashes: i64,
    start_at: Timestamp,
    now: Timestamp,
) -> Result<bool> {
    Ok(connection
        .prepare_cached(
            "UPDATE dyno SET state = 'crashed', pid = NULL, port = NULL, crashes = ?2, start_at = ?3, updated_at = ?4
             WHERE id = ?1 AND state IN ('starting', 'up')",
        )?
        .execute(params![id, crashes, start_at, now])?
        == 1)
}

/// Deletes a dyno that has crashed or is idle, and says whether there was one.
pub fn vacate(connection: &Connection, id: Id) -> Result<bool> {
    Ok(connection
        .prepare_cached("DELETE FROM dyno WHERE id = ?1 AND state IN ('crashed', 'idle')")?
        .execute([id])?
        == 1)
}

/// What became of the row of a dyno of which nothing runs any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It is to be started again.
    Kept,
    Gone,
    /// Its place was to be taken, and nobody wants that any more.
    Forsaken,
}

/// Notes that nothing is left of a dyno's process, which has not ended by itself. Its row goes, but for a web dyno that was not
/// retired and has been up: that one is to be started again, even if a newer release is wanted by then, so long as that does not come
/// up.
pub fn leave(connection: &Connection, id: Id, now: Timestamp) -> Result<Left> {
    let kept = connection
        .prepare_cached(
            "UPDATE dyno SET state = 'crashed', pid = NULL, port = NULL, address = NULL, crashes = 0, start_at = NULL, restart = 0,
                 updated_at = ?2
             WHERE id = ?1 AND type = 'web' AND one_off = 0 AND served = 1 AND state IN ('starting', 'up', 'down')",
        )?
        .execute(params![id, now])?;
    if kept == 1 {
        return Ok(Left::Kept);
    }
    let forsaken = connection
        .prepare_cached(
            "DELETE FROM dyno WHERE id = ?1 AND state IN ('starting', 'up', 'down')
             RETURNING restart = 1 AND state = 'down' AND NOT EXISTS (SELECT 1 FROM formation
                 WHERE formation.app_id = dyno.app_id AND formation.type = dyno.type AND formation.quantity >= dyno.ordinal)",
        )?
        .query_row([id], |row| row.get(0));
    Ok(match optional(forsaken)? {
        Some(true) => Left::Forsaken,
        Some(false) | None => Left::Gone,
    })
}

/// Forgets the dynos of an earlier run of the server, save those that are `held`, once their processes have ended. Those that had
/// none stay: crashed ones, with their count, idle ones, and one-off dynos that wait to be launched. So do web dynos that have been up
/// (see [`leave`]).
pub fn forget_processes(connection: &Connection, held: &HashSet<Id>, now: Timestamp) -> Result<()> {
    let had_one = |dyno: &Dyno| dyno.has_process() && dyno.launched;
    for dyno in dynos::all(connection)?.iter().filter(|dyno| had_one(dyno)) {
        match dyno.one_off {
            _ if held.contains(&dyno.id) => {}
            // How it ended nobody knows.
            true => drop(one_offs::end(connection, dyno.id, None, now)?),
            false => drop(leave(connection, dyno.id, now)?),
        }
    }
    Ok(())
}
