//! Which git this machine has.

use std::process::Command;

use super::repository::spawn_failed;
use crate::error::Result;

/// What a git says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// `2.47.3`.
    pub text: String,
    /// The first two numbers in it, if it has them.
    pub number: Option<(u32, u32)>,
}

/// Asks the git that is found. 503 where there is none. Blocks.
pub fn find() -> Result<Version> {
    let said = Command::new("git")
        .arg("version")
        .output()
        .map_err(spawn_failed)?;
    Ok(parse(&String::from_utf8_lossy(&said.stdout)))
}

/// `git version 2.39.5 (Apple Git-154)`.
pub fn parse(said: &str) -> Version {
    let text = said.split_whitespace().nth(2).unwrap_or("of no version");
    let mut numbers = text.split('.').map(str::parse::<u32>);
    let number = match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
        _ => None,
    };
    Version {
        text: text.to_owned(),
        number,
    }
}
