//! The Procfile: which processes an app has, and the command of each.
//!
//! It reads text and nothing else. Where the text comes from, and what a type such as `web` or `release` means, is for others.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use crate::error::{Error, Result};
use crate::name::ProcessType;

/// The largest Procfile that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// The most process types that a Procfile may declare.
pub const MAX_TYPES: usize = 1_000;

/// Characters of a line that are shown.
const SHOWN: usize = 100;

/// The process types of a Procfile and their commands, by Heroku's own rule (`SPEC.md` of heroku/buildpacks-procfile), which is
/// applied to each line: `^[[:space:]]*([a-zA-Z0-9_-]+):?\s+(.*)[[:space:]]*`.
///
/// So the colon may be missing, but not the blank after it. There are no comments: a line that starts with `#` is skipped
/// because it does not fit, as is every other such line, and a `#` within a command is the shell's. Of two lines for one type
/// the last counts. An app that deploys on Heroku must deploy here, so lines that do not fit are no error; see
/// [`doubtful`] for telling its owner about them.
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

/// A line that means something else than its author thinks, or nothing. Heroku says nothing of them, and so a `web:node app.js`
/// costs its author an afternoon: a build's output names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubtful {
    /// From 1.
    pub number: usize,
    pub fault: Fault,
}

/// What is wrong with such a line, with the line as it should be, where that can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is read as if it had one. Not by everybody: `heroku local` refuses the whole Procfile.
    NoColon(String),
    /// So the colon has become the first word of the command, which for a shell is one that does nothing.
    BlankBeforeColon(String),
    /// So it is skipped.
    NoBlank(String),
    /// So it is skipped.
    Nothing,
}

impl Display for Doubtful {
    /// A sentence or two for the author.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Line {} of the Procfile ", self.number)?;
        match &self.fault {
            Fault::NoColon(line) => write!(
                f,
                "has no colon after its type. It is taken for \"{line}\": write it so, since `heroku local` and other programs do not \
                 read it as it stands."
            ),
            Fault::BlankBeforeColon(line) => write!(
                f,
                "has a blank before its colon, so its command begins with the colon and does nothing. Write \"{line}\"."
            ),
            Fault::NoBlank(line) => write!(
                f,
                "declares nothing, since there is no blank after its colon. Write \"{line}\"."
            ),
            Fault::Nothing => f.write_str(
                "declares nothing: it needs a type, a colon, a blank and a command, as in \"web: python3 app.py\".",
            ),
        }
    }
}

/// The lines of which their author should hear. Those that are blank or start with `#` are none.
pub fn doubtful(text: &str) -> Vec<Doubtful> {
    let lines = lines(text).filter_map(|(number, line)| {
        let fault = fault(trimmed(line))?;
        Some(Doubtful { number, fault })
    });
    lines.collect()
}

fn fault(line: &str) -> Option<Fault> {
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let Some((name, rest)) = named(line) else {
        return Some(Fault::Nothing);
    };
    let right = |command: &str| shortened(&format!("{name}: {}", trimmed(command)));
    match (declaration(line), rest.strip_prefix(':')) {
        (Some(_), Some(_)) => None,
        (Some((_, command)), None) => Some(match command.strip_prefix(':') {
            Some(meant) if trimmed(meant).is_empty() => Fault::Nothing,
            Some(meant) => Fault::BlankBeforeColon(right(meant)),
            None => Fault::NoColon(right(command)),
        }),
        (None, Some(command)) if !trimmed(command).is_empty() => {
            Some(Fault::NoBlank(right(command)))
        }
        (None, _) => Some(Fault::Nothing),
    }
}

/// A long command is known by its beginning.
fn shortened(line: &str) -> String {
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// The lines, numbered as an editor numbers them. Some editors put a byte order mark before the first.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    (1..).zip(text.split('\n'))
}

/// A type, and what follows it.
fn named(line: &str) -> Option<(&str, &str)> {
    let end = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
        .filter(|&end| end > 0)?;
    Some(line.split_at(end))
}

fn declaration(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = named(trimmed(line))?;
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
