//! Cron jobs: what the app.json of an app's slug asks to be run at which times. Seen here, and changed by the next release.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::cron_runs;
use super::reply::Reply;
use super::view::Named;
use crate::error::Result;
use crate::name::Id;
use crate::store::cron_jobs::{self, ConcurrencyPolicy, CronJob, FIELDS};
use crate::store::cron_runs::{self as runs, CronRun};
use crate::time::Timestamp;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CronJob")]
pub struct View {
    app: Named,
    command: String,
    concurrency_policy: ConcurrencyPolicy,
    created_at: Timestamp,
    id: Id,
    /// The newest one.
    last_run: Option<cron_runs::View>,
    /// Null while it is suspended.
    next_run_at: Option<Timestamp>,
    schedule: String,
    suspended: bool,
    updated_at: Timestamp,
}

fn view((job, last): (CronJob, Option<CronRun>)) -> View {
    View {
        app: Named {
            id: job.app_id,
            name: job.app_name,
        },
        command: job.command,
        concurrency_policy: job.concurrency_policy,
        created_at: job.created_at,
        id: job.id,
        last_run: last.map(cron_runs::view),
        next_run_at: job.next_run_at,
        schedule: job.schedule,
        suspended: job.suspended,
        updated_at: job.updated_at,
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            let jobs = cron_jobs::list(connection, caller.app_id(connection)?, page)?;
            jobs.try_map(|job| {
                let last = runs::latest(connection, job.id)?;
                Ok((job, last))
            })
        })
        .await?;
    paged.reply(view)
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let found = call.read(|connection, caller| {
        let id = caller.params.id("cron_job", "cron job")?;
        let job = cron_jobs::find(connection, caller.app_id(connection)?, id)?;
        let last = runs::latest(connection, job.id)?;
        Ok((job, last))
    })?;
    Reply::of(&view(found))
}
