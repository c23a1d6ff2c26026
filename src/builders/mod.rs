//! Built-in builders: what turns a source into something that runs where no buildpack is named.
//!
//! A builder is a pure function. It looks at a [`Tree`], the files of a source, at the config vars and at the [`Toolchains`] of
//! this machine, and gives a [`Plan`]: which commands to run, in which environment, and what the app runs by default. Who
//! carries the plan out, and where, is for others to know: nothing here starts a process or writes a file.
//!
//! The order is that in which Heroku's buildpacks detect; after the languages come static sites and Make, which are asked only
//! where no language is found, since a site's generator and a Go program have an `index.html` or a `Makefile` as well.

mod foreign;
mod go;
mod make;
mod node;
mod plan;
mod python;
mod rust;
mod site;
mod toolchains;
mod tree;
mod version;

use std::collections::BTreeMap;

use crate::error::Result;
use crate::process_types::{self, procfile};

pub use foreign::{Foreign, foreign};
pub use plan::{Command, Places, Plan, Step};
pub use toolchains::{Probe, Toolchains};
pub use tree::{FILE_BYTES, Folder, Tree};

/// All that a plan depends on, but the machine.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub tree: &'a dyn Tree,
    /// Config vars, of which some steer a build.
    pub config: &'a BTreeMap<String, String>,
}

impl Source<'_> {
    /// A config var that is there and not empty.
    fn var(&self, name: &str) -> Option<&str> {
        self.config
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

/// What builds an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The app's own `bin/detect` and `bin/compile`: a buildpack that is the app itself.
    Own,
    Node,
    Python,
    Go,
    Rust,
    Site,
    Make,
}

/// The official buildpacks that a builder stands in for, by their names.
pub const STAND_INS: [(&str, Kind); 5] = [
    ("emk/rust", Kind::Rust),
    ("heroku-community/static", Kind::Site),
    ("heroku/go", Kind::Go),
    ("heroku/nodejs", Kind::Node),
    ("heroku/python", Kind::Python),
];

/// The files that decide which builder it is, and those that say at once what cannot be built. Whoever has no whole tree has to
/// offer these.
pub fn marks() -> Vec<&'static str> {
    [process_types::FILES, MARKS, foreign::MARKS].concat()
}

const MARKS: &[&str] = &[
    "bin/detect",
    "bin/compile",
    "package.json",
    "server.js",
    "requirements.txt",
    "uv.lock",
    "poetry.lock",
    "Pipfile",
    "pyproject.toml",
    "setup.py",
    ".python-version",
    "go.mod",
    "Cargo.toml",
    "static.json",
    "index.html",
    "public_html/index.html",
    "public/index.html",
    "dist/index.html",
    "Makefile",
    "makefile",
    "GNUmakefile",
];

/// The builders that could build it, the first of which does.
pub fn detect(tree: &dyn Tree) -> Vec<Kind> {
    if tree.has("bin/detect") && tree.has("bin/compile") {
        return vec![Kind::Own];
    }
    let languages = [Kind::Node, Kind::Python, Kind::Go, Kind::Rust];
    // A target that is named for it is the plainest word that a source can say.
    let others = match make::is_asked_for(tree) {
        true => [Kind::Make, Kind::Site],
        false => [Kind::Site, Kind::Make],
    };
    let found = |kinds: &[Kind]| {
        let found = kinds.iter().copied().filter(|kind| kind.detects(tree));
        let found = found.filter(|kind| *kind != Kind::Site || !runs_its_own_web(tree));
        found.collect::<Vec<_>>()
    };
    match found(&languages) {
        found if !found.is_empty() => found,
        _ => found(&others),
    }
}

/// Whether the Procfile has a web process that serves the pages itself, and no `static.json` says otherwise.
fn runs_its_own_web(tree: &dyn Tree) -> bool {
    let declared = procfile::parse(&tree.beginning("Procfile")).unwrap_or_default();
    let mut declared = declared.iter();
    let own = declared.any(|(name, run)| name.as_str() == "web" && !run.contains(site::WEB));
    own && !site::is_asked_for(tree)
}

