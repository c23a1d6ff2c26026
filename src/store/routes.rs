//! What the router needs to know of every app, in one snapshot.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, params};

use super::config_vars::ConfigVars;
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
    /// Where its own pages are for visitors whom no dyno answers, and for those who come while it is maintained.
    pub error_page_url: Option<String>,
    pub maintenance_page_url: Option<String>,
    /// Something was deployed, so there is a formation.
    pub deployed: bool,
    /// Something is to be deployed once its release command has succeeded.
    pub releasing: bool,
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
    let releasing = releasing(connection)?;
    let mut statement = connection.prepare_cached(
        "SELECT id, name, maintenance, error_page_url, maintenance_page_url FROM app",
    )?;
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
            error_page_url: row.get(3)?,
            maintenance_page_url: row.get(4)?,
            deployed: quantity.is_some(),
            releasing: releasing.contains(&app_id),
            quantity: quantity.copied().unwrap_or_default(),
            dynos,
            version,
        })
    })?;
    Ok(apps.collect::<rusqlite::Result<_>>()?)
}

/// The apps with a pending release of a slug.
fn releasing(connection: &Connection) -> Result<HashSet<Id>> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT app_id FROM release WHERE status = 'pending' AND slug_id IS NOT NULL",
    )?;
    let apps = statement.query_map([], |row| row.get(0))?;
    Ok(apps.collect::<rusqlite::Result<_>>()?)
}

/// The config vars that name an app's own pages, as on Heroku.
const ERROR_PAGE: &str = "ERROR_PAGE_URL";
const MAINTENANCE_PAGE: &str = "MAINTENANCE_PAGE_URL";
/// No browser is sure to take a longer URL.
const LONGEST_URL: usize = 2_000;

/// Keeps what new config vars say of the app's own pages where the router looks, since it reads no secrets.
pub(super) fn note_pages(connection: &Connection, app: Id, vars: &ConfigVars) -> Result<()> {
    let url = |name: &str| vars.get(name).filter(|url| is_page(url));
    connection
        .prepare_cached(
            "UPDATE app SET error_page_url = ?2, maintenance_page_url = ?3
             WHERE id = ?1 AND (error_page_url IS NOT ?2 OR maintenance_page_url IS NOT ?3)",
        )?
        .execute(params![app, url(ERROR_PAGE), url(MAINTENANCE_PAGE)])?;
    Ok(())
}

/// Whether a browser could show it. What else stands in such a var is as good as nothing.
fn is_page(url: &str) -> bool {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    (scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http"))
        && url.len() <= LONGEST_URL
        && !url.contains(|symbol: char| symbol.is_whitespace() || symbol.is_control())
}
