//! Node.js: what `package.json` and the lockfile beside it ask for, in the order in which Heroku's buildpack does it.

mod manager;
mod package;

use super::toolchains::Install;
use super::version::Range;
use super::{Command, Places, Plan, Probe, Source, Toolchains, Tree};
use crate::error::{Error, Result};
use manager::Manager;
use package::Package;

const INSTALL: Install<'_> = Install {
    by: "apt-get install nodejs npm, or from nodejs.org to /usr/local",
    readable: Some("--dyno-readable ~/.nvm/versions/node/v22.12.0"),
};
/// Where a package manager goes that this machine does not have.
const TOOLS: &str = ".heroku/node";
/// A worker for each half gigabyte, as Heroku counts it; the memory file is there in every dyno with a tree of its own.
const PROFILE: &str = concat!(
    "export PATH=\"$HOME/.heroku/node/node_modules/.bin:$HOME/node_modules/.bin:$PATH\"\n",
    "export NODE_ENV=\"${NODE_ENV:-production}\"\n",
    "export NO_UPDATE_NOTIFIER=\"${NO_UPDATE_NOTIFIER:-1}\"\n",
    "penstock_memory=$(cat /sys/fs/cgroup/memory.max 2>/dev/null)\n",
    "case \"$penstock_memory\" in ''|*[!0-9]*) penstock_memory=536870912 ;; esac\n",
    "export WEB_MEMORY=\"${WEB_MEMORY:-512}\"\n",
    "export MEMORY_AVAILABLE=\"${MEMORY_AVAILABLE:-$((penstock_memory / 1048576))}\"\n",
    "penstock_workers=$((MEMORY_AVAILABLE / WEB_MEMORY))\n",
    "if [ \"$penstock_workers\" -lt 1 ]; then penstock_workers=1; fi\n",
    "export WEB_CONCURRENCY=\"${WEB_CONCURRENCY:-$penstock_workers}\"\n",
    "unset penstock_memory penstock_workers\n",
);

pub fn probes() -> Vec<Probe> {
    ["node", "npm", "yarn", "pnpm"]
        .map(|program| Probe::of(program, &["--version"]))
        .to_vec()
}

/// npm's own rule: the `start` script, else `node server.js` where there is such a file. A site that is only built here is served
/// as its `static.json` says.
pub fn web(tree: &dyn Tree) -> Result<Option<String>> {
    let package = Package::read(tree)?;
    let web = if package.script("start") {
        Some("npm start")
    } else if tree.has("server.js") {
        Some("node server.js")
    } else if tree.has("static.json") {
        Some(super::site::WEB)
    } else {
        None
    };
    Ok(web.map(str::to_owned))
}

pub fn plan(source: &Source<'_>, toolchains: &Toolchains, places: &Places) -> Result<Plan> {
    let tree = source.tree;
    let package = Package::read(tree)?;
    check(&package, toolchains)?;
    let manager = Manager::choose(tree, &package, toolchains)?;
    let mut plan = Plan::default();
    environment(&mut plan, places);
    manager.environment(&mut plan, places);
    greet(&mut plan, &package, &manager, toolchains)?;
    if !tree.names("node_modules").is_empty() {
        plan.warn("The source has node_modules in it, made for another machine perhaps. Put it into .gitignore.");
    }
    manager.bring(&mut plan);
    run_script(&mut plan, &package, &manager, "heroku-prebuild");
    plan.topic("Installing dependencies");
    plan.run(manager.install());
    match package.script("heroku-postbuild") {
        true => run_script(&mut plan, &package, &manager, "heroku-postbuild"),
        false => run_script(&mut plan, &package, &manager, "build"),
    }
    prune(&mut plan, source, &package, &manager);
    run_script(&mut plan, &package, &manager, "heroku-cleanup");
    plan.profile
        .insert("penstock-node.sh".to_owned(), PROFILE.to_owned());
    Ok(plan)
}

fn environment(plan: &mut Plan, places: &Places) {
    let tools = format!("{TOOLS}/node_modules/.bin");
    plan.set("PATH", places.path_with(&[&tools, "node_modules/.bin"]));
    plan.set("NODE_ENV", "production");
    plan.set("npm_config_cache", places.cached("npm"));
    for quiet in ["audit", "fund", "update_notifier"] {
        plan.set(&format!("npm_config_{quiet}"), "false");
    }
}

/// What the machine has, and what the app says it needs.
fn check(package: &Package, toolchains: &Toolchains) -> Result<()> {
    let node = toolchains.required("node", "Node.js", &INSTALL)?;
    toolchains.required("npm", "npm", &INSTALL)?;
    let Some(wanted) = package.engine("node") else {
        return Ok(());
    };
    match Range::npm(&wanted) {
        Some(range) if !range.allows(node) && range.is_beyond(node) => {
            Err(Error::invalid(format!(
                "The package.json asks for Node.js {wanted} (engines.node), and this server's machine has {node}. Whoever runs the server can \
             install another one ({}), or engines.node can allow {node}.",
                INSTALL.by
            )))
        }
        _ => Ok(()),
    }
}

fn greet(
    plan: &mut Plan,
    package: &Package,
    manager: &Manager,
    toolchains: &Toolchains,
) -> Result<()> {
    let node = toolchains.required("node", "Node.js", &INSTALL)?;
    let npm = toolchains.required("npm", "npm", &INSTALL)?;
    plan.topic(format!(
        "Using Node.js {node} and npm {npm} of this machine"
    ));
    match package.engine("node") {
        Some(wanted) if Range::npm(&wanted).is_none() => plan.warn(format!(
            "engines.node in package.json is {wanted:?}, which is no range of versions; it is not heeded."
        )),
        Some(wanted) if Range::npm(&wanted).is_some_and(|range| !range.allows(node)) => {
            plan.warn(format!(
                "engines.node in package.json is {wanted}, and Node.js {node} is newer. It is tried; should it fail, allow {node}."
            ));
        }
        Some(wanted) => plan.note(format!("engines.node in package.json is {wanted}.")),
        None => {}
    }
    if let Some(warning) = manager
        .lockfile_warning()
        .filter(|_| package.has_dependencies())
    {
        plan.warn(warning);
    }
    Ok(())
}

fn run_script(plan: &mut Plan, package: &Package, manager: &Manager, script: &str) {
    if package.script(script) {
        plan.topic(format!("Running {script}"));
        plan.run(manager.run(script));
    }
}

/// Heroku's rules: what is only needed for the build goes, unless a config var says otherwise.
fn prune(plan: &mut Plan, source: &Source<'_>, package: &Package, manager: &Manager) {
    if !package.has_dev_dependencies() {
        return;
    }
    let production = source.var("NODE_ENV").is_none_or(|env| env == "production");
    let kept = ["NPM_CONFIG_PRODUCTION", "YARN_PRODUCTION"]
        .into_iter()
        .any(|name| source.var(name) == Some("false"));
    let skipped = source.var("PNPM_SKIP_PRUNING") == Some("true");
    if !production || kept || skipped {
        return plan.note("devDependencies are kept, as the config vars say.");
    }
    match manager.prune() {
        Some(command) => {
            plan.topic("Pruning devDependencies");
            plan.run(command);
        }
        None => plan.note("devDependencies are kept: pnpm cannot prune a workspace."),
    }
}

/// Runs something under npm's own name, wherever it is.
fn npm<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    Command::new(std::iter::once("npm").chain(arguments))
}
