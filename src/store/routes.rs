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
    pub deployed: Deployed,
    /// Web dynos that are not being stopped, by id.
    pub dynos: Vec<Dyno>,
    /// The version of the current release.
    pub version: i64,
}

/// What has become of what was deployed to an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deployed {
    /// Nothing was.
    Nothing,
    /// It is there once its release command has succeeded.
    Pending,
    /// No release of it has succeeded.
    Failed,
    /// It runs, and declares no web process.
    NoWeb,
    /// It runs, and so many web dynos are wanted.
    Web(i64),
}

/// Every app. A few passes over narrow tables, since there may be many apps of which few run.
pub fn snapshot(connection: &Connection) -> Result<Vec<Visited>> {
    let mut deployed = HashMap::new();
    let mut statement = connection
        .prepare_cached("SELECT app_id, max(CASE WHEN type = 'web' THEN quantity END) FROM formation GROUP BY app_id")?;
    let quantities = statement.query_map([], |row| {
        Ok((row.get::<_, Id>(0)?, row.get::<_, Option<i64>>(1)?))
    })?;
    for row in quantities {
        let (app, quantity) = row?;
        deployed.insert(app, quantity.map_or(Deployed::NoWeb, Deployed::Web));
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
    add_without_formation(connection, &mut deployed)?;
    let mut statement = connection.prepare_cached(
        "SELECT id, name, maintenance, error_page_url, maintenance_page_url FROM app",
    )?;
    let apps = statement.query_map([], |row| {
        let app_id = row.get(0)?;
        let (version, dynos) = running.remove(&app_id).unwrap_or_default();
        Ok(Visited {
            app_id,
            name: row.get(1)?,
            domains: domains.remove(&app_id).unwrap_or_default(),
            maintenance: row.get(2)?,
            https_only: https_only.contains(&app_id),
            error_page_url: row.get(3)?,
            maintenance_page_url: row.get(4)?,
            deployed: deployed.remove(&app_id).unwrap_or(Deployed::Nothing),
            dynos,
            version,
        })
    })?;
    Ok(apps.collect::<rusqlite::Result<_>>()?)
}

/// Adds what has become of deployments that have left no formation: none of their releases counts yet, or what they brought runs
/// nothing at all. Looks at the releases of such apps alone, which are few each.
fn add_without_formation(
    connection: &Connection,
    deployed: &mut HashMap<Id, Deployed>,
) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT id, (SELECT max(CASE status WHEN 'pending' THEN 3 WHEN 'succeeded' THEN 2 ELSE 1 END) FROM release
             WHERE release.app_id = app.id AND slug_id IS NOT NULL)
         FROM app WHERE NOT EXISTS (SELECT 1 FROM formation WHERE formation.app_id = app.id)",
    )?;
    let apps = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?)))?;
    for row in apps {
        let (app, furthest) = row?;
        deployed.insert(
            app,
            match furthest {
                None => Deployed::Nothing,
                Some(3) => Deployed::Pending,
                Some(2) => Deployed::NoWeb,
                Some(_) => Deployed::Failed,
            },
        );
    }
    Ok(())
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
