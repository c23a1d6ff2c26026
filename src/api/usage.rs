//! What add-ons used, as the official CLI asks for it. No plan of this server is metered.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::reply::Reply;
use crate::error::Result;
use crate::name::Id;

/// What was counted of one add-on.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AddonUsage")]
pub struct Addon {
    id: Id,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AppUsage")]
pub struct App {
    id: Id,
    addons: Vec<Addon>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TeamUsage")]
pub struct Team {
    id: Id,
    apps: Vec<App>,
}

pub async fn of_app(call: Call) -> Result<Reply<App>> {
    let id = call.read(|connection, caller| caller.app_id(connection))?;
    Reply::of(&App {
        id,
        addons: Vec::new(),
    })
}

pub async fn of_team(call: Call) -> Result<Reply<Team>> {
    let id = call.read(|connection, caller| Ok(caller.team(connection)?.id))?;
    Reply::of(&Team {
        id,
        apps: Vec::new(),
    })
}
