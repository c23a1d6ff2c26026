//! The phase of a release before it counts. It waits until the releases before it have ended, then its command is run in a one-off
//! dyno, and what becomes of that decides what becomes of the release. The row is the queue.
//!
//! One release of an app is in its phase at a time, and they take their turns by version, so the pending releases of an app are
//! always its newest ones.

use rusqlite::{Connection, Row, params};

use super::dynos::Dyno;
use super::one_offs::{self, Launchable};
use super::releases::{self, Release, Status};
use super::row::{optional, text_enum};
use super::{formation, promotions, slugs};
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::time::Timestamp;

/// The process type of the command, which is also the type of its dyno.
pub const RELEASE: &str = "release";
/// How long the command may run, in seconds: Heroku's hour.
pub const MAX_SECONDS: i64 = 3_600;
/// How often the command of one release is begun, should the server be stopped in the middle of it.
pub const MAX_ATTEMPTS: i64 = 3;
/// Releases of one app that may be pending.
const MAX_PENDING: i64 = 20;

text_enum! {
    /// How the command's dyno ended. `Lost`: it could not be started, or nobody was there to see its end.
    Ending { Exited = "exited", Stopped = "stopped", Expired = "expired", Lost = "lost" }
}

/// What is known of the phase of a new release.
#[derive(Clone, Debug)]
pub(super) struct NewPhase {
    pub inherits_slug: bool,
    pub runs_command: bool,
    pub command: Option<String>,
    /// Somebody asked for it, who can be told to wait.
    pub refusable: bool,
}

/// A pending release whose turn it is.
#[derive(Clone, Debug)]
pub struct Turn {
    pub release: Id,
    pub app_id: Id,
    pub version: i64,
    /// Its command was begun.
    pub begun: bool,
    pub attempts: i64,
    /// How the last attempt ended, if it has.
    pub ended: Option<Ending>,
    pub exit_code: Option<i64>,
}

/// What became of a release.
#[derive(Clone, Debug)]
pub struct Settled {
    pub release: Release,
    /// The formation that it made, when it is the first that runs.
    pub formation: Vec<formation::Formation>,
    /// The version that the app runs now, if it runs any.
    pub runs: Option<i64>,
}

const COLUMNS: &str =
    "release.id, release.app_id, release.version, release_phase.dyno_id IS NOT NULL,
    release_phase.attempts, release_phase.ended, release_phase.exit_code";
/// Those whose turn it is: the oldest pending release of each app.
const FROM: &str = "release JOIN release_phase ON release_phase.release_id = release.id
    WHERE release.status = 'pending' AND NOT EXISTS (
        SELECT 1 FROM release AS earlier WHERE earlier.app_id = release.app_id AND earlier.status = 'pending'
        AND earlier.version < release.version)";

fn turn(row: &Row<'_>) -> rusqlite::Result<Turn> {
    Ok(Turn {
        release: row.get(0)?,
        app_id: row.get(1)?,
        version: row.get(2)?,
        begun: row.get(3)?,
        attempts: row.get(4)?,
        ended: row.get(5)?,
        exit_code: row.get(6)?,
    })
}

/// Queues a pending release. 409 when too many of the app's releases are pending.
pub(super) fn insert(
    connection: &Connection,
    app: Id,
    release: Id,
    phase: &NewPhase,
) -> Result<()> {
    let pending: i64 = connection
        .prepare_cached("SELECT count(*) FROM release WHERE app_id = ?1 AND status = 'pending'")?
        .query_row([app], |row| row.get(0))?;
    if pending > MAX_PENDING && phase.refusable {
        return Err(Error::conflict(format!(
            "{MAX_PENDING} releases of this app are pending already. Wait until the release command has ended, or stop its dyno."
        )));
    }
    connection
        .prepare_cached(
            "INSERT INTO release_phase (release_id, inherits_slug, runs_command, command) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            release,
            phase.inherits_slug,
            phase.runs_command,
            phase.command
        ])?;
    Ok(())
}

