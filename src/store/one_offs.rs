//! One-off dynos: each runs one command once, beside the formation, and is gone when it ends.
//!
//! The row is written by whoever asks, and is its own queue entry: it waits until its launch is noted, which happens before the
//! process is started. So a server that is killed at any moment starts the process at most once, and one whose launch was not
//! noted is started by the next server.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::config_vars::{self, ConfigVars};
use super::dynos::{self, COLUMNS, Dyno, Wanted};
use super::release_phases::{self, Ending};
use super::row::{found, optional};
use super::{app_setups, cron_runs, releases, slugs};
use crate::error::{Error, Result};
use crate::name::Id;
use crate::time::Timestamp;

/// The longest that a one-off dyno may run, in seconds: Heroku's 24 hours.
pub const MAX_SECONDS: i64 = 86_400;
/// One-off dynos of one app at once. Each holds a copy of the slug.
const MAX_AT_ONCE: i64 = 50;
/// How long a dyno waits for whoever is to sit in front of it.
const ATTACH: Duration = Duration::from_secs(60);
/// The type of one that is given no other.
pub const RUN: &str = "run";
/// Their numbers, so that none is taken for a dyno of the formation.
const NUMBERS: std::ops::Range<i64> = 1_000..10_000;

/// What a client asks to be run.
#[derive(Clone, Debug)]
pub struct NewOneOff {
    /// The first half of its name.
    pub r#type: String,
    /// If the first word is a process type, that type's command stands for it.
    pub command: String,
    /// On top of the config vars.
    pub env: ConfigVars,
    pub size: &'static str,
    /// From now on; it is ended after that.
    pub seconds: i64,
    pub attach: Option<NewAttach>,
}

/// How somebody will sit in front of it.
#[derive(Clone, Copy, Debug)]
pub struct NewAttach {
    /// Of the secret with which he comes.
    pub digest: [u8; 32],
    /// Rows and columns of his terminal.
    pub terminal: Option<(u16, u16)>,
}

/// A one-off dyno that is wanted, with what it takes to start it.
#[derive(Clone, Debug)]
pub struct OneOff {
    pub dyno: Id,
    pub wanted: Wanted,
}

/// A one-off dyno of a release, whole.
pub(super) struct Launchable<'a> {
    pub app: Id,
    pub release: Id,
    pub release_version: i64,
    pub r#type: &'a str,
    pub command: &'a str,
    pub size: &'a str,
    pub inside: Option<Id>,
    pub env: Option<&'a ConfigVars>,
    pub seconds: i64,
    pub attach: Option<NewAttach>,
}

/// Writes down a one-off dyno of the app's current release. 422 when nothing was deployed, 409 when too many run.
pub fn create(connection: &Connection, app: Id, new: &NewOneOff, now: Timestamp) -> Result<Dyno> {
    admit_another(connection, app, &new.env)?;
    let nothing = || {
        Error::invalid(
            "This app has nothing to run a command in yet. Deploy something to it first.",
        )
    };
    let release = releases::current(connection, app)?.ok_or_else(nothing)?;
    let slug = release.slug_id.ok_or_else(nothing)?;
    let launchable = Launchable {
        app,
        release: release.id,
        release_version: release.version,
        r#type: &new.r#type,
        command: &expand(&new.command, &slugs::process_types(connection, slug)?),
        size: new.size,
        inside: None,
        env: Some(&new.env).filter(|env| !env.is_empty()),
        seconds: new.seconds,
        attach: new.attach,
    };
    insert(connection, &launchable, now)
}

/// What a client asks to be run inside a dyno that runs, while he sits in front of it.
#[derive(Clone, Debug)]
pub struct NewInside {
    /// If the first word is a process type, that type's command stands for it.
    pub command: String,
    /// On top of what the dyno has.
    pub env: ConfigVars,
    pub attach: NewAttach,
}

