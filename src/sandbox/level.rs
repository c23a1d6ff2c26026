//! How well dynos are kept apart, as four promises.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorId, Result};

/// In order: each promises all that the ones before it do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing at all. Only when it is named.
    None,
    /// Files, signals and system calls, by Landlock and seccomp, where user namespaces are not to be had.
    Landlock,
    /// A file tree, processes and users of its own, by namespaces. The network is the machine's.
    Userns,
    /// A network of its own too, and limits that the kernel enforces. Takes root.
    Full,
}

impl Level {
    /// From the best to none.
    pub const ALL: [Level; 4] = [Level::Full, Level::Userns, Level::Landlock, Level::None];

    pub fn as_str(self) -> &'static str {
        match self {
            Level::None => "none",
            Level::Landlock => "landlock",
            Level::Userns => "userns",
            Level::Full => "full",
        }
    }

    /// Whether a dyno has its own view of the file system, in which its home is `/app`.
    pub fn has_own_tree(self) -> bool {
        self >= Level::Userns
    }

    /// Whether what one person runs is kept from what another one has.
    pub fn keeps_people_apart(self) -> bool {
        self >= Level::Userns
    }

    /// Refuses a second person's account where the two could not be kept apart. `people` is how many have one.
    pub fn admit_another_person(self, people: i64) -> Result<()> {
        if people == 0 || self.keeps_people_apart() {
            return Ok(());
        }
        Err(Error::new(
            ErrorId::Forbidden,
            format!(
                "No account for another person is made here: dynos are isolated at level {self} only, so what one person runs could read what everybody else has. Start the server at level userns or full; penstock doctor says what that takes."
            ),
        ))
    }

    /// What a dyno can still do at this level, in a sentence; nothing at the best.
    pub fn shortfall(self) -> Option<&'static str> {
        match self {
            Level::Full => None,
            Level::Userns => Some(
                "Dynos share the machine's network: they can reach what listens on it, and each other's ports.",
            ),
            Level::Landlock => Some(
                "Dynos run as one user in the machine's own file tree and network, and see each other's processes.",
            ),
            Level::None => Some(
                "Dynos are not isolated at all: they can do whatever the user that runs the server can.",
            ),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Level, String> {
        Level::ALL
            .into_iter()
            .find(|level| level.as_str() == text)
            .ok_or_else(|| "the level is full, userns, landlock or none".to_owned())
    }
}
