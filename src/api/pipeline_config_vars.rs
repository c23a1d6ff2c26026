//! The config vars of a pipeline's stage. They are secrets, so only the pipeline's owner sees them.

use std::collections::BTreeMap;

use super::call::Call;
use super::reply::Reply;
use crate::error::Result;
use crate::store::config_vars::ConfigVars;
use crate::store::pipeline_config_vars::{self, stage};

pub async fn info(call: Call) -> Result<Reply<ConfigVars>> {
    let vars = call.read(|connection, caller| {
        let pipeline = caller.owned_pipeline(connection)?;
        let stage = stage(caller.params.text("stage"))?;
        pipeline_config_vars::get(connection, pipeline.id, stage)
    })?;
    Reply::of(&vars)
}

pub async fn update(
    call: Call,
    changes: BTreeMap<String, Option<String>>,
) -> Result<Reply<ConfigVars>> {
    let vars = call
        .write(|connection, caller| {
            let pipeline = caller.owned_pipeline(connection)?;
            let stage = stage(caller.params.text("stage"))?;
            pipeline_config_vars::update(connection, pipeline.id, stage, changes)
        })
        .await?;
    Reply::of(&vars)
}
