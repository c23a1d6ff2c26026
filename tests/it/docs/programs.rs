//! Where programs are that pages need and not every machine has.

use std::path::{Path, PathBuf};

/// Names the official CLI, as `make test-docs` does. Each of its commands takes seconds, so `make test` goes without.
pub const CLI: &str = "PENSTOCK_HEROKU";
/// Where Debian keeps the programs of Postgres, by their version.
const POSTGRES: &str = "/usr/lib/postgresql";

pub fn cli() -> Option<PathBuf> {
    std::env::var_os(CLI).map(PathBuf::from)
}

/// Where a program is, be it in a PATH or where its installer puts it.
pub fn found(program: &str) -> Option<PathBuf> {
    if program == "heroku" {
        return cli();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let usual = home.map(|home| home.join(".cargo/bin"));
    let versions = std::fs::read_dir(POSTGRES).into_iter().flatten().flatten();
    let versions = versions.map(|version| version.path().join("bin"));
    let mut folders = std::env::split_paths(&path).chain(usual).chain(versions);
    folders.find_map(|folder| Some(folder.join(program)).filter(|found| found.is_file()))
}

/// Where CI has brought a program, it is a failure that it is not found.
pub fn may_be_missing(program: &str) {
    let required = format!("PENSTOCK_REQUIRE_{}", program.to_uppercase());
    assert!(
        std::env::var_os(&required).is_none(),
        "{program} is missing"
    );
}

/// What the page says has to be read for it to be found, where it is in somebody's home.
pub fn to_be_read(program: &str, found: &Path) -> Vec<PathBuf> {
    let bin = found.parent().unwrap();
    let usual = ["/usr", "/bin", "/opt"];
    match program {
        // It is typed into the terminal, and of no use to a build.
        "heroku" => Vec::new(),
        _ if usual.iter().any(|usual| bin.starts_with(usual)) => Vec::new(),
        "cargo" => vec![
            bin.to_owned(),
            bin.ancestors().nth(2).unwrap().join(".rustup"),
        ],
        _ => vec![bin.parent().unwrap().to_owned()],
    }
}

/// A link of this name.
pub fn link(program: &Path, folder: &Path, name: &str) {
    std::fs::create_dir_all(folder).unwrap();
    std::os::unix::fs::symlink(program, folder.join(name)).unwrap();
}
