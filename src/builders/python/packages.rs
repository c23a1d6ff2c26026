//! The files that say which packages an app needs, and the program that installs them.

use crate::builders::{Command, Places, Plan, Tree};
use crate::error::{Error, Result};

use super::version;

/// Where Poetry, uv and pipenv go for the build, out of the app's own environment and slug. It is kept with the cache.
const TOOLS: &str = "python-tools";

/// One of them.
#[derive(Clone, Copy, PartialEq)]
pub enum Packages {
    Requirements,
    Uv,
    Poetry,
    Pipenv,
    /// A `pyproject.toml` alone.
    Project,
    Setup,
}

impl Packages {
    /// The first of Heroku's order whose file is there; a lockfile says more than a list of wishes does.
    pub fn of(tree: &dyn Tree) -> Option<Packages> {
        let order = [
            ("Pipfile", Packages::Pipenv),
            ("requirements.txt", Packages::Requirements),
            ("poetry.lock", Packages::Poetry),
            ("uv.lock", Packages::Uv),
            ("pyproject.toml", Packages::Project),
            ("setup.py", Packages::Setup),
        ];
        let found = order.into_iter().find(|(file, _)| tree.has(file));
        found.map(|(_, packages)| packages)
    }

    pub fn install(self, plan: &mut Plan, tree: &dyn Tree, places: &Places) -> Result<()> {
        match self {
            Packages::Requirements => {
                plan.topic("Installing requirements.txt with pip");
                plan.run(pip(["install", "-r", "requirements.txt"]));
            }
            Packages::Setup => {
                plan.topic("Installing setup.py with pip");
                plan.run(pip(["install", "."]));
            }
            Packages::Project => project(plan, tree)?,
            Packages::Uv => {
                let uv = tool(plan, places, "uv");
                plan.set("UV_CACHE_DIR", places.cached("uv"));
                // Whom this machine trusts, as pip and npm do, where a mirror has a certificate of its own.
                plan.set("UV_SYSTEM_CERTS", "1");
                plan.set("UV_LINK_MODE", "copy");
                plan.set("UV_PYTHON_DOWNLOADS", "never");
                plan.set("UV_PROJECT_ENVIRONMENT", places.at(super::VENV));
                plan.topic("Installing uv.lock with uv");
                plan.run(Command::new([
                    &uv,
                    "sync",
                    "--locked",
                    "--no-default-groups",
                    "--no-progress",
                ]));
            }
            Packages::Poetry => {
                let poetry = tool(plan, places, "poetry");
                plan.set("POETRY_CACHE_DIR", places.cached("poetry"));
                plan.topic("Installing poetry.lock with Poetry");
                plan.run(Command::new([
                    &poetry,
                    "sync",
                    "--only",
                    "main",
                    "--no-interaction",
                ]));
            }
            Packages::Pipenv => {
                let pipenv = tool(plan, places, "pipenv");
                plan.set("PIPENV_CACHE_DIR", places.cached("pipenv"));
                plan.set("PIPENV_NOSPIN", "1");
                plan.topic("Installing the Pipfile with pipenv");
                let locked = tree.has("Pipfile.lock");
                let how = if locked { "--deploy" } else { "--skip-lock" };
                plan.run(Command::new([&pipenv, "install", how]));
            }
        }
        Ok(())
    }
}

/// A project that can be built is installed; of any other only what it depends on is, and its modules are found where they lie.
fn project(plan: &mut Plan, tree: &dyn Tree) -> Result<()> {
    let project = version::project(tree)?.unwrap_or_default();
    if project.contains_key("build-system") {
        plan.topic("Installing the project of pyproject.toml with pip");
        plan.run(pip(["install", "."]));
        return Ok(());
    }
    let poetry = project
        .get("tool")
        .and_then(|tool| tool.get("poetry")?.get("dependencies"));
    if poetry.is_some() && !project.contains_key("project") {
        return Err(Error::invalid(
            "The pyproject.toml is Poetry's, and there is no poetry.lock beside it. Run `poetry lock`, commit the file, then build again.",
        ));
    }
    let listed = project
        .get("project")
        .and_then(|project| project.get("dependencies")?.as_array());
    let wanted: Vec<&str> = listed
        .into_iter()
        .flatten()
        .filter_map(|requirement| requirement.as_str())
        // What begins like an option would be one.
        .filter(|requirement| !requirement.trim_start().starts_with('-'))
        .collect();
    if wanted.is_empty() {
        plan.note("The pyproject.toml depends on nothing.");
        return Ok(());
    }
    plan.topic("Installing the dependencies of pyproject.toml with pip");
    plan.run(pip(["install"].into_iter().chain(wanted)));
    Ok(())
}

/// Steps that make a tool be there, in an environment of its own; how to call it.
fn tool(plan: &mut Plan, places: &Places, name: &str) -> String {
    let folder = places.cached(TOOLS);
    plan.topic(format!("Fetching {name} with pip"));
    let python = format!("{}/bin/python", super::VENV);
    plan.run(Command::new([&python, "-m", "venv", &folder]).unshown());
    let installed = format!("{folder}/bin/{name}");
    let pip = format!("{folder}/bin/python");
    plan.run(
        Command::new([&pip, "-m", "pip", "install", "--quiet", "--upgrade", name])
            .unshown()
            .remedy(format!(
                "pip could not fetch {name}. A requirements.txt in its place takes pip alone."
            )),
    );
    installed
}

fn pip<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    Command::new(["python", "-m", "pip"].into_iter().chain(arguments))
}
