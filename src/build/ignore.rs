//! `.slugignore`: what of a source is no part of the app, and is removed before anything builds it, as on Heroku.
//!
//! A line is a pattern with `*`, `?`, `[...]` and `**`. One with a slash in it is about paths from the root, one without about names
//! anywhere; a slash at its end makes it about folders alone. Blank lines and those that begin with `#` say nothing.

use std::fs;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::error::{Error, Result};
use crate::sandbox::folders;

use super::make::is_file;

const NAME: &str = ".slugignore";
/// Bytes and patterns that are read.
const MAX_BYTES: u64 = 64 * 1024;
const MAX_PATTERNS: usize = 1_000;

struct Patterns {
    anything: GlobSet,
    folders: GlobSet,
}

/// Removes what the tree's `.slugignore` names, and says how much that was; `None` when there is no such file. 422 for a pattern
/// that cannot be read. Blocks.
pub(super) fn remove_ignored(tree: &Path) -> Result<Option<usize>> {
    let path = tree.join(NAME);
    if !is_file(&path) {
        return Ok(None);
    }
    if fs::metadata(&path)?.len() > MAX_BYTES {
        return Err(Error::invalid(format!(
            "The {NAME} is longer than {MAX_BYTES} bytes. Name folders in place of files."
        )));
    }
    let text = fs::read(&path)?;
    let patterns = parse(&String::from_utf8_lossy(&text))?;
    let mut removed = 0;
    remove_in(tree, tree, &patterns, &mut removed)?;
    Ok(Some(removed))
}

fn remove_in(tree: &Path, folder: &Path, patterns: &Patterns, removed: &mut usize) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, is_folder) = (entry.path(), entry.file_type()?.is_dir());
        let inner = path.strip_prefix(tree).unwrap_or(&path);
        if patterns.anything.is_match(inner) || (is_folder && patterns.folders.is_match(inner)) {
            folders::remove(&path)?;
            *removed += 1;
        } else if is_folder {
            remove_in(tree, &path, patterns, removed)?;
        }
    }
    Ok(())
}

fn parse(text: &str) -> Result<Patterns> {
    let (mut anything, mut folders) = (GlobSetBuilder::new(), GlobSetBuilder::new());
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    for (at, line) in lines.enumerate() {
        if at == MAX_PATTERNS {
            return Err(Error::invalid(format!(
                "The {NAME} has more than {MAX_PATTERNS} patterns. Name folders in place of files."
            )));
        }
        let bare = line.trim_end_matches('/');
        let pattern = match bare.contains('/') {
            true => bare
                .trim_start_matches("./")
                .trim_start_matches('/')
                .to_owned(),
            false => format!("**/{bare}"),
        };
        let glob = GlobBuilder::new(&pattern)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| unreadable(line, &error))?;
        match line.ends_with('/') {
            true => folders.add(glob),
            false => anything.add(glob),
        };
    }
    let build = |set: GlobSetBuilder| set.build().map_err(|error| unreadable("a pattern", &error));
    Ok(Patterns {
        anything: build(anything)?,
        folders: build(folders)?,
    })
}

fn unreadable(line: &str, error: &globset::Error) -> Error {
    let shown: String = line.chars().take(80).collect();
    Error::invalid(format!(
        "The {NAME} has a pattern that cannot be read, {shown:?}: {}.",
        error.kind()
    ))
}
