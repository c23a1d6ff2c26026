//! The programs of this machine that apps and builds use, and what to do about those that are missing.
//!
//! Nothing is run: a program is there if the `PATH` leads to a file that may be executed.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde::Serialize;

/// A program, and whether it is there.
#[derive(Serialize)]
pub struct Program {
    pub name: &'static str,
    /// Where it is.
    pub path: Option<PathBuf>,
    pub needed_for: &'static str,
    pub remedy: &'static str,
    /// Without it no app runs.
    pub required: bool,
}

const KNOWN: &[(&str, &str, &str)] = &[
    (BASH, "the commands of apps", "apt-get install bash"),
    ("tar", "Heroku's buildpacks", "apt-get install tar"),
    ("curl", "Heroku's buildpacks", "apt-get install curl"),
    ("jq", "Heroku's buildpacks", "apt-get install jq"),
    ("xz", "Heroku's buildpacks", "apt-get install xz-utils"),
    ("zstd", "Heroku's buildpacks", "apt-get install zstd"),
    ("unzip", "Heroku's buildpacks", "apt-get install unzip"),
    (
        "node",
        "apps of Node.js without a buildpack",
        "apt-get install nodejs npm",
    ),
    (
        "npm",
        "apps of Node.js without a buildpack",
        "apt-get install npm",
    ),
    (
        "python3",
        "apps of Python without a buildpack",
        "apt-get install python3 python3-venv",
    ),
    (
        "go",
        "apps of Go without a buildpack",
        "apt-get install golang",
    ),
    (
        "cargo",
        "apps of Rust without a buildpack",
        "apt-get install cargo",
    ),
    (
        "make",
        "apps with a Makefile without a buildpack",
        "apt-get install make",
    ),
];
const BASH: &str = "bash";

/// All that are known, in the order of their weight.
pub fn look() -> Vec<Program> {
    let programs = KNOWN.iter().map(|(name, needed_for, remedy)| Program {
        name,
        path: find(name),
        needed_for,
        remedy,
        required: *name == BASH,
    });
    programs.collect()
}

fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut places = env::split_paths(&path).filter(|folder| folder.is_absolute());
    places.find_map(|folder| {
        let program = folder.join(name);
        let file = program.metadata().ok()?;
        (file.is_file() && file.permissions().mode() & 0o111 != 0).then_some(program)
    })
}
