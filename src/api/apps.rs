//! Apps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::account;
use super::app_setups;
use super::call::Call;
use super::params::{self, Reference};
use super::reply::{Created, Reply};
use super::view::{Named, User};
use crate::catalog::{self, Entry};
use crate::error::{Error, Result};
use crate::log::platform as lines;
use crate::name::{self, AppName, Id};
use crate::store::access::{self, Permission};
use crate::store::apps::{self, App, FIELDS};
use crate::store::teams;
use crate::time::Timestamp;
use crate::urls::Urls;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "App")]
pub struct View {
    acm: bool,
    archived_at: Option<Timestamp>,
    build_stack: Entry,
    buildpack_provided_description: Option<String>,
    /// The official CLI prints it unless it is `complete`.
    create_status: &'static str,
    created_at: Timestamp,
    generation: Entry,
    git_url: String,
    id: Id,
    internal_routing: Option<bool>,
    /// Heroku shows it of team apps only; the official CLI looks for it in every list.
    locked: bool,
    maintenance: bool,
    name: String,
    /// The team, by its old name.
    organization: Option<Named>,
    owner: User,
    region: Entry,
    released_at: Option<Timestamp>,
    /// Bytes of what was pushed with git, as they lie on the server's disk.
    repo_size: Option<i64>,
    slug_size: Option<i64>,
    space: Option<Named>,
    stack: Entry,
    team: Option<Named>,
    updated_at: Timestamp,
    web_url: String,
}

pub(super) fn view(app: App, urls: &Urls) -> View {
    let team = app.team.map(|team| Named {
        id: team.id,
        name: team.name,
    });
    View {
        acm: app.acm,
        archived_at: None,
        build_stack: catalog::STACK,
        buildpack_provided_description: app.buildpack_provided_description,
        create_status: "complete",
        created_at: app.created_at,
        generation: catalog::GENERATION,
        git_url: urls.git(&app.name),
        web_url: urls.web(&app.name),
        id: app.id,
        internal_routing: None,
        locked: app.locked,
        maintenance: app.maintenance,
        name: app.name,
        organization: team.clone(),
        owner: User {
            email: app.owner_email,
            id: app.owner_id,
        },
        region: catalog::REGION,
        released_at: app.released_at,
        repo_size: app.repo_size,
        slug_size: app.slug_size,
        space: None,
        stack: catalog::STACK,
        team,
        updated_at: app.updated_at,
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            apps::list(connection, &caller.account, None, page)
        })
        .await?;
    paged.reply(|app| view(app, &call.platform.urls))
}

/// Without those of teams, as Heroku has it: the official CLI asks for them team by team.
pub async fn list_personal(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            let account = account::meant(connection, caller)?;
            apps::list_personal(connection, &account, page)
        })
        .await?;
    paged.reply(|app| view(app, &call.platform.urls))
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let app = call.read(|connection, caller| {
        let app = caller.app(connection);
        app.map_err(|error| app_setups::missing(connection, caller, error))
    })?;
    Reply::of(&view(app, &call.platform.urls))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AppNewApp")]
pub struct NewApp {
    name: Option<String>,
    region: Option<Reference>,
    stack: Option<Reference>,
    /// The team that is to have the app, instead of the caller.
    pub(super) team: Option<Reference>,
    /// Only for a team's app.
    locked: Option<bool>,
    /// The caller's own, even if a default team would have it.
    pub(super) personal: Option<bool>,
    /// There is none, so whoever names one is told so.
    space: Option<Reference>,
}

/// 422 for an app that is to be in a private space, by the name of the parameter.
pub(super) fn no_space(asked: Option<&Reference>, parameter: &str) -> Result<()> {
    match asked {
        None => Ok(()),
        Some(_) => Err(Error::invalid(format!(
            "This server has no private spaces. Leave out {parameter}."
        ))),
    }
}

pub async fn create(call: Call, new: NewApp) -> Result<Created<View>> {
    let app = make(&call, new).await?;
    Reply::of(&view(app, &call.platform.urls))
}

/// Makes the app that is asked for, in the team that is named or else for the caller.
pub(super) async fn make(call: &Call, new: NewApp) -> Result<App> {
    params::offered(new.region.as_ref(), catalog::REGION, "region")?;
    params::offered(new.stack.as_ref(), catalog::STACK, "stack")?;
    no_space(new.space.as_ref(), "space")?;
    let chosen = new.name.as_deref().map(AppName::parse).transpose()?;
    let app = loop {
        let name = chosen.clone().map_or_else(name::generated, Ok)?;
        let (team, locked) = (new.team.clone(), new.locked.unwrap_or(false));
        let made = call
            .write(move |connection, caller| match team {
                Some(Reference(team)) => {
                    let team = teams::find(connection, &caller.account, &team)?.for_members()?;
                    let by = &caller.account;
                    apps::create_in_team(connection, &name, &team, by, locked, caller.now)
                }
                None => apps::create(connection, &name, &caller.account, caller.now),
            })
            .await;
        match made {
            // A generated name that is taken is nobody's fault: take another.
            Err(error) if chosen.is_none() && error.message == "Name is already taken" => {}
            made => break made?,
        }
    };
    announce(call, app.id);
    Ok(app)
}

/// Tells the log of a new app its first two releases.
pub(super) fn announce(call: &Call, app: Id) {
    let (logs, user) = (&call.platform.logs, &call.caller.account.email);
    lines::released(logs, app, "Initial release", 1, user);
    lines::released(logs, app, "Enable Logplex", 2, user);
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AppChange")]
pub struct Change {
    name: Option<String>,
    #[serde(default, deserialize_with = "params::switch")]
    maintenance: Option<bool>,
    build_stack: Option<Reference>,
}

pub async fn update(call: Call, change: Change) -> Result<Reply<View>> {
    params::offered(change.build_stack.as_ref(), catalog::STACK, "stack")?;
    let name = change.name.as_deref().map(AppName::parse).transpose()?;
    let update = apps::Update {
        name,
        maintenance: change.maintenance,
    };
    let (before, app) = call
        .write(move |connection, caller| {
            let before = caller.app(connection)?;
            if update.name.is_some() {
                access::require(connection, &caller.account, before.id, Permission::Manage)?;
            }
            apps::update(connection, &before, &update, caller.now)?;
            let after = apps::by_id(connection, before.id)?;
            Ok((before, after))
        })
        .await?;
    if before.maintenance != app.maintenance {
        lines::maintenance(
            &call.platform.logs,
            app.id,
            app.maintenance,
            &call.caller.account.email,
        );
    }
    Reply::of(&view(app, &call.platform.urls))
}

pub async fn delete(call: Call) -> Result<Reply<View>> {
    let (app, released) = call
        .write(|connection, caller| {
            let app = caller.app(connection)?;
            let released = apps::delete(connection, &app, &caller.account, caller.now)?;
            Ok((app, released))
        })
        .await?;
    lines::all_released(&call.platform.logs, &released);
    // Whoever follows the log is told that it is over. Should this fail, the next sweep does it.
    if let Err(error) = call.platform.logs.remove(app.id) {
        tracing::warn!(%error, app = %app.id, "a deleted app's log was left for the sweep");
    }
    Reply::of(&view(app, &call.platform.urls))
}
