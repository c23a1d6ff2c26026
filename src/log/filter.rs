//! Which lines of an app's log a reader wants.
//!
//! It looks at one line at a time and must not know where lines come from.

use super::line::{Line, Source};
use crate::time::Timestamp;

/// What a reader wants to see. The default is everything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only lines of this source.
    pub source: Option<Source>,
    /// `web` wants `web` and every `web.N`; `web.1` wants only that dyno.
    pub process: Option<String>,
    /// Only lines after this one: where an interrupted reader goes on (`Last-Event-ID`). It wants all of them, so the
    /// number of lines asked for does not count then.
    pub after: Option<Timestamp>,
}

impl Filter {
    /// Whether the line's source and process are wanted. The place of the line, `after`, is the reader's affair.
    pub fn wants(&self, line: &Line<'_>) -> bool {
        self.source.is_none_or(|source| source == line.source)
            && self
                .process
                .as_deref()
                .is_none_or(|wanted| of_process(wanted, line.process))
    }

    /// Whether there are lines that it does not want.
    pub(super) fn is_narrow(&self) -> bool {
        self.source.is_some() || self.process.is_some()
    }

    /// Whether a stored line is well formed and wanted.
    pub(super) fn wants_text(&self, line: &str) -> bool {
        Line::parse(line).is_some_and(|line| self.wants(&line))
    }
}

fn of_process(wanted: &str, process: &str) -> bool {
    process
        .strip_prefix(wanted)
        .is_some_and(|rest| rest.is_empty() || (rest.starts_with('.') && !wanted.contains('.')))
}
