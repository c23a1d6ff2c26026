//! npm, yarn and pnpm: which one an app's lockfile is of, and how each installs, runs and prunes.
//!
//! The machine's own is used where it is of the right kind. Where it is not there, npm brings it from the registry that the app's
//! packages come from anyway.

use crate::builders::version::Range;
use crate::builders::{Command, Places, Plan, Toolchains, Tree};
use crate::error::{Error, Result};

use super::package::Package;
use super::{TOOLS, npm};

const SHELL: &str = "/bin/sh";
/// Installs into the folder that is the first argument. npm would look for its settings there, so it is told where it has them
/// otherwise: the machine's, and a copy of the app's own for as long as it takes. Certificates and registries are in them.
const BRING: &str = concat!(
    "npm_config_globalconfig=$(npm config get globalconfig) || exit\n",
    "export npm_config_globalconfig\n",
    "folder=$1; shift\n",
    "mkdir -p \"$folder\" || exit\n",
    "if [ -f .npmrc ]; then cp .npmrc \"$folder/.npmrc\" || exit; fi\n",
    "npm install --prefix \"$folder\" \"$@\"\n",
    "status=$?\n",
    "rm -f \"$folder/.npmrc\"\n",
    "exit $status\n",
);
/// The last of the old yarns, which also starts the newer one that an app brings along.
const YARN_1: &str = "1.22.22";

/// A package manager.
pub struct Manager {
    kind: Kind,
    lockfile: bool,
    /// The lockfile of bun, where it is the only one.
    buns: Option<&'static str>,
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
        let buns = ["bun.lock", "bun.lockb"];
        Ok(Manager {
            kind,
            lockfile: !found.is_empty(),
            buns: tree.first(&buns).filter(|_| found.is_empty()),
            workspace: tree.has("pnpm-workspace.yaml"),
            brought: brought(kind, tree, package, toolchains),
        })
    }

    /// What a person should know of the lockfile.
    pub fn lockfile_warning(&self) -> Option<String> {
        match self.buns {
            _ if self.lockfile => None,
            Some(file) => Some(format!(
                "The {file} is bun's, and bun does not build here: npm installs, without a lockfile of its own, so each build may install \
                 other versions. Run `npm install --package-lock-only` and commit package-lock.json; what runs with bun needs a \
                 buildpack that brings it."
            )),
            None => Some(
                "There is no lockfile, so each build may install other versions. Commit package-lock.json, yarn.lock or pnpm-lock.yaml."
                    .to_owned(),
            ),
        }
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
        let arguments = [
            SHELL,
            "-c",
            BRING,
            SHELL,
            TOOLS,
            "--no-save",
            "--no-package-lock",
        ];
        let loud = ["--loglevel=error", package.as_str()];
        plan.run(Command::new(arguments.into_iter().chain(loud)).unshown().remedy(
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
        Kind::Npm => {
            let wanted = package.engine("npm")?;
            let range = Range::npm(&wanted)?;
            let there = toolchains.version("npm")?;
            (!range.allows(there)).then(|| format!("npm@{wanted}"))
        }
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
