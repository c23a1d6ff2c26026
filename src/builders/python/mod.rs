//! Python: a virtual environment at `.heroku/python`, filled by the package manager whose file is there.

mod packages;
mod version;

use super::toolchains::Install;
use super::{Command, Places, Plan, Probe, Source, Toolchains, Tree};
use crate::error::Result;
use packages::Packages;

const VENV: &str = ".heroku/python";
const INSTALL: Install<'_> = Install {
    by: "apt-get install python3 python3-venv",
    readable: Some("--dyno-readable ~/.pyenv/versions/3.13.1"),
};
/// Lets the environment be anywhere: its scripts start the python beside them. At some levels of isolation a dyno's home is not
/// where the build was.
const RELOCATE: &str = include_str!("relocate.py");
/// Where there is a memory limit, a worker for each 256 MiB, up to two a processor and one more, as Heroku counts them.
const PROFILE: &str = concat!(
    "export PATH=\"$HOME/.heroku/python/bin:$PATH\"\n",
    "export VIRTUAL_ENV=\"$HOME/.heroku/python\"\n",
    "export PYTHONUNBUFFERED=\"${PYTHONUNBUFFERED:-true}\"\n",
    "export PYTHONPATH=\"${PYTHONPATH:-$HOME}\"\n",
    "penstock_memory=$(cat /sys/fs/cgroup/memory.max 2>/dev/null)\n",
    "case \"$penstock_memory\" in ''|*[!0-9]*) ;; *)\n",
    "  penstock_workers=$((penstock_memory / 268435456))\n",
    "  penstock_most=$(($(nproc 2>/dev/null || echo 1) * 2 + 1))\n",
    "  if [ \"$penstock_workers\" -gt \"$penstock_most\" ]; then penstock_workers=$penstock_most; fi\n",
    "  if [ \"$penstock_workers\" -lt 1 ]; then penstock_workers=1; fi\n",
    "  export WEB_CONCURRENCY=\"${WEB_CONCURRENCY:-$penstock_workers}\"\n",
    "esac\n",
    "unset penstock_memory penstock_workers penstock_most\n",
);

/// Whether a `manage.py` is Django's and has the command. Should it fail for another reason, such as settings that cannot be imported,
/// the command itself fails in the same words.
const COLLECTS: &str = concat!(
    "import importlib.util, subprocess, sys\n",
    "if importlib.util.find_spec('django') is None: sys.exit(1)\n",
    "asked = [sys.executable, sys.argv[1], 'help', 'collectstatic']\n",
    "said = subprocess.run(asked, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)\n",
    "sys.exit(said.returncode != 0 and b'Unknown command' in said.stderr)\n",
);

pub fn detects(tree: &dyn Tree) -> bool {
    Packages::of(tree).is_some() || tree.has(version::FILE)
}

pub fn probes(source: &Source<'_>) -> Result<Vec<Probe>> {
    let wanted = version::Wanted::read(source.tree)?;
    let probes = wanted.programs();
    Ok(probes
        .iter()
        .map(|program| Probe::of(program, &["--version"]))
        .collect())
}

pub fn plan(source: &Source<'_>, toolchains: &Toolchains, places: &Places) -> Result<Plan> {
    let tree = source.tree;
    let wanted = version::Wanted::read(tree)?;
    let (program, python) = wanted.choose(toolchains)?;
    let mut plan = Plan::default();
    environment(&mut plan, places);
    plan.topic(format!("Using Python {python} of this machine"));
    match wanted.said() {
        Some(said) if wanted.suits(python) => plan.note(said),
        Some(said) => plan.warn(format!(
            "{said} {python} is newer, and is tried; should it fail, ask for it, or have another one installed."
        )),
        None => {}
    }
    if tree.has("runtime.txt") && !tree.has(version::FILE) {
        plan.warn("runtime.txt is an old way to name a version. Put the number alone into .python-version.");
    }
    plan.hook(tree, "bin/pre_compile");
    plan.topic("Making a virtual environment");
    plan.run(
        Command::new([&program, "-m", "venv", "--clear", VENV])
            .unshown()
            .remedy(format!(
                "The machine's Python cannot make virtual environments. Whoever runs the server can install what it takes ({}).",
                INSTALL.by
            )),
    );
    if let Some(packages) = Packages::of(tree) {
        packages.install(&mut plan, tree, places)?;
    }
    collect_static(&mut plan, source);
    plan.hook(tree, "bin/post_compile");
    plan.run(Command::new([&format!("{VENV}/bin/python"), "-c", RELOCATE, VENV]).unshown());
    plan.profile
        .insert("penstock-python.sh".to_owned(), PROFILE.to_owned());
    Ok(plan)
}

fn environment(plan: &mut Plan, places: &Places) {
    let venv = format!("{VENV}/bin");
    plan.set("PATH", places.path_with(&[&venv]));
    plan.set("VIRTUAL_ENV", places.at(VENV));
    plan.set("PYTHONUNBUFFERED", "1");
    plan.set("PYTHONPATH", places.home.clone());
    plan.set("PIP_CACHE_DIR", places.cached("pip"));
    plan.set("PIP_DISABLE_PIP_VERSION_CHECK", "1");
    plan.set("PIP_NO_INPUT", "1");
    plan.set("PIP_PROGRESS_BAR", "off");
    plan.set("PIP_ROOT_USER_ACTION", "ignore");
}

/// For Django, as Heroku does it: where there is a `manage.py` that knows the command.
fn collect_static(plan: &mut Plan, source: &Source<'_>) {
    let tree = source.tree;
    let folders = tree.names("");
    let manage = match tree.has("manage.py") {
        true => Some("manage.py".to_owned()),
        false => folders
            .iter()
            .map(|folder| format!("{folder}/manage.py"))
            .find(|path| tree.has(path)),
    };
    let Some(manage) = manage else {
        return;
    };
    if source
        .var("DISABLE_COLLECTSTATIC")
        .is_some_and(|value| value != "0")
    {
        return plan.note("Static files are not collected, since DISABLE_COLLECTSTATIC is set.");
    }
    let collect = [
        "python",
        &manage,
        "collectstatic",
        "--noinput",
        "--traceback",
    ];
    let collect = Command::new(collect)
        .only_if(
            ["python", "-c", COLLECTS, &manage],
            "Static files are not collected: there is no Django, or its manage.py has no such command.",
        )
        .remedy(
            "Django could not collect the app's static files. Mend what it says above, or set the config var DISABLE_COLLECTSTATIC=1 to do without.",
        );
    plan.run(collect);
}
