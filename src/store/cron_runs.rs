//! Runs of cron jobs: queued when their moment has come or somebody asks, begun when the job's policy lets them, and kept.

use rusqlite::{Connection, Row, params};

use super::config_vars::ConfigVars;
use super::cron_jobs::{self, ConcurrencyPolicy, CronJob};
use super::dynos::{self, Which};
use super::formation::DEFAULT_SIZE;
use super::one_offs::{self, MAX_SECONDS, NewOneOff};
use super::page::{self, Field, Kind, Listing, Page};
use super::release_phases::Ending;
use super::row::{found, optional, text_enum};
use crate::error::{Error, ErrorId, Result};
use crate::name::Id;
use crate::time::Timestamp;

text_enum! {
    Trigger { Schedule = "schedule", Manual = "manual" }
}

text_enum! {
    Status { Pending = "pending", Running = "running", Succeeded = "succeeded", Failed = "failed", Skipped = "skipped" }
}

/// The type of their dynos: `cron.1234`.
const CRON: &str = "cron";
/// Runs that are kept of one job, and of all jobs of an app.
const KEPT: i64 = 100;
const KEPT_OF_APP: i64 = 1_000;

#[derive(Clone, Debug)]
pub struct CronRun {
    pub id: Id,
    pub app_id: Id,
    pub app_name: String,
    pub cron_job_id: Id,
    pub command: String,
    pub trigger: Trigger,
    pub status: Status,
    /// Why it was skipped or failed.
    pub message: Option<String>,
    pub exit_code: Option<i64>,
    pub scheduled_at: Timestamp,
    pub release_version: Option<i64>,
    /// `cron.1234`.
    pub dyno_name: Option<String>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "cron_run.id", Kind::Id),
    Field::new("created_at", "cron_run.created_at", Kind::Time),
];

const COLUMNS: &str = "cron_run.id, cron_run.app_id, app.name, cron_run.cron_job_id, cron_run.command, cron_run.trigger, cron_run.status,
    cron_run.message, cron_run.exit_code, cron_run.scheduled_at, cron_run.release_version, cron_run.dyno_name, cron_run.started_at,
    cron_run.ended_at, cron_run.created_at, cron_run.updated_at";
const FROM: &str = "cron_run JOIN app ON app.id = cron_run.app_id";
const LIVE: &str = "cron_run.status IN ('pending', 'running')";

fn cron_run(row: &Row<'_>) -> rusqlite::Result<CronRun> {
    Ok(CronRun {
        id: row.get(0)?,
        app_id: row.get(1)?,
        app_name: row.get(2)?,
        cron_job_id: row.get(3)?,
        command: row.get(4)?,
        trigger: row.get(5)?,
        status: row.get(6)?,
        message: row.get(7)?,
        exit_code: row.get(8)?,
        scheduled_at: row.get(9)?,
        release_version: row.get(10)?,
        dyno_name: row.get(11)?,
        started_at: row.get(12)?,
        ended_at: row.get(13)?,
        created_at: row.get(14)?,
        updated_at: row.get(15)?,
    })
}

/// A run of this app.
pub fn find(connection: &Connection, app: Id, id: Id) -> Result<CronRun> {
    let sql =
        format!("SELECT {COLUMNS} FROM {FROM} WHERE cron_run.app_id = ?1 AND cron_run.id = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    found(statement.query_row([app, id], cron_run), "cron run")
}

pub fn list(connection: &Connection, app: Id, page: &Page) -> Result<Listing<CronRun>> {
    let query = page::Query {
        columns: COLUMNS,
        from: &format!("{FROM} WHERE cron_run.app_id = ?1"),
        id: "cron_run.id",
        parameters: &[&app],
    };
    page::select(connection, &query, page, cron_run)
}

pub fn list_of_job(connection: &Connection, job: Id, page: &Page) -> Result<Listing<CronRun>> {
    let query = page::Query {
        columns: COLUMNS,
        from: &format!("{FROM} WHERE cron_run.cron_job_id = ?1"),
        id: "cron_run.id",
        parameters: &[&job],
    };
    page::select(connection, &query, page, cron_run)
}

/// The newest run of a job.
pub fn latest(connection: &Connection, job: Id) -> Result<Option<CronRun>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {FROM} WHERE cron_run.cron_job_id = ?1 ORDER BY cron_run.id DESC LIMIT 1"
    );
    optional(connection.prepare_cached(&sql)?.query_row([job], cron_run))
}

