//! SNI endpoints: the certificates of an app's domains, with their keys.
//!
//! A key is sealed and never leaves by way of the API. It must not know how a certificate is read: what is kept here was checked.

use rusqlite::{Connection, Row, params};

use super::acm;
use super::page::{self, Field, Kind, Listing, Page};
use super::row::{found, json, optional, unique};
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::time::Timestamp;

/// Certificates of one app at most.
const MAX_ENDPOINTS: i64 = 1_000;

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The names that it is good for.
    pub domains: Vec<String>,
    /// `/C=US/O=Example/CN=example.com`.
    pub subject: String,
    pub issuer: String,
    pub starts_at: Timestamp,
    pub expires_at: Timestamp,
    /// An authority that this machine trusted when it was uploaded has signed it.
    pub ca_signed: bool,
    pub self_signed: bool,
}

/// A certificate, its chain and its key, as PEM.
#[derive(Clone)]
pub struct KeyPair {
    pub certificate: Certificate,
    pub chain: String,
    pub private_key: String,
}

#[derive(Clone, Debug)]
pub struct SniEndpoint {
    pub id: Id,
    pub app_id: Id,
    pub app_name: String,
    pub name: String,
    pub chain: String,
    /// Another one after each change of the certificate.
    pub certificate_id: Id,
    pub certificate: Certificate,
    /// The domains that it is meant for.
    pub domains: Vec<Id>,
    /// It came from an authority that this server asked, and is renewed by it.
    pub acm: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl SniEndpoint {
    /// 422 for one that no person gave, and so none may change.
    pub fn by_hand(self) -> Result<SniEndpoint> {
        match self.acm {
            false => Ok(self),
            true => Err(Error::invalid(
                "This certificate is managed automatically. Give its domain another one, or switch that off: heroku certs:auto:disable",
            )),
        }
    }
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "sni_endpoint.id", Kind::Id),
    Field::new("name", "sni_endpoint.name", Kind::Text),
    Field::new("created_at", "sni_endpoint.created_at", Kind::Time),
];

/// The domains of the app `?1` that have a certificate by an authority.
macro_rules! automatic {
    () => {
        "FROM domain JOIN acm_order ON acm_order.domain_id = domain.id
         WHERE domain.app_id = ?1 AND acm_order.sni_endpoint_id IS NOT NULL"
    };
}
macro_rules! is_automatic {
    () => {
        "EXISTS (SELECT 1 FROM acm_order WHERE acm_order.sni_endpoint_id = sni_endpoint.id)"
    };
}
/// Which of the automatic certificates of the app `?1` stands for all of them: the oldest.
macro_rules! first_automatic {
    () => {
        concat!("(SELECT min(acm_order.sni_endpoint_id) ", automatic!(), ")")
    };
}

