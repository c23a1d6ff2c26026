//! What the router needs to know of every app, in one snapshot.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use super::dynos::{self, Dyno};
use crate::catalog::HTTPS_ONLY;
use crate::error::Result;
use crate::name::Id;

/// One app, as far as its visitors are concerned.
#[derive(Clone, Debug)]
pub struct Visited {
    pub app_id: Id,
    pub name: String,
    /// The names that were added to the app's own.
    pub domains: Vec<String>,
    pub maintenance: bool,
    /// The feature [`HTTPS_ONLY`] is on.
    pub https_only: bool,
    /// Something was deployed, so there is a formation.
    pub deployed: bool,
    /// Web dynos that are wanted.
    pub quantity: i64,
    /// Web dynos that are not being stopped, by id.
    pub dynos: Vec<Dyno>,
    /// The version of the current release.
    pub version: i64,
}

/// Every app. A few passes over narrow tables, since there may be many apps of which few run.
pub fn snapshot(connection: &Connection) -> Result<Vec<Visited>> {
    let mut deployed = HashMap::new();
    let mut statement = connection
        .prepare_cached("SELECT app_id, max(CASE WHEN type = 'web' THEN quantity ELSE 0 END) FROM formation GROUP BY app_id")?;
    for row in statement.query_map([], |row| Ok((row.get::<_, Id>(0)?, row.get::<_, i64>(1)?)))? {
        let (app, quantity) = row?;
        deployed.insert(app, quantity);
    }
    let mut running: HashMap<Id, (i64, Vec<Dyno>)> = HashMap::new();
    let sql = format!(
        "SELECT {}, (SELECT max(version) FROM release WHERE release.app_id = dyno.app_id AND release.status = 'succeeded')
         FROM dyno WHERE dyno.type = 'web' AND dyno.one_off = 0 AND dyno.state <> 'down' ORDER BY dyno.id",
        dynos::COLUMNS
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let version = statement.column_count() - 1;
    for row in statement.query_map([], |row| {
        Ok((dynos::dyno(row)?, row.get::<_, Option<i64>>(version)?))
    })? {
        let (dyno, version) = row?;
        let entry = running.entry(dyno.app_id).or_default();
        entry.0 = version.unwrap_or_default();
        entry.1.push(dyno);
    }
    let mut domains: HashMap<Id, Vec<String>> = HashMap::new();
    let mut statement = connection.prepare_cached("SELECT app_id, hostname FROM domain")?;
    for row in statement.query_map([], |row| Ok((row.get::<_, Id>(0)?, row.get(1)?)))? {
        let (app, hostname) = row?;
        domains.entry(app).or_default().push(hostname);
    }
    let mut statement = connection
        .prepare_cached("SELECT app_id FROM app_feature WHERE name = ?1 AND enabled = 1")?;
    let https_only = statement.query_map([HTTPS_ONLY.name], |row| row.get(0))?;
    let https_only: HashSet<Id> = https_only.collect::<rusqlite::Result<_>>()?;
    let mut statement = connection.prepare_cached("SELECT id, name, maintenance FROM app")?;
    let apps = statement.query_map([], |row| {
        let app_id = row.get(0)?;
        let quantity = deployed.get(&app_id);
        let (version, dynos) = running.remove(&app_id).unwrap_or_default();
        Ok(Visited {
            app_id,
            name: row.get(1)?,
            domains: domains.remove(&app_id).unwrap_or_default(),
            maintenance: row.get(2)?,
            https_only: https_only.contains(&app_id),
            deployed: quantity.is_some(),
            quantity: quantity.copied().unwrap_or_default(),
            dynos,
            version,
        })
    })?;
    Ok(apps.collect::<rusqlite::Result<_>>()?)
}
