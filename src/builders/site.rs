//! Static sites: nothing is built, and Penstock itself serves them.

use super::{Plan, Tree};
use crate::error::Result;
use crate::static_site::{Config, FILE, ROOTS};

/// What serves a site; dynos find the program in their `PATH`.
pub const WEB: &str = "penstock static";

/// Whether a source says that it is one.
pub fn is_asked_for(tree: &dyn Tree) -> bool {
    tree.has(FILE)
}

pub fn detects(tree: &dyn Tree) -> bool {
    is_asked_for(tree) || root(tree).is_some()
}

/// The first folder that looks like a site.
fn root(tree: &dyn Tree) -> Option<&'static str> {
    ROOTS.into_iter().find(|root| {
        let index = format!("{root}/index.html");
        tree.has(index.trim_start_matches('/'))
    })
}

pub fn plan(tree: &dyn Tree) -> Result<Plan> {
    let mut plan = Plan::default();
    let config = match tree.text(FILE)? {
        Some(text) => Config::parse(&text)?,
        None => Config::of_root(root(tree).unwrap_or_default()),
    };
    let folder = match config.root.as_str() {
        "" => "the app's own folder",
        root => root,
    };
    plan.topic(format!("Serving {folder} with `{WEB}`"));
    for key in &config.unserved {
        plan.warn(format!("{FILE} has {key}, which changes nothing here."));
    }
    let index = format!("{}/index.html", config.root);
    if !tree.has(index.trim_start_matches('/')) {
        plan.warn(format!("There is no index.html in {folder}."));
    }
    Ok(plan)
}