/// Queues a run that somebody asks for. 409 while another one goes on and the job forbids a second.
pub fn run_now(connection: &Connection, job: &CronJob, now: Timestamp) -> Result<CronRun> {
    if job.concurrency_policy == ConcurrencyPolicy::Forbid
        && let Some(other) = live(connection, job.id)?.pop()
    {
        let name = other.dyno_name.unwrap_or_else(|| "the last one".to_owned());
        return Err(Error::conflict(format!(
            "This job runs already, and its concurrency_policy is Forbid. Wait until {name} has ended, or stop it."
        )));
    }
    queue(connection, job, Trigger::Manual, now, now)
}

/// Queues a run of the moment that has come, as the job's policy has it.
pub(super) fn queue(
    connection: &Connection,
    job: &CronJob,
    trigger: Trigger,
    moment: Timestamp,
    now: Timestamp,
) -> Result<CronRun> {
    let others = live(connection, job.id)?;
    let mut skipped = None;
    match job.concurrency_policy {
        ConcurrencyPolicy::Allow => {}
        ConcurrencyPolicy::Forbid => {
            let run = |other: &CronRun| format!("The run of {} goes on.", other.scheduled_at);
            skipped = others.first().map(run);
        }
        ConcurrencyPolicy::Replace => {
            for other in &others {
                replace(connection, other, now)?;
            }
        }
    }
    let id = Id::new();
    connection
        .prepare_cached(
            "INSERT INTO cron_run (id, app_id, cron_job_id, command, trigger, status, message, scheduled_at, ended_at, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, CASE WHEN ?7 IS NULL THEN NULL ELSE ?9 END, ?9, ?9)",
        )?
        .execute(params![
            id,
            job.app_id,
            job.id,
            job.command,
            trigger,
            skipped.as_ref().map_or(Status::Pending, |_| Status::Skipped),
            skipped,
            moment,
            now
        ])?;
    forget_older(connection, job)?;
    find(connection, job.app_id, id)
}

/// The runs of a job that are pending or go on, oldest first.
fn live(connection: &Connection, job: Id) -> Result<Vec<CronRun>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {FROM} WHERE cron_run.cron_job_id = ?1 AND {LIVE} ORDER BY cron_run.id"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([job], cron_run)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Makes way for a newer run.
fn replace(connection: &Connection, run: &CronRun, now: Timestamp) -> Result<()> {
    if run.status == Status::Pending {
        let message = "A newer run took its place.";
        return end(
            connection,
            run.id,
            Status::Skipped,
            Some(message),
            None,
            now,
        );
    }
    let mut statement = connection.prepare_cached("SELECT dyno_id FROM cron_run WHERE id = ?1")?;
    let dyno: Option<Id> = statement.query_row([run.id], |row| row.get(0))?;
    match dyno {
        Some(dyno) => dynos::restart(connection, run.app_id, Which::One(dyno), now).map(drop),
        None => Ok(()),
    }
}

fn end(
    connection: &Connection,
    id: Id,
    status: Status,
    message: Option<&str>,
    exit_code: Option<i32>,
    now: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE cron_run SET status = ?2, message = ?3, exit_code = ?4, ended_at = ?5, updated_at = ?5
             WHERE id = ?1 AND status IN ('pending', 'running')",
        )?
        .execute(params![id, status, message, exit_code, now])?;
    Ok(())
}

