//! Versions of programs, and the ranges in which npm and Python write what an app needs.

use std::fmt;

use semver::VersionReq;

/// A version of three numbers; those that are missing are zero.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(semver::Version);

impl Version {
    /// The first version in a text such as `go version go1.22.1 linux/amd64` or `Python 3.11.2`.
    pub fn find(text: &str) -> Option<Version> {
        let start = text.find(|c: char| c.is_ascii_digit())?;
        let rest = &text[start..];
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let mut numbers = rest[..end.unwrap_or(rest.len())]
            .split('.')
            .map_while(|part| part.parse().ok());
        let major = numbers.next()?;
        let mut next = || numbers.next().unwrap_or(0);
        Some(Version(semver::Version::new(major, next(), next())))
    }

    pub fn major(&self) -> u64 {
        self.0.major
    }

    /// `3.11`.
    pub fn minor(&self) -> String {
        format!("{}.{}", self.0.major, self.0.minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which versions will do: any of these alternatives, each a list of conditions.
#[derive(Clone, Debug)]
pub struct Range(Vec<Vec<Condition>>);

#[derive(Clone, Debug)]
struct Condition {
    wanted: VersionReq,
    not: bool,
}

impl Range {
    /// A range as npm writes it: `20.x`, `>=18 <21`, `^18.17 || 20`, `18 - 20`. `None` for what is none, such as `lts/*`.
    ///
    /// The rules are those of npm's semver; the comparators mean the same in Cargo's but for a bare version, which is exact in npm.
    pub fn npm(text: &str) -> Option<Range> {
        Range::parse(text, npm_alternative)
    }

    /// A range as Python's packaging (PEP 440) and Poetry write it: `>=3.10,<4`, `~=3.11`, `==3.11.*`, `^3.10`.
    pub fn python(text: &str) -> Option<Range> {
        Range::parse(text, python_alternative)
    }

    fn parse(text: &str, read: fn(&str) -> Option<Vec<Condition>>) -> Option<Range> {
        text.split("||").map(read).collect::<Option<_>>().map(Range)
    }

    pub fn allows(&self, version: &Version) -> bool {
        self.holds(&version.0)
    }

    /// Whether a newer version would do where this one does not: then it is too old, and else too new.
    pub fn is_beyond(&self, version: &Version) -> bool {
        let conditions = self.0.iter().flatten();
        let named = conditions.flat_map(|condition| &condition.wanted.comparators);
        // A range begins at a version that it names, or just after it.
        let mut starts = named.flat_map(|named| {
            let (major, minor, patch) = (
                named.major,
                named.minor.unwrap_or(0),
                named.patch.unwrap_or(0),
            );
            [
                semver::Version::new(major, minor, patch),
                semver::Version::new(major, minor, patch.saturating_add(1)),
                semver::Version::new(major, minor.saturating_add(1), 0),
                semver::Version::new(major.saturating_add(1), 0, 0),
            ]
        });
        starts.any(|start| start > version.0 && self.holds(&start))
    }

    fn holds(&self, version: &semver::Version) -> bool {
        let holds = |condition: &Condition| condition.wanted.matches(version) != condition.not;
        self.0.iter().any(|conditions| conditions.iter().all(holds))
    }
}

fn npm_alternative(text: &str) -> Option<Vec<Condition>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Vec::new());
    }
    if let Some((from, to)) = text.split_once(" - ") {
        let ends = [(">=", from), ("<=", to)];
        return ends
            .into_iter()
            .map(|(operator, version)| condition(operator, version, "="))
            .collect();
    }
    // An operator may stand apart from its version.
    let mut joined = String::new();
    for word in text.split_whitespace() {
        joined.push_str(word);
        if word.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '*') {
            joined.push(' ');
        }
    }
    joined
        .split_whitespace()
        .map(|word| {
            let (operator, version) = parted(word);
            condition(operator, version, "=")
        })
        .collect()
}

fn python_alternative(text: &str) -> Option<Vec<Condition>> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (operator, version) = parted(part);
            match operator {
                "==" | "===" => condition("=", version, "="),
                "!=" => condition("=", version, "=").map(|found| Condition { not: true, ..found }),
                // Compatible: the last of the numbers that are there may grow.
                "~=" if version.matches('.').count() < 2 => condition("^", version, "^"),
                "~=" => condition("~", version, "~"),
                operator => condition(operator, version, "="),
            }
        })
        .collect()
}

/// The operator before a version, and the version.
fn parted(text: &str) -> (&str, &str) {
    let at = text
        .find(|c: char| !matches!(c, '<' | '>' | '=' | '^' | '~' | '!'))
        .unwrap_or(text.len());
    (&text[..at], text[at..].trim())
}

/// With the numbers of a version that are there: `20.x` and `20.*` have one.
fn condition(operator: &str, version: &str, bare: &str) -> Option<Condition> {
    let version = version.trim().trim_start_matches('v');
    let numbers: Vec<&str> = version
        .split('.')
        .take_while(|part| !matches!(*part, "x" | "X" | "*"))
        .take(3)
        .collect();
    let operator = match operator {
        "" => bare,
        operator => operator,
    };
    let written = match numbers.is_empty() {
        true => "*".to_owned(),
        false => format!("{operator}{}", numbers.join(".")),
    };
    VersionReq::parse(&written)
        .ok()
        .map(|wanted| Condition { wanted, not: false })
}