/// Writes down a one-off dyno that has no sandbox of its own. 422 when nothing runs that it could be run inside of, 409 when too
/// many run.
pub fn create_inside(
    connection: &Connection,
    host: &Dyno,
    new: &NewInside,
    now: Timestamp,
) -> Result<Dyno> {
    admit_another(connection, host.app_id, &new.env)?;
    if !host.runs() || host.inside.is_some() {
        let (name, state) = (host.name(), host.state.as_str());
        return Err(Error::invalid(match host.inside {
            Some(_) => format!("{name} itself runs inside of another dyno. Name that one."),
            None => format!("Nothing can be run inside {name} now: its state is {state}."),
        }));
    }
    let release = releases::by_id(connection, host.release_id)?;
    let slug = release.and_then(|release| release.slug_id);
    let process_types = match slug {
        Some(slug) => slugs::process_types(connection, slug)?,
        None => BTreeMap::new(),
    };
    let launchable = Launchable {
        app: host.app_id,
        release: host.release_id,
        release_version: host.release_version,
        r#type: RUN,
        command: &expand(&new.command, &process_types),
        size: &host.size,
        inside: Some(host.id),
        env: Some(&new.env).filter(|env| !env.is_empty()),
        seconds: MAX_SECONDS,
        attach: Some(new.attach),
    };
    insert(connection, &launchable, now)
}

/// 422 for an environment that cannot be, 409 when as many run as may.
fn admit_another(connection: &Connection, app: Id, env: &ConfigVars) -> Result<()> {
    config_vars::check_all(env)?;
    let running: i64 = connection
        .prepare_cached("SELECT count(*) FROM dyno WHERE app_id = ?1 AND one_off = 1")?
        .query_row([app], |row| row.get(0))?;
    if running < MAX_AT_ONCE {
        return Ok(());
    }
    Err(Error::conflict(format!(
        "This app runs {MAX_AT_ONCE} one-off dynos already. Wait until one has ended, or stop one."
    )))
}

/// Writes down a one-off dyno, which waits to be launched.
pub(super) fn insert(
    connection: &Connection,
    new: &Launchable<'_>,
    now: Timestamp,
) -> Result<Dyno> {
    let id = Id::new();
    let ordinal = free_number(connection, new.app, id)?;
    let env = new.env.map(serde_json::to_string).transpose();
    let env = env.map_err(Error::internal)?;
    let terminal = new.attach.and_then(|attach| attach.terminal);
    connection
        .prepare_cached(
            "INSERT INTO dyno (id, app_id, release_id, release_version, type, ordinal, size, command, state, one_off, launched,
                 env, expires_at, attach_digest, attach_by, terminal_rows, terminal_columns, inside, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'starting', 1, 0, CASE WHEN ?9 IS NULL THEN NULL ELSE seal(?1, ?9) END,
                 ?10, ?12, ?13, ?14, ?15, ?16, ?11, ?11)",
        )?
        .execute(params![
            id,
            new.app,
            new.release,
            new.release_version,
            new.r#type,
            ordinal,
            new.size,
            new.command,
            env,
            now.plus(Duration::from_secs(new.seconds.unsigned_abs())),
            now,
            new.attach.map(|attach| attach.digest),
            new.attach.map(|_| now.plus(ATTACH)),
            terminal.map(|(rows, _)| rows),
            terminal.map(|(_, columns)| columns),
            new.inside
        ])?;
    dynos::by_id(connection, id)?.ok_or_else(|| Error::not_found("dyno"))
}

