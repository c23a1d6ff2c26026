//! What clients remember of the caller: the time zone, and which notices were dismissed. The server makes nothing of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::account;
use super::call::Call;
use super::params;
use super::reply::Reply;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::store::accounts;

/// Of any text in it, in bytes.
const LONGEST: usize = 200;
/// Banners that may be remembered, one a pipeline.
const MOST_BANNERS: usize = 1_000;

/// The same when it is shown and when it is changed; null forgets.
#[derive(Deserialize, Serialize, JsonSchema, Default)]
#[schemars(rename = "UserPreferences")]
#[serde(rename_all = "kebab-case", default)]
pub struct View {
    timezone: Option<String>,
    default_organization: Option<String>,
    dismissed_github_banner: Option<bool>,
    dismissed_getting_started: Option<bool>,
    dismissed_org_access_controls: Option<bool>,
    dismissed_org_wizard_notification: Option<bool>,
    dismissed_pipelines_banner: Option<bool>,
    dismissed_pipelines_github_banner: Option<bool>,
    dismissed_pipelines_github_banners: Option<Vec<Id>>,
    dismissed_sms_banner: Option<bool>,
}

fn read(stored: Value) -> Result<View> {
    serde_json::from_value(stored).map_err(Error::internal)
}

pub async fn list(call: Call) -> Result<Reply<View>> {
    let stored = call.read(|connection, caller| {
        let account = account::meant(connection, caller)?;
        accounts::preferences(connection, account.id)
    })?;
    Reply::of(&read(stored)?)
}

/// What is not named stays as it was.
pub async fn update(call: Call, body: View) -> Result<Reply<View>> {
    params::text(body.timezone, "timezone", LONGEST)?;
    params::text(body.default_organization, "default-organization", LONGEST)?;
    if body
        .dismissed_pipelines_github_banners
        .is_some_and(|banners| banners.len() > MOST_BANNERS)
    {
        return Err(Error::invalid(format!(
            "dismissed-pipelines-github-banners holds {MOST_BANNERS} pipelines at most."
        )));
    }
    let sent: Value = params::json(&call.body)?;
    let stored = call
        .write(move |connection, caller| {
            let account = account::meant(connection, caller)?;
            let stored = accounts::preferences(connection, account.id)?;
            let merged = merged(stored, &sent)?;
            accounts::set_preferences(connection, account.id, &merged)?;
            Ok(merged)
        })
        .await?;
    Reply::of(&read(stored)?)
}

/// What was stored, with what was sent in its place; keys that are no preference are dropped.
fn merged(mut stored: Value, sent: &Value) -> Result<Value> {
    if let (Some(stored), Some(sent)) = (stored.as_object_mut(), sent.as_object()) {
        stored.extend(sent.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    serde_json::to_value(read(stored)?).map_err(Error::internal)
}
