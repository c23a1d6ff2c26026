//! Domains: the names beside its own under which an app is visited. A name is one app's at a time.

use rusqlite::{Connection, Row, ToSql, params};

use super::page::{self, Field, Kind, Listing, Page};
use super::row::{found, text_enum, unique};
use super::{acm, sni_endpoints};
use crate::error::{Error, Result};
use crate::hostname::Hostname;
use crate::name::{Id, Identity};
use crate::time::Timestamp;

/// Custom domains of one app at most, as on Heroku.
const MAX_DOMAINS: i64 = 1_000;

text_enum! {
    /// Whether a domain came with the app or was added to it.
    Origin { Heroku = "heroku", Custom = "custom" }
}

#[derive(Clone, Debug)]
pub struct Domain {
    pub id: Id,
    pub app_id: Id,
    pub app_name: String,
    pub hostname: String,
    pub kind: Origin,
    /// The certificate that is meant for it: its id and name.
    pub sni_endpoint: Option<(Id, String)>,
    /// What came of asking an authority for it, and why it failed if it did.
    pub acm_status: Option<acm::Status>,
    pub acm_reason: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "shown.id", Kind::Id),
    Field::new("hostname", "shown.hostname", Kind::Text),
    Field::new("created_at", "shown.created_at", Kind::Time),
    // The word of heroku3, a client for Python.
    Field::new("domain", "shown.hostname", Kind::Text),
];

const COLUMNS: &str =
    "shown.id, shown.app_id, shown.app_name, shown.hostname, shown.kind, shown.sni_endpoint_id,
    shown.sni_endpoint_name, shown.created_at, shown.updated_at, shown.acm_status, shown.acm_reason";
/// Of the app `?1`: what was added to it, and the name that it has under the base domain `?2`. That one follows the app's name,
/// so it is nowhere stored, and the app's id is its id.
const FROM: &str = "(
    SELECT domain.id AS id, domain.app_id AS app_id, app.name AS app_name, domain.hostname AS hostname, 'custom' AS kind,
        sni_endpoint.id AS sni_endpoint_id, sni_endpoint.name AS sni_endpoint_name,
        domain.created_at AS created_at, domain.updated_at AS updated_at,
        acm_order.status AS acm_status, acm_order.reason AS acm_reason
    FROM domain JOIN app ON app.id = domain.app_id LEFT JOIN acm_order ON acm_order.domain_id = domain.id
        LEFT JOIN sni_endpoint ON sni_endpoint.id = iif(acm_order.sni_endpoint_id IS NULL, domain.sni_endpoint_id,
            (SELECT min(automatic.sni_endpoint_id) FROM domain AS other JOIN acm_order AS automatic
             ON automatic.domain_id = other.id WHERE other.app_id = ?1 AND automatic.sni_endpoint_id IS NOT NULL))
    WHERE domain.app_id = ?1
    UNION ALL
    SELECT app.id, app.id, app.name, app.name || '.' || ?2, 'heroku', NULL, NULL, app.created_at, app.updated_at, NULL, NULL
    FROM app WHERE app.id = ?1) AS shown WHERE true";

fn domain(row: &Row<'_>) -> rusqlite::Result<Domain> {
    let certificate = (
        row.get::<_, Option<Id>>(5)?,
        row.get::<_, Option<String>>(6)?,
    );
    Ok(Domain {
        id: row.get(0)?,
        app_id: row.get(1)?,
        app_name: row.get(2)?,
        hostname: row.get(3)?,
        kind: row.get(4)?,
        sni_endpoint: certificate.0.zip(certificate.1),
        acm_status: row.get(9)?,
        acm_reason: row.get(10)?,
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
    })
}

/// How a domain is pointed at: by its id, or by its name in any spelling.
#[derive(Clone, Debug)]
pub enum Which {
    Id(Id),
    Hostname(Hostname),
}

impl Which {
    /// `None` for what can be neither.
    pub fn parse(text: &str) -> Option<Which> {
        match Id::parse(text) {
            Some(id) => Some(Which::Id(id)),
            None => Hostname::canonical(text).map(Which::Hostname),
        }
    }
}

/// Adds a domain to an app. 422 when the name is another domain, lies under another owner's wildcard, is a wildcard over another
/// owner's domain, or is one too many.
pub fn create(
    connection: &Connection,
    app: Id,
    base: &str,
    hostname: &Hostname,
    sni_endpoint: Option<&Identity>,
    now: Timestamp,
) -> Result<Domain> {
    let sni_endpoint = certificate(connection, app, None, sni_endpoint)?;
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM domain WHERE app_id = ?1")?
        .query_row([app], |row| row.get(0))?;
    if count >= MAX_DOMAINS {
        return Err(Error::invalid(format!(
            "This app has {count} domains already. Remove one that is no longer used, or add a wildcard in place of many."
        )));
    }
    is_free(connection, app, hostname)?;
    let id = Id::new();
    let inserted = connection
        .prepare_cached(
            "INSERT INTO domain (id, app_id, hostname, reversed, sni_endpoint_id, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
        )?
        .execute(params![
            id,
            app,
            hostname.as_str(),
            hostname.reversed(),
            sni_endpoint,
            now
        ]);
    if let Err(error) = unique(inserted, || in_use(hostname, "another app")) {
        let own = find(connection, app, base, &Which::Hostname(hostname.clone()));
        return Err(own.map_or(error, |_| in_use(hostname, "this app")));
    }
    acm::follow(connection, id, now)?;
    find(connection, app, base, &Which::Id(id))
}

