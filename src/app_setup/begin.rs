//! The steps of a setup until its build is queued: its source is read, and the add-ons that it asks for are. Each ends in one
//! transaction that changes nothing unless the setup is where the step began.

use std::sync::Arc;

use rusqlite::Connection;

use super::deeds::{fail, passes};
use crate::Platform;
use crate::app_json::{self, Manifest};
use crate::archive::{self, Limits, Strip};
use crate::build;
use crate::error::{Error, ErrorId, Result};
use crate::log::platform as lines;
use crate::name::{Id, Identity};
use crate::secret;
use crate::store::accounts::Account;
use crate::store::addon_attaching::Wanted;
use crate::store::addon_changes::{self, NewAddOn};
use crate::store::app_setups::{self, Read, Setup};
use crate::store::buildpacks::{self, Buildpack};
use crate::store::builds::{self, NewBuild};
use crate::store::config_vars::{self, ConfigVars};
use crate::store::releases::Release;
use crate::store::{addon_services, app_setup_ends, apps};
use crate::time::Timestamp;

/// The words of Heroku.
const NO_MANIFEST: &str = "app.json not found";
/// Before what is wrong with it: most clients show nothing but the message.
const BAD_MANIFEST: &str = "app.json is not valid";
/// Errors that a message names. All of them are in `manifest_errors`.
const NAMED: usize = 3;

/// Why a setup came to nothing.
struct Fault {
    message: String,
    manifest_errors: Vec<String>,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault {
            message: error.message.into_owned(),
            manifest_errors: Vec::new(),
        }
    }
}

impl Fault {
    fn manifest(errors: Vec<String>) -> Fault {
        let named = &errors[..errors.len().min(NAMED)];
        let more = match errors.len() - named.len() {
            0 => String::new(),
            more => format!("; manifest_errors has {more} more"),
        };
        Fault {
            message: format!("{BAD_MANIFEST}: {}{more}.", named.join("; ")),
            manifest_errors: errors,
        }
    }
}

/// What was read of a source.
struct Plan {
    manifest: Manifest,
    vars: ConfigVars,
    buildpacks: Vec<Buildpack>,
    digest: String,
}

/// Reads the source of a setup, asks for its add-ons or queues its build, or ends the setup.
pub(super) async fn begin(
    platform: &Arc<Platform>,
    settings: &build::Settings,
    setup: &Setup,
) -> Result<bool> {
    let plan = match read(platform, settings, setup).await {
        Ok(plan) => plan,
        Err(error) if passes(&error) => return Err(error),
        Err(error) => Err(error.into()),
    };
    let plan = match plan {
        Ok(plan) => plan,
        Err(fault) => {
            let (message, errors) = (fault.message, fault.manifest_errors);
            return fail(platform, setup, &message, &errors, None).await;
        }
    };
    let (of, now) = (setup.clone(), platform.clock.now());
    let queued = platform
        .store
        .write(move |connection| queue(connection, &of, &plan, now))
        .await;
    match queued {
        Ok(releases) => {
            lines::all_released(&platform.logs, &releases);
            Ok(true)
        }
        Err(error) if passes(&error) => Err(error),
        Err(error) => fail(platform, setup, &error.message, &[], None).await,
    }
}

async fn read(
    platform: &Arc<Platform>,
    settings: &build::Settings,
    setup: &Setup,
) -> Result<std::result::Result<Plan, Fault>> {
    let wanted = build::SourceOf {
        url: &setup.source_url,
        digest: setup.source_digest.as_deref(),
        checksum: setup.checksum.as_deref(),
    };
    let source = build::fetch(&wanted, &platform.blobs, &platform.outbound, settings).await?;
    let blobs = platform.blobs.clone();
    let digest = source.digest;
    let listing = tokio::task::spawn_blocking(move || {
        let archive = blobs.open_checked(&digest)?;
        archive::inspect(
            archive,
            &Limits::default(),
            Strip::SoleFolder,
            &[app_json::NAME],
        )
    })
    .await
    .map_err(Error::internal)??;
    let Some(file) = listing.files.get(app_json::NAME) else {
        return Ok(Err(Error::invalid(NO_MANIFEST).into()));
    };
    let manifest = match Manifest::parse(file, setup.environment.as_deref()) {
        Ok(manifest) => manifest,
        Err(errors) => return Ok(Err(Fault::manifest(errors))),
    };
    let given = platform
        .store
        .read(|connection| app_setups::env(connection, setup.id))?;
    let plans = platform
        .store
        .read(|connection| plans_on_offer(connection, &manifest))?;
    if let Err(errors) = plans {
        return Ok(Err(Fault::manifest(errors)));
    }
    let vars = match manifest.config_vars(&given, generated)? {
        Ok(vars) => vars,
        Err(errors) => return Ok(Err(Fault::manifest(errors))),
    };
    config_vars::check_all(&vars)?;
    let named = setup.buildpacks.as_ref().unwrap_or(&manifest.buildpacks);
    let buildpacks = named
        .iter()
        .map(|name| Buildpack::parse(name))
        .collect::<Result<Vec<_>>>()?;
    Ok(Ok(Plan {
        manifest,
        vars,
        buildpacks,
        digest: digest.to_string(),
    }))
}

