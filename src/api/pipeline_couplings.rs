//! Pipeline couplings: which app stands at which stage of which pipeline.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::call::{Call, Caller};
use super::params::{self, Reference};
use super::reply::Reply;
use super::view::Named;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::store::couplings::{self, Coupling, FIELDS, Stage};
use crate::store::{apps, pipelines};
use crate::time::Timestamp;

#[derive(Serialize)]
struct View<'a> {
    app: Named<'a>,
    created_at: Timestamp,
    id: Id,
    pipeline: Named<'a>,
    stage: &'static str,
    updated_at: Timestamp,
}

fn view(coupling: &Coupling) -> View<'_> {
    View {
        app: Named {
            id: coupling.app_id,
            name: &coupling.app_name,
        },
        created_at: coupling.created_at,
        id: coupling.id,
        pipeline: Named {
            id: coupling.pipeline_id,
            name: &coupling.pipeline_name,
        },
        stage: coupling.stage.as_str(),
        updated_at: coupling.updated_at,
    }
}

pub async fn list(call: Call) -> Result<Reply> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            couplings::list(connection, &caller.account, None, page)
        })
        .await?;
    Reply::page(&paged, &paged.views(view))
}

pub async fn of_pipeline(call: Call) -> Result<Reply> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            let pipeline = caller.pipeline(connection)?;
            couplings::list(connection, &caller.account, Some(pipeline.id), page)
        })
        .await?;
    Reply::page(&paged, &paged.views(view))
}

/// An object, since an app is in one pipeline at most.
pub async fn of_app(call: Call) -> Result<Reply> {
    let coupling =
        call.read(|connection, caller| couplings::of_app(connection, caller.app_id(connection)?))?;
    Reply::ok(&view(&coupling))
}

pub async fn info(call: Call) -> Result<Reply> {
    let coupling = call.read(find)?;
    Reply::ok(&view(&coupling))
}

fn find(connection: &Connection, caller: &Caller) -> Result<Coupling> {
    couplings::find(
        connection,
        &caller.account,
        caller.params.id("coupling", "pipeline coupling")?,
    )
}

#[derive(Deserialize)]
struct NewCoupling {
    app: Option<Reference>,
    pipeline: Option<Reference>,
    stage: Option<String>,
}

fn stage(text: &str) -> Result<Stage> {
    Stage::parse(text).ok_or_else(|| {
        Error::invalid("The stage property can only be one of \"review\", \"development\", \"staging\", or \"production\"")
    })
}

pub async fn create(call: Call) -> Result<Reply> {
    let new: NewCoupling = call.body()?;
    let Reference(app) = params::required(new.app, "app")?;
    let Reference(pipeline) = params::required(new.pipeline, "pipeline")?;
    let stage = stage(&params::required(new.stage, "stage")?)?;
    let coupling = call
        .write(move |connection, caller| {
            let app = apps::find(connection, &caller.account, &app)?;
            let pipeline = pipelines::owned(connection, &caller.account, &pipeline)?;
            couplings::create(connection, app.id, pipeline.id, stage, caller.now)
        })
        .await?;
    Reply::created(&view(&coupling))
}

#[derive(Deserialize)]
struct Change {
    stage: Option<String>,
}

pub async fn update(call: Call) -> Result<Reply> {
    let stage = call
        .body::<Change>()?
        .stage
        .as_deref()
        .map(stage)
        .transpose()?;
    let coupling = call
        .write(move |connection, caller| {
            let coupling = find(connection, caller)?;
            match stage {
                Some(stage) => couplings::set_stage(connection, coupling.id, stage, caller.now),
                None => Ok(coupling),
            }
        })
        .await?;
    Reply::ok(&view(&coupling))
}

pub async fn delete(call: Call) -> Result<Reply> {
    let coupling = call
        .write(|connection, caller| {
            let coupling = find(connection, caller)?;
            couplings::delete(connection, coupling.id)?;
            Ok(coupling)
        })
        .await?;
    Reply::ok(&view(&coupling))
}
