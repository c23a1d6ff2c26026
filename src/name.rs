//! Ids and names: what may be called what, and how a client points at something.
//!
//! Each type can only be made from text that is allowed, so that the layers above never check a name twice. The patterns are
//! those of Heroku's published schema. Nothing here knows whether a name is taken.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::time::Timestamp;

/// What is looked up by id for each request. Nobody else chooses ids, so no look-up has to be proof against chosen ones.
pub type ById<T> = HashMap<Id, T, foldhash::fast::RandomState>;

/// The id of anything: a UUIDv7, so that the order of ids is the order in which things were made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Id(Uuid);

impl Id {
    /// A new id, greater than every id made before by this process.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Id {
        Id(Uuid::now_v7())
    }

    /// An id for what is gone as soon as it is told, such as a request. It is drawn from a store of random bytes that a thread
    /// fills now and then: asking the system each time is one call more in a request that makes but a few.
    pub fn passing() -> Id {
        thread_local! {
            static DRAWN: RefCell<(Vec<u8>, usize)> = const { RefCell::new((Vec::new(), 0)) };
        }
        let drawn = DRAWN.with_borrow_mut(|(bytes, at)| {
            if *at + 16 > bytes.len() {
                bytes.resize(2048, 0);
                getrandom::fill(bytes).ok()?;
                *at = 0;
            }
            *at += 16;
            bytes[*at - 16..*at].try_into().ok()
        });
        drawn.map_or_else(Id::new, |bytes| {
            Id(uuid::Builder::from_random_bytes(bytes).into_uuid())
        })
    }

    /// A fixed id, for what is built in (regions, stacks, dyno sizes) and must be the same on every server.
    pub const fn fixed(value: u128) -> Id {
        Id(Uuid::from_u128(value))
    }

    /// When the id was made, to the millisecond: a UUIDv7 begins with it.
    pub fn made_at(self) -> Timestamp {
        let millis = i64::try_from(self.0.as_u128() >> 80).unwrap_or_default();
        Timestamp::from_micros(millis.saturating_mul(1_000))
    }

    /// The last 32 bits, which are of no meaning and differ from id to id.
    pub fn random_bits(self) -> u32 {
        (self.0.as_u128() & u128::from(u32::MAX)) as u32
    }

    /// From the hyphenated form, in either case; anything else is `None`.
    pub fn parse(text: &str) -> Option<Id> {
        if text.len() != 36 {
            return None;
        }
        Uuid::try_parse(text).ok().map(Id)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl JsonSchema for Id {
    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "uuid" })
    }

    fn inline_schema() -> bool {
        true
    }
}

impl<'de> serde::Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Id, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        Id::parse(&text).ok_or_else(|| serde::de::Error::custom("an id is a UUID"))
    }
}

/// How a client points at something: an id, or a name that is unique where it is looked for. Heroku's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    Id(Id),
    Name(String),
}

impl Identity {
    /// Text that looks like an id is one; names are looked up in lower case, as they are kept.
    pub fn parse(text: &str) -> Identity {
        match Id::parse(text) {
            Some(id) => Identity::Id(id),
            None => Identity::Name(text.to_lowercase()),
        }
    }

    /// The same for names whose case matters: process types, and the dynos that are named after them.
    pub fn parse_exact(text: &str) -> Identity {
        match Id::parse(text) {
            Some(id) => Identity::Id(id),
            None => Identity::Name(text.to_owned()),
        }
    }

    /// For a sentence: an id or a name, cut off where nobody would have a name any more.
    pub fn shown(&self) -> String {
        match self {
            Identity::Id(id) => id.to_string(),
            Identity::Name(name) => name.chars().take(60).collect(),
        }
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $rule:expr, $message:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Checks the text against the pattern, and says what the pattern is when it does not fit.
            pub fn parse(text: &str) -> Result<$name> {
                let rule: fn(&str) -> bool = $rule;
                if rule(text) { Ok($name(text.to_owned())) } else { Err(Error::invalid($message)) }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// `^[a-z][a-z0-9-]{1,28}[a-z0-9]$`, and not a host that the platform itself answers.
    AppName,
    |text| label(text, 3..=30) && !text.ends_with('-') && !RESERVED.contains(&text),
    "Name must be 3 to 30 characters, start with a letter, end with a letter or digit, contain only lowercase letters, digits and dashes, and not be reserved (api, git, www and the like)."
);

name_type!(
    /// `^[a-z][a-z0-9-]{2,29}$`.
    PipelineName,
    |text| label(text, 3..=30),
    "Name must be 3 to 30 characters, start with a letter, and contain only lowercase letters, digits and dashes."
);

name_type!(
    /// As an app's name, and not a word that has a meaning where a team's name stands in a path.
    TeamName,
    |text| label(text, 3..=30) && !text.ends_with('-') && !TEAM_PATHS.contains(&text),
    "A team's name must be 3 to 30 characters, start with a letter, end with a letter or digit, contain only lowercase letters, digits and dashes, and not be apps, invitations or permissions."
);

name_type!(
    /// `^[-\w]{1,128}$`, the name of a line in a Procfile.
    ProcessType,
    |text| (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
    "A process type must be 1 to 128 letters, digits, dashes and underscores."
);

/// Hosts under the base domain that an app must not take, since the platform or the browser gives them a meaning.
const RESERVED: &[&str] = &[
    "api",
    "admin",
    "dashboard",
    "docs",
    "git",
    "id",
    "localhost",
    "login",
    "mail",
    "status",
    "www",
];

/// `/teams/apps` is a path of its own, and so on.
const TEAM_PATHS: &[&str] = &["apps", "invitations", "permissions"];

fn label(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// A name for an app whose owner gave none: `adjective-noun-12345`. It may be taken; the caller tries again.
pub fn generated() -> Result<AppName> {
    let random = crate::secret::random::<8>()?;
    let pick = |words: &'static str, at: usize| {
        let words: Vec<&str> = words.split_whitespace().collect();
        words
            .get(usize::from(u16::from_le_bytes([random[at], random[at + 1]])) % words.len().max(1))
            .copied()
            .unwrap_or("app")
    };
    let adjective = pick(include_str!("../assets/words/adjectives.txt"), 0);
    let noun = pick(include_str!("../assets/words/nouns.txt"), 2);
    let number = 10_000 + u32::from_le_bytes([random[4], random[5], random[6], random[7]]) % 90_000;
    AppName::parse(&format!("{adjective}-{noun}-{number}"))
}

/// A name for an add-on of a service, likewise: `acme-swift-12345`.
pub fn generated_after(service: &str) -> Result<String> {
    let name = generated()?;
    let mut words = name.as_str().split('-');
    let (adjective, number) = (words.next(), words.next_back());
    Ok(format!(
        "{service}-{}-{}",
        adjective.unwrap_or_default(),
        number.unwrap_or_default()
    ))
}
