//! Whether a source can be built, as far as that can be told without building it: asked before a build is accepted, so that
//! its author hears of a broken archive at once.
//!
//! It must not know who asks. What it says the build would say too, through the same walk and the same decision.

use std::io::Read;

use crate::archive::{self, Limits, Strip};
use crate::error::Result;
use crate::process_types;

/// 422 for what is no gzip tar file, ends early, holds anything that is not let in, or says nowhere what to run. Reads all of
/// the source, so it blocks for as long as that takes: call it off the async workers.
pub fn check_source(source: impl Read + Send) -> Result<()> {
    let listing = archive::inspect(
        source,
        &Limits::default(),
        Strip::SoleFolder,
        process_types::FILES,
    )?;
    process_types::decide(&listing.files)?;
    Ok(())
}
