//! Config vars.

use std::collections::BTreeMap;

use super::call::Call;
use super::reply::Reply;
use crate::error::Result;
use crate::log::platform as lines;
use crate::store::config_vars::{self, ConfigVars};
use crate::store::once_committed;

pub async fn info(call: Call) -> Result<Reply<ConfigVars>> {
    let vars =
        call.read(|connection, caller| config_vars::get(connection, caller.app_id(connection)?))?;
    Reply::of(&vars)
}

pub async fn update(
    call: Call,
    changes: BTreeMap<String, Option<String>>,
) -> Result<Reply<ConfigVars>> {
    let logs = call.platform.logs.clone();
    let vars = call
        .write(|connection, caller| {
            let app = caller.app_id(connection)?;
            let (vars, release) =
                config_vars::update(connection, app, changes, &caller.account, caller.now)?;
            if let Some(release) = release {
                once_committed(move || lines::release(&logs, &release));
            }
            Ok(vars)
        })
        .await?;
    Reply::of(&vars)
}
