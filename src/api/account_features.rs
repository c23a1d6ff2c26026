//! Features of accounts that clients ask for. The official CLI asks for one before it lets a pipeline have review apps, and must be
//! told that there is such a feature; where it is refused to switch one, it ends with a stack trace and the token in it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::params;
use super::reply::Reply;
use crate::catalog::{self, Entry, REPOSITORIES};
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::store::features::{self, Owner};
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

fn shown(switched: &BTreeMap<String, (bool, Timestamp)>) -> Vec<View> {
    let mut repositories = view(
        REPOSITORIES,
        "Repositories",
        "The CLI asks for a pipeline's repository: here, what was pushed with git to its apps.",
    );
    if let Some((enabled, at)) = switched.get(repositories.name) {
        (repositories.enabled, repositories.updated_at) = (*enabled, *at);
    }
    vec![repositories]
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
    let switched = switched(&call)?;
    call.page_of(FIELDS, shown(&switched))
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let switched = switched(&call)?;
    Reply::of(&meant(&call, "account_feature", shown(&switched))?)
}

pub async fn update(call: Call, body: Body) -> Result<Reply<View>> {
    let name = meant(&call, "account_feature", shown(&BTreeMap::new()))?.name;
    let enabled = body.enabled()?;
    let switched = call
        .write(move |connection, caller| {
            let owner = Owner::Account(caller.account.id);
            features::switch(connection, owner, name, enabled, caller.now)?;
            features::switched(connection, owner)
        })
        .await?;
    Reply::of(&meant(&call, "account_feature", shown(&switched))?)
}

fn switched(call: &Call) -> Result<BTreeMap<String, (bool, Timestamp)>> {
    call.read(|connection, caller| {
        features::switched(connection, Owner::Account(caller.account.id))
    })
}