impl Kind {
    /// What a person calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Own => "bin/compile",
            Kind::Node => "Node.js",
            Kind::Python => "Python",
            Kind::Go => "Go",
            Kind::Rust => "Rust",
            Kind::Site => "Static site",
            Kind::Make => "Make",
        }
    }

    /// The builder that stands in for an official buildpack, which is only a name here.
    pub fn named(buildpack: &str) -> Option<Kind> {
        let known = STAND_INS.iter().find(|(name, _)| *name == buildpack);
        known.map(|(_, kind)| *kind)
    }

    /// The files one of which a source for this builder has.
    pub fn sought(self) -> &'static str {
        match self {
            Kind::Own => "bin/detect and bin/compile",
            Kind::Node => "package.json",
            Kind::Python => {
                "requirements.txt, Pipfile, poetry.lock, uv.lock, pyproject.toml, setup.py or .python-version"
            }
            Kind::Go => "go.mod",
            Kind::Rust => "Cargo.toml",
            Kind::Site => "static.json or index.html",
            Kind::Make => "Makefile with a target heroku-build or build",
        }
    }

    /// Whether a source is for this builder.
    pub fn detects(self, tree: &dyn Tree) -> bool {
        match self {
            Kind::Own => tree.has("bin/detect") && tree.has("bin/compile"),
            Kind::Node => tree.has("package.json"),
            Kind::Python => python::detects(tree),
            Kind::Go => tree.has("go.mod"),
            Kind::Rust => tree.has("Cargo.toml"),
            Kind::Site => site::detects(tree),
            Kind::Make => make::detects(tree),
        }
    }

    /// What an app runs whose Procfile does not say. 422 where the files that say it cannot be read.
    pub fn defaults(self, tree: &dyn Tree) -> Result<BTreeMap<String, String>> {
        let web = match self {
            Kind::Node => node::web(tree)?,
            Kind::Go => go::web(tree)?,
            Kind::Rust => rust::web(tree)?,
            Kind::Site => Some(site::WEB.to_owned()),
            // What is made may be a site's pages.
            Kind::Make if site::detects(tree) => Some(site::WEB.to_owned()),
            Kind::Own | Kind::Python | Kind::Make => None,
        };
        Ok(web.map(|web| ("web".to_owned(), web)).into_iter().collect())
    }

    /// The programs whose versions the plan depends on.
    pub fn probes(self, source: &Source<'_>) -> Result<Vec<Probe>> {
        match self {
            Kind::Own | Kind::Site => Ok(Vec::new()),
            Kind::Node => Ok(node::probes()),
            Kind::Python => python::probes(source),
            Kind::Go => Ok(vec![Probe::of("go", &["version"])]),
            Kind::Rust => Ok(rust::probes()),
            Kind::Make => Ok(vec![Probe::of("make", &["--version"])]),
        }
    }

    /// What to do. 422 with a remedy where this machine or the source cannot. The app's own `bin/compile` is run as a buildpack
    /// is, and has no plan.
    pub fn plan(
        self,
        source: &Source<'_>,
        toolchains: &Toolchains,
        places: &Places,
    ) -> Result<Option<Plan>> {
        let mut plan = match self {
            Kind::Own => return Ok(None),
            Kind::Node => node::plan(source, toolchains, places)?,
            Kind::Python => python::plan(source, toolchains, places)?,
            Kind::Go => go::plan(source, toolchains, places)?,
            Kind::Rust => rust::plan(source, toolchains, places)?,
            Kind::Site => site::plan(source.tree)?,
            Kind::Make => make::plan(source.tree, toolchains, places)?,
        };
        plan.defaults = self.defaults(source.tree)?;
        Ok(Some(plan))
    }
}
