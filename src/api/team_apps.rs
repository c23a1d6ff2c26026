//! Apps of teams: what only they have beside other apps.

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::apps::{self as personal, NewApp};
use super::call::{Call, Caller};
use super::collaborators::PermissionView;
use super::params::{self, Reference};
use super::reply::{Created, Reply};
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::store::access::{self, Permission};
use crate::store::accounts::{self, Account};
use crate::store::apps::App;
use crate::store::ownership::{self, Owner};
use crate::store::page::{Field, Kind};
use crate::store::team_apps::{self, Entity, FIELDS, TeamApp};
use crate::store::{apps, team_members, teams};
use crate::urls::Urls;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TeamApp")]
pub struct View {
    #[serde(flatten)]
    app: personal::View,
    /// Whether the caller was let in by name, beyond what his role gives him.
    joined: bool,
}

fn view(app: TeamApp, urls: &Urls) -> View {
    View {
        app: personal::view(app.app, urls),
        joined: app.joined,
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            let team = caller.team(connection)?;
            team_apps::list(connection, &caller.account, team.id, None, page)
        })
        .await?;
    paged.reply(|app| view(app, &call.platform.urls))
}

/// The apps to be shown: all, or those with these ids.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "FilterApps")]
pub struct Filter {
    r#in: Option<In>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "FilterAppsIn")]
struct In {
    id: Option<Vec<Id>>,
}

/// The same list as `GET /apps`, for a client that knows which apps it wants. Ids of apps that it may not see are left out.
pub async fn filter(call: Call, filter: Filter) -> Result<Reply<Vec<View>>> {
    let ids = filter.r#in.and_then(|wanted| wanted.id);
    let paged = call
        .page(apps::FIELDS, move |connection, caller, page| {
            let account = &caller.account;
            apps::list(connection, account, ids.as_deref(), page)?.try_map(|app| {
                let joined = team_apps::joined(connection, app.id, account.id)?;
                Ok(TeamApp { app, joined })
            })
        })
        .await?;
    paged.reply(|app| view(app, &call.platform.urls))
}

/// Of the apps that the caller sees, those that the member sees too.
pub async fn of_member(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            let team = caller.team(connection)?.for_viewers()?;
            let member =
                team_members::find(connection, team.id, &caller.params.identity("member"))?;
            let member = Some(member.account_id);
            team_apps::list(connection, &caller.account, team.id, member, page)
        })
        .await?;
    paged.reply(|app| view(app, &call.platform.urls))
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let app = call.read(|connection, caller| {
        let app = caller.app(connection)?;
        let joined = team_apps::joined(connection, app.id, caller.account.id)?;
        Ok(TeamApp { app, joined })
    })?;
    Reply::of(&view(app, &call.platform.urls))
}

/// In the team that is named, else in the caller's default team, else the caller's own.
pub async fn create(call: Call, mut new: NewApp) -> Result<Created<View>> {
    if new.team.is_none() && !new.personal.unwrap_or(false) {
        let default =
            call.read(|connection, caller| teams::default_of(connection, &caller.account))?;
        new.team = default.map(|team| Reference(Identity::Id(team.id)));
    }
    let app = personal::make(&call, new).await?;
    let joined =
        call.read(|connection, caller| team_apps::joined(connection, app.id, caller.account.id))?;
    Reply::of(&view(TeamApp { app, joined }, &call.platform.urls))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "TeamAppChange", extend("anyOf" = [{"required": ["locked"]}, {"required": ["owner"]}]))]
pub struct Change {
    locked: Option<bool>,
    /// An account, by its address or id or as `~`, or a team, by its name or id.
    owner: Option<Reference>,
}

/// Whoever manages the app locks it. Its owner, or an admin of its team, gives it to a team or out of one.
pub async fn update(call: Call, change: Change) -> Result<Reply<View>> {
    if change.owner.is_none() {
        params::required(change.locked, "locked")?;
    }
    let app = call
        .write(move |connection, caller| {
            let app = caller.app(connection)?;
            if let Some(Reference(owner)) = &change.owner {
                transfer(connection, caller, &app, owner)?;
            }
            if let Some(locked) = change.locked {
                let by = &caller.account;
                access::require(connection, by, app.id, Permission::Manage)?;
                let app = apps::by_id(connection, app.id)?;
                team_apps::set_locked(connection, &app, locked, caller.now)?;
            }
            let app = apps::by_id(connection, app.id)?;
            let joined = team_apps::joined(connection, app.id, caller.account.id)?;
            Ok(TeamApp { app, joined })
        })
        .await?;
    Reply::of(&view(app, &call.platform.urls))
}

fn transfer(connection: &Connection, caller: &Caller, app: &App, owner: &Identity) -> Result<()> {
    let by = &caller.account;
    ownership::may_give(connection, by, app)?;
    let to = new_owner(connection, by, owner)?;
    if let (None, Owner::Account(_)) = (&app.team, to) {
        return Err(Error::invalid(format!(
            "This app belongs to an account. `heroku apps:transfer EMAIL --app {}` offers it to another, by POST /account/app-transfers.",
            app.name
        )));
    }
    ownership::may_get(connection, by, app, to)?;
    ownership::give_app(connection, app, to, by, caller.now)
}

/// An e-mail address is an account's; another name is a team's; an id is either's.
fn new_owner(connection: &Connection, by: &Account, owner: &Identity) -> Result<Owner> {
    let is_account = match owner {
        Identity::Name(name) => name == "~" || name.contains('@'),
        Identity::Id(id) => accounts::by_id(connection, *id)?.is_some(),
    };
    match is_account {
        true => accounts::named(connection, by, owner).map(|account| Owner::Account(account.id)),
        false => teams::find(connection, by, owner).map(|team| Owner::Team(team.id)),
    }
}

const PERMISSION_FIELDS: &[Field] = &[Field::new("name", "name", Kind::Text)];

/// The permissions that a collaborator can be given.
pub async fn grantable(call: Call) -> Result<Reply<Vec<PermissionView>>> {
    let all = Permission::GRANTABLE.map(PermissionView::of);
    call.page_of(PERMISSION_FIELDS, all.into())
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PermissionEntityUser")]
pub struct EntityUserView {
    email: String,
    id: Id,
    permissions: Vec<&'static str>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PermissionEntity")]
pub struct EntityView {
    id: Id,
    name: String,
    team_id: Id,
    r#type: &'static str,
    users: Vec<EntityUserView>,
}

fn entity_view(entity: Entity) -> EntityView {
    let users = entity.users.into_iter().map(|user| EntityUserView {
        email: user.email,
        id: user.id,
        permissions: Permission::GRANTABLE
            .into_iter()
            .filter(|permission| user.permissions.has(*permission))
            .map(Permission::as_str)
            .collect(),
    });
    EntityView {
        id: entity.id,
        name: entity.name,
        team_id: entity.team_id,
        r#type: "app",
        users: users.collect(),
    }
}

/// Who may do what with each of the team's apps.
pub async fn permissions(call: Call) -> Result<Reply<Vec<EntityView>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            let team = caller.team(connection)?.for_viewers()?;
            team_apps::permissions(connection, &caller.account, team.id, page)
        })
        .await?;
    paged.reply(entity_view)
}
