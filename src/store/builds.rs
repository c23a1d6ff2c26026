//! Builds. The row is the queue entry too: it is claimed by compare-and-set with the id of this boot, and ended the same way.

use rusqlite::{Connection, Row, params};

use super::access::{self, Permission};
use super::accounts::{self, Account};
use super::buildpacks::{self, Buildpack};
use super::page::{self, Field, Kind, Listing, Page};
use super::releases::{self, Change, Release};
use super::row::{found, json, optional, text_enum};
use super::slugs::{self, NewSlug};
use crate::error::{Error, Result};
use crate::name::Id;
use crate::time::Timestamp;

text_enum! {
    Status { Pending = "pending", Succeeded = "succeeded", Failed = "failed" }
}

/// The last words of a build that was cancelled.
pub const CANCELLED: &str = "The build was cancelled.";

/// Builds of one app that may wait at once.
const MAX_PENDING: i64 = 20;

#[derive(Clone, Debug)]
pub struct Build {
    pub id: Id,
    pub app_id: Id,
    pub account_id: Id,
    pub account_email: String,
    pub status: Status,
    /// May hold credentials, so it is stored sealed.
    pub source_url: String,
    /// Of the uploaded source, when the URL is one of ours.
    pub source_digest: Option<String>,
    pub checksum: Option<String>,
    pub version: Option<String>,
    pub version_description: Option<String>,
    /// In the order in which they run.
    pub buildpacks: Vec<Buildpack>,
    /// How many times it was begun; more than one after the server was stopped in the middle of it.
    pub attempts: i64,
    pub slug_id: Option<Id>,
    pub release_id: Option<Id>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "build.id", Kind::Id),
    Field::new("started_at", "build.created_at", Kind::Time),
    Field::new("created_at", "build.created_at", Kind::Time),
];

const COLUMNS: &str = "build.id, build.app_id, build.account_id, account.email, build.status, unseal(build.id, build.source_url), build.source_digest,
    build.checksum, build.version, build.version_description, build.buildpacks, build.attempts, build.slug_id, build.release_id,
    build.created_at, build.updated_at";
const FROM: &str = "build JOIN account ON account.id = build.account_id";

fn build(row: &Row<'_>) -> rusqlite::Result<Build> {
    Ok(Build {
        id: row.get(0)?,
        app_id: row.get(1)?,
        account_id: row.get(2)?,
        account_email: row.get(3)?,
        status: row.get(4)?,
        source_url: row.get(5)?,
        source_digest: row.get(6)?,
        checksum: row.get(7)?,
        version: row.get(8)?,
        version_description: row.get(9)?,
        buildpacks: json(row, 10)?,
        attempts: row.get(11)?,
        slug_id: row.get(12)?,
        release_id: row.get(13)?,
        created_at: row.get(14)?,
        updated_at: row.get(15)?,
    })
}

/// What a client asks to be built.
#[derive(Clone, Debug)]
pub struct NewBuild {
    pub source_url: String,
    pub source_digest: Option<String>,
    pub checksum: Option<String>,
    pub version: Option<String>,
    pub version_description: Option<String>,
    /// In place of those that the app has.
    pub buildpacks: Option<Vec<Buildpack>>,
}

/// Queues a build: the one function that makes one. 422 for buildpacks that no app could have, and 409 when too many of the app's builds are waiting.
pub fn create(
    connection: &Connection,
    app: Id,
    by: &Account,
    new: &NewBuild,
    now: Timestamp,
) -> Result<Build> {
    let pending: i64 = connection
        .prepare_cached("SELECT count(*) FROM build WHERE app_id = ?1 AND status = 'pending'")?
        .query_row([app], |row| row.get(0))?;
    if pending >= MAX_PENDING {
        return Err(Error::conflict(format!(
            "This app has {pending} builds waiting already. Wait until some have ended, then create the build again."
        )));
    }
    let buildpacks = match &new.buildpacks {
        Some(named) => {
            buildpacks::check(named)?;
            named.clone()
        }
        None => buildpacks::list(connection, app)?,
    };
    let id = Id::new();
    connection
        .prepare_cached(
            "INSERT INTO build (id, app_id, account_id, status, source_url, source_digest, checksum, version, version_description,
                 buildpacks, created_at, updated_at) VALUES (?1, ?2, ?3, 'pending', seal(?1, ?4), ?5, ?6, ?7, ?8, ?9, ?10, ?10)",
        )?
        .execute(params![
            id,
            app,
            by.id,
            new.source_url,
            new.source_digest,
            new.checksum,
            new.version,
            new.version_description,
            serde_json::to_string(&buildpacks).map_err(Error::internal)?,
            now
        ])?;
    find(connection, app, id)
}

/// A build of this app.
pub fn find(connection: &Connection, app: Id, id: Id) -> Result<Build> {
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE build.app_id = ?1 AND build.id = ?2");
    found(
        connection
            .prepare_cached(&sql)?
            .query_row(params![app, id], build),
        "build",
    )
}

/// A build, for the builder and for whoever holds the URL of its output; `None` when its app was deleted.
pub fn by_id(connection: &Connection, id: Id) -> Result<Option<Build>> {
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE build.id = ?1");
    optional(connection.prepare_cached(&sql)?.query_row([id], build))
}

pub fn list(connection: &Connection, app: Id, page: &Page) -> Result<Listing<Build>> {
    let query = page::Query {
        columns: COLUMNS,
        from: &format!("{FROM} WHERE build.app_id = ?1"),
        id: "build.id",
        parameters: &[&app],
    };
    page::select(connection, &query, page, build)
}

