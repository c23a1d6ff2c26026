//! Log drains: added, seen and removed. A URL may hold credentials, so whoever may not read config vars does not read it either.
//!
//! Nothing is sent from here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::params;
use super::reply::{Created, Reply};
use super::view::Named;
use crate::error::Result;
use crate::name::Id;
use crate::store::log_drains::{self, FIELDS, LogDrain};
use crate::time::Timestamp;

/// Of a URL, in bytes.
const MAX_URL: usize = 2000;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LogDrain")]
pub struct View {
    /// No add-on makes a drain here.
    addon: Option<Named>,
    app: Named,
    created_at: Timestamp,
    id: Id,
    token: String,
    updated_at: Timestamp,
    url: String,
}

fn view(drain: LogDrain) -> View {
    View {
        addon: None,
        app: Named {
            id: drain.app_id,
            name: drain.app_name,
        },
        created_at: drain.created_at,
        id: drain.id,
        token: drain.token,
        updated_at: drain.updated_at,
        url: drain.url,
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            log_drains::list(connection, caller.app_id(connection)?, page)
        })
        .await?;
    paged.reply(view)
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let drain = call.read(|connection, caller| {
        let app = caller.app_id(connection)?;
        log_drains::find(connection, app, caller.params.text("log_drain"))
    })?;
    Reply::of(&view(drain))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "LogDrainNew")]
pub struct New {
    url: Option<String>,
}

pub async fn create(call: Call, new: New) -> Result<Created<View>> {
    let url = params::required(params::text(new.url, "url", MAX_URL)?, "url")?;
    call.platform.outbound.check_drain(&url)?;
    let drain = call
        .write(move |connection, caller| {
            let app = caller.app_id(connection)?;
            log_drains::create(connection, app, &url, caller.now)
        })
        .await?;
    Reply::of(&view(drain))
}

pub async fn delete(call: Call) -> Result<Reply<View>> {
    let drain = call
        .write(|connection, caller| {
            let app = caller.app_id(connection)?;
            let drain = log_drains::find(connection, app, caller.params.text("log_drain"))?;
            log_drains::delete(connection, drain.id)?;
            Ok(drain)
        })
        .await?;
    Reply::of(&view(drain))
}
