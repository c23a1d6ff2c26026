//! Releases: a slug and a set of config vars, under a version that is never used again. One function makes them all.

use rusqlite::{Connection, Row, params};

use super::accounts::Account;
use super::page::{self, Field, Kind, Listing, Page};
use super::row::{found, json, optional, text_enum};
use super::{addon_attachments, config_vars, cron_jobs, formation, release_phases, routes, slugs};
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::time::Timestamp;

pub use super::changes::{AddOnEvent, Change};

text_enum! {
    /// What became of a release.
    Status { Pending = "pending", Succeeded = "succeeded", Failed = "failed", Expired = "expired" }
}

#[derive(Clone, Debug)]
pub struct Release {
    pub id: Id,
    pub app_id: Id,
    pub app_name: String,
    pub version: i64,
    pub description: String,
    pub status: Status,
    pub slug_id: Option<Id>,
    pub config_set_id: Id,
    pub account_id: Id,
    pub account_email: String,
    /// The newest that succeeded, which is what the app runs.
    pub current: bool,
    /// A release command prints, has printed or is to print something for it, or it was said why it does not come up.
    pub has_output: bool,
    /// Of the add-ons that were attached when it was made.
    pub addon_plan_names: Vec<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "release.id", Kind::Id),
    Field::new("version", "release.version", Kind::Integer),
    Field::new("created_at", "release.created_at", Kind::Time),
];
/// Of the releases of several apps, which may have the same version.
pub const LATEST_FIELDS: &[Field] = &[
    FIELDS[0],
    Field::new("version", "release.version", Kind::SharedInteger),
    FIELDS[2],
];

const COLUMNS: &str = "release.id, release.app_id, app.name, release.version, release.description, release.status,
    release.slug_id, release.config_set_id, release.account_id, account.email,
    release.version = (SELECT max(version) FROM release AS newer WHERE newer.app_id = release.app_id AND newer.status = 'succeeded'),
    release.created_at, release.updated_at, release.addon_plan_names,
    release.told OR EXISTS (SELECT 1 FROM release_phase WHERE release_phase.release_id = release.id AND release_phase.command IS NOT NULL)";
const FROM: &str =
    "release JOIN app ON app.id = release.app_id JOIN account ON account.id = release.account_id";

fn release(row: &Row<'_>) -> rusqlite::Result<Release> {
    Ok(Release {
        id: row.get(0)?,
        app_id: row.get(1)?,
        app_name: row.get(2)?,
        version: row.get(3)?,
        description: row.get(4)?,
        status: row.get(5)?,
        slug_id: row.get(6)?,
        config_set_id: row.get(7)?,
        account_id: row.get(8)?,
        account_email: row.get(9)?,
        current: row.get::<_, Option<bool>>(10)?.unwrap_or(false),
        created_at: row.get(11)?,
        updated_at: row.get(12)?,
        addon_plan_names: json(row, 13)?,
        has_output: row.get(14)?,
    })
}

