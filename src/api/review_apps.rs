//! Review apps: an app for one branch, made by an app setup, at the stage review of its pipeline.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::app_setups;
use super::branches;
use super::builds::{SourceBlobParam, checked_source};
use super::call::{Call, Caller};
use super::params;
use super::reply::{Created, Reply};
use super::view::{Ref, User};
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::store::pipelines::{self, Pipeline};
use crate::store::review_apps::{self, FIELDS, NewReviewApp, ReviewApp, Status};
use crate::time::Timestamp;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReviewAppForkRepo")]
pub struct ForkRepo {
    id: Option<i64>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReviewApp")]
pub struct View {
    app: Option<Ref>,
    app_setup: Option<Ref>,
    branch: String,
    created_at: Timestamp,
    creator: User,
    error_status: Option<&'static str>,
    /// Branches are named by their source here, not by a repository.
    fork_repo: Option<ForkRepo>,
    id: Id,
    message: Option<String>,
    pipeline: Ref,
    pr_number: Option<i64>,
    status: Status,
    updated_at: Timestamp,
    wait_for_ci: bool,
}

fn view(review: ReviewApp) -> View {
    View {
        app: Ref::to(review.app_id),
        app_setup: Ref::to(Some(review.app_setup_id)),
        branch: review.branch,
        created_at: review.created_at,
        creator: User {
            email: review.creator_email,
            id: review.creator_id,
        },
        error_status: (review.status == Status::Errored).then_some("setup_failed"),
        fork_repo: None,
        id: review.id,
        message: review.failure_message,
        pipeline: Ref {
            id: review.pipeline_id,
        },
        pr_number: review.pr_number,
        status: review.status,
        updated_at: review.updated_at,
        wait_for_ci: false,
    }
}

/// The review app in the path, with its pipeline, for whoever may see both.
fn find(connection: &rusqlite::Connection, caller: &Caller) -> Result<(ReviewApp, Pipeline)> {
    let missing = || Error::not_found("review app");
    let id = caller.params.id("review_app", "review app")?;
    let pipeline = review_apps::pipeline_of(connection, id)?.ok_or_else(missing)?;
    let pipeline = pipelines::find(connection, &caller.account, &Identity::Id(pipeline))
        .map_err(|_| missing())?;
    let found = review_apps::find(connection, &caller.account, id)?;
    Ok((found, pipeline))
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            let pipeline = caller.pipeline(connection)?.id;
            review_apps::list(connection, &caller.account, pipeline, page)
        })
        .await?;
    paged.reply(view)
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let (review, _) = call.read(find)?;
    Reply::of(&view(review))
}

pub async fn of_app(call: Call) -> Result<Reply<View>> {
    let review = call.read(|connection, caller| {
        let app = caller.app_id(connection);
        let app = app.map_err(|error| app_setups::missing(connection, caller, error))?;
        review_apps::of_app(connection, app)
    })?;
    Reply::of(&view(review))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ReviewAppBody")]
pub struct Body {
    #[schemars(required)]
    branch: Option<String>,
    #[schemars(required)]
    pipeline: Option<Id>,
    #[schemars(required)]
    source_blob: Option<SourceBlobParam>,
    pr_number: Option<i64>,
    environment: Option<BTreeMap<String, String>>,
}

pub async fn create(call: Call, body: Body) -> Result<Created<View>> {
    let id = params::required(body.pipeline, "pipeline")?;
    let pipeline = Identity::Id(id);
    call.read(|connection, caller| pipelines::owned(connection, &caller.account, &pipeline))?;
    let branch = params::text(body.branch, "branch", 1_000)?;
    let branch = params::required(branch.filter(|branch| !branch.is_empty()), "branch")?;
    if body.pr_number.is_some_and(|number| number < 1) {
        return Err(Error::invalid("The parameter pr_number must be 1 or more."));
    }
    let blob = params::required(body.source_blob, "source_blob")?;
    let source = match blob.is(branches::RESOLVE) {
        true => branches::source(&call, id, &branch).await?,
        false => checked_source(&call, blob, true).await?,
    };
    let new = NewReviewApp {
        branch,
        pr_number: body.pr_number,
        env: body.environment.unwrap_or_default(),
        source,
    };
    let (review, app) = call
        .write(move |connection, caller| {
            let pipeline = pipelines::owned(connection, &caller.account, &pipeline)?;
            review_apps::create(connection, &caller.account, &pipeline, &new, caller.now)
        })
        .await?;
    super::apps::announce(&call, app.id);
    Reply::of(&view(review))
}

/// Deletes the app at once; the record says so.
pub async fn delete(call: Call) -> Result<Reply<View>> {
    let (before, review) = call
        .write(|connection, caller| {
            let (before, pipeline) = find(connection, caller)?;
            pipelines::owned(connection, &caller.account, &Identity::Id(pipeline.id))?;
            let after = review_apps::delete(connection, before.id, caller.now)?;
            Ok((before, after))
        })
        .await?;
    // Should this fail, the next sweep does it.
    if let Some(app) = before.app_id
        && let Err(error) = call.platform.logs.remove(app)
    {
        tracing::warn!(%error, %app, "a deleted app's log was left for the sweep");
    }
    Reply::of(&view(review))
}