/// Each domain has an automatic certificate of its own, so that no domain has to wait for another one. To clients they are one, as on
/// Heroku: the official CLI would else ask which of them a new domain is to have. Of the app `?1`.
const COLUMNS: &str = concat!(
    "sni_endpoint.id, sni_endpoint.app_id, app.name, sni_endpoint.name, sni_endpoint.certificate_chain,
    sni_endpoint.certificate_id,
    iif(",
    is_automatic!(),
    ", (SELECT json_group_array(domain.hostname ORDER BY domain.hostname) ",
    automatic!(),
    "), sni_endpoint.domains),
    sni_endpoint.subject, sni_endpoint.issuer, sni_endpoint.starts_at,
    iif(",
    is_automatic!(),
    ", (SELECT min(own.expires_at) FROM sni_endpoint AS own WHERE own.id IN (SELECT acm_order.sni_endpoint_id ",
    automatic!(),
    ")), sni_endpoint.expires_at),
    sni_endpoint.ca_signed, sni_endpoint.self_signed, sni_endpoint.created_at, sni_endpoint.updated_at,
    iif(",
    is_automatic!(),
    ", (SELECT json_group_array(domain.id ORDER BY domain.hostname) ",
    automatic!(),
    "), (SELECT json_group_array(domain.id) FROM domain WHERE domain.sni_endpoint_id = sni_endpoint.id)),
    ",
    is_automatic!()
);
const FROM: &str = "sni_endpoint JOIN app ON app.id = sni_endpoint.app_id";
const LISTED: &str = concat!(
    "sni_endpoint JOIN app ON app.id = sni_endpoint.app_id WHERE sni_endpoint.app_id = ?1 AND (NOT ",
    is_automatic!(),
    " OR sni_endpoint.id = ",
    first_automatic!(),
    ")"
);

fn endpoint(row: &Row<'_>) -> rusqlite::Result<SniEndpoint> {
    Ok(SniEndpoint {
        id: row.get(0)?,
        app_id: row.get(1)?,
        app_name: row.get(2)?,
        name: row.get(3)?,
        chain: row.get(4)?,
        certificate_id: row.get(5)?,
        certificate: Certificate {
            domains: json(row, 6)?,
            subject: row.get(7)?,
            issuer: row.get(8)?,
            starts_at: row.get(9)?,
            expires_at: row.get(10)?,
            ca_signed: row.get(11)?,
            self_signed: row.get(12)?,
        },
        created_at: row.get(13)?,
        updated_at: row.get(14)?,
        domains: json(row, 15)?,
        acm: row.get(16)?,
    })
}

/// Keeps a certificate under this name, which is unique within the app: 409 when it is taken. 422 when it is one too many.
pub fn create(
    connection: &Connection,
    app: Id,
    name: &str,
    pair: &KeyPair,
    now: Timestamp,
) -> Result<SniEndpoint> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM sni_endpoint WHERE app_id = ?1")?
        .query_row([app], |row| row.get(0))?;
    if count >= MAX_ENDPOINTS {
        return Err(Error::invalid(format!(
            "This app has {count} certificates already. Remove one that is no longer used."
        )));
    }
    let (id, certificate) = (Id::new(), &pair.certificate);
    let domains = serde_json::to_string(&certificate.domains).map_err(Error::internal)?;
    let inserted = connection
        .prepare_cached(
            "INSERT INTO sni_endpoint (id, app_id, name, certificate_chain, private_key, certificate_id, domains, subject, issuer,
                 starts_at, expires_at, ca_signed, self_signed, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, seal(?1, ?5), ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?14)",
        )?
        .execute(params![
            id,
            app,
            name,
            pair.chain,
            pair.private_key,
            Id::new(),
            domains,
            certificate.subject,
            certificate.issuer,
            certificate.starts_at,
            certificate.expires_at,
            certificate.ca_signed,
            certificate.self_signed,
            now
        ]);
    unique(inserted, || Error::conflict("Name is already taken"))?;
    find(connection, app, &Identity::Id(id))
}

/// Puts another certificate and key in the place of those that are there.
pub fn replace(connection: &Connection, id: Id, pair: &KeyPair, now: Timestamp) -> Result<()> {
    let certificate = &pair.certificate;
    let domains = serde_json::to_string(&certificate.domains).map_err(Error::internal)?;
    connection
        .prepare_cached(
            "UPDATE sni_endpoint SET certificate_chain = ?2, private_key = seal(?1, ?3), certificate_id = ?4, domains = ?5,
                 subject = ?6, issuer = ?7, starts_at = ?8, expires_at = ?9, ca_signed = ?10, self_signed = ?11, updated_at = ?12
             WHERE id = ?1",
        )?
        .execute(params![
            id,
            pair.chain,
            pair.private_key,
            Id::new(),
            domains,
            certificate.subject,
            certificate.issuer,
            certificate.starts_at,
            certificate.expires_at,
            certificate.ca_signed,
            certificate.self_signed,
            now
        ])?;
    Ok(())
}

/// An SNI endpoint of this app, by id or name. Any automatic one is the one that stands for all.
pub fn find(connection: &Connection, app: Id, identity: &Identity) -> Result<SniEndpoint> {
    let select = |condition: &str, value: &dyn rusqlite::ToSql| {
        let sql =
            format!("SELECT {COLUMNS} FROM {FROM} WHERE sni_endpoint.app_id = ?1 AND {condition}");
        found(
            connection
                .prepare_cached(&sql)?
                .query_row(params![app, value], endpoint),
            "sni endpoint",
        )
    };
    let found = match identity {
        Identity::Id(id) => select("sni_endpoint.id = ?2", id),
        Identity::Name(name) => select("sni_endpoint.name = ?2", name),
    }?;
    if !found.acm {
        return Ok(found);
    }
    let first = concat!("?2 AND sni_endpoint.id = ", first_automatic!());
    select(first, &true)
}

pub fn list(connection: &Connection, app: Id, page: &Page) -> Result<Listing<SniEndpoint>> {
    let query = page::Query {
        columns: COLUMNS,
        from: LISTED,
        id: "sni_endpoint.id",
        parameters: &[&app],
    };
    page::select(connection, &query, page, endpoint)
}

/// Forgets a certificate and its key. The domains that it was meant for have none then, until an authority gives them one.
pub fn delete(connection: &Connection, id: Id, now: Timestamp) -> Result<()> {
    let domains: Vec<Id> = connection
        .prepare_cached("SELECT id FROM domain WHERE sni_endpoint_id = ?1")?
        .query_map([id], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    connection
        .prepare_cached("DELETE FROM sni_endpoint WHERE id = ?1")?
        .execute([id])?;
    for domain in domains {
        acm::follow(connection, domain, now)?;
    }
    Ok(())
}

/// A domain with the certificate that its visitors are to be shown.
pub struct Assigned {
    /// A host or a wildcard.
    pub hostname: String,
    pub endpoint: Id,
    pub certificate: Id,
}

/// All domains that have a certificate.
pub fn assigned(connection: &Connection) -> Result<Vec<Assigned>> {
    let mut statement = connection.prepare_cached(
        "SELECT domain.hostname, sni_endpoint.id, sni_endpoint.certificate_id
         FROM domain JOIN sni_endpoint ON sni_endpoint.id = domain.sni_endpoint_id",
    )?;
    let assigned = statement.query_map([], |row| {
        Ok(Assigned {
            hostname: row.get(0)?,
            endpoint: row.get(1)?,
            certificate: row.get(2)?,
        })
    })?;
    Ok(assigned.collect::<rusqlite::Result<_>>()?)
}

/// The chain and the key of a certificate, as PEM; `None` if it was replaced.
pub fn served(
    connection: &Connection,
    endpoint: Id,
    certificate: Id,
) -> Result<Option<(String, String)>> {
    let mut statement = connection.prepare_cached(
        "SELECT certificate_chain, unseal(id, private_key) FROM sni_endpoint WHERE id = ?1 AND certificate_id = ?2",
    )?;
    let pair = statement.query_row([endpoint, certificate], |row| {
        Ok((row.get(0)?, row.get(1)?))
    });
    optional(pair)
}