/// Makes the next release of an app, with the slug and the config vars that the change leaves it with. The only way in which a
/// release is made. It is pending while an earlier one is, or while its slug's release command has to run; else it succeeds with
/// this, and the formation is brought in line with its slug.
pub fn create(
    connection: &Connection,
    app: Id,
    by: &Account,
    change: Change,
    now: Timestamp,
) -> Result<Release> {
    let before = head(connection, app)?;
    let version = before.as_ref().map_or(1, |before| before.version + 1);
    let waits = matches!(&before, Some(before) if before.status == Status::Pending);
    let carried = match &before {
        Some(before) if waits || before.status == Status::Succeeded => before.slug,
        _ => current(connection, app)?.and_then(|current| current.slug_id),
    };
    let slug = match &change {
        Change::Deploy { slug, .. } => Some(*slug),
        Change::Rollback { to } => to.slug_id,
        Change::Promotion { from } => from.slug_id,
        _ => carried,
    };
    let config_set = config_set(connection, app, &change, before.as_ref())?;
    let phase = release_phases::NewPhase {
        inherits_slug: change.inherits_slug(),
        runs_command: change.runs_command(),
        refusable: change.is_refusable(),
        command: match slug {
            Some(slug) if change.runs_command() => slugs::release_command(connection, slug)?,
            _ => None,
        },
    };
    let status = match waits || phase.command.is_some() {
        true => Status::Pending,
        false => Status::Succeeded,
    };
    let description = change.describe(connection)?;
    let addon_plan_names = match &before {
        Some(before) if !before.has_addons => Vec::new(),
        _ => addon_attachments::plan_names(connection, app)?,
    };
    let plans = serde_json::to_string(&addon_plan_names).map_err(Error::internal)?;
    let id = Id::new();
    connection
        .prepare_cached(
            "INSERT INTO release (id, app_id, version, description, status, slug_id, config_set_id, account_id, addon_plan_names, deploys, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11)",
        )?
        .execute(params![id, app, version, description, status, slug, config_set, by.id, plans, change.deploys(carried), now])?;
    if before
        .as_ref()
        .is_none_or(|before| before.config_set != config_set)
    {
        routes::note_pages(connection, app, &config_vars::read(connection, config_set)?)?;
    }
    if status == Status::Pending {
        release_phases::insert(connection, app, id, &phase)?;
    } else {
        take_over(connection, app, carried, slug, now)?;
    }
    let app_name = match before {
        Some(before) => before.app_name,
        None => super::apps::name(connection, app)?.ok_or_else(|| Error::not_found("app"))?,
    };
    Ok(Release {
        id,
        app_id: app,
        app_name,
        version,
        description,
        status,
        slug_id: slug,
        config_set_id: config_set,
        account_id: by.id,
        account_email: by.email.clone(),
        current: status == Status::Succeeded,
        has_output: phase.command.is_some(),
        addon_plan_names,
        created_at: now,
        updated_at: now,
    })
}

/// Notes that a release's output says why it does not come up; false if that was noted before, or it is gone.
pub fn note_told(connection: &Connection, id: Id) -> Result<bool> {
    Ok(connection
        .prepare_cached("UPDATE release SET told = 1 WHERE id = ?1 AND told = 0")?
        .execute([id])?
        == 1)
}

fn config_set(
    connection: &Connection,
    app: Id,
    change: &Change,
    before: Option<&Head>,
) -> Result<Id> {
    match (change, before) {
        (Change::ConfigVars { config_set, .. } | Change::AddOns { config_set, .. }, _) => {
            Ok(*config_set)
        }
        (Change::Rollback { to }, _) => config_vars::rolled_back(connection, app, to.config_set_id),
        (_, Some(before)) => Ok(before.config_set),
        (_, None) => config_vars::insert(connection, &config_vars::Set::default()),
    }
}

/// Brings the formation and the cron jobs in line when an app runs another slug from now on.
pub(super) fn take_over(
    connection: &Connection,
    app: Id,
    before: Option<Id>,
    slug: Option<Id>,
    now: Timestamp,
) -> Result<()> {
    match slug {
        Some(slug) if Some(slug) != before => {
            let process_types = slugs::process_types(connection, slug)?;
            formation::sync(connection, app, &process_types, before.is_none(), now)?;
            cron_jobs::sync(connection, app, &slugs::cron(connection, slug)?, now)
        }
        _ => Ok(()),
    }
}

/// Of an app's newest release, what the next one goes on from.
struct Head {
    version: i64,
    status: Status,
    slug: Option<Id>,
    config_set: Id,
    app_name: String,
    has_addons: bool,
}

fn head(connection: &Connection, app: Id) -> Result<Option<Head>> {
    let mut statement = connection.prepare_cached(
        "SELECT version, status, slug_id, config_set_id, app.name,
            EXISTS (SELECT 1 FROM addon_attachment WHERE addon_attachment.app_id = ?1)
         FROM release JOIN app ON app.id = release.app_id WHERE release.app_id = ?1 ORDER BY version DESC LIMIT 1",
    )?;
    optional(statement.query_row([app], |row| {
        Ok(Head {
            version: row.get(0)?,
            status: row.get(1)?,
            slug: row.get(2)?,
            config_set: row.get(3)?,
            app_name: row.get(4)?,
            has_addons: row.get(5)?,
        })
    }))
}

