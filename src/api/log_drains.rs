//! Log drains: added, seen and removed. A URL may hold credentials, so whoever may not read config vars does not read it either.
//!
//! Nothing is sent from here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::addon_actions::of_provider;
use super::addons;
use super::call::Call;
use super::params;
use super::reply::{Created, Reply};
use super::view::Named;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::store::access::Permission;
use crate::store::addons::State;
use crate::store::log_drains::{self, FIELDS, LogDrain};
use crate::time::Timestamp;

/// Of a URL, in bytes.
pub const MAX_URL: usize = 2000;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LogDrainAddOn")]
pub struct AddOnRef {
    app: Named,
    id: Id,
    name: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LogDrain")]
pub struct View {
    /// The add-on that has made it, with the app that pays for it.
    addon: Option<AddOnRef>,
    app: Named,
    created_at: Timestamp,
    id: Id,
    token: String,
    updated_at: Timestamp,
    url: String,
}

fn view(drain: LogDrain) -> View {
    let app = Named {
        id: drain.app_id,
        name: drain.app_name,
    };
    let addon = |(id, name)| AddOnRef {
        app: app.clone(),
        id,
        name,
    };
    View {
        addon: drain.addon.map(addon),
        app,
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
    #[schemars(required)]
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
            if let Some((_, addon)) = &drain.addon {
                return Err(Error::forbidden(format!(
                    "This drain belongs to the add-on {addon}, and goes when that is destroyed."
                )));
            }
            log_drains::delete(connection, drain.id)?;
            Ok(drain)
        })
        .await?;
    Reply::of(&view(drain))
}

/// For its provider, and for whoever operates its app and so reads the same among the app's.
pub async fn of_addon(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            let addon = addons::find(connection, caller, Permission::Operate)?;
            log_drains::list_of_addon(connection, addon.id, page)
        })
        .await?;
    paged.reply(view)
}

/// The provider says where its drain leads. Under the token that it was sent it says so first, if it did not when it was asked to
/// make the add-on.
pub async fn update_of_addon(call: Call, new: New) -> Result<Reply<View>> {
    let url = params::required(params::text(new.url, "url", MAX_URL)?, "url")?;
    call.platform.outbound.check_drain(&url)?;
    let drain = call
        .write(move |connection, caller| {
            let addon = of_provider(connection, caller)?;
            let text = caller.params.text("log_drain");
            if addon.state == State::Deprovisioned {
                return Err(Error::invalid(format!("{} is deprovisioned.", addon.name)));
            }
            if addon.log_drain_token.as_deref() != Some(text) {
                log_drains::find_of_addon(connection, addon.id, text)?;
            }
            log_drains::put(connection, &addon, &url, caller.now)
        })
        .await?;
    Reply::of(&view(drain))
}