/// A number that no other one-off dyno of the app has: by chance, as on Heroku, and then the next that is free.
fn free_number(connection: &Connection, app: Id, id: Id) -> Result<i64> {
    let taken: Vec<i64> = connection
        .prepare_cached("SELECT ordinal FROM dyno WHERE app_id = ?1 AND one_off = 1")?
        .query_map([app], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let count = NUMBERS.end - NUMBERS.start;
    let chance = i64::from(id.random_bits()) % count;
    (0..count)
        .map(|step| NUMBERS.start + (chance + step) % count)
        .find(|number| !taken.contains(number))
        .ok_or_else(|| Error::internal("every number is taken"))
}

/// The command with a process type at its start put into full, as Heroku does.
fn expand(command: &str, process_types: &BTreeMap<String, String>) -> String {
    let command = command.trim();
    let (first, rest) = command
        .split_once(char::is_whitespace)
        .unwrap_or((command, ""));
    match process_types.get(first) {
        Some(full) if rest.is_empty() => full.clone(),
        Some(full) => format!("{full} {rest}"),
        None => command.to_owned(),
    }
}

/// Those that shall run, launched or not: of apps that are there still, and not asked to stop.
pub(super) fn wanted(connection: &Connection) -> Result<Vec<OneOff>> {
    let sql = format!(
        "SELECT {COLUMNS}, app.name, release.config_set_id, slug.digest FROM dyno
         JOIN app ON app.id = dyno.app_id JOIN release ON release.id = dyno.release_id JOIN slug ON slug.id = release.slug_id
         WHERE dyno.one_off = 1 AND dyno.restart = 0 AND slug.digest IS NOT NULL ORDER BY dyno.id"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let after = statement.column_count() - 3;
    let rows = statement.query_map([], |row| one_off(row, after))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn one_off(row: &Row<'_>, after: usize) -> rusqlite::Result<OneOff> {
    let dyno = dynos::dyno(row)?;
    Ok(OneOff {
        dyno: dyno.id,
        wanted: Wanted {
            app_id: dyno.app_id,
            app_name: row.get(after)?,
            r#type: dyno.r#type,
            quantity: 1,
            size: dyno.size,
            command: dyno.command,
            release_id: dyno.release_id,
            release_version: dyno.release_version,
            config_set_id: row.get(after + 1)?,
            digest: row.get(after + 2)?,
        },
    })
}

/// Notes that the process is about to be started; false when it is not to be, or was already.
pub fn launch(connection: &Connection, id: Id, now: Timestamp) -> Result<bool> {
    Ok(connection
        .prepare_cached(
            "UPDATE dyno SET launched = 1, updated_at = ?2
             WHERE id = ?1 AND one_off = 1 AND launched = 0 AND state = 'starting' AND restart = 0",
        )?
        .execute(params![id, now])?
        == 1)
}

/// The dyno that waits for whoever has this secret. An id beside it tells nobody anything.
pub fn awaiting(
    connection: &Connection,
    digest: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Dyno>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM dyno WHERE dyno.attach_digest = ?1 AND dyno.launched = 0 AND dyno.restart = 0 AND dyno.attach_by > ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    optional(statement.query_row(params![digest, now], dynos::dyno))
}

/// Notes that its client has come, so that it is launched; false when it does not wait for one.
pub fn admit(connection: &Connection, id: Id, now: Timestamp) -> Result<bool> {
    Ok(connection
        .prepare_cached(
            "UPDATE dyno SET attach_by = NULL, updated_at = ?2
             WHERE id = ?1 AND launched = 0 AND restart = 0 AND attach_by > ?2",
        )?
        .execute(params![id, now])?
        == 1)
}

/// Asks for all dynos to be stopped in front of which somebody sat. For the time before anybody does.
pub fn hang_up_all(connection: &Connection, now: Timestamp) -> Result<usize> {
    Ok(connection
        .prepare_cached(
            "UPDATE dyno SET restart = 1, updated_at = ?1
             WHERE attach_digest IS NOT NULL AND attach_by IS NULL AND restart = 0 AND state <> 'down'",
        )?
        .execute([now])?)
}

/// What the dyno is given on top of the config vars.
pub fn env(connection: &Connection, id: Id) -> Result<ConfigVars> {
    let mut statement = connection.prepare_cached(
        "SELECT CASE WHEN env IS NULL THEN '{}' ELSE unseal(id, env) END FROM dyno WHERE id = ?1",
    )?;
    let json: String = found(statement.query_row([id], |row| row.get(0)), "dyno")?;
    serde_json::from_str(&json).map_err(Error::internal)
}

/// Deletes the row of a one-off dyno of which nothing runs; false when that was done before. `status` is how it ended, as a
/// shell counts it, if that is known. Whoever asked for it to be run is told.
pub fn end(connection: &Connection, id: Id, status: Option<i32>, now: Timestamp) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM dyno WHERE id = ?1 AND one_off = 1 RETURNING restart, expires_at",
    )?;
    let ended: Option<(bool, Option<Timestamp>)> =
        optional(statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))))?;
    let Some((stopped, expires_at)) = ended else {
        return Ok(false);
    };
    let expired = expires_at.is_some_and(|at| at <= now);
    let ending = match status {
        _ if stopped => Ending::Stopped,
        Some(status) if status != 0 && expired => Ending::Expired,
        Some(_) => Ending::Exited,
        None => Ending::Lost,
    };
    app_setups::postdeploy_ended(connection, id, status, now)?;
    release_phases::dyno_ended(connection, id, ending, status)?;
    cron_runs::dyno_ended(connection, id, ending, status, now)?;
    Ok(true)
}

/// Asks for the one-off dynos of one type to be stopped. How many there were.
pub fn stop(connection: &Connection, app: Id, kind: &str, now: Timestamp) -> Result<usize> {
    Ok(connection
        .prepare_cached(
            "UPDATE dyno SET restart = 1, updated_at = ?3 WHERE app_id = ?1 AND type = ?2 AND one_off = 1 AND state <> 'down'",
        )?
        .execute(params![app, kind, now])?)
}
