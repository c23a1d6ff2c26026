//! Config vars: sets that are never altered. A change makes a new set, and a release runs with one set.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::accounts::Account;
use super::releases::{self, Change, Release};
use super::row::{found, optional};
use crate::error::{Error, Result};
use crate::name::Id;
use crate::time::Timestamp;

pub type ConfigVars = BTreeMap<String, String>;

/// All keys and values of one app together, in bytes: Heroku's limit.
const MAX_BYTES: usize = 64 * 1024;
/// What the platform itself sets in every dyno.
const RESERVED: &[&str] = &["PORT", "DYNO"];

/// Stores a new set.
pub(super) fn insert(connection: &Connection, app: Id, vars: &ConfigVars) -> Result<Id> {
    let id = Id::new();
    let json = serde_json::to_string(vars).map_err(Error::internal)?;
    connection
        .prepare_cached("INSERT INTO config_set (id, app_id, vars) VALUES (?1, ?2, seal(?1, ?3))")?
        .execute(params![id, app, json])?;
    Ok(id)
}

/// The config vars of an app: those of its newest release.
pub fn get(connection: &Connection, app: Id) -> Result<ConfigVars> {
    let mut statement = connection.prepare_cached(
        "SELECT unseal(config_set.id, config_set.vars) FROM release JOIN config_set ON config_set.id = release.config_set_id
         WHERE release.app_id = ?1 ORDER BY release.version DESC LIMIT 1",
    )?;
    let json: Option<String> = optional(statement.query_row([app], |row| row.get(0)))?;
    json.map_or_else(|| Ok(ConfigVars::new()), |json| parse(&json))
}

/// The config vars of one set, as a release runs with them.
pub fn read(connection: &Connection, set: Id) -> Result<ConfigVars> {
    let mut statement =
        connection.prepare_cached("SELECT unseal(id, vars) FROM config_set WHERE id = ?1")?;
    let json: String = found(statement.query_row([set], |row| row.get(0)), "config vars")?;
    parse(&json)
}

fn parse(json: &str) -> Result<ConfigVars> {
    serde_json::from_str(json).map_err(Error::internal)
}

/// Sets some vars and deletes others (`None`), and makes the one release that follows; none if nothing would change.
/// 422 for a key that cannot be one, or more than 64 KB in all.
pub fn update(
    connection: &Connection,
    app: Id,
    changes: BTreeMap<String, Option<String>>,
    by: &Account,
    now: Timestamp,
) -> Result<(ConfigVars, Option<Release>)> {
    let mut vars = get(connection, app)?;
    let (set, removed) = apply(&mut vars, changes)?;
    if set.is_empty() && removed.is_empty() {
        return Ok((vars, None));
    }
    let config_set = insert(connection, app, &vars)?;
    let release = releases::create(
        connection,
        app,
        by,
        Change::ConfigVars {
            set,
            removed,
            config_set,
        },
        now,
    )?;
    Ok((vars, Some(release)))
}

/// Sets some vars and deletes others (`None`): the names of those that were set and of those that were removed, less what was
/// so already. 422 for a key that cannot be one, or more than 64 KB in all.
pub(super) fn apply(
    vars: &mut ConfigVars,
    changes: BTreeMap<String, Option<String>>,
) -> Result<(Vec<String>, Vec<String>)> {
    let (mut set, mut removed) = (Vec::new(), Vec::new());
    for (key, value) in changes {
        match value {
            Some(value) => {
                check(&key, &value)?;
                if vars.get(&key) != Some(&value) {
                    vars.insert(key.clone(), value);
                    set.push(key);
                }
            }
            None => {
                if vars.remove(&key).is_some() {
                    removed.push(key);
                }
            }
        }
    }
    check_size(vars)?;
    Ok((set, removed))
}

/// 422 for vars that no dyno could be given: by a key, or by more than 64 KB in all.
pub fn check_all(vars: &ConfigVars) -> Result<()> {
    for (key, value) in vars {
        check(key, value)?;
    }
    check_size(vars)
}

fn check_size(vars: &ConfigVars) -> Result<()> {
    if vars
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum::<usize>()
        > MAX_BYTES
    {
        return Err(Error::invalid(
            "The config vars of an app may hold 64 KB in all. Keep larger data in a file or a store.",
        ));
    }
    Ok(())
}

fn check(key: &str, value: &str) -> Result<()> {
    let word = !key.is_empty()
        && key.len() <= 256
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !word || key.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(Error::invalid(format!(
            "{:?} cannot be the name of a config var: use letters, digits and underscores, and no digit first.",
            key.chars().take(64).collect::<String>()
        )));
    }
    if RESERVED.contains(&key) {
        return Err(Error::invalid(format!(
            "{key} is set by the platform in each dyno, so it cannot be a config var."
        )));
    }
    if value.contains('\0') {
        return Err(Error::invalid(format!(
            "The value of {key} holds a NUL character, which no environment can."
        )));
    }
    Ok(())
}
