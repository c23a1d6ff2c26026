//! The config vars of a pipeline's stage: what the apps that are made for it begin with. They are sealed, as those of apps are.
//!
//! Only review and test apps are made for a pipeline, so only these stages have any.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::config_vars::{self, ConfigVars};
use super::couplings::Stage;
use super::row::optional;
use crate::error::{Error, Result};
use crate::name::Id;

/// The stage by its name. 422 for one whose apps are not made for the pipeline.
pub fn stage(text: &str) -> Result<Stage> {
    match Stage::parse(text) {
        Some(stage @ (Stage::Review | Stage::Test)) => Ok(stage),
        Some(_) => Err(Error::invalid(
            "Only the stages review and test have config vars of their own: set those of other stages on their apps.",
        )),
        None => Err(Error::not_found("stage")),
    }
}

pub fn get(connection: &Connection, pipeline: Id, stage: Stage) -> Result<ConfigVars> {
    let mut statement = connection.prepare_cached(
        "SELECT unseal(id, vars) FROM pipeline_config WHERE pipeline_id = ?1 AND stage = ?2",
    )?;
    let json: Option<String> =
        optional(statement.query_row(params![pipeline, stage], |row| row.get(0)))?;
    json.map_or_else(
        || Ok(ConfigVars::new()),
        |json| serde_json::from_str(&json).map_err(Error::internal),
    )
}

/// Sets some vars and deletes others (`None`). 422 as for an app's own.
pub fn update(
    connection: &Connection,
    pipeline: Id,
    stage: Stage,
    changes: BTreeMap<String, Option<String>>,
) -> Result<ConfigVars> {
    let mut vars = get(connection, pipeline, stage)?;
    let (set, removed) = config_vars::apply(&mut vars, changes)?;
    if set.is_empty() && removed.is_empty() {
        return Ok(vars);
    }
    let json = serde_json::to_string(&vars).map_err(Error::internal)?;
    connection
        .prepare_cached("DELETE FROM pipeline_config WHERE pipeline_id = ?1 AND stage = ?2")?
        .execute(params![pipeline, stage])?;
    connection
        .prepare_cached(
            "INSERT INTO pipeline_config (id, pipeline_id, stage, vars) VALUES (?1, ?2, ?3, seal(?1, ?4))",
        )?
        .execute(params![Id::new(), pipeline, stage, json])?;
    Ok(vars)
}
