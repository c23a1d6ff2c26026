//! The programs of this machine that apps and builds use, and what to do about those that are missing.
//!
//! Nothing is run: a program is there if the `PATH` leads to a file that may be executed.

use std::env;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::sandbox::{Level, Settings};

/// A program, and whether it is there.
#[derive(Serialize)]
pub struct Program {
    pub name: &'static str,
    /// Where it is.
    pub path: Option<PathBuf>,
    /// Whether builds and dynos see it there.
    pub seen: bool,
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
pub fn look(settings: &Settings, level: Option<Level>) -> Vec<Program> {
    let path = env::var_os("PATH").unwrap_or_default();
    let path = settings.search_path(&path);
    let programs = KNOWN.iter().map(|(name, needed_for, remedy)| {
        let is_shown = |path: &PathBuf| level == Some(Level::None) || settings.shows(path);
        let all = || every(name, &path);
        let path = all().find(is_shown).or_else(|| all().next());
        Program {
            name,
            seen: path.as_ref().is_some_and(is_shown),
            path,
            needed_for,
            remedy,
            required: *name == BASH,
        }
    });
    programs.collect()
}

impl Program {
    /// What is missing, and the remedy.
    pub fn missing(&self) -> Option<String> {
        let what = || format!("{}, for {}", self.name, self.needed_for);
        let Some(path) = &self.path else {
            return Some(format!("{}: {}", what(), self.remedy));
        };
        let folders = self.folders(path);
        let flags: Vec<String> = folders
            .iter()
            .map(|folder| format!("--dyno-readable {}", folder.display()))
            .collect();
        (!self.seen).then(|| {
            format!(
                "{}: it is at {}, where builds do not see it. Start the server with {}, or install it for all: {}",
                what(),
                path.display(),
                flags.join(" "),
                self.remedy
            )
        })
    }

    /// What has to be shown for it to run. Of cargo's folder no more than the programs: its tokens are beside them.
    fn folders(&self, path: &Path) -> Vec<PathBuf> {
        let bin = path.parent().unwrap_or(path);
        let above = bin.parent().unwrap_or(bin);
        if self.name != "cargo" {
            // pyenv has its programs in one, and shims beside it.
            let is_below = bin.ends_with("bin") || bin.ends_with("shims");
            let folder = if is_below { above } else { bin };
            return vec![folder.to_owned()];
        }
        let rustup = env::var_os("RUSTUP_HOME").map(PathBuf::from);
        let rustup = rustup.unwrap_or_else(|| above.with_file_name(".rustup"));
        let mut folders = vec![bin.to_owned()];
        folders.extend(Some(rustup).filter(|rustup| rustup.is_dir()));
        folders
    }
}

/// Wherever the path leads to a file of this name that may be executed.
fn every(name: &str, path: &OsStr) -> impl Iterator<Item = PathBuf> {
    let places = env::split_paths(path).filter(|folder| folder.is_absolute());
    let programs: Vec<PathBuf> = places.map(|folder| folder.join(name)).collect();
    programs.into_iter().filter(|program| {
        let file = program.metadata();
        file.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    })
}
