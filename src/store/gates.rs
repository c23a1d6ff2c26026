//! What a promotion must pass before anything moves: the next stage, the status checks of its targets, and equal config.
//!
//! Akkeris' rules and words. All gates are asked before the promotion is queued, so one that is closed stops it whole.

use rusqlite::Connection;

use super::couplings::{Coupling, Stage};
use super::releases::Release;
use super::{config_vars, release_statuses};
use crate::error::{Error, Result};

/// Which gates there are for one promotion, beside the status checks, which always count.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gates {
    /// The config vars of source and targets must have the same names.
    pub safe: bool,
    /// Only the next stage may be promoted to.
    pub strict_stages: bool,
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
        status_checks(connection, release, targets)?;
        if self.safe {
            same_config(connection, source, targets)
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
    if targets.iter().any(|target| target.stage != next) {
        return Err(Error::invalid(
            "Some of the specified targets are either not in the pipeline or cannot be promoted from the specified source app.",
        ));
    }
    Ok(())
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

fn same_config(connection: &Connection, source: &Coupling, targets: &[Coupling]) -> Result<()> {
    let ours = config_vars::get(connection, source.app_id)?;
    let mut reasons = String::new();
    for target in targets {
        let theirs = config_vars::get(connection, target.app_id)?;
        let only = |one: &config_vars::ConfigVars, other: &config_vars::ConfigVars| {
            one.keys()
                .filter(|key| !other.contains_key(*key))
                .cloned()
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (missing, extra) = (only(&ours, &theirs), only(&theirs, &ours));
        if !missing.is_empty() {
            reasons.push_str(&format!(
                "\n  The source app contains config var(s) ({missing}) that are not present in the destination app ({}).",
                target.app_name
            ));
        }
        if !extra.is_empty() {
            reasons.push_str(&format!(
                "\n  The destination app ({}) contains config var(s) ({extra}) that is not present in the source app.",
                target.app_name
            ));
        }
    }
    match reasons.is_empty() {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "Safe promotion was specified and this promotion has been deemed unsafe. Reasons:{reasons}"
        ))),
    }
}
