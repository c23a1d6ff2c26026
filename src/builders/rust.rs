//! Rust: a package or workspace, of which the programs are kept, where `cargo build --release` puts them.

use toml::Table;

use super::toolchains::Install;
use super::version::Version;
use super::{Command, Places, Plan, Probe, Source, Toolchains, Tree};
use crate::error::{Error, Result};

const INSTALL: Install<'_> = Install {
    by: "apt-get install cargo",
    readable: Some(READABLE),
};
/// Its folder as a whole would give away the token for crates.io.
const READABLE: &str = "--dyno-readable ~/.cargo/bin --dyno-readable ~/.rustup";
/// Where cargo puts programs, and Procfiles name them.
const RELEASE: &str = "target/release";

pub fn probes() -> Vec<Probe> {
    ["cargo", "rustc"]
        .map(|program| Probe::of(program, &["--version"]))
        .to_vec()
}

fn manifest(tree: &dyn Tree) -> Result<Table> {
    let text = tree.text("Cargo.toml")?.unwrap_or_default();
    text.parse().map_err(|error: toml::de::Error| {
        Error::invalid(format!(
            "The Cargo.toml cannot be read: {}. Mend it, then build again.",
            error.message()
        ))
    })
}

/// The one program there is, or the one that `cargo run` would run.
pub fn web(tree: &dyn Tree) -> Result<Option<String>> {
    let manifest = manifest(tree)?;
    let Some(package) = manifest
        .get("package")
        .and_then(|package| package.as_table())
    else {
        return Ok(None);
    };
    let named = |table: &Table, key: &str| {
        let value = table.get(key).and_then(|value| value.as_str());
        value.map(str::to_owned)
    };
    let program = named(package, "default-run").or_else(|| {
        let mut programs: Vec<String> = listed(&manifest)
            .iter()
            .filter_map(|table| named(table, "name"))
            .collect();
        if tree.has("src/main.rs") && programs.is_empty() {
            programs.extend(named(package, "name"));
        }
        programs.extend(tree.names("src/bin").iter().filter_map(|name| {
            let lone = name.strip_suffix(".rs").map(str::to_owned);
            let folder = tree.has(&format!("src/bin/{name}/main.rs"));
            lone.or_else(|| folder.then(|| name.clone()))
        }));
        programs.sort_unstable();
        programs.dedup();
        (programs.len() == 1).then(|| programs.swap_remove(0))
    });
    Ok(program.map(|program| format!("./{RELEASE}/{program}")))
}

/// The `[[bin]]` tables.
fn listed(manifest: &Table) -> Vec<&Table> {
    let tables = manifest.get("bin").and_then(|list| list.as_array());
    tables
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.as_table())
        .collect()
}

pub fn plan(source: &Source<'_>, toolchains: &Toolchains, places: &Places) -> Result<Plan> {
    let tree = source.tree;
    let cargo = toolchains.required("cargo", "Rust", &INSTALL)?;
    let rustc = toolchains.required("rustc", "Rust", &INSTALL)?;
    check(&manifest(tree)?, rustc)?;
    let mut plan = Plan::default();
    plan.set("PATH", places.path.clone());
    plan.set("CARGO_HOME", places.cached("cargo"));
    plan.set("CARGO_TARGET_DIR", places.cached("target"));
    plan.set("CARGO_TERM_PROGRESS_WHEN", "never");
    plan.topic(format!(
        "Using Rust {rustc} and cargo {cargo} of this machine"
    ));
    let made = places.cached(RELEASE);
    // What an earlier build has left there may not be a program of this one.
    plan.run(Command::new(["mkdir", "-p", &made, RELEASE]).unshown());
    let programs = ["-maxdepth", "1", "-type", "f", "-executable"];
    let find = |end: &[&str]| {
        let argv = ["find", &made].into_iter().chain(programs);
        Command::new(argv.chain(end.iter().copied())).unshown()
    };
    plan.run(find(&["-delete"]));
    plan.topic("Building the release");
    let locked = tree.has("Cargo.lock").then_some("--locked");
    plan.run(Command::new(
        ["cargo", "build", "--release"].into_iter().chain(locked),
    ));
    plan.run(find(&["-exec", "cp", "-t", RELEASE, "{}", "+"]));
    plan.profile.insert(
        "penstock-rust.sh".to_owned(),
        format!("export PATH=\"$HOME/{RELEASE}:$PATH\"\n"),
    );
    Ok(plan)
}

fn check(manifest: &Table, rustc: &Version) -> Result<()> {
    let wanted = ["package", "workspace"].iter().find_map(|key| {
        let table = manifest.get(*key)?;
        let table = match *key {
            "workspace" => table.get("package")?,
            _ => table,
        };
        Version::find(table.get("rust-version")?.as_str()?)
    });
    match wanted {
        Some(wanted) if wanted > *rustc => Err(Error::invalid(format!(
            "The Cargo.toml asks for Rust {wanted}, and this server's machine has {rustc}. Whoever runs the server can install a newer one: \
             with rustup, and {READABLE} when the server is started."
        ))),
        _ => Ok(()),
    }
}
