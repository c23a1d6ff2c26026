//! Automatic certificates of an app's domains: switched on and off, and tried again.

use super::apps::{View, view};
use super::call::{Call, Caller};
use super::reply::Reply;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::store::{acm, apps};
use crate::time::Timestamp;

type Change = fn(&rusqlite::Connection, Id, Timestamp) -> Result<()>;

async fn changed(call: Call, change: Change) -> Result<Reply<View>> {
    let app = call
        .write(move |connection, caller: &Caller| {
            let app = caller.app_id(connection)?;
            change(connection, app, caller.now)?;
            apps::by_id(connection, app)
        })
        .await?;
    Reply::of(&view(app, &call.platform.urls))
}

/// 422 where there is nobody to ask.
pub async fn enable(call: Call) -> Result<Reply<View>> {
    call.read(|connection, caller| caller.app_id(connection))?;
    if call.platform.config.acme.acme_contact.is_none() {
        return Err(Error::invalid(
            "This server asks no authority for certificates. Whoever runs it switches that on with --acme-contact; until then, give \
             your domains certificates by hand: heroku certs:add",
        ));
    }
    changed(call, acm::enable).await
}

/// Domains whose certificate could not be had are tried again at once.
pub async fn refresh(call: Call) -> Result<Reply<View>> {
    changed(call, acm::refresh).await
}

pub async fn disable(call: Call) -> Result<Reply<View>> {
    changed(call, acm::disable).await
}
