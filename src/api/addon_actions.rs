//! What a provider says of an add-on that it was making: that it is done, or that there will be none.

use rusqlite::Connection;

use super::addons::{View, find, view};
use super::call::{Call, Caller};
use super::reply::Reply;
use crate::error::{Error, Result};
use crate::log::platform as lines;
use crate::store::access::Permission;
use crate::store::addon_tasks;
use crate::store::addons::{self, AddOn};
use crate::store::releases::Release;
use crate::time::Timestamp;

/// The add-on in the path, for its provider alone.
pub(super) fn of_provider(connection: &Connection, caller: &Caller) -> Result<AddOn> {
    let addon = find(connection, caller, Permission::View)?;
    match caller.addon {
        Some(_) => Ok(addon),
        None => Err(Error::forbidden(
            "Only the provider of an add-on may do this, with the token that it was given for it.",
        )),
    }
}

async fn act(
    call: Call,
    act: impl FnOnce(&Connection, &AddOn, Timestamp) -> Result<Vec<Release>> + Send + 'static,
) -> Result<Reply<View>> {
    let (addon, releases) = call
        .write(move |connection, caller| {
            let addon = of_provider(connection, caller)?;
            let releases = act(connection, &addon, caller.now)?;
            let addon = addons::by_id(connection, addon.id)?;
            Ok((addon.ok_or_else(addons::missing)?, releases))
        })
        .await?;
    lines::all_released(&call.platform.logs, &releases);
    Reply::of(&view(addon, None))
}

pub async fn provision(call: Call) -> Result<Reply<View>> {
    act(call, addon_tasks::provisioned).await
}

/// The provider is not told what it says itself.
pub async fn deprovision(call: Call) -> Result<Reply<View>> {
    act(call, |connection, addon, now| {
        let message = format!("The provider of {} gave it up.", addon.addon_service_name);
        addon_tasks::failed(connection, addon.id, &message, false, now)
    })
    .await
}
