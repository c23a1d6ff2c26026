//! Where a reader stands in a log, in words that outlive its session, and what is missing where it goes on.
//!
//! It must not know how lines are kept, nor how they are sent.

use std::fmt::{self, Display, Formatter};

use crate::name::Id;
use crate::time::Timestamp;

/// Behind a line of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// When that line was said.
    pub at: Timestamp,
    pub counted: Option<Counted>,
}

/// How many lines there are up to a place, which means something only to who has counted them: lines are counted anew by each start
/// of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    pub by: Id,
    pub lines: u64,
}

impl Place {
    /// What [`Place`]'s `Display` has written.
    pub(super) fn parse(text: &str) -> Option<Place> {
        let mut parts = text.split(',');
        let at = Timestamp::parse(parts.next()?)?;
        let counted = match (parts.next(), parts.next()) {
            (Some(lines), Some(by)) => Some(Counted {
                by: Id::parse(by)?,
                lines: lines.parse().ok()?,
            }),
            _ => None,
        };
        Some(Place { at, counted })
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.at.to_log())?;
        match self.counted {
            Some(Counted { by, lines }) => write!(f, ",{lines},{by}"),
            None => Ok(()),
        }
    }
}

/// Who reads, and so how a loss is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Tail,
    Drain,
}

/// Lines that are missing at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    Lines(u64),
    /// Nobody has counted them.
    Some,
    /// There may be none: what was there went while nobody read it.
    Maybe,
}

impl Gap {
    /// Heroku's L10 or L11, but for the time. `narrow`: the reader does not want every line, and the missing ones cannot be looked
    /// at any more.
    pub(super) fn words(self, reader: Reader, narrow: bool) -> String {
        let dropped = match (reader, self) {
            (Reader::Drain, Gap::Lines(lines)) => {
                return format!(
                    "Error L10 (output buffer overflow): {lines} messages dropped since"
                );
            }
            (Reader::Drain, _) => {
                return "Error L10 (output buffer overflow): messages dropped since".to_owned();
            }
            (Reader::Tail, Gap::Lines(lines)) if narrow => {
                format!("dropped up to {lines} messages")
            }
            (Reader::Tail, Gap::Lines(lines)) => format!("dropped {lines} messages"),
            (Reader::Tail, Gap::Some) => "dropped messages".to_owned(),
            (Reader::Tail, Gap::Maybe) => "may have dropped messages".to_owned(),
        };
        format!("Error L11 (Tail buffer overflow) -> This tail session {dropped} since")
    }

    /// How many are known to be missing.
    pub(super) fn lines(self) -> u64 {
        match self {
            Gap::Lines(lines) => lines,
            Gap::Some | Gap::Maybe => 0,
        }
    }
}
