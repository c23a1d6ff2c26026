//! The names in an archive: which are let in, how they are compared, and how they are shown to a person.
//!
//! A name that passes is kept as `a/b/c`, in bytes, with no part empty, `.` or `..`. The tree's root is the empty name. Nothing
//! here looks at a disk.

use super::Limits;
use crate::error::{Error, Result};

/// How many characters of a name a message shows.
const SHOWN: usize = 100;

/// A name made harmless for a message or a log: control characters are escaped, and the length is bounded.
pub(super) fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// The refusal of an archive for the sake of one entry. `why` goes on after the name, and says what to do.
pub(super) fn refuse(name: &[u8], why: impl std::fmt::Display) -> Error {
    Error::invalid(format!("The archive's entry `{}` {why}", shown(name)))
}

/// A name as it is kept. `./` before it, `//` within it and `/` after it make no difference; a folder may be the root itself.
pub(super) fn parse(name: &[u8], folder: bool, limits: &Limits) -> Result<Vec<u8>> {
    if name.len() > limits.path {
        return Err(refuse(
            name,
            format_args!(
                "has a name of {} bytes; at most {} are taken. Shorten it.",
                name.len(),
                limits.path
            ),
        ));
    }
    if name.is_empty() {
        return Err(Error::invalid(
            "An entry of the archive has an empty name, shown here as ``. Make the archive anew.",
        ));
    }
    if name.contains(&0) {
        return Err(refuse(name, "has a NUL byte in its name. Rename it."));
    }
    if name.starts_with(b"/") {
        return Err(refuse(
            name,
            "has an absolute name. Make the archive from inside the project's folder, with `tar czf ../source.tgz .`.",
        ));
    }
    let last = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    if !folder && (last.is_empty() || last == b".") {
        return Err(refuse(
            name,
            "is no folder, and its name ends like one. Make the archive anew.",
        ));
    }
    normalise(name, limits)
}

fn normalise(name: &[u8], limits: &Limits) -> Result<Vec<u8>> {
    let mut kept = Vec::with_capacity(name.len());
    let mut depth = 0;
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => {
                return Err(refuse(
                    name,
                    "has `..` in its name. Make the archive from inside the project's folder, with `tar czf ../source.tgz .`.",
                ));
            }
            _ => depth += 1,
        }
        if part.len() > limits.component {
            return Err(refuse(
                name,
                format_args!(
                    "has a part of {} bytes in its name; at most {} are taken. Shorten it.",
                    part.len(),
                    limits.component
                ),
            ));
        }
        if depth > limits.depth {
            return Err(refuse(
                name,
                format_args!(
                    "lies more than {} folders deep. Move it up, or if the build made it, remove it there.",
                    limits.depth
                ),
            ));
        }
        if !kept.is_empty() {
            kept.push(b'/');
        }
        kept.extend_from_slice(part);
    }
    Ok(kept)
}

/// The folder of a kept name, and its last part.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// The rest of a kept name under `folder`; the empty name for the folder itself, `None` outside of it.
pub(super) fn under<'a>(path: &'a [u8], folder: &[u8]) -> Option<&'a [u8]> {
    match path.strip_prefix(folder)? {
        [] => Some(b""),
        [b'/', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// How many folders up a symlink's target goes before it names anything.
///
/// `..` is let in only before the first name. The entry's own folders are real ones, so those lead where they seem to; after a
/// name, `..` would start from wherever that name, perhaps another link, leads. By this rule each link stays in the tree as
/// long as every other one does, and so all do.
pub(super) fn climb(entry: &[u8], target: &[u8]) -> Result<usize> {
    if target.starts_with(b"/") {
        return Err(refuse(
            entry,
            format_args!(
                "is a link to `{}`, an absolute path. Make it relative, to a file within the project.",
                shown(target)
            ),
        ));
    }
    let mut up = 0;
    let mut named = false;
    for part in target.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if named => {
                return Err(refuse(
                    entry,
                    format_args!(
                        "is a link to `{}`, with `..` after a name. Write the target without it.",
                        shown(target)
                    ),
                ));
            }
            b".." => up += 1,
            _ => named = true,
        }
    }
    Ok(up)
}
