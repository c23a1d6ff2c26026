//! Config vars: sets that are never altered. A change makes a new set, and a release runs with one set.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Row, params};

use super::accounts::Account;
use super::releases::{self, Change, Release};
use super::row::{found, json, optional};
use crate::error::{Error, Result};
use crate::name::Id;
use crate::time::Timestamp;

pub type ConfigVars = BTreeMap<String, String>;

/// All keys and values of one app together, in bytes: Heroku's limit.
const MAX_BYTES: usize = 64 * 1024;
/// What the platform itself sets in every dyno.
const RESERVED: &[&str] = &["PORT", "DYNO"];

/// The vars of a set, and which of them add-ons have set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Set {
    pub vars: ConfigVars,
    pub addon_vars: BTreeSet<String>,
}

impl Set {
    /// Those that somebody set by hand, and beside them what add-ons set, which go before them.
    pub fn with(&self, addon_vars: ConfigVars) -> Set {
        let own = |(key, _): &(&String, &String)| !self.addon_vars.contains(*key);
        let own = self.vars.iter().filter(own);
        let mut vars: ConfigVars = own
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let names = addon_vars.keys().cloned().collect();
        vars.extend(addon_vars);
        Set {
            vars,
            addon_vars: names,
        }
    }

    /// What add-ons have set alone.
    fn of_addons(&self) -> ConfigVars {
        let theirs = |(key, _): &(&String, &String)| self.addon_vars.contains(*key);
        let theirs = self.vars.iter().filter(theirs);
        theirs
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}

/// Stores a new set.
pub(super) fn insert(connection: &Connection, set: &Set) -> Result<Id> {
    let id = Id::new();
    let vars = serde_json::to_string(&set.vars).map_err(Error::internal)?;
    let addon_vars = serde_json::to_string(&set.addon_vars).map_err(Error::internal)?;
    connection
        .prepare_cached(
            "INSERT INTO config_set (id, vars, addon_vars) VALUES (?1, seal(?1, ?2), ?3)",
        )?
        .execute(params![id, vars, addon_vars])?;
    Ok(id)
}

/// The set of an app's newest release; an empty one before the first.
pub(super) fn head(connection: &Connection, app: Id) -> Result<Set> {
    let mut statement = connection.prepare_cached(
        "SELECT unseal(config_set.id, config_set.vars), config_set.addon_vars
         FROM release JOIN config_set ON config_set.id = release.config_set_id
         WHERE release.app_id = ?1 ORDER BY release.version DESC LIMIT 1",
    )?;
    Ok(optional(statement.query_row([app], set))?.unwrap_or_default())
}

fn set(row: &Row<'_>) -> rusqlite::Result<Set> {
    Ok(Set {
        vars: json(row, 0)?,
        addon_vars: json(row, 1)?,
    })
}

/// The set that a rollback to a release with this one leads to: its vars, but what add-ons set is what they set today. An add-on
/// that has gone meanwhile, or a password that was changed, does not come back.
pub(super) fn rolled_back(connection: &Connection, app: Id, to: Id) -> Result<Id> {
    let mut statement = connection
        .prepare_cached("SELECT unseal(id, vars), addon_vars FROM config_set WHERE id = ?1")?;
    let then = found(statement.query_row([to], set), "config vars")?;
    let now = then.with(head(connection, app)?.of_addons());
    match now == then {
        true => Ok(to),
        false => insert(connection, &now),
    }
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
    let Set {
        mut vars,
        addon_vars,
    } = head(connection, app)?;
    let (set, removed) = apply(&mut vars, changes)?;
    for key in set.iter().chain(&removed) {
        refuse_addon_var(&addon_vars, key)?;
    }
    if set.is_empty() && removed.is_empty() {
        return Ok((vars, None));
    }
    let after = Set { vars, addon_vars };
    let config_set = insert(connection, &after)?;
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
    Ok((after.vars, Some(release)))
}

/// What an add-on sets is its provider's to change.
fn refuse_addon_var(addon_vars: &BTreeSet<String>, key: &str) -> Result<()> {
    match addon_vars.contains(key) {
        true => Err(Error::invalid(format!(
            "Cannot overwrite attachment values {key}. An add-on sets it: detach the add-on first."
        ))),
        false => Ok(()),
    }
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
