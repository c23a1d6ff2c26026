//! What is in the folders of a data directory, in the order in which a copy of them is whole.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::error::Result;

/// Deeper than anything of ours.
const DEEPEST: usize = 16;

/// What is found.
pub enum Found {
    Folder(String),
    File(String),
}

/// All regular files under a folder, by their paths from `root`, and the folders of repositories, since git knows one by its empty
/// folders, too. What is unfinished is left out, and so is what goes away meanwhile.
pub fn below(root: &Path, folder: &str) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    walk(root, folder, 0, &mut found)?;
    Ok(found)
}

/// The repositories in a folder, each with its refs before its objects: what a ref names was there before the ref.
pub fn repositories(root: &Path, folder: &str) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for name in names(&root.join(folder))? {
        if !name.ends_with(".git") {
            continue;
        }
        let repository = format!("{folder}/{name}");
        let mut inside = names(&root.join(&repository))?;
        inside.sort_by_key(|name| name == "objects");
        found.push(Found::Folder(repository.clone()));
        for name in inside {
            walk(root, &format!("{repository}/{name}"), 0, &mut found)?;
        }
    }
    Ok(found)
}

fn walk(root: &Path, path: &str, depth: usize, found: &mut Vec<Found>) -> Result<()> {
    let whole = root.join(path);
    let kind = match fs::symlink_metadata(&whole) {
        Ok(metadata) => metadata.file_type(),
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(cause.into()),
    };
    if kind.is_file() {
        found.push(Found::File(path.to_owned()));
    } else if kind.is_dir() && depth < DEEPEST {
        found.push(Found::Folder(path.to_owned()));
        for name in names(&whole)? {
            walk(root, &format!("{path}/{name}"), depth + 1, found)?;
        }
    }
    Ok(())
}

/// In order, less what is unfinished: ours in `tmp` or `.part`, git's in `incoming-..`, `tmp_..` or `.lock`.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Some(name) = entry?.file_name().to_str() {
            names.push(name.to_owned());
        }
    }
    let unfinished = |name: &String| {
        name == "tmp"
            || name.ends_with(".part")
            || name.ends_with(".lock")
            || name.starts_with("incoming-")
            || name.starts_with("tmp_")
    };
    names.retain(|name| !unfinished(name));
    names.sort();
    Ok(names)
}
