//! Notifications, as the official CLI asks its host `telex` for them. This server sends none: what it has to say of an app stands in
//! the app's log, and is told to its webhooks.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::reply::Reply;
use crate::error::Result;
use crate::name::Id;
use crate::store::page::{Field, Kind};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Notification")]
pub struct View {
    id: Id,
    title: String,
    body: String,
    read: bool,
}

const FIELDS: &[Field] = &[Field::new("id", "id", Kind::Id)];

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    call.page_of(FIELDS, Vec::new())
}
