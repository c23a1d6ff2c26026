//! Releases: seen, made from a slug, and rolled back to.

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::{Call, Visit};
use super::held_back::warned;
use super::output;
use super::params::{self, Reference};
use super::reply::{Created, Reply};
use super::view::{Named, Ref, User};
use crate::Platform;
use crate::blob::signed::Method;
use crate::error::{Error, Result};
use crate::log::Logs;
use crate::log::platform as lines;
use crate::name::{Id, Identity};
use crate::outbound;
use crate::store::config_vars::{self, ConfigVars};
use crate::store::releases::{self, Change, FIELDS, LATEST_FIELDS, Latest, Release, Status};
use crate::store::slugs;
use crate::store::{held_back, once_committed};
use crate::time::Timestamp;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReleaseArtifact")]
pub struct Artifact {
    r#type: &'static str,
    id: Id,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Release")]
pub struct View {
    addon_plan_names: Vec<String>,
    app: Named,
    artifacts: Vec<Artifact>,
    created_at: Timestamp,
    current: bool,
    description: String,
    eligible_for_rollback: bool,
    id: Id,
    output_stream_url: Option<String>,
    slug: Option<Ref>,
    status: Status,
    updated_at: Timestamp,
    user: User,
    version: i64,
}

/// As whoever a webhook tells may see it: with nothing that opens anything.
pub(super) fn told(platform: &Platform, release: Release) -> View {
    let view = view(platform, release);
    let url = view.output_stream_url.as_deref();
    View {
        output_stream_url: url.map(outbound::shown),
        ..view
    }
}

fn view(platform: &Platform, release: Release) -> View {
    View {
        addon_plan_names: release.addon_plan_names,
        app: Named {
            id: release.app_id,
            name: release.app_name,
        },
        artifacts: release
            .slug_id
            .map(|id| Artifact { r#type: "slug", id })
            .into_iter()
            .collect(),
        created_at: release.created_at,
        current: release.current,
        description: release.description,
        eligible_for_rollback: release.slug_id.is_some() && release.status == Status::Succeeded,
        id: release.id,
        output_stream_url: release
            .has_output
            .then(|| platform.release_output_url(release.id)),
        slug: Ref::to(release.slug_id),
        status: release.status,
        updated_at: release.updated_at,
        user: User {
            email: release.account_email,
            id: release.account_id,
        },
        version: release.version,
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let platform = call.platform.clone();
    let held_back =
        call.read(|connection, caller| held_back::of(connection, caller.app_id(connection)?))?;
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            releases::list(connection, caller.app_id(connection)?, page)
        })
        .await?;
    let reply = paged.reply(|release| view(&platform, release))?;
    Ok(warned(reply, held_back))
}

/// The newest release of each app in the pipeline that the caller may see.
pub async fn latest_of_pipeline(call: Call) -> Result<Reply<Vec<View>>> {
    latest(call, Latest::Release).await
}

/// Of each app in the pipeline that the caller may see, the newest release that changed its slug: a deploy, a promotion, or a
/// rollback to another slug. Apps that were never deployed are not there.
pub async fn latest_deployments(call: Call) -> Result<Reply<Vec<View>>> {
    latest(call, Latest::Deployment).await
}

async fn latest(call: Call, latest: Latest) -> Result<Reply<Vec<View>>> {
    let platform = call.platform.clone();
    let paged = call
        .page(LATEST_FIELDS, move |connection, caller, page| {
            let pipeline = caller.pipeline(connection)?;
            let by = &caller.account;
            releases::latest_of_pipeline(connection, by, pipeline.id, latest, page)
        })
        .await?;
    paged.reply(|release| view(&platform, release))
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let release = call.read(|connection, caller| {
        releases::find(
            connection,
            caller.app_id(connection)?,
            &caller.params.identity("release"),
        )
    })?;
    Reply::of(&view(&call.platform, release))
}

pub async fn config_vars(call: Call) -> Result<Reply<ConfigVars>> {
    let vars = call.read(|connection, caller| {
        let release = releases::find(
            connection,
            caller.app_id(connection)?,
            &caller.params.identity("release"),
        )?;
        config_vars::read(connection, release.config_set_id)
    })?;
    Reply::of(&vars)
}

/// What the release command printed, from its start, live, and again whenever it is asked for.
pub async fn output(visit: Visit) -> Result<HttpResponse> {
    visit.verify(Method::Get)?;
    let id = visit.params.id("release", "release")?;
    let release = visit
        .platform
        .store
        .read(|connection| releases::by_id(connection, id))?;
    if !release.is_some_and(|release| release.has_output) {
        return Err(Error::not_found("release"));
    }
    let end = visit.platform.release_output_end(id)?;
    Ok(output::stream(&visit.request, end, |from| {
        visit.platform.release_output(id, from)
    }))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ReleaseNewRelease", extend("oneOf" = [{"required": ["slug"]}, {"required": ["release"]}]))]
pub struct NewRelease {
    slug: Option<Reference>,
    /// For a rollback: an id, or a version as a number or as text.
    release: Option<Version>,
    description: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "it must be the id or the version of a release")]
enum Version {
    Number(u32),
    Reference(Reference),
}

pub async fn create(call: Call, new: NewRelease) -> Result<Created<View>> {
    let description = params::text(new.description, "description", 1_000)?;
    let release = match (new.slug, new.release) {
        (Some(Reference(slug)), None) => deploy(&call, slug, description).await?,
        (None, Some(Version::Number(version))) => {
            rollback(&call, Identity::Name(version.to_string())).await?
        }
        (None, Some(Version::Reference(Reference(release)))) => rollback(&call, release).await?,
        (None, None) => {
            return Err(Error::invalid(
                "The specified \"slug\" (or) \"release\" field was not provided.",
            ));
        }
        (Some(_), Some(_)) => {
            return Err(Error::invalid(
                "The specified request may only contain either a \"slug\" field for the build to deploy or the \"release\" field for the release to roll back to, not both.",
            ));
        }
    };
    Reply::of(&view(&call.platform, release))
}

async fn deploy(call: &Call, slug: Identity, description: Option<String>) -> Result<Release> {
    let logs = call.platform.logs.clone();
    call.write(move |connection, caller| {
        let app = caller.app(connection)?;
        let Identity::Id(id) = slug else { return Err(Error::invalid("A slug is named by its id.")) };
        let slug = slugs::deployable(connection, &caller.account, id)?;
        if slug.digest.is_none() {
            return Err(Error::invalid("Nothing was uploaded to this slug yet. PUT its tar.gz to the slug's blob url first."));
        }
        let change = Change::Deploy { slug: slug.id, description };
        let release = releases::create(connection, app.id, &caller.account, change, caller.now)?;
        announce(&logs, &release);
        if releases::is_first_deploy(connection, &release)? {
            super::formation::announce(connection, caller, &logs, app.id)?;
        }
        Ok(release)
    })
    .await
}

async fn rollback(call: &Call, to: Identity) -> Result<Release> {
    let logs = call.platform.logs.clone();
    call.write(move |connection, caller| {
        let app = caller.app(connection)?;
        let to = releases::find(connection, app.id, &to)?;
        if to.slug_id.is_none() || to.status != Status::Succeeded {
            return Err(Error::invalid(format!(
                "v{} has no slug that ran, so there is nothing to roll back to.",
                to.version
            )));
        }
        let change = Change::Rollback { to };
        let release = releases::create(connection, app.id, &caller.account, change, caller.now)?;
        announce(&logs, &release);
        Ok(release)
    })
    .await
}

/// Tells the app's log of a release, from within the write that makes it.
fn announce(logs: &Logs, release: &Release) {
    let (logs, release) = (logs.clone(), release.clone());
    once_committed(move || lines::release(&logs, &release));
}
