//! Notifications, as the official CLI asks its host `telex` for them. This server sends none: what it has to say of an app stands in
//! the app's log, and is told to its webhooks.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::reply::Reply;
use crate::error::Result;
use crate::name::Id;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Notification")]
pub struct View {
    id: Id,
    title: String,
    body: String,
    read: bool,
}

pub async fn list(_: Call) -> Result<Reply<Vec<View>>> {
    Reply::of(&Vec::new())
}
