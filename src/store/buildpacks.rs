//! Buildpack installations: which buildpacks an app asks for, in which order. The list is always replaced as a whole.
//!
//! It must not know what a buildpack does, nor where one is fetched from.

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::name::Id;

/// Buildpacks of one app at most, so that a list is never long.
const MAX_BUILDPACKS: usize = 20;
/// Bytes of one, as a client writes it.
const MAX_BYTES: usize = 2_000;
/// What Heroku's clients cut off to show a name.
const URN: &str = "urn:buildpack:";

/// A buildpack as a client names it, checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buildpack {
    /// A URL, or a URN for what is only a name: `urn:buildpack:heroku/nodejs`.
    pub url: String,
    /// `heroku/nodejs`, or the URL once more.
    pub name: String,
}

impl Buildpack {
    /// Reads `heroku/nodejs`, a URN, or a URL of http, https or a file. 422 for anything else, and for a URL that holds a password: the
    /// list is shown to whoever may see the app.
    pub fn parse(text: &str) -> Result<Buildpack> {
        let text = text.trim();
        let name = text.strip_prefix(URN).unwrap_or(text);
        let shown: String = text.chars().take(80).collect();
        if is_name(name) && text.len() <= MAX_BYTES {
            return Ok(Buildpack {
                url: format!("{URN}{name}"),
                name: name.to_owned(),
            });
        }
        let path = text.strip_prefix("file://");
        let printable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if path.is_some_and(|path| path.starts_with('/') && printable(path))
            && text.len() <= MAX_BYTES
        {
            return Ok(Buildpack {
                url: text.to_owned(),
                name: text.to_owned(),
            });
        }
        let rest = ["https://", "http://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
        let plain = text.len() <= MAX_BYTES && printable(text);
        match authority {
            Some(host) if plain && host.contains('@') => Err(Error::invalid(
                "The URL of a buildpack is shown to everybody who may see the app, so it cannot hold a name or a password.",
            )),
            Some(host) if plain && !host.is_empty() => Ok(Buildpack {
                url: text.to_owned(),
                name: text.to_owned(),
            }),
            _ => Err(Error::invalid(format!(
                "{shown:?} is no buildpack. Name one as heroku/nodejs, or give its URL with https://."
            ))),
        }
    }
}

/// A name of the registry: two words with a slash between them.
fn is_name(text: &str) -> bool {
    let word = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    text.split_once('/')
        .is_some_and(|(namespace, name)| word(namespace) && word(name))
}

/// The buildpacks of an app, in order.
pub fn list(connection: &Connection, app: Id) -> Result<Vec<Buildpack>> {
    let rows = connection
        .prepare_cached(
            "SELECT url, name FROM buildpack_installation WHERE app_id = ?1 ORDER BY ordinal",
        )?
        .query_map([app], |row| {
            Ok(Buildpack {
                url: row.get(0)?,
                name: row.get(1)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

/// 422 when there are too many, or one comes twice.
pub fn check(buildpacks: &[Buildpack]) -> Result<()> {
    if buildpacks.len() > MAX_BUILDPACKS {
        return Err(Error::invalid(format!(
            "An app has {MAX_BUILDPACKS} buildpacks at most."
        )));
    }
    let twice = |buildpack: &&Buildpack| {
        let same = buildpacks.iter().filter(|same| same == buildpack);
        same.count() > 1
    };
    match buildpacks.iter().find(twice) {
        Some(buildpack) => Err(Error::invalid(format!(
            "The buildpack {} is there twice. Name each once.",
            buildpack.name
        ))),
        None => Ok(()),
    }
}

/// Replaces the buildpacks of an app; none clears them. 422 as [`check`] says.
pub fn replace(connection: &Connection, app: Id, buildpacks: &[Buildpack]) -> Result<()> {
    check(buildpacks)?;
    connection
        .prepare_cached("DELETE FROM buildpack_installation WHERE app_id = ?1")?
        .execute([app])?;
    for (ordinal, buildpack) in (0_i64..).zip(buildpacks) {
        connection
            .prepare_cached(
                "INSERT INTO buildpack_installation (app_id, ordinal, url, name) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![app, ordinal, buildpack.url, buildpack.name])?;
    }
    Ok(())
}
