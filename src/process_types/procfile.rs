//! The Procfile: which processes an app has, and the command of each.
//!
//! It reads text and nothing else. Where the text comes from, and what a type such as `web` or `release` means, is for others.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::name::ProcessType;

/// The largest Procfile that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// The most process types that a Procfile may declare.
pub const MAX_TYPES: usize = 1_000;

/// The process types of a Procfile and their commands, by Heroku's own rule (`SPEC.md` of heroku/buildpacks-procfile), which is
/// applied to each line: `^[[:space:]]*([a-zA-Z0-9_-]+):?\s+(.*)[[:space:]]*`.
///
/// So the colon may be missing, but not the blank after it. There are no comments: a line that starts with `#` is skipped
/// because it does not fit, as is every other such line, and a `#` within a command is the shell's. Of two lines for one type
/// the last counts. An app that deploys on Heroku must deploy here, so lines that do not fit are no error; see
/// [`unread_lines`] for telling its owner about them.
pub fn parse(text: &str) -> Result<BTreeMap<ProcessType, String>> {
    if text.len() > MAX_BYTES {
        return Err(Error::invalid(format!(
            "The Procfile is {} bytes long, and at most {MAX_BYTES} are read. Move long commands into scripts.",
            text.len()
        )));
    }
    let mut commands = BTreeMap::new();
    for (number, line) in lines(text) {
        let Some((name, command)) = declaration(line) else {
            continue;
        };
        let process = ProcessType::parse(name).map_err(|cause| {
            Error::invalid(format!("Line {number} of the Procfile: {}", cause.message))
        })?;
        if command.contains('\0') {
            return Err(Error::invalid(format!(
                "Line {number} of the Procfile has a NUL byte in its command. Save the file as plain text."
            )));
        }
        commands.insert(process, command.to_owned());
        if commands.len() > MAX_TYPES {
            return Err(Error::invalid(format!(
                "Line {number} of the Procfile declares one process type too many: at most {MAX_TYPES} are read."
            )));
        }
    }
    Ok(commands)
}

/// The numbers, from 1, of the lines that [`parse`] skips though they are neither blank nor start with `#`. Heroku says nothing
/// of them, and so a `web:node app.js` costs its author an afternoon: a build's output can name them.
pub fn unread_lines(text: &str) -> Vec<usize> {
    lines(text)
        .filter(|(_, line)| {
            let line = trimmed(line);
            !line.is_empty() && !line.starts_with('#') && declaration(line).is_none()
        })
        .map(|(number, _)| number)
        .collect()
}

/// The lines, numbered as an editor numbers them. Some editors put a byte order mark before the first.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    (1..).zip(text.split('\n'))
}

fn declaration(line: &str) -> Option<(&str, &str)> {
    let line = trimmed(line);
    let end = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
        .filter(|&end| end > 0)?;
    let (name, rest) = line.split_at(end);
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    rest.starts_with(blank)
        .then(|| (name, trimmed(rest)))
        .filter(|(_, command)| !command.is_empty())
}

fn trimmed(text: &str) -> &str {
    text.trim_matches(blank)
}

/// POSIX's `[[:space:]]`; Unicode's other blanks are part of a command.
fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{b}' | '\u{c}')
}
