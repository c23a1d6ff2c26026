//! Features of accounts that clients ask for. None can be switched on here; the official CLI asks for one before it lets a
//! pipeline have review apps, and must be told that there is such a feature.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::params;
use super::reply::Reply;
use crate::catalog::{self, Entry, REPOSITORIES};
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::store::page::{Field, Kind};
use crate::time::Timestamp;

pub const FIELDS: &[Field] = &[
    Field::new("id", "id", Kind::Id),
    Field::new("name", "name", Kind::Text),
    Field::new("created_at", "created_at", Kind::Time),
];

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Feature")]
pub struct View {
    created_at: Timestamp,
    description: &'static str,
    display_name: &'static str,
    doc_url: &'static str,
    pub enabled: bool,
    feedback_email: &'static str,
    id: Id,
    pub name: &'static str,
    state: &'static str,
    pub updated_at: Timestamp,
}

/// A feature as it is before anybody has switched it.
pub fn view(entry: Entry, display_name: &'static str, description: &'static str) -> View {
    View {
        created_at: catalog::SINCE,
        description,
        display_name,
        doc_url: "https://devcenter.heroku.com/categories/labs",
        enabled: false,
        feedback_email: "",
        id: entry.id,
        name: entry.name,
        state: "general",
        updated_at: catalog::SINCE,
    }
}

/// The feature that the path means, or 404.
pub fn meant(call: &Call, parameter: &str, features: Vec<View>) -> Result<View> {
    let wanted = call.caller.params.identity(parameter);
    let fits = |feature: &View| match &wanted {
        Identity::Id(id) => feature.id == *id,
        Identity::Name(name) => feature.name == name,
    };
    let found = features.into_iter().find(fits);
    found.ok_or_else(|| Error::not_found("feature"))
}

fn features() -> Vec<View> {
    vec![view(
        REPOSITORIES,
        "Repositories",
        "Pipelines know their repository. There is nothing of the kind on this server.",
    )]
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "FeatureBody")]
pub struct Body {
    #[schemars(required)]
    enabled: Option<bool>,
}

impl Body {
    pub fn enabled(self) -> Result<bool> {
        params::required(self.enabled, "enabled")
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    call.page_of(FIELDS, features())
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    Reply::of(&meant(&call, "account_feature", features())?)
}

pub async fn update(call: Call, body: Body) -> Result<Reply<View>> {
    let feature = meant(&call, "account_feature", features())?;
    if body.enabled()? {
        return Err(Error::invalid(format!(
            "The feature {} cannot be switched on: this server has nothing of the kind.",
            feature.name
        )));
    }
    Reply::of(&feature)
}
