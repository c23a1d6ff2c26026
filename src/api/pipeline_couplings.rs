//! Pipeline couplings: which app stands at which stage of which pipeline.

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::call::{Call, Caller};
use super::params::Reference;
use super::reply::{Created, Reply};
use super::view::Named;
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::store::access::{self, Permission};
use crate::store::couplings::{self, Coupling, FIELDS, Stage};
use crate::store::{apps, pipelines};
use crate::time::Timestamp;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PipelineCouplingChecks")]
pub struct ChecksView {
    contexts: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PipelineCoupling")]
pub struct View {
    app: Named,
    created_at: Timestamp,
    id: Id,
    pipeline: Named,
    required_status_checks: ChecksView,
    stage: Stage,
    updated_at: Timestamp,
}

fn view(coupling: Coupling) -> View {
    View {
        app: Named {
            id: coupling.app_id,
            name: coupling.app_name,
        },
        created_at: coupling.created_at,
        id: coupling.id,
        pipeline: Named {
            id: coupling.pipeline_id,
            name: coupling.pipeline_name,
        },
        required_status_checks: ChecksView {
            contexts: coupling.required_status_checks,
        },
        stage: coupling.stage,
        updated_at: coupling.updated_at,
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            couplings::list(connection, &caller.account, None, page)
        })
        .await?;
    paged.reply(view)
}

pub async fn of_pipeline(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            let pipeline = caller.pipeline(connection)?;
            couplings::list(connection, &caller.account, Some(pipeline.id), page)
        })
        .await?;
    paged.reply(view)
}

/// Those of the team's apps, wherever they are coupled.
pub async fn of_team(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            let team = caller.team(connection)?;
            couplings::list_of_team(connection, &caller.account, team.id, page)
        })
        .await?;
    paged.reply(view)
}

/// An object, since an app is in one pipeline at most. Providers know it as a list, which is empty for an app in none.
pub async fn of_app(call: Call) -> Result<Reply<View>> {
    if let Some(addon) = call.caller.addon {
        let app = call.caller.params.id("app", "app")?;
        let coupling = call.read(|connection, _| couplings::of_addon(connection, addon, app))?;
        return Reply::listed(&coupling.into_iter().map(view).collect::<Vec<_>>());
    }
    let coupling =
        call.read(|connection, caller| couplings::of_app(connection, caller.app_id(connection)?))?;
    Reply::of(&view(coupling))
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let coupling = call.read(find)?;
    Reply::of(&view(coupling))
}

fn find(connection: &Connection, caller: &Caller) -> Result<Coupling> {
    couplings::find(
        connection,
        &caller.account,
        caller.params.id("coupling", "pipeline coupling")?,
    )
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PipelineCouplingNewCoupling")]
pub struct NewCoupling {
    app: Option<Reference>,
    pipeline: Option<Reference>,
    stage: Option<String>,
    required_status_checks: Option<Checks>,
}

/// Akkeris' checks, of which one list says all.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PipelineCouplingChecks")]
pub struct Checks {
    #[schemars(with = "Option<Vec<String>>")]
    contexts: Option<Contexts>,
}

/// What is no list of strings is refused in Akkeris' words.
#[derive(Deserialize)]
#[serde(untagged)]
enum Contexts {
    List(Vec<String>),
    Other(IgnoredAny),
}

impl Checks {
    /// For a change, which has to name them.
    fn given(self) -> Result<Vec<String>> {
        match self.contexts {
            Some(Contexts::List(contexts)) => Ok(contexts),
            Some(Contexts::Other(_)) | None => Err(Error::bad_request(
                "The required_status_checks.contexts array was missing or contained invalid values.",
            )),
        }
    }

    /// For a new coupling, which may have none.
    fn or_none(self) -> Result<Vec<String>> {
        match self.contexts {
            Some(Contexts::List(contexts)) => Ok(contexts),
            None => Ok(Vec::new()),
            Some(Contexts::Other(_)) => Err(Error::invalid(
                "The required status checks must be an array of strings!",
            )),
        }
    }
}

fn stage(text: &str) -> Result<Stage> {
    Stage::parse(text).ok_or_else(|| {
        Error::invalid("The stage property can only be one of \"review\", \"development\", \"staging\", or \"production\"")
    })
}

pub async fn create(call: Call, new: NewCoupling) -> Result<Created<View>> {
    let missing = |words: &'static str| move || Error::invalid(words);
    let Reference(app) = new
        .app
        .ok_or_else(missing("No application was provided."))?;
    let pipeline = new
        .pipeline
        .ok_or_else(missing("No pipeline was provided."))?;
    let Reference(pipeline) = pipeline;
    let stage = stage(&new.stage.ok_or_else(missing("No stage was provided."))?)?;
    let checks = match new.required_status_checks {
        Some(checks) => checks.or_none()?,
        None => Vec::new(),
    };
    let coupling = call
        .write(move |connection, caller| {
            let app = apps::find(connection, &caller.account, &app, Permission::Manage)?;
            let pipeline = pipelines::owned(connection, &caller.account, &pipeline)?;
            couplings::create(connection, app.id, pipeline.id, stage, &checks, caller.now)
        })
        .await?;
    Reply::of(&view(coupling))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PipelineCouplingChange")]
pub struct Change {
    stage: Option<String>,
    required_status_checks: Option<Checks>,
}

pub async fn update(call: Call, change: Change) -> Result<Reply<View>> {
    let stage = change.stage.as_deref().map(stage).transpose()?;
    let checks = change
        .required_status_checks
        .map(Checks::given)
        .transpose()?;
    let coupling = call
        .write(move |connection, caller| {
            let before = changeable(connection, caller)?;
            let removes = |contexts: &Vec<String>| {
                before
                    .required_status_checks
                    .iter()
                    .any(|context| !contexts.contains(context))
            };
            if checks.as_ref().is_some_and(removes) {
                elevated(
                    connection,
                    caller,
                    &before,
                    "Only elevated access users may remove pipeline required status check.",
                )?;
            }
            couplings::update(connection, &before, stage, checks.as_deref(), caller.now)
        })
        .await?;
    Reply::of(&view(coupling))
}

pub async fn delete(call: Call) -> Result<Reply<View>> {
    let coupling = call
        .write(|connection, caller| {
            let coupling = changeable(connection, caller)?;
            if !coupling.required_status_checks.is_empty() {
                elevated(
                    connection,
                    caller,
                    &coupling,
                    "Only users with elevated access may removed an app from a pipeline.",
                )?;
            }
            couplings::delete(connection, coupling.id)?;
            Ok(coupling)
        })
        .await?;
    Reply::of(&view(coupling))
}

/// The coupling, for whoever manages its app and for the owner of its pipeline.
fn changeable(connection: &Connection, caller: &Caller) -> Result<Coupling> {
    let coupling = find(connection, caller)?;
    let pipeline = pipelines::find(
        connection,
        &caller.account,
        &Identity::Id(coupling.pipeline_id),
    )?;
    if !pipelines::may_change(connection, &caller.account, &pipeline)? {
        access::require(
            connection,
            &caller.account,
            coupling.app_id,
            Permission::Manage,
        )?;
    }
    Ok(coupling)
}

/// Akkeris' elevated access: here the pipeline's owner, or an admin.
fn elevated(
    connection: &Connection,
    caller: &Caller,
    coupling: &Coupling,
    refusal: &'static str,
) -> Result<()> {
    let pipeline = Identity::Id(coupling.pipeline_id);
    pipelines::owned(connection, &caller.account, &pipeline)
        .map(drop)
        .map_err(|_| Error::forbidden(refusal))
}
