//! npm, yarn and pnpm: which one an app's lockfile is of, and how each installs, runs and prunes.
//!
//! The machine's own is used where it is of the right kind. Where it is not there, npm brings it from the registry that the app's
//! packages come from anyway.

use crate::builders::{Command, Places, Plan, Toolchains, Tree};
use crate::error::{Error, Result};

use super::package::Package;
use super::{TOOLS, npm};

/// The last of the old yarns, which also starts the newer one that an app brings along.
const YARN_1: &str = "1.22.22";

/// Told to install elsewhere, npm would look there for the machine's own settings too: its registry, its proxy, whom it trusts.
const BRING: &str =
    "export npm_config_globalconfig=\"$(npm config get globalconfig)\"; exec npm install \"$@\"";

/// A package manager.
pub struct Manager {
    kind: Kind,
    lockfile: bool,
    workspace: bool,
    /// What npm has to bring first.
    brought: Option<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Npm,
    /// Version 1.
    Yarn,
    /// Version 2 and later. Without `node_modules`, what was fetched is what runs, and stays with the app.
    Berry {
        node_modules: bool,
    },
    Pnpm,
}

impl Manager {
    /// By the lockfile. 422 for two of different ones, of which nobody could say which is meant.
    pub fn choose(tree: &dyn Tree, package: &Package, toolchains: &Toolchains) -> Result<Manager> {
        let lockfiles = [
            "package-lock.json",
            "npm-shrinkwrap.json",
            "yarn.lock",
            "pnpm-lock.yaml",
        ];
        let mut found: Vec<&str> = lockfiles
            .into_iter()
            .filter(|name| tree.has(name))
            .collect();
        if found == ["package-lock.json", "npm-shrinkwrap.json"] {
            found.pop();
        }
        if let [one, other, ..] = found[..] {
            return Err(Error::invalid(format!(
                "There are two lockfiles, {one} and {other}, of different package managers. Remove the one that is not used, then build again."
            )));
        }
        let kind = match found.first() {
            Some(&"yarn.lock") => yarn(tree, package),
            Some(&"pnpm-lock.yaml") => Kind::Pnpm,
            _ => Kind::Npm,
        };
        Ok(Manager {
            kind,
            lockfile: !found.is_empty(),
            workspace: tree.has("pnpm-workspace.yaml"),
            brought: brought(kind, tree, package, toolchains),
        })
    }

    pub fn has_lockfile(&self) -> bool {
        self.lockfile
    }

    pub fn environment(&self, plan: &mut Plan, places: &Places) {
        match self.kind {
            Kind::Npm => {}
            Kind::Yarn => plan.set("YARN_CACHE_FOLDER", places.cached("yarn")),
            Kind::Berry { node_modules } => {
                plan.set("YARN_ENABLE_GLOBAL_CACHE", "false");
                plan.set("YARN_ENABLE_TELEMETRY", "0");
                if node_modules {
                    plan.set("YARN_CACHE_FOLDER", places.cached("yarn"));
                }
            }
            Kind::Pnpm => plan.set("npm_config_store_dir", places.cached("pnpm")),
        }
    }

    /// Steps that make it be there.
    pub fn bring(&self, plan: &mut Plan) {
        let Some(package) = &self.brought else {
            return;
        };
        plan.topic(format!("Fetching {package} with npm"));
        let argv = [
            "sh",
            "-c",
            BRING,
            "npm",
            "--prefix",
            TOOLS,
            "--no-save",
            "--no-package-lock",
            "--loglevel=error",
            package,
        ];
        plan.run(Command::new(argv).unshown().remedy(
            "npm could not fetch it. Whoever runs the server can install it on the machine instead, such as with `npm install --global`.",
        ));
    }

    /// All dependencies, those for the build too.
    pub fn install(&self) -> Command {
        match self.kind {
            Kind::Npm if self.lockfile => npm(["ci", "--include=dev"]).remedy(
                "If npm says that package.json and the lockfile are not in sync, run `npm install` and commit the lockfile.",
            ),
            Kind::Npm => npm(["install", "--include=dev"]),
            Kind::Yarn => Command::new([
                "yarn",
                "install",
                "--frozen-lockfile",
                "--ignore-engines",
                "--production=false",
                "--non-interactive",
            ]),
            Kind::Berry { .. } => Command::new(["yarn", "install", "--immutable"]),
            Kind::Pnpm => Command::new(["pnpm", "install", "--frozen-lockfile", "--prod=false"])
                // Else it asks before it removes anything.
                .with("CI", "true"),
        }
    }

