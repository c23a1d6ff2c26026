//! The steps of a setup. Each ends in one transaction that changes nothing unless the setup is where the step began.

use std::sync::Arc;

use rusqlite::Connection;

use crate::Platform;
use crate::app_json::{self, Manifest};
use crate::archive::{self, Limits, Strip};
use crate::build;
use crate::error::{Error, ErrorId, Result};
use crate::log::{Filter, Line, Source, platform as lines};
use crate::name::Identity;
use crate::secret;
use crate::store::app_setup_ends;
use crate::store::app_setups::{self, Postdeploy, Setup};
use crate::store::buildpacks::{self, Buildpack};
use crate::store::builds::{self, NewBuild};
use crate::store::config_vars::{self, ConfigVars};
use crate::store::formation::{self, Formation, Quantity};
use crate::store::one_offs::{self, NewOneOff};
use crate::time::Timestamp;

/// The process type of a postdeploy script.
const POSTDEPLOY: &str = "postdeploy";
const POSTDEPLOY_SIZE: &str = "Basic";
/// How long it may run, in seconds.
const POSTDEPLOY_SECONDS: i64 = 3_600;
/// Of its output, in bytes from the end and in lines.
const OUTPUT_BYTES: usize = 64 * 1024;
const OUTPUT_LINES: usize = 1_500;
/// The words of Heroku.
const NO_MANIFEST: &str = "app.json not found";
const BAD_MANIFEST: &str = "app.json is not valid. manifest_errors says what is wrong with it.";

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
        Fault {
            message: BAD_MANIFEST.to_owned(),
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

/// Whether another try may do better: what is full or busy now may not be so for ever.
fn passes(error: &Error) -> bool {
    matches!(error.id, ErrorId::OutOfSpace | ErrorId::Unavailable)
}

/// Reads the source of a setup and queues its build, or ends the setup.
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
        Ok(Some(release)) => {
            let (app, version) = (release.app_id, release.version);
            let (description, user) = (&release.description, &release.account_email);
            lines::released(&platform.logs, app, description, version, user);
            Ok(true)
        }
        Ok(None) => Ok(true),
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
    buildpacks::refuse(&buildpacks)?;
    Ok(Ok(Plan {
        manifest,
        vars,
        buildpacks,
        digest: digest.to_string(),
    }))
}

