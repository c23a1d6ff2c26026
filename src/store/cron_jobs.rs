//! Cron jobs: commands that are run again and again, at the times that the `app.json` of the app's slug says.
//!
//! A job knows the next moment of its schedule. Whoever sees to that moment takes it, and moves the job on to the next one after
//! now, in one transaction: so a moment is seen to once, and of those that were missed only the last one is.

use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use super::cron_runs::{self, CronRun, Trigger};
use super::page::{self, Field, Kind, Listing, Page};
use super::row::{found, optional, text_enum};
use crate::error::Result;
use crate::name::Id;
use crate::schedule::Schedule;
use crate::time::Timestamp;

text_enum! {
    /// What happens when a run is due while another one goes on. `Forbid`: it is skipped. `Replace`: the other one is stopped.
    ConcurrencyPolicy { Allow = "Allow", Forbid = "Forbid", Replace = "Replace" }
}

impl<'de> Deserialize<'de> for ConcurrencyPolicy {
    fn deserialize<D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no concurrency policy"))
    }
}

/// A job as an `app.json` asks for it, checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub command: String,
    pub schedule: String,
    pub concurrency_policy: ConcurrencyPolicy,
    pub suspended: bool,
}

#[derive(Clone, Debug)]
pub struct CronJob {
    pub id: Id,
    pub app_id: Id,
    pub app_name: String,
    pub command: String,
    pub schedule: String,
    pub concurrency_policy: ConcurrencyPolicy,
    pub suspended: bool,
    pub next_run_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "cron_job.id", Kind::Id),
    Field::new("created_at", "cron_job.created_at", Kind::Time),
];

const COLUMNS: &str = "cron_job.id, cron_job.app_id, app.name, cron_job.command, cron_job.schedule, cron_job.concurrency_policy,
    cron_job.suspended, cron_job.next_run_at, cron_job.created_at, cron_job.updated_at";
const FROM: &str = "cron_job JOIN app ON app.id = cron_job.app_id";

fn cron_job(row: &Row<'_>) -> rusqlite::Result<CronJob> {
    Ok(CronJob {
        id: row.get(0)?,
        app_id: row.get(1)?,
        app_name: row.get(2)?,
        command: row.get(3)?,
        schedule: row.get(4)?,
        concurrency_policy: row.get(5)?,
        suspended: row.get(6)?,
        next_run_at: row.get(7)?,
        created_at: row.get(8)?,
        updated_at: row.get(9)?,
    })
}

/// A job of this app.
pub fn find(connection: &Connection, app: Id, id: Id) -> Result<CronJob> {
    let sql =
        format!("SELECT {COLUMNS} FROM {FROM} WHERE cron_job.app_id = ?1 AND cron_job.id = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    found(statement.query_row([app, id], cron_job), "cron job")
}

pub fn list(connection: &Connection, app: Id, page: &Page) -> Result<Listing<CronJob>> {
    let query = page::Query {
        columns: COLUMNS,
        from: &format!("{FROM} WHERE cron_job.app_id = ?1"),
        id: "cron_job.id",
        parameters: &[&app],
    };
    page::select(connection, &query, page, cron_job)
}

pub(super) fn by_id(connection: &Connection, id: Id) -> Result<Option<CronJob>> {
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE cron_job.id = ?1");
    optional(connection.prepare_cached(&sql)?.query_row([id], cron_job))
}

/// Brings an app's jobs in line with those of a new slug. One that is there already keeps its history, also when only its schedule
/// is another; one that is gone goes with its history.
pub(super) fn sync(
    connection: &Connection,
    app: Id,
    entries: &[Entry],
    now: Timestamp,
) -> Result<()> {
    let sql =
        format!("SELECT {COLUMNS} FROM {FROM} WHERE cron_job.app_id = ?1 ORDER BY cron_job.id");
    let mut there: Vec<CronJob> = connection
        .prepare_cached(&sql)?
        .query_map([app], cron_job)?
        .collect::<rusqlite::Result<_>>()?;
    let mut other = Vec::new();
    let same = |job: &CronJob, entry: &Entry| {
        job.command == entry.command && job.schedule == entry.schedule
    };
    for entry in entries {
        match there.iter().position(|job| same(job, entry)) {
            Some(at) => update(connection, &there.swap_remove(at), entry, now)?,
            None => other.push(entry),
        }
    }
    for entry in other {
        match there.iter().position(|job| job.command == entry.command) {
            Some(at) => update(connection, &there.swap_remove(at), entry, now)?,
            None => insert(connection, app, entry, now)?,
        }
    }
    for job in there {
        connection
            .prepare_cached("DELETE FROM cron_job WHERE id = ?1")?
            .execute([job.id])?;
    }
    Ok(())
}

fn insert(connection: &Connection, app: Id, entry: &Entry, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO cron_job (id, app_id, command, schedule, concurrency_policy, suspended, next_run_at, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
        )?
        .execute(params![
            Id::new(),
            app,
            entry.command,
            entry.schedule,
            entry.concurrency_policy,
            entry.suspended,
            next(&entry.schedule, entry.suspended, now),
            now
        ])?;
    Ok(())
}

/// A moment that has come and was not seen to yet stays, unless the schedule is another.
fn update(connection: &Connection, job: &CronJob, entry: &Entry, now: Timestamp) -> Result<()> {
    let kept = job
        .next_run_at
        .filter(|_| job.schedule == entry.schedule && !entry.suspended);
    let next_run_at = kept.or_else(|| next(&entry.schedule, entry.suspended, now));
    connection
        .prepare_cached(
            "UPDATE cron_job SET schedule = ?2, concurrency_policy = ?3, suspended = ?4, next_run_at = ?5, updated_at = ?6
             WHERE id = ?1 AND (schedule <> ?2 OR concurrency_policy <> ?3 OR suspended <> ?4 OR next_run_at IS NOT ?5)",
        )?
        .execute(params![
            job.id,
            entry.schedule,
            entry.concurrency_policy,
            entry.suspended,
            next_run_at,
            now
        ])?;
    Ok(())
}

/// The next moment of a schedule after now; none while it is suspended.
fn next(schedule: &str, suspended: bool, now: Timestamp) -> Option<Timestamp> {
    match suspended {
        true => None,
        false => Schedule::parse(schedule).ok()?.after(now),
    }
}

/// Whether any job's moment has come.
pub fn any_due(connection: &Connection, now: Timestamp) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM cron_job WHERE next_run_at IS NOT NULL AND next_run_at <= ?1)",
    )?;
    Ok(statement.query_row([now], |row| row.get(0))?)
}

