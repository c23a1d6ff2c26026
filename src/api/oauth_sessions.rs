//! Sessions of browsers: there are none on this server, and Heroku's CLI asks for them when it logs out.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::reply::Reply;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::store::page::{Field, Kind};

const FIELDS: &[Field] = &[Field::new("id", "id", Kind::Id)];

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OauthSession")]
pub struct View {
    description: String,
    id: Id,
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    call.page_of(FIELDS, Vec::new())
}

pub async fn delete(_: Call) -> Result<Reply<View>> {
    Err(Error::not_found("session"))
}
