//! `penstock version`: which version this is, for a person and for a program.

use clap::Args;
use serde::Serialize;

use super::print::{self, Json};
use crate::backup;
use crate::error::Result;
use crate::store;

#[derive(Args)]
pub struct Version {
    #[command(flatten)]
    form: Json,
}

#[derive(Serialize)]
struct View {
    version: &'static str,
    /// Of the database that this version writes.
    database: i64,
    /// Of the backups that this version writes.
    backup: u32,
    platform: String,
}

impl Version {
    pub fn run(&self) -> Result<()> {
        let view = View {
            version: env!("CARGO_PKG_VERSION"),
            database: store::VERSION,
            backup: backup::FORMAT,
            platform: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        };
        match self.form.json {
            true => print::json(&view),
            false => print::line(&format!("penstock {} ({})\n", view.version, view.platform)),
        }
    }
}