/// Whether [`claim`] would claim anything. A loop asks this first, and so writes nothing when it is woken for nothing.
pub fn claimable(connection: &Connection, boot: Id) -> Result<bool> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM build WHERE status = 'pending' AND claimed_by IS NOT ?1
             AND app_id NOT IN (SELECT app_id FROM build WHERE status = 'pending' AND claimed_by = ?1))",
        )?
        .query_row([boot], |row| row.get(0))?)
}

/// Ends a build that waits or runs, on a person's word. 409 when it has ended already. Its output is still to be told; whether a
/// builder of this boot is at it, and tells it then, comes with it.
pub fn cancel(
    connection: &Connection,
    app: Id,
    id: Id,
    boot: Id,
    now: Timestamp,
) -> Result<(Build, bool)> {
    find(connection, app, id)?;
    if !fail(connection, id, now)? {
        return Err(Error::conflict(
            "The build has ended already, so there is nothing to cancel.",
        ));
    }
    let begun = connection
        .prepare_cached("SELECT claimed_by IS ?2 FROM build WHERE id = ?1")?
        .query_row(params![id, boot], |row| row.get(0))?;
    Ok((find(connection, app, id)?, begun))
}

/// The newest build of each app in a pipeline that `account` may see.
pub fn latest_of_pipeline(
    connection: &Connection,
    account: &Account,
    pipeline: Id,
    page: &Page,
) -> Result<Listing<Build>> {
    let from = format!(
        "pipeline_coupling CROSS JOIN collaborator CROSS JOIN {FROM}
         WHERE pipeline_coupling.pipeline_id = ?1
         AND collaborator.app_id = pipeline_coupling.app_id AND collaborator.account_id = ?2
         AND build.id = (SELECT max(id) FROM build AS newer WHERE newer.app_id = pipeline_coupling.app_id)"
    );
    let query = page::Query {
        columns: COLUMNS,
        from: &from,
        id: "build.id",
        parameters: &[&pipeline, &account.id],
    };
    page::select(connection, &query, page, build)
}

/// Claims up to `room` waiting builds for this boot, one an app at a time. Whoever has the fewest running comes first, then who
/// has had none begun or ended for longest, so that nobody waits behind all the apps of somebody else; of one's own the oldest. What another
/// boot had claimed is taken up again: that boot is over, since one server holds the data directory.
pub fn claim(connection: &Connection, boot: Id, room: usize, now: Timestamp) -> Result<Vec<Build>> {
    let waiting: Vec<Id> = connection
        .prepare_cached(
            "WITH next AS (
                 SELECT min(id) AS id, account_id FROM build WHERE status = 'pending' AND claimed_by IS NOT ?1
                 AND app_id NOT IN (SELECT app_id FROM build WHERE status = 'pending' AND claimed_by = ?1) GROUP BY app_id
             )
             SELECT id FROM next ORDER BY
                 row_number() OVER (PARTITION BY account_id ORDER BY id) + (SELECT count(*) FROM build AS running
                     WHERE running.status = 'pending' AND running.claimed_by = ?1 AND running.account_id = next.account_id),
                 coalesce((SELECT begun.updated_at FROM build AS begun WHERE begun.account_id = next.account_id AND begun.attempts > 0
                     ORDER BY begun.updated_at DESC LIMIT 1), ''),
                 id
             LIMIT ?2",
        )?
        .query_map(params![boot, room as i64], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut claimed = Vec::new();
    for id in waiting {
        connection
            .prepare_cached(
                "UPDATE build SET claimed_by = ?2, attempts = attempts + 1, updated_at = ?3 WHERE id = ?1 AND status = 'pending'",
            )?
            .execute(params![id, boot, now])?;
        claimed.extend(by_id(connection, id)?);
    }
    Ok(claimed)
}

/// Who asked for a build, while he may deploy the app. 403 once it was given away, or he was shown out: nothing of his is released
/// then.
pub fn asker(connection: &Connection, build: &Build) -> Result<Account> {
    let asker = accounts::by_id(connection, build.account_id)?;
    let held = match &asker {
        Some(asker) => access::permissions(connection, asker, build.app_id)?,
        None => None,
    };
    asker
        .filter(|_| held.is_some_and(|held| held.has(Permission::Deploy)))
        .ok_or_else(|| {
            Error::forbidden(
                "Whoever asked for this build may not deploy the app any more, so nothing was released. Create another build.",
            )
        })
}

/// Ends a build with its slug and its release, all three at once. `None` when the build is no longer waiting for it; 403 when who
/// asked for it may not deploy any more.
pub fn succeed(
    connection: &Connection,
    id: Id,
    slug: &NewSlug,
    now: Timestamp,
) -> Result<Option<Release>> {
    let Some(build) = by_id(connection, id)?.filter(|build| build.status == Status::Pending) else {
        return Ok(None);
    };
    let by = asker(connection, &build)?;
    let slug = slugs::create(connection, build.app_id, slug, now)?;
    let change = Change::Deploy {
        slug: slug.id,
        description: None,
    };
    let release = releases::create(connection, build.app_id, &by, change, now)?;
    connection
        .prepare_cached(
            "UPDATE build SET status = 'succeeded', slug_id = ?2, release_id = ?3, updated_at = ?4 WHERE id = ?1",
        )?
        .execute(params![id, slug.id, release.id, now])?;
    Ok(Some(release))
}

/// Ends a build without a slug; whether this call was the one that ended it.
pub fn fail(connection: &Connection, id: Id, now: Timestamp) -> Result<bool> {
    let changed = connection
        .prepare_cached("UPDATE build SET status = 'failed', updated_at = ?2 WHERE id = ?1 AND status = 'pending'")?
        .execute(params![id, now])?;
    Ok(changed == 1)
}
