//! Pipeline transfers: a pipeline given to another owner, with the apps in it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::params::{self, Reference};
use super::pipelines::{Owner as OwnerView, OwnerParam};
use super::reply::Created;
use super::view::Ref;
use crate::error::{Error, Result};
use crate::store::{ownership, pipelines};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PipelineTransfer")]
pub struct View {
    new_owner: OwnerView,
    pipeline: Ref,
    previous_owner: OwnerView,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PipelineTransferBody")]
pub struct Body {
    #[schemars(required)]
    pipeline: Option<Reference>,
    #[schemars(required)]
    new_owner: Option<OwnerParam>,
}

pub async fn create(call: Call, body: Body) -> Result<Created<View>> {
    let Reference(pipeline) = params::required(body.pipeline, "pipeline")?;
    let owner = params::required(body.new_owner, "new_owner")?;
    let view = call
        .write(move |connection, caller| {
            let by = &caller.account;
            let before = pipelines::owned(connection, by, &pipeline)?;
            let to = owner
                .named(connection, by)?
                .ok_or_else(|| Error::invalid("The parameter new_owner.id is missing."))?;
            ownership::give_pipeline(connection, &before, to, by, caller.now)?;
            Ok(View {
                new_owner: OwnerView::of(to),
                pipeline: Ref { id: before.id },
                previous_owner: OwnerView::of(before.owner),
            })
        })
        .await?;
    Created::of(&view)
}
