//! Favorites: the apps that the caller has put on a list of its own, as the official CLI asks its host `particleboard` for them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::params;
use super::reply::{Created, Reply};
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::store::access::Permission;
use crate::store::apps;
use crate::store::favorites::{self, FIELDS, Favorite};
use crate::time::Timestamp;

/// The only kind of favorite there is.
const APP: &str = "app";

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Favorite")]
pub struct View {
    created_at: Timestamp,
    id: Id,
    resource_id: Id,
    resource_name: String,
    r#type: &'static str,
}

fn view(favorite: Favorite) -> View {
    View {
        created_at: favorite.created_at,
        id: favorite.id,
        resource_id: favorite.app_id,
        resource_name: favorite.app_name,
        r#type: APP,
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            favorites::list(connection, caller.account.id, page)
        })
        .await?;
    paged.reply(view)
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "FavoriteBody")]
pub struct Body {
    /// An app, by its id or its name.
    #[schemars(required)]
    resource_id: Option<String>,
    r#type: Option<String>,
}

pub async fn create(call: Call, body: Body) -> Result<Created<View>> {
    if body.r#type.is_some_and(|kind| kind != APP) {
        return Err(Error::invalid(
            "Only apps can be favorites: the type is app.",
        ));
    }
    let app = params::required(body.resource_id, "resource_id")?;
    let favorite = call
        .write(move |connection, caller| {
            let app = Identity::parse(&app);
            let app = apps::find_id(connection, &caller.account, &app, Permission::View)?;
            favorites::create(connection, caller.account.id, app, caller.now)
        })
        .await?;
    Reply::of(&view(favorite))
}

pub async fn delete(call: Call) -> Result<Reply<View>> {
    let favorite = call
        .write(|connection, caller| {
            let id = caller.params.id("favorite", "favorite")?;
            let favorite = favorites::find(connection, caller.account.id, id)?;
            favorites::delete(connection, favorite.id)?;
            Ok(favorite)
        })
        .await?;
    Reply::of(&view(favorite))
}
