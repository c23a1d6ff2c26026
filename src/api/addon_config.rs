//! What an add-on sets, under the names of its service's manifest. Its provider changes it, and nobody else.

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::addon_actions::of_provider;
use super::addons::find;
use super::call::Call;
use super::params;
use super::reply::Reply;
use crate::error::{Error, Result};
use crate::log::platform as lines;
use crate::partner;
use crate::store::access::Permission;
use crate::store::addon_tasks;
use crate::store::addons::{self, AddOn};
use crate::store::config_vars::ConfigVars;
use crate::store::page::{Field, Kind};
use crate::store::releases::Release;
use crate::time::Timestamp;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AddOnConfig")]
pub struct View {
    name: String,
    value: Option<String>,
}

fn views(config: ConfigVars) -> Vec<View> {
    let view = |(name, value)| View {
        name,
        value: Some(value),
    };
    config.into_iter().map(view).collect()
}

/// For its provider, and for whoever operates its app and so reads the same in the app's config vars.
pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let addon = call.read(|connection, caller| find(connection, caller, Permission::Operate))?;
    call.page_of(FIELDS, views(addon.config))
}

const FIELDS: &[Field] = &[Field::new("name", "name", Kind::Text)];

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AddOnConfigChange")]
pub struct Change {
    #[schemars(required)]
    config: Option<Vec<Var>>,
}

/// Null takes a var away.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AddOnConfigVar")]
pub struct Var {
    name: String,
    value: Option<String>,
}

pub async fn update(call: Call, change: Change) -> Result<Reply<Vec<View>>> {
    let vars = params::required(change.config, "config")?;
    let (addon, releases) = call
        .write(move |connection, caller| {
            let addon = of_provider(connection, caller)?;
            let releases = configure(connection, &addon, vars, caller.now)?;
            let addon = addons::by_id(connection, addon.id)?;
            Ok((addon.ok_or_else(addons::missing)?, releases))
        })
        .await?;
    lines::all_released(&call.platform.logs, &releases);
    Reply::of(&views(addon.config))
}

/// 422 for a name that the manifest does not declare, and for more than fits.
fn configure(
    connection: &Connection,
    addon: &AddOn,
    vars: Vec<Var>,
    now: Timestamp,
) -> Result<Vec<Release>> {
    let mut after = addon.config.clone();
    for var in &vars {
        after.insert(var.name.clone(), var.value.clone().unwrap_or_default());
    }
    // What an earlier manifest declared may stay.
    let mut declared = addon.declared_vars.clone();
    declared.extend(addon.config.keys().cloned());
    partner::check_config(&after, &declared)
        .map_err(|reason| Error::invalid(format!("The config does not fit: {reason}")))?;
    let changes = vars.into_iter().map(|var| (var.name, var.value)).collect();
    addon_tasks::configure(connection, addon, changes, now)
}
