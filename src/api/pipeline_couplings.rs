//! Pipeline couplings: which app stands at which stage of which pipeline.

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::{Call, Caller};
use super::params::{self, Lenient, Reference};
use super::reply::{Created, Reply};
use super::view::Named;
use crate::error::{Error, ErrorId, Result};
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

/// An object, or what a provider gets.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PipelineCouplingOfApp")]
#[serde(untagged)]
pub enum OfApp {
    One(View),
    Listed(Vec<View>),
}

/// An object, since an app is in one pipeline at most. Providers know it as a list, which is empty for an app in none.
pub async fn of_app(call: Call) -> Result<Reply<OfApp>> {
    if let Some(addon) = call.caller.addon {
        let app = call.caller.params.id("app", "app")?;
        let coupling = call.read(|connection, _| couplings::of_addon(connection, addon, app))?;
        return Reply::of(&OfApp::Listed(coupling.into_iter().map(view).collect()));
    }
    let coupling =
        call.read(|connection, caller| needed(connection, caller.app_id(connection)?))?;
    Reply::of(&OfApp::One(view(coupling)))
}

/// Where an app stands, for what can only be done with one of a pipeline. 404 with the remedy for any other.
pub(super) fn needed(connection: &Connection, app: Id) -> Result<Coupling> {
    couplings::of_app(connection, app).map_err(|error| match error.id {
        ErrorId::NotFound => Error {
            message: "This app is in no pipeline. Put it into one: heroku pipelines:add PIPELINE --app APP --stage STAGE".into(),
            ..error
        },
        _ => error,
    })
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
    #[schemars(required)]
    app: Option<Lenient<Reference>>,
    #[schemars(required)]
    pipeline: Option<Lenient<Reference>>,
    #[schemars(required)]
    stage: Option<Lenient<String>>,
    required_status_checks: Option<Lenient<Checks>>,
}

/// Akkeris' checks, of which one list says all.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PipelineCouplingChecksParam")]
pub struct Checks {
    contexts: Option<Lenient<Vec<String>>>,
}

/// The checks of a change, which has to name them.
fn changed(checks: Option<Lenient<Checks>>) -> Result<Vec<String>> {
    let refusal = || {
        Error::bad_request(
            "The required_status_checks.contexts array was missing or contained invalid values.",
        )
    };
    let contexts = checks.ok_or_else(refusal)?.or(refusal)?.contexts;
    contexts.ok_or_else(refusal)?.or(refusal)
}

/// The checks of a new coupling, which may have none.
fn first(checks: Option<Lenient<Checks>>) -> Result<Vec<String>> {
    let refusal = || Error::invalid("The required status checks must be an array of strings!");
    let Some(checks) = checks else {
        return Ok(Vec::new());
    };
    match checks.or(refusal)?.contexts {
        Some(contexts) => contexts.or(refusal),
        None => Ok(Vec::new()),
    }
}

fn stage(stage: Lenient<String>) -> Result<Stage> {
    let refusal = || {
        Error::invalid(
            "The stage property can only be one of \"review\", \"development\", \"staging\", or \"production\"",
        )
    };
    Stage::parse(&stage.or(refusal)?).ok_or_else(refusal)
}

/// What a new coupling is to be, less its app, which Akkeris looks for before anything else.
struct Wanted {
    pipeline: Identity,
    stage: Stage,
    checks: Vec<String>,
}

impl Wanted {
    fn of(
        pipeline: Option<Lenient<Reference>>,
        stage: Option<Lenient<String>>,
        checks: Option<Lenient<Checks>>,
    ) -> Result<Wanted> {
        let pipeline = pipeline.ok_or_else(|| Error::invalid("No pipeline was provided."))?;
        let Reference(pipeline) =
            pipeline.or(|| Error::invalid("The specified pipeline was not a uuid"))?;
        let stage = stage.ok_or_else(|| Error::invalid("No stage was provided."))?;
        Ok(Wanted {
            pipeline,
            stage: self::stage(stage)?,
            checks: first(checks)?,
        })
    }
}

pub async fn create(call: Call, new: NewCoupling) -> Result<Created<View>> {
    let app = new
        .app
        .ok_or_else(|| Error::invalid("No application was provided."))?;
    let Reference(app) = app.or(|| Error::invalid("No application name was provided."))?;
    let wanted = Wanted::of(new.pipeline, new.stage, new.required_status_checks);
    let coupling = call
        .write(move |connection, caller| {
            let app = apps::find(connection, &caller.account, &app, Permission::Manage)
                .map_err(|error| missing_app(error, &app))?;
            let Wanted {
                pipeline,
                stage,
                checks,
            } = wanted?;
            let pipeline = pipelines::owned(connection, &caller.account, &pipeline)?;
            couplings::create(connection, app.id, pipeline.id, stage, &checks, caller.now)
        })
        .await?;
    Reply::of(&view(coupling))
}

fn missing_app(error: Error, app: &Identity) -> Error {
    match error.resource {
        Some(_) => Error {
            message: format!("The specified application {} does not exist.", app.shown()).into(),
            ..error
        },
        None => error,
    }
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PipelineCouplingChange")]
pub struct Change {
    stage: Option<Lenient<String>>,
    /// Replaces the whole list, which has to be named.
    #[serde(default, deserialize_with = "params::nullable")]
    required_status_checks: Option<Option<Lenient<Checks>>>,
}

pub async fn update(call: Call, change: Change) -> Result<Reply<View>> {
    let stage = change.stage.map(stage).transpose()?;
    let checks = change.required_status_checks.map(changed).transpose()?;
    let coupling = call
        .write(move |connection, caller| {
            // Whoever deploys an app may ask for more checks of it.
            let before = changeable(connection, caller, stage.is_none())?;
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
            let coupling = changeable(connection, caller, false)?;
            if !coupling.required_status_checks.is_empty() {
                elevated(
                    connection,
                    caller,
                    &coupling,
                    "Only users with elevated access may removed an app from a pipeline.",
                )?;
            }
            couplings::delete(connection, &coupling, caller.now)?;
            Ok(coupling)
        })
        .await?;
    Reply::of(&view(coupling))
}

/// The coupling, for whoever manages its app, or only deploys it where that will do, and for the owner of its pipeline.
fn changeable(connection: &Connection, caller: &Caller, deploying: bool) -> Result<Coupling> {
    let coupling = find(connection, caller)?;
    let pipeline = pipelines::find(
        connection,
        &caller.account,
        &Identity::Id(coupling.pipeline_id),
    )?;
    if !pipelines::may_change(connection, &caller.account, &pipeline)? {
        let permit =
            |permission| access::require(connection, &caller.account, coupling.app_id, permission);
        match permit(Permission::Manage) {
            Err(_) if deploying => permit(Permission::Deploy)?,
            permitted => permitted?,
        }
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
