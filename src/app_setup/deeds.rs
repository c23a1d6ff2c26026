//! The steps of a setup once its build has ended, and how it fails. Each ends in one transaction that changes nothing unless the setup is where the step began.

use std::sync::Arc;

use rusqlite::Connection;

use crate::Platform;
use crate::app_json::Manifest;
use crate::error::{Error, ErrorId, Result};
use crate::log::{Filter, Line, Source, platform as lines};
use crate::name::Identity;
use crate::store::app_setup_ends;
use crate::store::app_setups::{self, Postdeploy, Setup};
use crate::store::config_vars::ConfigVars;
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
/// Whether another try may do better: what is full or busy now may not be so for ever.
pub(super) fn passes(error: &Error) -> bool {
    matches!(error.id, ErrorId::OutOfSpace | ErrorId::Unavailable)
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
                attach: None,
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