/// The pending releases whose turn it is, one an app at most.
pub fn turns(connection: &Connection) -> Result<Vec<Turn>> {
    let sql = format!("SELECT {COLUMNS} FROM {FROM} ORDER BY release.app_id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], turn)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The release again, if its turn is what it was when `seen`.
fn same(connection: &Connection, seen: &Turn) -> Result<Option<Turn>> {
    let sql = format!("SELECT {COLUMNS} FROM {FROM} AND release.id = ?1");
    let now = optional(
        connection
            .prepare_cached(&sql)?
            .query_row([seen.release], turn),
    )?;
    Ok(now.filter(|now| {
        now.begun == seen.begun && now.attempts == seen.attempts && now.ended == seen.ended
    }))
}

/// What [`begin`] came to.
pub enum Begun {
    /// A dyno runs the command.
    Runs(Box<Release>),
    /// There was nothing to run.
    Settled(Box<Settled>),
}

/// Asks for a dyno that runs the command, or for the next one when the last was lost. Without a command the release succeeds.
/// `None` when somebody else was first.
pub fn begin(connection: &Connection, seen: &Turn, now: Timestamp) -> Result<Option<Begun>> {
    let Some(turn) = same(connection, seen)? else {
        return Ok(None);
    };
    let (inherits, runs): (bool, bool) = connection
        .prepare_cached(
            "SELECT inherits_slug, runs_command FROM release_phase WHERE release_id = ?1",
        )?
        .query_row([turn.release], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut release = found_release(connection, turn.release)?;
    if inherits {
        // Those before it have ended by now, and some may have failed.
        release.slug_id = releases::current(connection, turn.app_id)?.and_then(|now| now.slug_id);
        connection
            .prepare_cached("UPDATE release SET slug_id = ?2 WHERE id = ?1 AND slug_id IS NOT ?2")?
            .execute(params![release.id, release.slug_id])?;
    }
    let command = match release.slug_id {
        Some(slug) if runs => slugs::release_command(connection, slug)?,
        _ => None,
    };
    let dyno = match command {
        Some(command) => Some(start(connection, &release, &command, now)?),
        None => None,
    };
    connection
        .prepare_cached(
            "UPDATE release_phase SET command = ?2, dyno_id = ?3, attempts = attempts + 1, ended = NULL, exit_code = NULL
             WHERE release_id = ?1",
        )?
        .execute(params![
            release.id,
            dyno.as_ref().map(|dyno| &dyno.command),
            dyno.as_ref().map(|dyno| dyno.id)
        ])?;
    Ok(Some(match dyno {
        Some(_) => Begun::Runs(Box::new(release)),
        None => Begun::Settled(Box::new(settle(connection, &release, None, now)?)),
    }))
}

fn start(
    connection: &Connection,
    release: &Release,
    command: &str,
    now: Timestamp,
) -> Result<Dyno> {
    let size = match formation::find(
        connection,
        release.app_id,
        &Identity::Name(RELEASE.to_owned()),
    ) {
        Ok(entry) => entry.size,
        Err(error) if error.resource.is_some() => formation::DEFAULT_SIZE.to_owned(),
        Err(error) => return Err(error),
    };
    one_offs::insert(
        connection,
        &Launchable {
            inside: None,
            app: release.app_id,
            release: release.id,
            release_version: release.version,
            r#type: RELEASE,
            command,
            size: &size,
            env: None,
            seconds: MAX_SECONDS,
            attach: None,
        },
        now,
    )
}

fn found_release(connection: &Connection, id: Id) -> Result<Release> {
    releases::by_id(connection, id)?.ok_or_else(|| Error::not_found("release"))
}

/// Ends a release whose command has ended: it succeeds, unless there is a `fault`, which is a sentence for a person. `None` when
/// somebody else was first.
pub fn conclude(
    connection: &Connection,
    seen: &Turn,
    fault: Option<&str>,
    now: Timestamp,
) -> Result<Option<Settled>> {
    let Some(turn) = same(connection, seen)? else {
        return Ok(None);
    };
    let release = found_release(connection, turn.release)?;
    settle(connection, &release, fault, now).map(Some)
}

fn settle(
    connection: &Connection,
    release: &Release,
    fault: Option<&str>,
    now: Timestamp,
) -> Result<Settled> {
    let before = releases::current(connection, release.app_id)?.and_then(|current| current.slug_id);
    let status = match fault {
        None => Status::Succeeded,
        Some(_) => Status::Failed,
    };
    connection
        .prepare_cached(
            "UPDATE release SET status = ?2, updated_at = ?3 WHERE id = ?1 AND status = 'pending'",
        )?
        .execute(params![release.id, status, now])?;
    // Nothing of it changes, but whoever waits for phases looks at those that waited for this one.
    connection
        .prepare_cached("UPDATE release_phase SET ended = ended WHERE release_id = ?1")?
        .execute([release.id])?;
    if status == Status::Succeeded {
        releases::take_over(connection, release.app_id, before, release.slug_id, now)?;
    }
    promotions::released(connection, release.id, fault, now)?;
    let release = found_release(connection, release.id)?;
    let formation = match releases::is_first_deploy(connection, &release)? {
        true => formation::all(connection, release.app_id)?,
        false => Vec::new(),
    };
    let current = releases::current(connection, release.app_id)?;
    let runs = current.filter(|current| current.slug_id.is_some());
    Ok(Settled {
        release,
        formation,
        runs: runs.map(|current| current.version),
    })
}

/// Notes that a dyno has ended, if it ran a release command.
pub(super) fn dyno_ended(
    connection: &Connection,
    dyno: Id,
    ending: Ending,
    status: Option<i32>,
) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE release_phase SET ended = ?2, exit_code = ?3 WHERE dyno_id = ?1 AND ended IS NULL",
        )?
        .execute(params![dyno, ending, status])?;
    Ok(())
}

/// The command of a release, if one is to be run for it or was.
pub fn command(connection: &Connection, release: Id) -> Result<Option<String>> {
    let mut statement =
        connection.prepare_cached("SELECT command FROM release_phase WHERE release_id = ?1")?;
    Ok(optional(statement.query_row([release], |row| row.get(0)))?.flatten())
}

/// The release whose command a dyno runs, if it runs one.
pub fn of_dyno(connection: &Connection, dyno: Id) -> Result<Option<Id>> {
    let mut statement =
        connection.prepare_cached("SELECT release_id FROM release_phase WHERE dyno_id = ?1")?;
    optional(statement.query_row([dyno], |row| row.get(0)))
}
