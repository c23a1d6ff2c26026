//! Whether a source can be built, as far as that can be told without building it: asked before a build is accepted, so that
//! its author hears of a broken archive at once.
//!
//! It must not know who asks. What it says the build would say too, through the same walk and the same decision.

use std::collections::BTreeMap;
use std::io::Read;

use crate::archive::{self, Limits, RootFile, Strip};
use crate::builders::{self, Kind};
use crate::error::{Error, Result};
use crate::process_types::{self, Built};

/// 422 for what is no gzip tar file, ends early, or holds anything that is not let in. Whether it says what to run is for whatever
/// builds it. Blocks as [`check_source`] does.
pub fn check_archive(source: impl Read + Send) -> Result<()> {
    archive::inspect(source, &Limits::default(), Strip::SoleFolder, &[]).map(drop)
}

/// 422 for what is no gzip tar file, ends early, holds anything that is not let in, or says nowhere what to run. Reads all of
/// the source, so it blocks for as long as that takes: call it off the async workers.
pub fn check_source(source: impl Read + Send) -> Result<()> {
    let wanted = builders::marks();
    let files = archive::inspect(source, &Limits::default(), Strip::SoleFolder, &wanted)?.files;
    let found = builders::detect(&files);
    check_foreign(&files, &found)?;
    match found.first() {
        // What they run is known once they have looked around, or even only once they are done.
        Some(Kind::Own | Kind::Go | Kind::Rust) => process_types::declared(&files).map(drop),
        Some(kind) => {
            let built = Built {
                name: kind.name().to_owned(),
                defaults: kind.defaults(&files)?,
                must_run: true,
            };
            process_types::merge(&files, built).map(drop)
        }
        None => process_types::decide(&files).map(drop),
    }
}

/// 422 for what would be deployed with nothing built, and nothing that says how it runs all the same.
fn check_foreign(files: &BTreeMap<String, RootFile>, found: &[Kind]) -> Result<()> {
    match builders::foreign(files, found) {
        Some(foreign) if found.is_empty() && process_types::declared(files)?.0.is_empty() => {
            Err(Error::invalid(foreign.advice()))
        }
        _ => Ok(()),
    }
}