    /// A script of the package's.
    pub fn run(&self, script: &str) -> Command {
        let program = match self.kind {
            Kind::Npm => "npm",
            Kind::Yarn | Kind::Berry { .. } => "yarn",
            Kind::Pnpm => "pnpm",
        };
        Command::new([program, "run", script])
    }

    /// Removes what only the build needed; `None` where that cannot be had.
    pub fn prune(&self) -> Option<Command> {
        match self.kind {
            Kind::Npm => Some(npm(["prune", "--omit=dev"])),
            Kind::Yarn => Some(Command::new([
                "yarn",
                "install",
                "--frozen-lockfile",
                "--ignore-engines",
                "--ignore-scripts",
                "--prefer-offline",
                "--production=true",
                "--non-interactive",
            ])),
            Kind::Berry { .. } => {
                let argv = ["yarn", "workspaces", "focus", "--all", "--production"];
                Some(Command::new(argv).remedy(
                    "With yarn 2 and 3, that takes the plugin workspace-tools; with NODE_ENV or YARN_PRODUCTION=false in the config vars nothing is pruned.",
                ))
            }
            Kind::Pnpm if self.workspace => None,
            Kind::Pnpm => {
                let argv = ["pnpm", "prune", "--prod", "--ignore-scripts"];
                Some(Command::new(argv).with("CI", "true"))
            }
        }
    }
}

/// Which yarn a lockfile is of: that of version 1 says so at its top.
fn yarn(tree: &dyn Tree, package: &Package) -> Kind {
    let old = tree.beginning("yarn.lock").contains("# yarn lockfile v1");
    let named_new = package
        .manager("yarn")
        .is_some_and(|version| !version.starts_with("1."));
    if old && !named_new {
        return Kind::Yarn;
    }
    let settings = tree.beginning(".yarnrc.yml");
    let node_modules = settings.lines().any(|line| {
        line.strip_prefix("nodeLinker:")
            .is_some_and(|linker| linker.trim().trim_matches(['"', '\'']) == "node-modules")
    });
    Kind::Berry { node_modules }
}

/// What npm has to fetch, if the machine has none that will do.
fn brought(
    kind: Kind,
    tree: &dyn Tree,
    package: &Package,
    toolchains: &Toolchains,
) -> Option<String> {
    match kind {
        Kind::Npm => None,
        Kind::Yarn => {
            let there = toolchains
                .version("yarn")
                .is_some_and(|yarn| yarn.major() == 1);
            (!there).then(|| {
                format!(
                    "yarn@{}",
                    package.manager("yarn").unwrap_or(YARN_1.to_owned())
                )
            })
        }
        Kind::Berry { .. } => {
            let settings = tree.beginning(".yarnrc.yml");
            let own = settings.lines().any(|line| line.starts_with("yarnPath:"));
            match (own, toolchains.version("yarn")) {
                (true, Some(_)) => None,
                (true, None) => Some(format!("yarn@{YARN_1}")),
                (false, Some(yarn)) if yarn.major() >= 2 => None,
                (false, _) => {
                    let version = package.manager("yarn").unwrap_or("4".to_owned());
                    Some(format!("@yarnpkg/cli-dist@{version}"))
                }
            }
        }
        Kind::Pnpm => {
            let wanted = package
                .manager("pnpm")
                .unwrap_or_else(|| pnpm(tree).to_owned());
            let major = |version: &str| version.split('.').next().and_then(|n| n.parse().ok());
            let there = toolchains.version("pnpm").map(|pnpm| pnpm.major());
            (there.is_none() || there != major(&wanted)).then(|| format!("pnpm@{wanted}"))
        }
    }
}

/// The pnpm that writes such a lockfile.
fn pnpm(tree: &dyn Tree) -> &'static str {
    let lockfile = tree.beginning("pnpm-lock.yaml");
    let version = lockfile
        .lines()
        .find_map(|line| line.strip_prefix("lockfileVersion:"))
        .map(|version| version.trim().trim_matches(['\'', '"']))
        .unwrap_or_default();
    match version.split('.').next() {
        Some("5") => "7",
        Some("6") => "8",
        _ => "10",
    }
}
