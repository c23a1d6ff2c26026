//! Sessions of browsers: there are none on this server, and Heroku's CLI asks for them when it logs out.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::reply::Reply;
use crate::error::{Error, ErrorId, Result};
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

/// There is none to end, which the CLI takes for an answer when it logs out: always 404.
pub async fn delete(_: Call) -> Result<Reply<View>> {
    Err(Error {
        resource: Some("session"),
        ..Error::new(
            ErrorId::NotFound,
            "Couldn't find that session. This server keeps none: what opens an account is a token, and `heroku authorizations:revoke ID` \
             ends one.",
        )
    })
}
