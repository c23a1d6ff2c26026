//! Config vars.

use std::collections::BTreeMap;

use super::call::Call;
use super::reply::Reply;
use crate::error::Result;
use crate::log::platform as lines;
use crate::store::config_vars::{self, ConfigVars};

pub async fn info(call: Call) -> Result<Reply<ConfigVars>> {
    let vars =
        call.read(|connection, caller| config_vars::get(connection, caller.app_id(connection)?))?;
    Reply::of(&vars)
}

pub async fn update(
    call: Call,
    changes: BTreeMap<String, Option<String>>,
) -> Result<Reply<ConfigVars>> {
    let (vars, release) = call
        .write(|connection, caller| {
            let app = caller.app_id(connection)?;
            config_vars::update(connection, app, changes, &caller.account, caller.now)
        })
        .await?;
    if let Some(release) = release {
        lines::released(
            &call.platform.logs,
            release.app_id,
            &release.description,
            release.version,
            &release.account_email,
        );
    }
    Reply::of(&vars)
}
