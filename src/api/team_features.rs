//! What a team can do beyond Heroku's beginnings. Clients read these to choose what to ask; here they are on for every team.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::reply::Reply;
use crate::catalog::{self, Entry};
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::store::page::{Field, Kind};
use crate::time::Timestamp;

const FIELDS: &[Field] = &[
    Field::new("id", "id", Kind::Id),
    Field::new("name", "name", Kind::Text),
    Field::new("created_at", "created_at", Kind::Time),
];

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TeamFeature")]
pub struct View {
    created_at: Timestamp,
    description: &'static str,
    display_name: &'static str,
    doc_url: &'static str,
    enabled: bool,
    feedback_email: &'static str,
    id: Id,
    name: &'static str,
    state: &'static str,
    updated_at: Timestamp,
}

/// The names are those that the official CLI looks for.
const FEATURES: [(Entry, &str, &str); 2] = [
    (
        Entry {
            id: Id::fixed(0x59ac_cabd_0000_7000_8000_0000_0000_0201),
            name: "org-access-controls",
        },
        "App permissions",
        "Collaborators of the team's apps are given view, deploy, operate and manage one by one.",
    ),
    (
        Entry {
            id: Id::fixed(0x59ac_cabd_0000_7000_8000_0000_0000_0202),
            name: "team-invite-acceptance",
        },
        "Invitations",
        "Whoever is invited joins the team by accepting. No mail is sent: the invitation's link is handed over by a person.",
    ),
];

fn views() -> Vec<View> {
    let view = |(entry, display_name, description): (Entry, &'static str, &'static str)| View {
        created_at: catalog::SINCE,
        description,
        display_name,
        doc_url: "https://devcenter.heroku.com/articles/platform-api-reference#team-feature",
        enabled: true,
        feedback_email: "",
        id: entry.id,
        name: entry.name,
        state: "general",
        updated_at: catalog::SINCE,
    };
    FEATURES.into_iter().map(view).collect()
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    call.read(|connection, caller| caller.team(connection))?;
    call.page_of(FIELDS, views())
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    call.read(|connection, caller| caller.team(connection))?;
    let wanted = call.caller.params.identity("feature");
    let found = views().into_iter().find(|view| match &wanted {
        Identity::Id(id) => view.id == *id,
        Identity::Name(name) => view.name == name,
    });
    Reply::of(&found.ok_or_else(|| Error::not_found("team feature"))?)
}
