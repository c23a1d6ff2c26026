//! Pipelines.

use serde::{Deserialize, Serialize};

use super::call::Call;
use super::params;
use super::reply::Reply;
use crate::catalog::{self, Entry};
use crate::error::{Error, Result};
use crate::name::{Id, PipelineName};
use crate::store::pipelines::{self, FIELDS, Pipeline};
use crate::time::Timestamp;

#[derive(Serialize)]
struct Owner {
    id: Id,
    r#type: &'static str,
}

#[derive(Serialize)]
struct View<'a> {
    created_at: Timestamp,
    generation: Entry,
    id: Id,
    name: &'a str,
    owner: Owner,
    updated_at: Timestamp,
}

fn view(pipeline: &Pipeline) -> View<'_> {
    View {
        created_at: pipeline.created_at,
        generation: catalog::GENERATION,
        id: pipeline.id,
        name: &pipeline.name,
        owner: Owner {
            id: pipeline.owner_id,
            r#type: "user",
        },
        updated_at: pipeline.updated_at,
    }
}

/// `?eq[name]=` is how the official CLI looks for a name.
pub async fn list(call: Call) -> Result<Reply> {
    let name = call.query("eq[name]");
    let paged = call
        .page(FIELDS, move |connection, caller, page| {
            pipelines::list(connection, &caller.account, name.as_deref(), page)
        })
        .await?;
    Reply::page(&paged, &paged.views(view))
}

pub async fn info(call: Call) -> Result<Reply> {
    let found = call.read(|connection, caller| {
        pipelines::candidates(
            connection,
            &caller.account,
            &caller.params.identity("pipeline"),
        )
    })?;
    match found.as_slice() {
        [] => Err(Error::not_found("pipeline")),
        [pipeline] => Reply::ok(&view(pipeline)),
        several => Reply::choices(&several.iter().map(view).collect::<Vec<_>>()),
    }
}

#[derive(Deserialize)]
struct Body {
    name: Option<String>,
    owner: Option<OwnerParam>,
}

#[derive(Deserialize)]
struct OwnerParam {
    id: Option<Id>,
}

pub async fn create(call: Call) -> Result<Reply> {
    let body: Body = call.body()?;
    let name = PipelineName::parse(&params::required(body.name, "name")?)?;
    if body
        .owner
        .and_then(|owner| owner.id)
        .is_some_and(|owner| owner != call.caller.account.id)
    {
        return Err(Error::invalid(
            "A pipeline is owned by the account that creates it.",
        ));
    }
    let pipeline = call
        .write(move |connection, caller| {
            pipelines::create(connection, &name, &caller.account, caller.now)
        })
        .await?;
    Reply::created(&view(&pipeline))
}

pub async fn update(call: Call) -> Result<Reply> {
    let name = call
        .body::<Body>()?
        .name
        .as_deref()
        .map(PipelineName::parse)
        .transpose()?;
    let pipeline = call
        .write(move |connection, caller| {
            let pipeline = caller.owned_pipeline(connection)?;
            match &name {
                Some(name) => pipelines::rename(connection, pipeline.id, name, caller.now),
                None => Ok(pipeline),
            }
        })
        .await?;
    Reply::ok(&view(&pipeline))
}

pub async fn delete(call: Call) -> Result<Reply> {
    let pipeline = call
        .write(|connection, caller| {
            let pipeline = caller.owned_pipeline(connection)?;
            pipelines::delete(connection, pipeline.id)?;
            Ok(pipeline)
        })
        .await?;
    Reply::ok(&view(&pipeline))
}