/// Deletes what is more than enough of a job's history, and of its app's.
fn forget_older(connection: &Connection, job: &CronJob) -> Result<()> {
    for (column, id, kept) in [
        ("cron_job_id", job.id, KEPT),
        ("app_id", job.app_id, KEPT_OF_APP),
    ] {
        let sql = format!(
            "DELETE FROM cron_run WHERE {column} = ?1 AND NOT {LIVE}
             AND id < (SELECT id FROM cron_run AS newer WHERE newer.{column} = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)"
        );
        connection
            .prepare_cached(&sql)?
            .execute(params![id, kept - 1])?;
    }
    Ok(())
}

/// Whether a run waits that may begin: its job allows several, or no other one goes on.
const READY: &str = "cron_run.status = 'pending' AND (NOT EXISTS (
        SELECT 1 FROM cron_run AS other WHERE other.cron_job_id = cron_run.cron_job_id AND other.status = 'running')
    OR EXISTS (SELECT 1 FROM cron_job WHERE cron_job.id = cron_run.cron_job_id AND cron_job.concurrency_policy = 'Allow'))";

pub fn any_ready(connection: &Connection) -> Result<bool> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM cron_run WHERE {READY})");
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Asks for dynos for the runs that may begin. Each run as it is then: running, or skipped with the reason.
pub fn begin_ready(connection: &Connection, room: usize, now: Timestamp) -> Result<Vec<CronRun>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {FROM} WHERE {READY} ORDER BY cron_run.cron_job_id, cron_run.id LIMIT ?1"
    );
    let ready: Vec<CronRun> = connection
        .prepare_cached(&sql)?
        .query_map([room as i64], cron_run)?
        .collect::<rusqlite::Result<_>>()?;
    let mut begun = Vec::new();
    for run in ready {
        begin(connection, &run, now)?;
        begun.push(find(connection, run.app_id, run.id)?);
    }
    Ok(begun)
}

fn begin(connection: &Connection, run: &CronRun, now: Timestamp) -> Result<()> {
    let skip = |reason: &str| end(connection, run.id, Status::Skipped, Some(reason), None, now);
    if cron_jobs::by_id(connection, run.cron_job_id)?.is_none() {
        return skip("The app's newest release has no such job any more.");
    }
    let new = NewOneOff {
        r#type: CRON.to_owned(),
        command: run.command.clone(),
        env: ConfigVars::new(),
        size: DEFAULT_SIZE,
        seconds: MAX_SECONDS,
        attach: None,
    };
    let dyno = match one_offs::create(connection, run.app_id, &new, now) {
        Ok(dyno) => dyno,
        Err(error) if matches!(error.id, ErrorId::Conflict | ErrorId::InvalidParams) => {
            return skip(&error.message);
        }
        Err(error) => return Err(error),
    };
    connection
        .prepare_cached(
            "UPDATE cron_run SET status = 'running', dyno_id = ?2, dyno_name = ?3, release_version = ?4, started_at = ?5, updated_at = ?5
             WHERE id = ?1",
        )?
        .execute(params![run.id, dyno.id, dyno.name(), dyno.release_version, now])?;
    Ok(())
}

/// Notes that a dyno has ended, if it was a run's.
pub(super) fn dyno_ended(
    connection: &Connection,
    dyno: Id,
    ending: Ending,
    exit_code: Option<i32>,
    now: Timestamp,
) -> Result<()> {
    let mut statement = connection
        .prepare_cached("SELECT id FROM cron_run WHERE dyno_id = ?1 AND status = 'running'")?;
    let Some(id) = optional(statement.query_row([dyno], |row| row.get(0)))? else {
        return Ok(());
    };
    let message = match (ending, exit_code) {
        (Ending::Exited, Some(0)) => {
            return end(connection, id, Status::Succeeded, None, exit_code, now);
        }
        (Ending::Exited, Some(status)) => format!("It ended with exit status {status}."),
        (Ending::Stopped, _) => "It was stopped.".to_owned(),
        (Ending::Expired, _) => {
            format!("It ran for {} hours, and was ended.", MAX_SECONDS / 3_600)
        }
        (Ending::Exited | Ending::Lost, _) => {
            "It could not be started, or was cut off when the server stopped.".to_owned()
        }
    };
    end(
        connection,
        id,
        Status::Failed,
        Some(&message),
        exit_code,
        now,
    )
}
