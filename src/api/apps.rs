//! Apps.

use serde::{Deserialize, Serialize};

use super::call::Call;
use super::params::{self, Reference};
use super::reply::Reply;
use super::view::{Named, User};
use crate::catalog::{self, Entry};
use crate::error::Result;
use crate::log::platform as lines;
use crate::name::{self, AppName, Id, Identity};
use crate::store::apps::{self, App, FIELDS};
use crate::time::Timestamp;
use crate::urls::Urls;

#[derive(Serialize)]
struct View<'a> {
    acm: bool,
    archived_at: Option<Timestamp>,
    build_stack: Entry,
    buildpack_provided_description: Option<&'a str>,
    /// The official CLI prints it unless it is `complete`.
    create_status: &'static str,
    created_at: Timestamp,
    generation: Entry,
    git_url: String,
    id: Id,
    internal_routing: Option<bool>,
    maintenance: bool,
    name: &'a str,
    organization: Option<Named<'a>>,
    owner: User<'a>,
    region: Entry,
    released_at: Option<Timestamp>,
    repo_size: Option<i64>,
    slug_size: Option<i64>,
    space: Option<Named<'a>>,
    stack: Entry,
    team: Option<Named<'a>>,
    updated_at: Timestamp,
    web_url: String,
}

fn view<'a>(app: &'a App, urls: &Urls) -> View<'a> {
    View {
        acm: false,
        archived_at: None,
        build_stack: catalog::STACK,
        buildpack_provided_description: app.buildpack_provided_description.as_deref(),
        create_status: "complete",
        created_at: app.created_at,
        generation: catalog::GENERATION,
        git_url: urls.git(&app.name),
        id: app.id,
        internal_routing: None,
        maintenance: app.maintenance,
        name: &app.name,
        organization: None,
        owner: User {
            email: &app.owner_email,
            id: app.owner_id,
        },
        region: catalog::REGION,
        released_at: app.released_at,
        repo_size: None,
        slug_size: app.slug_size,
        space: None,
        stack: catalog::STACK,
        team: None,
        updated_at: app.updated_at,
        web_url: urls.web(&app.name),
    }
}

pub async fn list(call: Call) -> Result<Reply> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            apps::list(connection, &caller.account, page)
        })
        .await?;
    Reply::page(&paged, &paged.views(|app| view(app, &call.platform.urls)))
}

pub async fn info(call: Call) -> Result<Reply> {
    let app = call.read(|connection, caller| caller.app(connection))?;
    Reply::ok(&view(&app, &call.platform.urls))
}

#[derive(Deserialize)]
struct NewApp {
    name: Option<String>,
    region: Option<Reference>,
    stack: Option<Reference>,
}

pub async fn create(call: Call) -> Result<Reply> {
    let new: NewApp = call.body()?;
    params::offered(new.region.as_ref(), catalog::REGION, "region")?;
    params::offered(new.stack.as_ref(), catalog::STACK, "stack")?;
    let chosen = new.name.as_deref().map(AppName::parse).transpose()?;
    let app = loop {
        let name = chosen.clone().map_or_else(name::generated, Ok)?;
        let made = call
            .write(move |connection, caller| {
                apps::create(connection, &name, &caller.account, caller.now)
            })
            .await;
        match made {
            // A generated name that is taken is nobody's fault: take another.
            Err(error) if chosen.is_none() && error.message == "Name is already taken" => {}
            made => break made?,
        }
    };
    let (logs, user) = (&call.platform.logs, &call.caller.account.email);
    lines::released(logs, app.id, "Initial release", 1, user);
    lines::released(logs, app.id, "Enable Logplex", 2, user);
    Reply::created(&view(&app, &call.platform.urls))
}

#[derive(Deserialize)]
struct Change {
    name: Option<String>,
    maintenance: Option<bool>,
    build_stack: Option<Reference>,
}

pub async fn update(call: Call) -> Result<Reply> {
    let change: Change = call.body()?;
    params::offered(change.build_stack.as_ref(), catalog::STACK, "stack")?;
    let name = change.name.as_deref().map(AppName::parse).transpose()?;
    let update = apps::Update {
        name,
        maintenance: change.maintenance,
    };
    let (before, app) = call
        .write(move |connection, caller| {
            let before = caller.app(connection)?;
            apps::update(connection, &before, &update, caller.now)?;
            let after = apps::find(connection, &caller.account, &Identity::Id(before.id))?;
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
    Reply::ok(&view(&app, &call.platform.urls))
}

pub async fn delete(call: Call) -> Result<Reply> {
    let app = call
        .write(|connection, caller| {
            let app = caller.app(connection)?;
            apps::delete(connection, &app)?;
            Ok(app)
        })
        .await?;
    // Whoever follows the log is told that it is over. Should this fail, the next sweep does it.
    if let Err(error) = call.platform.logs.remove(app.id) {
        tracing::warn!(%error, app = %app.id, "a deleted app's log was left for the sweep");
    }
    Reply::ok(&view(&app, &call.platform.urls))
}
