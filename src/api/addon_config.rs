//! What an add-on sets, under the names of its service's manifest.

use schemars::JsonSchema;
use serde::Serialize;

use super::addons::find;
use super::call::Call;
use super::reply::Reply;
use crate::error::Result;
use crate::store::access::Permission;
use crate::store::config_vars::ConfigVars;

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
    Reply::of(&views(addon.config))
}
