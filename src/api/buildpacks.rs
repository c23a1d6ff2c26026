//! Buildpack installations: what an app asks to be built with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::params;
use super::reply::Reply;
use crate::error::Result;
use crate::store::buildpacks::{self, Buildpack};
use crate::store::page::{Field, Kind};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Buildpack")]
pub struct BuildpackView {
    name: String,
    url: String,
}

impl BuildpackView {
    pub fn of(buildpack: Buildpack) -> BuildpackView {
        BuildpackView {
            name: buildpack.name,
            url: buildpack.url,
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BuildpackInstallation")]
pub struct View {
    buildpack: BuildpackView,
    /// Counts from 0, and says which runs first.
    ordinal: i64,
}

fn views(buildpacks: Vec<Buildpack>) -> Vec<View> {
    let view = |(ordinal, buildpack)| View {
        buildpack: BuildpackView::of(buildpack),
        ordinal,
    };
    (0..).zip(buildpacks).map(view).collect()
}

/// The whole list, which is short. Its order is the one that they run in.
pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let buildpacks =
        call.read(|connection, caller| buildpacks::list(connection, caller.app_id(connection)?))?;
    call.page_of(FIELDS, views(buildpacks))
}

const FIELDS: &[Field] = &[Field::new("ordinal", "ordinal", Kind::Integer)];

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "BuildpackInstallationUpdates")]
pub struct Updates {
    #[schemars(required)]
    updates: Option<Vec<Update>>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "BuildpackInstallationUpdate")]
pub struct Update {
    #[schemars(required)]
    buildpack: Option<String>,
}

/// Replaces the list. An empty one clears it.
pub async fn replace(call: Call, body: Updates) -> Result<Reply<Vec<View>>> {
    let wanted = params::required(body.updates, "updates")?
        .into_iter()
        .map(|update| Buildpack::parse(&params::required(update.buildpack, "updates[].buildpack")?))
        .collect::<Result<Vec<_>>>()?;
    let buildpacks = call
        .write(move |connection, caller| {
            let app = caller.app_id(connection)?;
            buildpacks::replace(connection, app, &wanted)?;
            buildpacks::list(connection, app)
        })
        .await?;
    Reply::of(&views(buildpacks))
}
