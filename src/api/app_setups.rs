//! App setups: asked for here, made by a loop that reads them in the store.

use std::collections::BTreeMap;

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::builds::{SourceBlobParam, checked_source};
use super::call::{Call, Caller};
use super::params::{self, Reference};
use super::reply::Reply;
use super::view::Named;
use crate::catalog;
use crate::error::{Error, Result};
use crate::name::{AppName, Id, Identity};
use crate::store::app_setups::{self, NewSetup, Setup, Status};
use crate::store::buildpacks::Buildpack;
use crate::store::{builds, config_vars, teams};
use crate::time::Timestamp;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AppSetupBuild")]
pub struct BuildRef {
    id: Id,
    output_stream_url: String,
    status: builds::Status,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AppSetupPostdeploy")]
pub struct Postdeploy {
    exit_code: i64,
    output: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AppSetup")]
pub struct View {
    app: Named,
    build: Option<BuildRef>,
    created_at: Timestamp,
    failure_message: Option<String>,
    id: Id,
    manifest_errors: Vec<String>,
    postdeploy: Option<Postdeploy>,
    resolved_success_url: Option<String>,
    status: Status,
    updated_at: Timestamp,
}

fn view(call: &Call, setup: Setup) -> View {
    let succeeded = setup.status == Status::Succeeded;
    let success_url = setup.success_url.filter(|_| succeeded);
    let web = call.platform.urls.web(&setup.app_name);
    View {
        build: setup
            .build_id
            .zip(setup.build_status)
            .map(|(id, status)| BuildRef {
                id,
                output_stream_url: call.platform.build_output_url(id),
                status,
            }),
        resolved_success_url: success_url.map(|url| resolved(&url, &web)),
        app: Named {
            id: setup.app_id,
            name: setup.app_name,
        },
        created_at: setup.created_at,
        failure_message: setup.failure_message,
        id: setup.id,
        manifest_errors: setup.manifest_errors,
        postdeploy: setup.postdeploy.and_then(|script| {
            Some(Postdeploy {
                exit_code: script.exit_code?,
                output: script.output.unwrap_or_default(),
            })
        }),
        status: setup.status,
        updated_at: setup.updated_at,
    }
}

/// A whole URL as it is, and a path as one of the app's.
fn resolved(url: &str, web: &str) -> String {
    match url.starts_with("http://") || url.starts_with("https://") {
        true => url.to_owned(),
        false => format!(
            "{}/{}",
            web.trim_end_matches('/'),
            url.trim_start_matches('/')
        ),
    }
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let setup = call.read(|connection, caller| {
        let id = caller.params.id("setup", "app setup")?;
        app_setups::find(connection, &caller.account, id)
    })?;
    Reply::of(&view(&call, setup))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AppSetupBody")]
pub struct Body {
    #[schemars(required)]
    source_blob: Option<SourceBlobParam>,
    app: Option<AppParam>,
    overrides: Option<Overrides>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[schemars(rename = "AppSetupApp")]
pub struct AppParam {
    name: Option<String>,
    region: Option<Reference>,
    stack: Option<Reference>,
    /// The team that is to have the app; else the caller's default team has it, or the caller.
    organization: Option<Reference>,
    personal: Option<bool>,
    /// Only for a team's app.
    locked: Option<bool>,
    space: Option<Reference>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[schemars(rename = "AppSetupOverrides")]
pub struct Overrides {
    env: Option<BTreeMap<String, String>>,
    buildpacks: Option<Vec<BuildpackOverride>>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AppSetupBuildpackOverride")]
pub struct BuildpackOverride {
    #[schemars(required)]
    url: Option<String>,
}

/// 202: the app is there, and becomes what its `app.json` says. A setup that fails deletes it.
pub async fn create(call: Call, body: Body) -> Result<Reply<View, 202>> {
    let new = new_setup(&call, body).await?;
    let (setup, app) = call
        .write(move |connection, caller| {
            app_setups::create(connection, &caller.account, &new, caller.now)
        })
        .await?;
    super::apps::announce(&call, app.id);
    Reply::of(&view(&call, setup))
}

/// The app in the path is not there; should that be so because its setup failed, whoever asked for it is told why. The official CLI
/// looks for the app of a review app as soon as it is asked for, and shows nothing but what it is told then.
pub fn missing(connection: &Connection, caller: &Caller, error: Error) -> Error {
    if error.resource != Some("app") {
        return error;
    }
    let app = caller.params.identity("app");
    match app_setups::why_missing(connection, caller.account.id, &app) {
        Ok(Some(why)) => Error {
            message: format!("{} Its setup failed: {why}", error.message).into(),
            ..error
        },
        _ => error,
    }
}

async fn new_setup(call: &Call, body: Body) -> Result<NewSetup> {
    let app = body.app.unwrap_or_default();
    params::offered(app.region.as_ref(), catalog::REGION, "region")?;
    params::offered(app.stack.as_ref(), catalog::STACK, "stack")?;
    super::apps::no_space(app.space.as_ref(), "app.space")?;
    let overrides = body.overrides.unwrap_or_default();
    let env = overrides.env.unwrap_or_default();
    config_vars::check_all(&env)?;
    let buildpacks = overrides.buildpacks.map(buildpacks).transpose()?;
    let blob = params::required(body.source_blob, "source_blob")?;
    let source = checked_source(call, blob, true).await?;
    let team = match app.organization {
        Some(Reference(team)) => Some(team),
        None if app.personal.unwrap_or(false) => None,
        None => call
            .read(|connection, caller| teams::default_of(connection, &caller.account))?
            .map(|team| Identity::Id(team.id)),
    };
    Ok(NewSetup {
        team,
        locked: app.locked.unwrap_or(false),
        name: app.name.as_deref().map(AppName::parse).transpose()?,
        source_url: source.source_url,
        source_digest: source.source_digest,
        checksum: source.checksum,
        version: source.version,
        environment: None,
        env,
        buildpacks,
    })
}

fn buildpacks(overrides: Vec<BuildpackOverride>) -> Result<Vec<String>> {
    let name = |buildpack: BuildpackOverride| {
        let url = params::required(buildpack.url, "overrides.buildpacks[].url")?;
        Ok(Buildpack::parse(&url)?.name)
    };
    overrides.into_iter().map(name).collect()
}
