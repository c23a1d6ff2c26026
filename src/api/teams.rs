//! Teams, and the lists that a client asks of what they do not have here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::params::{self, Parts, Whole};
use super::reply::{Created, Reply};
use crate::error::Result;
use crate::name::{Id, Identity, TeamName};
use crate::store::page::{Field, Kind};
use crate::store::team_members::MAX_MEMBERS;
use crate::store::teams::{self, FIELDS, Role, Team};
use crate::time::Timestamp;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Team")]
pub struct View {
    created_at: Timestamp,
    credit_card_collections: bool,
    default: bool,
    enterprise_account: Option<String>,
    id: Id,
    identity_provider: Option<String>,
    membership_limit: i64,
    name: String,
    provisioned_licenses: bool,
    /// Of the caller; null for an admin of the server who is not in the team.
    role: Option<Role>,
    /// The official CLI sends invitations for this type only.
    r#type: &'static str,
    updated_at: Timestamp,
}

fn view(team: Team) -> View {
    View {
        created_at: team.created_at,
        credit_card_collections: false,
        default: team.default,
        enterprise_account: None,
        id: team.id,
        identity_provider: None,
        membership_limit: MAX_MEMBERS,
        name: team.name,
        provisioned_licenses: false,
        role: team.role,
        r#type: "team",
        updated_at: team.updated_at,
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            teams::list(connection, &caller.account, page)
        })
        .await?;
    paged.reply(view)
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let team = call.read(|connection, caller| caller.team(connection))?;
    Reply::of(&view(team))
}

/// Heroku's addresses and credit cards are read over: nothing is paid for here.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "TeamBody")]
pub struct Body {
    name: Option<String>,
    default: Option<bool>,
}

impl Parts for Body {
    const NEEDED: &'static [&'static str] = &["name"];
}

pub async fn create(call: Call, Whole(body): Whole<Body>) -> Result<Created<View>> {
    let name = TeamName::parse(&params::required(body.name, "name")?)?;
    let team = call
        .write(move |connection, caller| {
            teams::create(connection, &name, &caller.account, caller.now)
        })
        .await?;
    Reply::of(&view(team))
}

/// Its admins rename a team; every member says for himself whether it is his default.
pub async fn update(call: Call, body: Body) -> Result<Reply<View>> {
    let name = body.name.as_deref().map(TeamName::parse).transpose()?;
    let team = call
        .write(move |connection, caller| {
            let team = caller.team(connection)?;
            if let Some(default) = body.default {
                teams::set_default(connection, team.id, &caller.account, default, caller.now)?;
            }
            let id = team.id;
            if let Some(name) = &name {
                let team = team.for_admins()?;
                teams::rename(connection, team.id, name, caller.now)?;
            }
            teams::find(connection, &caller.account, &Identity::Id(id))
        })
        .await?;
    Reply::of(&view(team))
}

pub async fn delete(call: Call) -> Result<Reply<View>> {
    let team = call
        .write(|connection, caller| {
            let team = caller.team(connection)?.for_admins()?;
            teams::delete(connection, &team)?;
            Ok(team)
        })
        .await?;
    Reply::of(&view(team))
}

/// What is not sold here: an element of a list that is always empty.
#[derive(Serialize, JsonSchema)]
pub struct Nowhere {}

const NOWHERE: &[Field] = &[Field::new("id", "id", Kind::Id)];

/// Enterprise accounts and private spaces are Heroku's own; clients that list them beside teams and apps find none.
pub async fn none(call: Call) -> Result<Reply<Vec<Nowhere>>> {
    call.page_of(NOWHERE, Vec::new())
}
