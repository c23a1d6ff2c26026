//! Runs of cron jobs: their history, and asked for at once.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::reply::{Created, Reply};
use super::view::{Named, Ref};
use crate::error::Result;
use crate::log::platform as lines;
use crate::name::Id;
use crate::store::cron_jobs;
use crate::store::cron_runs::{self, CronRun, FIELDS, Status, Trigger};
use crate::time::Timestamp;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CronRunDyno")]
pub struct DynoView {
    name: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CronRunRelease")]
pub struct ReleaseView {
    version: i64,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CronRun")]
pub struct View {
    app: Named,
    command: String,
    created_at: Timestamp,
    cron_job: Ref,
    /// Null until it has begun.
    dyno: Option<DynoView>,
    ended_at: Option<Timestamp>,
    exit_code: Option<i64>,
    id: Id,
    /// Why it was skipped or failed.
    message: Option<String>,
    release: Option<ReleaseView>,
    /// The moment of the schedule, or when it was asked for.
    scheduled_at: Timestamp,
    started_at: Option<Timestamp>,
    status: Status,
    trigger: Trigger,
    updated_at: Timestamp,
}

pub(super) fn view(run: CronRun) -> View {
    View {
        app: Named {
            id: run.app_id,
            name: run.app_name,
        },
        command: run.command,
        created_at: run.created_at,
        cron_job: Ref {
            id: run.cron_job_id,
        },
        dyno: run.dyno_name.map(|name| DynoView { name }),
        ended_at: run.ended_at,
        exit_code: run.exit_code,
        id: run.id,
        message: run.message,
        release: run.release_version.map(|version| ReleaseView { version }),
        scheduled_at: run.scheduled_at,
        started_at: run.started_at,
        status: run.status,
        trigger: run.trigger,
        updated_at: run.updated_at,
    }
}

/// Of all jobs of the app, also of those that its newest release has no more.
pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            cron_runs::list(connection, caller.app_id(connection)?, page)
        })
        .await?;
    paged.reply(view)
}

pub async fn of_job(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            let id = caller.params.id("cron_job", "cron job")?;
            let job = cron_jobs::find(connection, caller.app_id(connection)?, id)?;
            cron_runs::list_of_job(connection, job.id, page)
        })
        .await?;
    paged.reply(view)
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let run = call.read(|connection, caller| {
        let id = caller.params.id("cron_run", "cron run")?;
        cron_runs::find(connection, caller.app_id(connection)?, id)
    })?;
    Reply::of(&view(run))
}

/// Runs a job once, now, whatever its schedule says, and also while it is suspended.
pub async fn create(call: Call) -> Result<Created<View>> {
    let run = call
        .write(|connection, caller| {
            let id = caller.params.id("cron_job", "cron job")?;
            let job = cron_jobs::find(connection, caller.app_id(connection)?, id)?;
            cron_runs::run_now(connection, &job, caller.now)
        })
        .await?;
    let (logs, user) = (&call.platform.logs, &call.caller.account.email);
    lines::cron_asked(logs, run.app_id, &run.command, user);
    Reply::of(&view(run))
}
