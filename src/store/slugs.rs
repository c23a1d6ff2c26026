//! Slugs: rows that point at a blob. Promotion and release copy the pointer, never the bytes.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};

use super::access::Permission;
use super::accounts::Account;
use super::cron_jobs::Entry;
use super::row::{self, found, optional};
use crate::error::{Error, Result};
use crate::name::Id;
use crate::time::Timestamp;

pub type ProcessTypes = BTreeMap<String, String>;

#[derive(Clone, Debug)]
pub struct Slug {
    pub id: Id,
    /// SHA-256 of the tar.gz, as hex; `None` until it is uploaded.
    pub digest: Option<String>,
    /// In bytes, compressed.
    pub size: Option<i64>,
    pub commit: Option<String>,
    pub commit_description: Option<String>,
    pub buildpack_provided_description: Option<String>,
    /// What the client said it would upload: `SHA256:hex`.
    pub checksum: Option<String>,
    pub process_types: ProcessTypes,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

const COLUMNS: &str = "slug.id, slug.digest, slug.size, slug.\"commit\", slug.commit_description, slug.description, slug.checksum,
    slug.process_types, slug.created_at, slug.updated_at";

fn slug(row: &Row<'_>) -> rusqlite::Result<Slug> {
    Ok(Slug {
        id: row.get(0)?,
        digest: row.get(1)?,
        size: row.get(2)?,
        commit: row.get(3)?,
        commit_description: row.get(4)?,
        buildpack_provided_description: row.get(5)?,
        checksum: row.get(6)?,
        process_types: row::json(row, 7)?,
        created_at: row.get(8)?,
        updated_at: row.get(9)?,
    })
}

/// What a new slug is made from.
#[derive(Clone, Debug, Default)]
pub struct NewSlug {
    pub digest: Option<String>,
    pub size: Option<i64>,
    pub commit: Option<String>,
    pub commit_description: Option<String>,
    pub buildpack_provided_description: Option<String>,
    pub checksum: Option<String>,
    pub process_types: ProcessTypes,
    pub cron: Vec<Entry>,
}

pub fn create(connection: &Connection, app: Id, new: &NewSlug, now: Timestamp) -> Result<Slug> {
    let id = Id::new();
    let process_types = serde_json::to_string(&new.process_types).map_err(Error::internal)?;
    let cron = serde_json::to_string(&new.cron).map_err(Error::internal)?;
    connection
        .prepare_cached(
            "INSERT INTO slug (id, app_id, digest, size, \"commit\", commit_description, description, checksum, process_types,
                 cron, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11)",
        )?
        .execute(params![
            id,
            app,
            new.digest,
            new.size,
            new.commit,
            new.commit_description,
            new.buildpack_provided_description,
            new.checksum,
            process_types,
            cron,
            now
        ])?;
    by_id(connection, id)?.ok_or_else(|| Error::not_found("slug"))
}

/// A slug of this app: made for it, or run by one of its releases.
pub fn find(connection: &Connection, app: Id, id: Id) -> Result<Slug> {
    let sql = format!(
        "SELECT {COLUMNS} FROM slug WHERE slug.id = ?2
         AND (slug.app_id = ?1 OR EXISTS (SELECT 1 FROM release WHERE release.slug_id = slug.id AND release.app_id = ?1))"
    );
    found(
        connection
            .prepare_cached(&sql)?
            .query_row(params![app, id], slug),
        "slug",
    )
}

/// A slug of any app that `account` may deploy: who releases it elsewhere can read its bytes there, so seeing is not enough.
pub fn deployable(connection: &Connection, account: &Account, id: Id) -> Result<Slug> {
    let sql = format!(
        "SELECT {COLUMNS} FROM slug WHERE slug.id = ?2
         AND (?3 OR EXISTS (SELECT 1 FROM collaborator WHERE app_id = slug.app_id AND account_id = ?1 AND permissions & ?4)
           OR EXISTS (SELECT 1 FROM release JOIN collaborator ON collaborator.app_id = release.app_id
                      WHERE release.slug_id = slug.id AND collaborator.account_id = ?1 AND collaborator.permissions & ?4))"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    found(
        statement.query_row(
            params![account.id, id, account.admin, Permission::Deploy as u8],
            slug,
        ),
        "slug",
    )
}