/// Whether all add-ons of a manifest can be asked for.
fn plans_on_offer(
    connection: &Connection,
    manifest: &Manifest,
) -> Result<std::result::Result<(), Vec<String>>> {
    let mut errors = Vec::new();
    for (at, addon) in manifest.addons.iter().enumerate() {
        let plan = Identity::parse(&addon.plan);
        if addon_services::plan_on_offer(connection, &plan)?.is_none() {
            let named: String = addon.plan.chars().take(100).collect();
            errors.push(format!(
                "addons[{at}]: no provider of this server offers {named}"
            ));
        }
    }
    Ok(match errors.is_empty() {
        true => Ok(()),
        false => Err(errors),
    })
}

/// 64 hexadecimal digits, as Heroku makes them.
fn generated() -> Result<String> {
    let bytes: [u8; 32] = secret::random()?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Config vars, buildpacks, and the add-ons or the build, all at once. The releases that this made.
fn queue(
    connection: &Connection,
    setup: &Setup,
    plan: &Plan,
    now: Timestamp,
) -> Result<Vec<Release>> {
    let current = app_setups::by_id(connection, setup.id)?;
    if current.is_none_or(|setup| super::next(&setup) != super::Step::Begin) {
        return Ok(Vec::new());
    }
    let by = app_setup_ends::maker(connection, setup)?;
    let changes = plan.vars.iter();
    let changes = changes.map(|(name, value)| (name.clone(), Some(value.clone())));
    let (_, release) = config_vars::update(connection, setup.app_id, changes.collect(), &by, now)?;
    buildpacks::replace(connection, setup.app_id, &plan.buildpacks)?;
    let mut releases: Vec<Release> = release.into_iter().collect();
    let addons = ask(connection, setup, &plan.manifest, &by, now)?;
    releases.extend(addons.1);
    let read = Read {
        manifest: &serde_json::to_string(&plan.manifest).map_err(Error::internal)?,
        success_url: plan.manifest.success_url.as_deref(),
        digest: &plan.digest,
        addons: &addons.0,
    };
    app_setups::note_read(connection, setup.id, &read, now)?;
    if read.addons.is_empty() {
        queue_build(connection, setup, &plan.digest, &by, now)?;
    }
    Ok(releases)
}

/// Asks for the add-ons of a manifest.
fn ask(
    connection: &Connection,
    setup: &Setup,
    manifest: &Manifest,
    by: &Account,
    now: Timestamp,
) -> Result<(Vec<Id>, Vec<Release>)> {
    let app = apps::by_id(connection, setup.app_id)?;
    let (mut ids, mut releases) = (Vec::new(), Vec::new());
    for wanted in &manifest.addons {
        let plan = Identity::parse(&wanted.plan);
        let plan = addon_services::plan_on_offer(connection, &plan)?;
        let plan = plan.ok_or_else(|| Error::not_found("plan"))?;
        let new = NewAddOn {
            name: None,
            service: &addon_services::by_id(connection, plan.addon_service_id)?,
            plan: &plan,
            options: &serde_json::to_string(&wanted.options).map_err(Error::internal)?,
            attachment: Wanted {
                name: wanted.r#as.as_deref(),
                namespace: None,
                confirm: None,
            },
        };
        let (made, released) = addon_changes::create(connection, &app, &new, by, now)?;
        ids.push(made.id);
        releases.extend(released);
    }
    Ok((ids, releases))
}

fn queue_build(
    connection: &Connection,
    setup: &Setup,
    digest: &str,
    by: &Account,
    now: Timestamp,
) -> Result<()> {
    let new = NewBuild {
        source_url: setup.source_url.clone(),
        source_digest: Some(digest.to_owned()),
        checksum: setup.checksum.clone(),
        version: setup.version.clone(),
        version_description: None,
        buildpacks: None,
    };
    let build = builds::create(connection, setup.app_id, by, &new, now)?;
    app_setups::note_build(connection, setup.id, build.id, now)
}

/// Queues the build of a setup whose add-ons are made.
pub(super) async fn build(platform: &Arc<Platform>, setup: &Setup) -> Result<bool> {
    let (id, now) = (setup.id, platform.clock.now());
    let queued = platform
        .store
        .write(move |connection| {
            let current = app_setups::by_id(connection, id)?;
            let current = current.filter(|setup| super::next(setup) == super::Step::Build);
            let Some(setup) = current else {
                return Ok(false);
            };
            let by = app_setup_ends::maker(connection, &setup)?;
            let digest = setup.source_digest.as_deref().unwrap_or_default();
            queue_build(connection, &setup, digest, &by, now)?;
            Ok(true)
        })
        .await;
    match queued {
        Err(error) if !passes(&error) && error.id != ErrorId::Internal => {
            fail(platform, setup, &error.message, &[], None).await
        }
        queued => queued,
    }
}
