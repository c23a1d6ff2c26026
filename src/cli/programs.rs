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

/// Where homes are, beside that of who asks.
const HOMES: [&str; 2] = ["/home", "/root"];
/// What is in a home, and has more in it than programs.
const OWN: [&str; 3] = [".config", ".local", ".local/share"];

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
        let way = match flags.is_empty() {
            true => "Install it for all".to_owned(),
            false => format!(
                "Start the server with {}, or install it for all",
                flags.join(" ")
            ),
        };
        (!self.seen).then(|| {
            format!(
                "{}: it is at {}, where builds do not see it. {way}: {}",
                what(),
                path.display(),
                self.remedy
            )
        })
    }

    /// What has to be shown for it to run. Of cargo's folder no more than the programs: its tokens are beside them.
    fn folders(&self, path: &Path) -> Vec<PathBuf> {
        let home = env::var_os("HOME").map(PathBuf::from);
        if self.name != "cargo" {
            return readable(path, home.as_deref()).into_iter().collect();
        }
        let bin = path.parent().unwrap_or(path);
        let above = bin.parent().unwrap_or(bin);
        let rustup = env::var_os("RUSTUP_HOME").map(PathBuf::from);
        let rustup = rustup.unwrap_or_else(|| above.with_file_name(".rustup"));
        let mut folders = vec![bin.to_owned()];
        folders.extend(Some(rustup).filter(|rustup| rustup.is_dir()));
        folders.retain(|folder| !is_private(folder, home.as_deref()));
        folders
    }
}

/// What to show of a program that stands by itself, if there is such a folder: where it is installed, as long as that is nobody's
/// home, for dynos would read the keys in there. Else where a link leads, or no more than its `bin`.
fn readable(program: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let target = program.canonicalize();
    let target = target.as_deref().unwrap_or(program);
    let folders = [
        installation(program),
        installation(target),
        program.parent()?,
    ];
    let folder = folders
        .into_iter()
        .find(|folder| !is_private(folder, home))?;
    Some(folder.to_owned())
}

fn installation(program: &Path) -> &Path {
    let bin = program.parent().unwrap_or(program);
    // pyenv has its programs in one, and shims beside it.
    let is_below = bin.ends_with("bin") || bin.ends_with("shims");
    let above = bin.parent().filter(|_| is_below);
    above.unwrap_or(bin)
}

/// Whether it is or holds a home, or is where programs keep what is their user's own. Links are followed, since homes may be behind one.
fn is_private(folder: &Path, home: Option<&Path>) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let homes = home.map(|home| [home.to_owned(), real(home)]);
    let is_private = |folder: &Path| {
        let above = folder.parent();
        let is_home = above.is_none() || above == Some(Path::new("/home"));
        let mut homes = homes.iter().flatten();
        is_home
            || HOMES.iter().any(|known| folder == Path::new(known))
            || OWN.iter().any(|own| folder.ends_with(own))
            || homes.any(|home| home.starts_with(folder))
    };
    is_private(folder) || is_private(&real(folder))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_folder_with_somebodys_keys_is_named() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let home = folder.path().join("homes/me");
        let node = home.join("own/node/bin/node");
        for bin in ["bin", "own/node/bin"] {
            std::fs::create_dir_all(home.join(bin))?;
        }
        std::fs::write(&node, "")?;
        std::os::unix::fs::symlink(&node, home.join("bin/node"))?;
        let named = |program: PathBuf| readable(&program, Some(&home));
        let own = Some(home.join("own/node").canonicalize()?);
        assert_eq!(named(home.join("bin/node")), own);
        for (program, shown) in [
            ("bin/go", Some("bin")),
            (".local/bin/python3", Some(".local/bin")),
            (".local/share/bin/go", Some(".local/share/bin")),
            (".nvm/v22/bin/node", Some(".nvm/v22")),
            (".pyenv/shims/python3", Some(".pyenv")),
            ("../bin/go", Some("../bin")),
            ("go", None),
        ] {
            let shown = shown.map(|shown| home.join(shown));
            assert_eq!(named(home.join(program)), shown, "{program}");
        }
        for bin in ["/root/bin", "/home/ann/bin", "/nosuch"] {
            let shown = Some(PathBuf::from(bin));
            assert_eq!(named(Path::new(bin).join("go")), shown, "{bin}");
        }
        Ok(())
    }
}
