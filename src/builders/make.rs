//! Make: a Makefile with a target that is meant for this.
//!
//! It is `heroku-build`, else `build`. The default target is not run: many a Makefile is there for something else, and what
//! `make` alone does to it nobody has asked for.

use super::toolchains::Install;
use super::{Command, Places, Plan, Toolchains, Tree};
use crate::error::Result;

const INSTALL: Install<'_> = Install {
    by: "apt-get install make",
    readable: None,
};
const FILES: [&str; 3] = ["GNUmakefile", "makefile", "Makefile"];
const TARGETS: [&str; 2] = ["heroku-build", "build"];

pub fn detects(tree: &dyn Tree) -> bool {
    target(tree).is_some()
}

/// Whether it has the target that is only there for this.
pub fn is_asked_for(tree: &dyn Tree) -> bool {
    target(tree) == Some(TARGETS[0])
}

/// The target to be made. GNU make reads the first of its files that is there.
fn target(tree: &dyn Tree) -> Option<&'static str> {
    let text = tree.beginning(tree.first(&FILES)?);
    TARGETS
        .into_iter()
        .find(|target| text.lines().any(|line| makes(line, target)))
}

/// Whether a line is a rule for the target: `build: deps`, `all build:`, but not `build := x`.
fn makes(line: &str, target: &str) -> bool {
    let Some((targets, rest)) = line.split_once(':') else {
        return false;
    };
    !line.starts_with(['\t', '#', ' '])
        && !rest.trim_start_matches(':').starts_with('=')
        && targets.split_whitespace().any(|name| name == target)
}

pub fn plan(tree: &dyn Tree, toolchains: &Toolchains, places: &Places) -> Result<Plan> {
    let version = toolchains.required("make", "make", &INSTALL)?;
    let target = target(tree).unwrap_or(TARGETS[1]);
    let mut plan = Plan::default();
    plan.set("PATH", places.path.clone());
    plan.topic(format!("Using make {} of this machine", version.minor()));
    plan.topic(format!("Making {target}"));
    plan.run(Command::new(["make", target]));
    Ok(plan)
}