/// A release of this app, by id or by version (`12` or `v12`).
pub fn find(connection: &Connection, app: Id, identity: &Identity) -> Result<Release> {
    let select = |column: &str, value: &dyn rusqlite::ToSql| {
        let sql = format!(
            "SELECT {COLUMNS} FROM {FROM} WHERE release.app_id = ?1 AND release.{column} = ?2"
        );
        found(
            connection
                .prepare_cached(&sql)?
                .query_row(params![app, value], release),
            "release",
        )
    };
    match identity {
        Identity::Id(id) => select("id", id),
        Identity::Name(version) => {
            match version.strip_prefix('v').unwrap_or(version).parse::<i64>() {
                Ok(version) => select("version", &version),
                Err(_) => Err(Error::not_found("release")),
            }
        }
    }
}

/// Whether this release brought its app the first slug to run, and with it a formation.
pub fn is_first_deploy(connection: &Connection, release: &Release) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT NOT EXISTS (SELECT 1 FROM release WHERE app_id = ?1 AND version < ?2 AND slug_id IS NOT NULL AND status = 'succeeded')",
    )?;
    let first = statement.query_row(params![release.app_id, release.version], |row| row.get(0))?;
    Ok(release.slug_id.is_some() && release.status == Status::Succeeded && first)
}

/// The newest release, whatever became of it.
pub fn newest(connection: &Connection, app: Id) -> Result<Option<Release>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {FROM} WHERE release.app_id = ?1 ORDER BY release.version DESC LIMIT 1"
    );
    optional(connection.prepare_cached(&sql)?.query_row([app], release))
}

/// A release, for the platform's own work and for whoever holds the URL of its output; `None` when its app was deleted.
pub fn by_id(connection: &Connection, id: Id) -> Result<Option<Release>> {
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE release.id = ?1");
    optional(connection.prepare_cached(&sql)?.query_row([id], release))
}

/// The newest release that succeeded: what the app runs.
pub fn current(connection: &Connection, app: Id) -> Result<Option<Release>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {FROM} WHERE release.app_id = ?1 AND release.status = 'succeeded' ORDER BY release.version DESC LIMIT 1"
    );
    optional(connection.prepare_cached(&sql)?.query_row([app], release))
}

/// The releases of an app.
pub fn list(connection: &Connection, app: Id, page: &Page) -> Result<Listing<Release>> {
    let query = page::Query {
        columns: COLUMNS,
        from: &format!("{FROM} WHERE release.app_id = ?1"),
        id: "release.id",
        parameters: &[&app],
    };
    page::select(connection, &query, page, release)
}

/// Of each app in a pipeline, one release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latest {
    /// The newest.
    Release,
    /// The newest that was made to change the slug; none of an app that was never deployed.
    Deployment,
}

/// The latest of each app in a pipeline that `account` may see, whatever became of it. Costs the same however many releases the
/// apps have.
pub fn latest_of_pipeline(
    connection: &Connection,
    account: &Account,
    pipeline: Id,
    latest: Latest,
    page: &Page,
) -> Result<Listing<Release>> {
    let among = match latest {
        Latest::Release => "",
        Latest::Deployment => " AND newer.deploys = 1",
    };
    let from = format!(
        "pipeline_coupling CROSS JOIN collaborator CROSS JOIN {FROM}
         WHERE pipeline_coupling.pipeline_id = ?1
         AND collaborator.app_id = pipeline_coupling.app_id AND collaborator.account_id = ?2
         AND release.app_id = pipeline_coupling.app_id
         AND release.version = (SELECT max(version) FROM release AS newer WHERE newer.app_id = pipeline_coupling.app_id{among})"
    );
    let query = page::Query {
        columns: COLUMNS,
        from: &from,
        id: "release.id",
        parameters: &[&pipeline, &account.id],
    };
    page::select(connection, &query, page, release)
}
