//! Pipelines.

use std::collections::BTreeMap;

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::params;
use super::reply::{Created, Reply};
use crate::catalog::{self, Entry};
use crate::error::{Error, Result};
use crate::name::{Id, Identity, PipelineName};
use crate::store::accounts::Account;
use crate::store::couplings::Stage;
use crate::store::pipelines::{self, FIELDS, Pipeline};
use crate::store::{gates, ownership, release_statuses, teams};
use crate::time::Timestamp;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PipelineOwner")]
pub struct Owner {
    id: Id,
    r#type: &'static str,
}

impl Owner {
    pub(super) fn of(owner: ownership::Owner) -> Owner {
        Owner {
            id: owner.id(),
            r#type: owner.kind(),
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Pipeline")]
pub struct View {
    created_at: Timestamp,
    generation: Entry,
    id: Id,
    name: String,
    owner: Owner,
    updated_at: Timestamp,
}

fn view(pipeline: Pipeline) -> View {
    View {
        created_at: pipeline.created_at,
        generation: catalog::GENERATION,
        id: pipeline.id,
        name: pipeline.name,
        owner: Owner::of(pipeline.owner),
        updated_at: pipeline.updated_at,
    }
}

/// `?eq[name]=` is how the official CLI looks for a name.
pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let name = call.query("eq[name]");
    let paged = call
        .page(FIELDS, move |connection, caller, page| {
            pipelines::list(connection, &caller.account, name.as_deref(), page)
        })
        .await?;
    paged.reply(view)
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let found = call.read(|connection, caller| {
        if let Some(addon) = caller.addon {
            let id = caller.params.id("pipeline", "pipeline")?;
            return Ok(vec![pipelines::of_addon(connection, addon, id)?]);
        }
        pipelines::candidates(
            connection,
            &caller.account,
            &caller.params.identity("pipeline"),
        )
    })?;
    let found: Vec<View> = found.into_iter().map(view).collect();
    match found.as_slice() {
        [] => Err(Error::not_found("pipeline")),
        [pipeline] => Reply::of(pipeline),
        several => Reply::choices(several),
    }
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PipelineBody")]
pub struct Body {
    name: Option<String>,
    owner: Option<OwnerParam>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PipelineOwnerParam")]
pub struct OwnerParam {
    id: Option<Id>,
    r#type: Option<String>,
}

impl OwnerParam {
    /// The owner that is named; of teams, only one that the caller is in.
    pub(super) fn named(
        &self,
        connection: &Connection,
        caller: &Account,
    ) -> Result<Option<ownership::Owner>> {
        let Some(id) = self.id else {
            return Ok(None);
        };
        let owner = match self.r#type.as_deref() {
            None | Some("user") => ownership::Owner::Account(id),
            Some("team") => {
                ownership::Owner::Team(teams::find(connection, caller, &Identity::Id(id))?.id)
            }
            Some(_) => return Err(Error::invalid("The type of an owner is user or team.")),
        };
        Ok(Some(owner))
    }
}

pub async fn create(call: Call, body: Body) -> Result<Created<View>> {
    let name = PipelineName::parse(&params::required(body.name, "name")?)?;
    let pipeline = call
        .write(move |connection, caller| {
            let owner = first_owner(connection, &caller.account, body.owner.as_ref())?;
            pipelines::create(connection, &name, owner, caller.now)
        })
        .await?;
    Reply::of(&view(pipeline))
}

/// The caller, or a team that he is a member of.
fn first_owner(
    connection: &Connection,
    caller: &Account,
    asked: Option<&OwnerParam>,
) -> Result<ownership::Owner> {
    let own = ownership::Owner::Account(caller.id);
    let named = asked.map(|owner| owner.named(connection, caller));
    match named.transpose()?.flatten() {
        None => Ok(own),
        Some(ownership::Owner::Team(team)) => {
            teams::find(connection, caller, &Identity::Id(team))?.for_members()?;
            Ok(ownership::Owner::Team(team))
        }
        Some(owner) if owner == own => Ok(own),
        Some(_) => Err(Error::invalid(
            "A pipeline is owned by the account that creates it, or by a team of its.",
        )),
    }
}

pub async fn update(call: Call, body: Body) -> Result<Reply<View>> {
    let name = body.name.as_deref().map(PipelineName::parse).transpose()?;
    let pipeline = call
        .write(move |connection, caller| {
            let pipeline = caller.owned_pipeline(connection)?;
            match &name {
                Some(name) => pipelines::rename(connection, pipeline.id, name, caller.now),
                None => Ok(pipeline),
            }
        })
        .await?;
    Reply::of(&view(pipeline))
}

pub async fn delete(call: Call) -> Result<Reply<View>> {
    let pipeline = call
        .write(|connection, caller| {
            let pipeline = caller.owned_pipeline(connection)?;
            pipelines::delete(connection, pipeline.id)?;
            Ok(pipeline)
        })
        .await?;
    Reply::of(&view(pipeline))
}

/// Each stage and the one after it, as a graph.
pub async fn stages(_: Call) -> Result<Reply<BTreeMap<&'static str, Option<Stage>>>> {
    let stages = [
        Stage::Review,
        Stage::Development,
        Stage::Staging,
        Stage::Production,
    ];
    let graph: BTreeMap<_, _> = stages
        .into_iter()
        .map(|stage| (stage.as_str(), gates::next(stage)))
        .collect();
    Reply::of(&graph)
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PipelineStatus")]
pub struct Status {
    context: String,
    name: String,
}

/// The status checks that were ever reported in the pipeline, to choose required ones from.
pub async fn statuses(call: Call) -> Result<Reply<Vec<Status>>> {
    let statuses = call.read(|connection, caller| {
        let pipeline = caller.pipeline(connection)?;
        release_statuses::of_pipeline(connection, pipeline.id)
    })?;
    let statuses: Vec<Status> = statuses
        .into_iter()
        .map(|(context, name)| Status { context, name })
        .collect();
    Reply::of(&statuses)
}
