//! What a shim keeps in its memory for the server that takes its dyno up.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::process::Place;
use crate::health_checks::HealthCheck;
use crate::name::Id;
use crate::output::Writer;
use crate::store::config_vars::ConfigVars;

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Note {
    pub boot_ms: u64,
    pub attached: bool,
    /// Where it listens, if at an address of its own.
    pub address: Option<Ipv4Addr>,
    /// The release that has what it prints as its output.
    pub output: Option<Id>,
    /// What is not to be seen in that output.
    pub hidden: ConfigVars,
    /// What it has to answer to be up, beside listening.
    pub checks: Vec<HealthCheck>,
}

impl Place {
    /// Where what a dyno prints goes beside the log, with the values of its config vars hidden, as in a build's output. A release does
    /// without its output rather than fail for it.
    pub fn copy(&self, note: &Note) -> Option<Writer> {
        let writer = self.outputs.writer(note.output?);
        writer
            .inspect(|writer| writer.hide(&note.hidden))
            .inspect_err(|error| tracing::error!(%error, "a release's output cannot be written"))
            .ok()
    }
}
