//! Buildpacks in their order on one tree, where built-in builders stand in for those that are only names.

use crate::builders::Kind;
use crate::error::Result;
use crate::process_types::Built;

use super::builtin::Builtin;
use super::classic::{Classic, Pack};

/// One of them.
pub(super) enum Part {
    Pack(Pack),
    BuiltIn(String, Kind),
}

/// All of them. The packs are those that nothing stands in for.
pub(super) fn parts(
    names: impl Iterator<Item = String>,
    stand_ins: Vec<Option<Kind>>,
    packs: Vec<Pack>,
) -> Vec<Part> {
    let mut packs = packs.into_iter();
    let part = |(name, kind)| match kind {
        Some(kind) => Some(Part::BuiltIn(name, kind)),
        None => packs.next().map(Part::Pack),
    };
    names.zip(stand_ins).filter_map(part).collect()
}

/// Runs them. What the last one says of the app; `path` is where dynos look for programs.
pub(super) async fn run(classic: &Classic<'_>, path: &str, parts: &[Part]) -> Result<Built> {
    let mut built = Built::default();
    let mut exports = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        built = match part {
            Part::Pack(pack) => {
                let is_last = at + 1 == parts.len();
                classic.run_one(pack, &mut exports, is_last).await?
            }
            Part::BuiltIn(name, kind) => {
                let builtin = Builtin {
                    build: classic.build,
                    workshop: classic.workshop,
                    output: classic.output,
                    halt: classic.halt,
                    cache: classic.cache.clone(),
                    path,
                    exports: &exports,
                };
                let (built, path) = builtin.run_named(name, *kind).await?;
                let export = builtin.export(&path, at).await?;
                exports.extend(export);
                built
            }
        };
    }
    Ok(built)
}