/// A slug, for the platform's own work and for whoever holds a signed URL.
pub fn by_id(connection: &Connection, id: Id) -> Result<Option<Slug>> {
    let sql = format!("SELECT {COLUMNS} FROM slug WHERE slug.id = ?1");
    optional(connection.prepare_cached(&sql)?.query_row([id], slug))
}

/// Points the slug at its uploaded bytes, with what their app.json asks to be run when. A slug is what ran: once uploaded, other bytes are refused with 409.
pub fn uploaded(
    connection: &Connection,
    id: Id,
    digest: &str,
    size: i64,
    cron: &[Entry],
    now: Timestamp,
) -> Result<()> {
    let slug = by_id(connection, id)?.ok_or_else(|| Error::not_found("slug"))?;
    match slug.digest {
        Some(before) if before == digest => return Ok(()),
        Some(_) => {
            return Err(Error::conflict(
                "This slug has its bytes already, and a slug never changes. Create another slug.",
            ));
        }
        None => {}
    }
    connection
        .prepare_cached(
            "UPDATE slug SET digest = ?2, size = ?3, cron = ?4, updated_at = ?5 WHERE id = ?1",
        )?
        .execute(params![
            id,
            digest,
            size,
            serde_json::to_string(cron).map_err(Error::internal)?,
            now
        ])?;
    Ok(())
}

/// What is run at which times.
pub(super) fn cron(connection: &Connection, id: Id) -> Result<Vec<Entry>> {
    let mut statement = connection.prepare_cached("SELECT cron FROM slug WHERE id = ?1")?;
    Ok(optional(statement.query_row([id], |row| row::json(row, 0)))?.unwrap_or_default())
}

pub(super) fn process_types(connection: &Connection, id: Id) -> Result<ProcessTypes> {
    Ok(by_id(connection, id)?
        .map(|slug| slug.process_types)
        .unwrap_or_default())
}

/// What is run before a release with this slug counts: its process type `release`, if it has one.
pub(super) fn release_command(connection: &Connection, id: Id) -> Result<Option<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT nullif(trim(process_types ->> 'release'), '') FROM slug WHERE id = ?1",
    )?;
    Ok(optional(statement.query_row([id], |row| row.get(0)))?.flatten())
}

pub(super) fn commit(connection: &Connection, id: Id) -> Result<Option<String>> {
    let mut statement = connection.prepare_cached("SELECT \"commit\" FROM slug WHERE id = ?1")?;
    Ok(optional(statement.query_row([id], |row| row.get(0)))?.flatten())
}

/// Deletes the slugs that no app and no release points at any more.
pub fn delete_unreachable(connection: &Connection) -> Result<usize> {
    Ok(connection.execute(
        "DELETE FROM slug WHERE app_id IS NULL
         AND NOT EXISTS (SELECT 1 FROM release WHERE release.slug_id = slug.id)
         AND NOT EXISTS (SELECT 1 FROM build WHERE build.slug_id = slug.id)",
        [],
    )?)
}

/// Whether any slug, live source, waiting build or waiting app setup points at the blob with this digest.
pub fn blob_wanted(connection: &Connection, digest: &str, now: Timestamp) -> Result<bool> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM slug WHERE digest = ?1)
                 OR EXISTS (SELECT 1 FROM audit_trail_archive WHERE digest = ?1)
                 OR EXISTS (SELECT 1 FROM source WHERE digest = ?1 AND expires_at > ?2)
                 OR EXISTS (SELECT 1 FROM build WHERE source_digest = ?1 AND status = 'pending')
                 OR EXISTS (SELECT 1 FROM app_setup WHERE source_digest = ?1 AND status = 'pending')",
        )?
        .query_row(params![digest, now], |row| row.get(0))?)
}