/// 64 hexadecimal digits, as Heroku makes them.
fn generated() -> Result<String> {
    let bytes: [u8; 32] = secret::random()?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Config vars, buildpacks and the build, all at once. The release that this made, if any.
fn queue(
    connection: &Connection,
    setup: &Setup,
    plan: &Plan,
    now: Timestamp,
) -> Result<Option<crate::store::releases::Release>> {
    let current = app_setups::by_id(connection, setup.id)?;
    if current.is_none_or(|setup| super::next(&setup) != super::Step::Begin) {
        return Ok(None);
    }
    let by = app_setup_ends::maker(connection, setup)?;
    let changes = plan.vars.iter();
    let changes = changes.map(|(name, value)| (name.clone(), Some(value.clone())));
    let (_, release) = config_vars::update(connection, setup.app_id, changes.collect(), &by, now)?;
    buildpacks::replace(connection, setup.app_id, &plan.buildpacks)?;
    let new = NewBuild {
        source_url: setup.source_url.clone(),
        source_digest: Some(plan.digest.clone()),
        checksum: setup.checksum.clone(),
        version: setup.version.clone(),
        version_description: None,
    };
    let build = builds::create(connection, setup.app_id, &by, &new, now)?;
    let manifest = serde_json::to_string(&plan.manifest).map_err(Error::internal)?;
    let success_url = plan.manifest.success_url.as_deref();
    app_setups::note_build(connection, setup.id, build.id, &manifest, success_url, now)?;
    Ok(release)
}

/// What a release was followed by, for the log.
struct Deployed {
    formation: Vec<Formation>,
    /// The command of the script.
    postdeploy: Option<String>,
    user: String,
}

/// Scales as the manifest says, and asks for the postdeploy script; without one the setup has succeeded.
pub(super) async fn deploy(platform: &Arc<Platform>, setup: &Setup) -> Result<bool> {
    let (of, now) = (setup.clone(), platform.clock.now());
    let deployed = platform
        .store
        .write(move |connection| {
            let current = app_setups::by_id(connection, of.id)?;
            match current {
                Some(current) if super::next(&current) == super::Step::Deploy => {
                    follow_up(connection, &of, now).map(Some)
                }
                _ => Ok(None),
            }
        })
        .await;
    match deployed {
        Ok(None) => Ok(false),
        Ok(Some(deployed)) => {
            let (logs, user) = (&platform.logs, &deployed.user);
            if !deployed.formation.is_empty() {
                let text = formation::text(&deployed.formation);
                lines::scaled(logs, setup.app_id, &text, user);
            }
            if let Some(command) = deployed.postdeploy {
                lines::run(logs, setup.app_id, &command, user);
            }
            Ok(true)
        }
        Err(error) if passes(&error) || error.id == ErrorId::Internal => Err(error),
        Err(error) => fail(platform, setup, &error.message, &[], None).await,
    }
}

fn follow_up(connection: &Connection, setup: &Setup, now: Timestamp) -> Result<Deployed> {
    let manifest: Manifest =
        serde_json::from_str(setup.manifest.as_deref().unwrap_or("{}")).map_err(Error::internal)?;
    let (app, by) = (setup.app_id, app_setup_ends::maker(connection, setup)?);
    for (kind, scale) in &manifest.formation {
        let identity = Identity::Name(kind.clone());
        let quantity = scale.quantity.map(Quantity::Exactly);
        let size = scale.size.as_deref();
        formation::update(connection, app, &identity, quantity, size, now).map_err(|error| {
            match error.id {
                ErrorId::NotFound => Error::invalid(format!(
                    "The formation of app.json has the process type {kind}, which the Procfile does not declare."
                )),
                _ => error,
            }
        })?;
    }
    let scaled = match manifest.formation.is_empty() {
        true => Vec::new(),
        false => formation::all(connection, app)?,
    };
    let mut postdeploy = None;
    match manifest.postdeploy {
        None => drop(app_setup_ends::succeed(connection, setup, None, now)?),
        Some(command) => {
            let new = NewOneOff {
                r#type: POSTDEPLOY.to_owned(),
                command,
                env: ConfigVars::new(),
                size: POSTDEPLOY_SIZE,
                seconds: POSTDEPLOY_SECONDS,
            };
            let dyno = one_offs::create(connection, app, &new, now)?;
            app_setups::note_postdeploy(connection, setup.id, dyno.id, &dyno.name(), now)?;
            postdeploy = Some(dyno.command);
        }
    }
    Ok(Deployed {
        formation: scaled,
        postdeploy,
        user: by.email,
    })
}

/// Ends a setup whose postdeploy script has ended, and keeps what that printed.
pub(super) async fn conclude(platform: &Arc<Platform>, setup: &Setup) -> Result<bool> {
    let Some(script) = &setup.postdeploy else {
        return Ok(false);
    };
    let output = printed(platform, setup, script)?;
    match script.exit_code {
        Some(0) => {
            let (of, now) = (setup.clone(), platform.clock.now());
            let succeed = move |connection: &Connection| {
                app_setup_ends::succeed(connection, &of, Some(&output), now)
            };
            platform.store.write(succeed).await
        }
        Some(_) => {
            let message = "postdeploy exit code was not 0";
            fail(platform, setup, message, &[], Some(output)).await
        }
        None => {
            let message = "The postdeploy script was cut off, or could not be started, and nobody knows how far it came.";
            fail(platform, setup, message, &[], Some(output)).await
        }
    }
}

/// The end of what the script printed, as the app's log has it.
fn printed(platform: &Platform, setup: &Setup, script: &Postdeploy) -> Result<String> {
    let filter = Filter {
        source: Some(Source::App),
        process: Some(script.process.clone()),
        after: None,
    };
    let found = platform.logs.read(setup.app_id, &filter, OUTPUT_LINES)?;
    let messages = found
        .iter()
        .filter_map(|line| Line::parse(line))
        .map(|line| format!("{}\n", line.message));
    let mut output: String = messages.collect();
    while output.len() > OUTPUT_BYTES {
        let end = output.find('\n').map_or(output.len(), |end| end + 1);
        drop(output.drain(..end));
    }
    Ok(output)
}

/// Ends a setup that came to nothing. Its app is deleted with it, if that is still its maker's.
pub(super) async fn fail(
    platform: &Arc<Platform>,
    setup: &Setup,
    message: &str,
    errors: &[String],
    output: Option<String>,
) -> Result<bool> {
    tracing::info!(setup = %setup.id, message, "an app setup failed");
    let (of, now) = (setup.clone(), platform.clock.now());
    let (message, errors) = (message.to_owned(), errors.to_vec());
    let write = move |connection: &Connection| {
        app_setup_ends::fail(connection, &of, &message, &errors, output.as_deref(), now)
    };
    let failed = platform.store.write(write).await?;
    if failed.deleted_app
        && let Err(error) = platform.logs.remove(setup.app_id)
    {
        tracing::warn!(%error, app = %setup.app_id, "a deleted app's log was left for the sweep");
    }
    Ok(failed.ended)
}