/// The earliest moment of all jobs.
pub fn next_due(connection: &Connection) -> Result<Option<Timestamp>> {
    let mut statement = connection
        .prepare_cached("SELECT min(next_run_at) FROM cron_job WHERE next_run_at IS NOT NULL")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Queues one run of each job whose moment has come, however many moments were missed, and moves the jobs on. At most `room` jobs.
/// The runs.
pub fn take_due(connection: &Connection, room: usize, now: Timestamp) -> Result<Vec<CronRun>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {FROM} WHERE cron_job.next_run_at IS NOT NULL AND cron_job.next_run_at <= ?1
         ORDER BY cron_job.next_run_at LIMIT ?2"
    );
    let due: Vec<CronJob> = connection
        .prepare_cached(&sql)?
        .query_map(params![now, room as i64], cron_job)?
        .collect::<rusqlite::Result<_>>()?;
    let mut runs = Vec::new();
    for job in due {
        let schedule = Schedule::parse(&job.schedule).ok();
        let latest = schedule.as_ref().and_then(|schedule| schedule.latest(now));
        let next = schedule.and_then(|schedule| schedule.after(now));
        connection
            .prepare_cached("UPDATE cron_job SET next_run_at = ?2 WHERE id = ?1")?
            .execute(params![job.id, next])?;
        if let Some(moment) = latest {
            runs.push(cron_runs::queue(
                connection,
                &job,
                Trigger::Schedule,
                moment,
                now,
            )?);
        }
    }
    Ok(runs)
}

/// A moment that is further away than it can be.
#[derive(Clone, Copy, Debug)]
pub struct Misaligned {
    job: Id,
    noted: Option<Timestamp>,
    next: Option<Timestamp>,
}

/// The moments that are further away than they can be: the clock was ahead when they were noted, and has been put right. Reads
/// every job's schedule, so it is no work for a write.
pub fn misaligned(connection: &Connection, now: Timestamp) -> Result<Vec<Misaligned>> {
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE cron_job.next_run_at > ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    let jobs = statement.query_map([now], cron_job)?;
    let mut found = Vec::new();
    for job in jobs {
        let job = job?;
        let next = next(&job.schedule, job.suspended, now);
        if next < job.next_run_at {
            found.push(Misaligned {
                job: job.id,
                noted: job.next_run_at,
                next,
            });
        }
    }
    Ok(found)
}

/// Brings these nearer, save those that were moved meanwhile.
pub fn realign(connection: &Connection, far: &[Misaligned]) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE cron_job SET next_run_at = ?3 WHERE id = ?1 AND next_run_at IS ?2",
    )?;
    for far in far {
        statement.execute(params![far.job, far.noted, far.next])?;
    }
    Ok(())
}
