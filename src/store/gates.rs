//! What a promotion must pass before anything moves: the next stage, the status checks of its targets, and equal config and add-ons.
//!
//! Akkeris' rules and words. All gates are asked before the promotion is queued, so one that is closed stops it whole.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::couplings::{Coupling, Stage};
use super::releases::Release;
use super::{addon_attachments, config_vars, release_statuses};
use crate::error::{Error, Result};
use crate::name::Id;

/// Which gates there are for one promotion.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gates {
    /// The config vars of source and targets must have the same names, and their add-ons must be of the same services.
    pub safe: bool,
    /// Only the next stage may be promoted to.
    pub strict_stages: bool,
    /// Somebody with elevated access takes it upon him that status checks are missing.
    pub unchecked: bool,
}

impl Gates {
    /// 422 for a stage or config that does not fit, 409 for status checks that are not successful, each with all the reasons.
    pub fn check(
        self,
        connection: &Connection,
        source: &Coupling,
        release: &Release,
        targets: &[Coupling],
    ) -> Result<()> {
        if self.strict_stages {
            next_stage_only(source, targets)?;
        }
        if !self.unchecked {
            status_checks(connection, release, targets)?;
        }
        if self.safe {
            same_surroundings(connection, source, targets)
        } else {
            Ok(())
        }
    }
}

/// The stage after each, as `GET /pipeline-stages` shows it.
pub fn next(stage: Stage) -> Option<Stage> {
    match stage {
        Stage::Review => Some(Stage::Development),
        Stage::Development => Some(Stage::Staging),
        Stage::Staging => Some(Stage::Production),
        Stage::Test | Stage::Production => None,
    }
}

fn next_stage_only(source: &Coupling, targets: &[Coupling]) -> Result<()> {
    let next = next(source.stage).ok_or_else(|| {
        Error::invalid("The specified app cannot be promoted as it has no next stage.")
    })?;
    match targets.iter().find(|target| target.stage != next) {
        None => Ok(()),
        Some(target) => Err(no_target(&format!(
            "{} is at the stage {}, and the next one is {}.",
            target.app_name,
            target.stage.as_str(),
            next.as_str()
        ))),
    }
}

/// 422 for an app that cannot be promoted to, with why.
pub fn no_target(why: &str) -> Error {
    Error::invalid(format!(
        "Some of the specified targets are either not in the pipeline or cannot be promoted from the specified source app. {why}"
    ))
}

fn status_checks(connection: &Connection, release: &Release, targets: &[Coupling]) -> Result<()> {
    let mut missing = String::new();
    for target in targets {
        for context in &target.required_status_checks {
            if !release_statuses::succeeded(connection, release.id, context)? {
                missing.push_str(&format!(
                    "\nThe app {} at stage {} requires the status \"{context}\" to pass in order to promote.",
                    target.app_name,
                    target.stage.as_str()
                ));
            }
        }
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Error::conflict(format!(
            "This promotion was stopped as it was deemed unsafe:{missing}"
        ))),
    }
}

/// The config vars of source and target must have the same names, and their add-ons must be of the same services.
fn same_surroundings(
    connection: &Connection,
    source: &Coupling,
    targets: &[Coupling],
) -> Result<()> {
    let (our_vars, our_addons) = surroundings(connection, source.app_id)?;
    let mut reasons = String::new();
    for target in targets {
        let (their_vars, their_addons) = surroundings(connection, target.app_id)?;
        let app = &target.app_name;
        let mut differs = |one: &Names, other: &Names, before: &str, after: String| {
            let only: Vec<&str> = one.difference(other).map(String::as_str).collect();
            if !only.is_empty() {
                reasons.push_str(&format!("\n  {before} ({}) {after}", only.join(", ")));
            }
        };
        let after = format!("that are not present in the destination app ({app}).");
        differs(
            &our_vars,
            &their_vars,
            "The source app contains config var(s)",
            after,
        );
        let before = format!("The destination app ({app}) contains config var(s)");
        let after = "that is not present in the source app.".to_owned();
        differs(&their_vars, &our_vars, &before, after);
        let after = format!("that are not on the destination app ({app})");
        differs(
            &our_addons,
            &their_addons,
            "The source app has addon(s)",
            after,
        );
        let before = format!("The destination app ({app}) has addon(s)");
        let after = format!("that are not on the source app ({})", source.app_name);
        differs(&their_addons, &our_addons, &before, after);
    }
    match reasons.is_empty() {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "Safe promotion was specified and this promotion has been deemed unsafe. Reasons:{reasons}"
        ))),
    }
}

type Names = BTreeSet<String>;

/// What an app's code finds around it: the names of its config vars, and the services of its add-ons.
fn surroundings(connection: &Connection, app: Id) -> Result<(Names, Names)> {
    let vars = config_vars::get(connection, app)?.into_keys().collect();
    Ok((vars, addon_attachments::service_names(connection, app)?))
}
