//! Features of accounts and apps that can be switched on, and what a dyno is told because of one.
//!
//! Which features there are is said in [`crate::catalog`].

use std::collections::{BTreeMap, HashSet};

use rusqlite::{Connection, params};

use super::config_vars::ConfigVars;
use super::dynos::Dyno;
use super::row::optional;
use crate::catalog::METADATA;
use crate::error::Result;
use crate::name::Id;
use crate::time::Timestamp;

/// Whose features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Account(Id),
    App(Id),
}

impl Owner {
    /// Where they are, by which column, and whose.
    fn place(self) -> (&'static str, &'static str, Id) {
        match self {
            Owner::Account(id) => ("account_feature", "account_id", id),
            Owner::App(id) => ("app_feature", "app_id", id),
        }
    }
}

/// Whether a feature is on, and since when; of those that were ever switched.
pub fn switched(
    connection: &Connection,
    owner: Owner,
) -> Result<BTreeMap<String, (bool, Timestamp)>> {
    let (table, column, id) = owner.place();
    let mut statement = connection.prepare_cached(&format!(
        "SELECT name, enabled, updated_at FROM {table} WHERE {column} = ?1"
    ))?;
    let rows = statement.query_map([id], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Switches a feature on or off.
pub fn switch(
    connection: &Connection,
    owner: Owner,
    name: &str,
    enabled: bool,
    now: Timestamp,
) -> Result<()> {
    let (table, column, id) = owner.place();
    connection
        .prepare_cached(&format!(
            "INSERT INTO {table} ({column}, name, enabled, updated_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT ({column}, name) DO UPDATE SET enabled = ?3, updated_at = ?4"
        ))?
        .execute(params![id, name, enabled, now])?;
    Ok(())
}

/// The apps for which a feature is on.
pub fn apps_with(connection: &Connection, name: &str) -> Result<HashSet<Id>> {
    let mut statement = connection
        .prepare_cached("SELECT app_id FROM app_feature WHERE name = ?1 AND enabled = 1")?;
    let rows = statement.query_map([name], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What a dyno is told of itself where [`METADATA`] is on, by Heroku's names. Config vars of the same names win.
pub fn metadata(connection: &Connection, dyno: &Dyno) -> Result<ConfigVars> {
    let mut statement = connection.prepare_cached(
        "SELECT app.name, release.created_at, slug.\"commit\", slug.description
         FROM app_feature JOIN app ON app.id = app_feature.app_id JOIN release ON release.id = ?3
         LEFT JOIN slug ON slug.id = release.slug_id
         WHERE app_feature.app_id = ?1 AND app_feature.name = ?2 AND app_feature.enabled = 1",
    )?;
    let parameters = params![dyno.app_id, METADATA.name, dyno.release_id];
    let found = optional(statement.query_row(parameters, |row| {
        let (name, at): (String, Timestamp) = (row.get(0)?, row.get(1)?);
        let (commit, description): (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
        Ok([
            ("HEROKU_APP_ID", Some(dyno.app_id.to_string())),
            ("HEROKU_APP_NAME", Some(name)),
            ("HEROKU_DYNO_ID", Some(dyno.id.to_string())),
            (
                "HEROKU_RELEASE_VERSION",
                Some(format!("v{}", dyno.release_version)),
            ),
            ("HEROKU_RELEASE_CREATED_AT", Some(at.to_seconds())),
            ("HEROKU_SLUG_COMMIT", commit),
            ("HEROKU_SLUG_DESCRIPTION", description),
        ])
    }))?;
    let told = found.into_iter().flatten();
    Ok(told
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect())
}
