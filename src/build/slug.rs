//! Making the slug: the tree as a gzip tar file under `./app`, the same bytes for the same tree.

use std::path::Path;

use crate::archive::{self, Limits};
use crate::blob::{Blob, Blobs};
use crate::error::{Error, ErrorId, Result};
use crate::process_types::Decision;
use crate::store::builds::Build;
use crate::store::cron_jobs::Entry;
use crate::store::slugs::NewSlug;

use super::halt::{Halt, Halting};

/// Where the tree stands in a slug, as on Heroku.
const PREFIX: &str = "./app";

/// Packs a tree into the blobs. Blocks.
pub(super) fn pack(blobs: &Blobs, tree: &Path, max_bytes: u64, halt: Halt) -> Result<Blob> {
    let mut slug = blobs.writer(max_bytes)?;
    let halting = Halting {
        inner: &mut slug,
        halt,
    };
    archive::pack(tree, PREFIX, halting, &Limits::slug()).map_err(|error| match error.id {
        ErrorId::RequestTooLarge => Error::invalid(format!(
            "The slug is too large (max is {}). Leave out what the app does not need to run.",
            shown(max_bytes)
        )),
        _ => error,
    })?;
    slug.finish()
}

/// The row of a packed slug.
pub(super) fn row(
    build: &Build,
    packed: &Blob,
    decision: Decision,
    cron: Vec<Entry>,
) -> Result<NewSlug> {
    Ok(NewSlug {
        digest: Some(packed.digest.to_string()),
        size: Some(i64::try_from(packed.size).map_err(Error::internal)?),
        commit: build.version.clone(),
        commit_description: build.version_description.clone(),
        buildpack_provided_description: Some(decision.origin.description().to_owned()),
        checksum: Some(packed.digest.checksum()),
        process_types: decision.commands,
        cron,
    })
}

/// A size as Heroku shows it: `812B`, `1.2K`, `62.5M`.
pub(super) fn shown(bytes: u64) -> String {
    const UNITS: [&str; 3] = ["K", "M", "G"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would be shown as 1024.0.
    while size >= 1023.95 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let size = format!("{size:.1}");
    format!(
        "{}{}",
        size.strip_suffix(".0").unwrap_or(&size),
        UNITS[unit]
    )
}
