//! What is built in: regions, stacks, dyno sizes and generations. The same for every account and every app.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::reply::Reply;
use crate::catalog::{self, DYNO_SIZES, DynoSize, Entry};
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::store::page::{Field, Kind};
use crate::time::Timestamp;

const FIELDS: &[Field] = &[
    Field::new("id", "id", Kind::Id),
    Field::new("name", "name", Kind::Text),
    Field::new("created_at", "created_at", Kind::Time),
];

/// Of sizes nobody says since when there are such.
const SIZE_FIELDS: &[Field] = &[FIELDS[0], FIELDS[1]];

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RegionProvider")]
pub struct Provider {
    name: &'static str,
    region: &'static str,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Region")]
pub struct Region {
    country: &'static str,
    created_at: Timestamp,
    description: &'static str,
    id: Id,
    locale: &'static str,
    name: &'static str,
    private_capable: bool,
    provider: Provider,
    updated_at: Timestamp,
}

pub(super) fn region() -> Region {
    Region {
        country: "This machine",
        created_at: catalog::SINCE,
        description: "This machine",
        id: catalog::REGION.id,
        locale: "This machine",
        name: catalog::REGION.name,
        private_capable: false,
        provider: Provider {
            name: "penstock",
            region: "us-east-1",
        },
        updated_at: catalog::SINCE,
    }
}

/// 404 on `resource` unless the path means this entry.
pub(super) fn meant(call: &Call, entry: Entry, resource: &'static str) -> Result<()> {
    let fits = match call.caller.params.identity(resource) {
        Identity::Id(id) => id == entry.id,
        Identity::Name(name) => name == entry.name,
    };
    if fits {
        Ok(())
    } else {
        Err(Error::not_found(resource))
    }
}

pub async fn regions(call: Call) -> Result<Reply<Vec<Region>>> {
    call.page_of(FIELDS, vec![region()])
}

pub async fn region_info(call: Call) -> Result<Reply<Region>> {
    meant(&call, catalog::REGION, "region")?;
    Reply::of(&region())
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Stack")]
pub struct Stack {
    created_at: Timestamp,
    default: bool,
    id: Id,
    name: &'static str,
    state: &'static str,
    updated_at: Timestamp,
}

fn stack() -> Stack {
    Stack {
        created_at: catalog::SINCE,
        default: true,
        id: catalog::STACK.id,
        name: catalog::STACK.name,
        state: "public",
        updated_at: catalog::SINCE,
    }
}

pub async fn stacks(call: Call) -> Result<Reply<Vec<Stack>>> {
    call.page_of(FIELDS, vec![stack()])
}

pub async fn stack_info(call: Call) -> Result<Reply<Stack>> {
    meant(&call, catalog::STACK, "stack")?;
    Reply::of(&stack())
}

pub async fn app_stacks(call: Call) -> Result<Reply<Vec<Stack>>> {
    call.read(|connection, caller| caller.app_id(connection))?;
    call.page_of(FIELDS, vec![stack()])
}

/// The stack of the apps in a pipeline, as the only one there is.
pub async fn pipeline_stack(call: Call) -> Result<Reply<StackRef>> {
    call.read(|connection, caller| caller.pipeline(connection))?;
    Reply::of(&StackRef {
        stack: catalog::STACK,
    })
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PipelineStack")]
pub struct StackRef {
    stack: Entry,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DynoSize")]
pub struct SizeView {
    architecture: &'static str,
    compute: i64,
    cost: Option<i64>,
    dedicated: bool,
    generation: Entry,
    id: Id,
    memory: f64,
    name: &'static str,
    precise_dyno_units: f64,
    private_space_only: bool,
}

fn size(size: &DynoSize) -> SizeView {
    SizeView {
        architecture: "amd64",
        compute: size.compute,
        cost: None,
        dedicated: false,
        generation: catalog::GENERATION,
        id: size.entry.id,
        memory: size.memory,
        name: size.entry.name,
        precise_dyno_units: 0.0,
        private_space_only: false,
    }
}

pub async fn dyno_sizes(call: Call) -> Result<Reply<Vec<SizeView>>> {
    call.page_of(SIZE_FIELDS, DYNO_SIZES.iter().map(size).collect())
}

pub async fn dyno_size_info(call: Call) -> Result<Reply<SizeView>> {
    let asked = call.caller.params.text("size");
    let found = catalog::dyno_size(asked).ok_or_else(|| Error::not_found("dyno size"))?;
    Reply::of(&size(found))
}

pub async fn app_dyno_sizes(call: Call) -> Result<Reply<Vec<SizeView>>> {
    call.read(|connection, caller| caller.app_id(connection))?;
    call.page_of(SIZE_FIELDS, DYNO_SIZES.iter().map(size).collect())
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Generation")]
pub struct Generation {
    created_at: Timestamp,
    id: Id,
    name: &'static str,
    updated_at: Timestamp,
}

fn generation() -> Generation {
    Generation {
        created_at: catalog::SINCE,
        id: catalog::GENERATION.id,
        name: catalog::GENERATION.name,
        updated_at: catalog::SINCE,
    }
}

pub async fn generations(call: Call) -> Result<Reply<Vec<Generation>>> {
    call.page_of(FIELDS, vec![generation()])
}

pub async fn team_generations(call: Call) -> Result<Reply<Vec<Generation>>> {
    call.read(|connection, caller| caller.team(connection))?;
    call.page_of(FIELDS, vec![generation()])
}

pub async fn generation_info(call: Call) -> Result<Reply<Generation>> {
    meant(&call, catalog::GENERATION, "generation")?;
    Reply::of(&generation())
}