fn in_use(hostname: &Hostname, by: &str) -> Error {
    Error::invalid(format!("{hostname} is currently in use by {by}."))
}

/// 422 for a name that visitors of somebody else's app use already: one under their wildcard, or a wildcard over a name of theirs,
/// whose owner could add no other one beside it any more.
pub fn is_free(connection: &Connection, app: Id, hostname: &Hostname) -> Result<()> {
    let of_another = "(app.owner_id IS NOT own.owner_id OR app.team_id IS NOT own.team_id)";
    let mut above = connection.prepare_cached(&format!(
        "SELECT EXISTS (SELECT 1 FROM domain JOIN app ON app.id = domain.app_id JOIN app AS own ON own.id = ?2
             WHERE domain.hostname = ?1 AND {of_another})"
    ))?;
    for wildcard in hostname.wildcards_above() {
        if above.query_row(params![wildcard, app], |row| row.get(0))? {
            return Err(in_use(hostname, "another app"));
        }
    }
    let Some((from, to)) = hostname.reversed_under() else {
        return Ok(());
    };
    let mut below = connection.prepare_cached(&format!(
        "SELECT EXISTS (SELECT 1 FROM domain JOIN app ON app.id = domain.app_id JOIN app AS own ON own.id = ?3
             WHERE domain.reversed > ?1 AND domain.reversed < ?2 AND {of_another})"
    ))?;
    match below.query_row(params![from, to, app], |row| row.get(0))? {
        false => Ok(()),
        true => Err(Error::invalid(format!(
            "{hostname} stands for a name that is currently in use by another app. Add the names that you need, each by itself."
        ))),
    }
}

/// The certificate that is named for a domain. Who names the automatic one wants what an authority gives: for this domain, and so
/// none that another one was given.
fn certificate(
    connection: &Connection,
    app: Id,
    domain: Option<Id>,
    named: Option<&Identity>,
) -> Result<Option<Id>> {
    let Some(identity) = named else {
        return Ok(None);
    };
    let endpoint = sni_endpoints::find(connection, app, identity)?;
    match (endpoint.acm, domain) {
        (false, _) => Ok(Some(endpoint.id)),
        (true, None) => Ok(None),
        (true, Some(domain)) => acm::certificate_of(connection, domain),
    }
}

/// A domain of this app, its own name under `base` among them.
pub fn find(connection: &Connection, app: Id, base: &str, which: &Which) -> Result<Domain> {
    let select = |column: &str, value: &dyn ToSql| {
        let sql = format!("SELECT {COLUMNS} FROM {FROM} AND {column} = ?3");
        found(
            connection
                .prepare_cached(&sql)?
                .query_row(params![app, base, value], domain),
            "domain",
        )
    };
    match which {
        Which::Id(id) => select("shown.id", id),
        Which::Hostname(hostname) => select("shown.hostname", &hostname.as_str()),
    }
}

pub fn list(connection: &Connection, app: Id, base: &str, page: &Page) -> Result<Listing<Domain>> {
    let query = page::Query {
        columns: COLUMNS,
        from: FROM,
        id: "shown.id",
        parameters: &[&app, &base],
    };
    page::select(connection, &query, page, domain)
}

/// Names the certificate of a domain, or takes it away. 422 for the app's own name.
pub fn assign(
    connection: &Connection,
    domain: &Domain,
    sni_endpoint: Option<&Identity>,
    now: Timestamp,
) -> Result<()> {
    custom(domain)?;
    let sni_endpoint = certificate(connection, domain.app_id, Some(domain.id), sni_endpoint)?;
    connection
        .prepare_cached(
            "UPDATE domain SET sni_endpoint_id = ?2, updated_at = ?3 WHERE id = ?1 AND sni_endpoint_id IS NOT ?2",
        )?
        .execute(params![domain.id, sni_endpoint, now])?;
    acm::follow(connection, domain.id, now)
}

/// Takes a domain away from its app. 422 for the app's own name.
pub fn delete(connection: &Connection, domain: &Domain) -> Result<()> {
    custom(domain)?;
    connection
        .prepare_cached("DELETE FROM domain WHERE id = ?1")?
        .execute([domain.id])?;
    Ok(())
}

fn custom(domain: &Domain) -> Result<()> {
    match domain.kind {
        Origin::Custom => Ok(()),
        Origin::Heroku => Err(Error::invalid(
            "This domain is the app's own. It changes with the app's name, and with nothing else.",
        )),
    }
}
