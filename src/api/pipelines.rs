//! Pipelines.

use std::collections::BTreeMap;

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::params::{self, Parts, Whole};
use super::reply::{Created, Reply};
use crate::catalog::{self, Entry};
use crate::error::{Error, Result};
use crate::name::{Id, Identity, PipelineName};
use crate::store::accounts::Account;
use crate::store::couplings::Stage;
use crate::store::page::{Field, Kind};
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
    description: Option<String>,
    generation: Entry,
    id: Id,
    name: String,
    owner: Owner,
    updated_at: Timestamp,
}

fn view(pipeline: Pipeline) -> View {
    View {
        created_at: pipeline.created_at,
        description: pipeline.description,
        generation: catalog::GENERATION,
        id: pipeline.id,
        name: pipeline.name,
        owner: Owner::of(pipeline.owner),
        updated_at: pipeline.updated_at,
    }
}

/// The parameter of the query by which a list is narrowed down to those of a name.
pub const BY_NAME: &str = "eq[name]";

/// `?eq[name]=` is how the official CLI looks for a name.
pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let name = call.query(BY_NAME);
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

/// Of a pipeline, in bytes at most.
const DESCRIPTION: usize = 1_000;

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PipelineBody")]
pub struct Body {
    name: Option<String>,
    /// What it is for, in a thousand bytes at most. Null takes it away.
    #[serde(default, deserialize_with = "params::nullable")]
    description: Option<Option<String>>,
    owner: Option<OwnerParam>,
}

impl Parts for Body {
    const NEEDED: &'static [&'static str] = &["name"];
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

pub async fn create(call: Call, Whole(body): Whole<Body>) -> Result<Created<View>> {
    let name = PipelineName::parse(&params::required(body.name, "name")?)?;
    let description = params::text(body.description.flatten(), "description", DESCRIPTION)?;
    let pipeline = call
        .write(move |connection, caller| {
            let owner = first_owner(connection, &caller.account, body.owner.as_ref())?;
            pipelines::create(connection, &name, description.as_deref(), owner, caller.now)
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
    let description = body
        .description
        .map(|text| params::text(text, "description", DESCRIPTION))
        .transpose()?;
    let pipeline = call
        .write(move |connection, caller| {
            let pipeline = caller.owned_pipeline(connection)?;
            let name = name
                .as_ref()
                .map_or(pipeline.name.as_str(), PipelineName::as_str);
            let description = description.unwrap_or(pipeline.description);
            let described = description.as_deref();
            pipelines::update(connection, pipeline.id, name, described, caller.now)
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

/// A context may be there under several names.
const STATUS_FIELDS: &[Field] = &[
    Field::new("context", "context", Kind::SharedText),
    Field::new("name", "name", Kind::SharedText),
];

/// The status checks that were ever reported in the pipeline, to choose required ones from.
pub async fn statuses(call: Call) -> Result<Reply<Vec<Status>>> {
    let statuses = call.read(|connection, caller| {
        let pipeline = caller.pipeline(connection)?;
        release_statuses::of_pipeline(connection, &caller.account, pipeline.id)
    })?;
    let statuses: Vec<Status> = statuses
        .into_iter()
        .map(|(context, name)| Status { context, name })
        .collect();
    call.page_of(STATUS_FIELDS, statuses)
}
