//! Pipeline promotions: one app's slug, released on others. The row is the queue entry; all targets are released in one
//! transaction, so a crash leaves a promotion either waiting or released. A target whose release command has to run waits for that,
//! and the promotion with it.

use rusqlite::{Connection, Row, params};

use super::accounts::Account;
use super::couplings::{self, Coupling};
use super::gates::{self, Gates};
use super::page::{self, Field, Kind, Listing, Page};
use super::releases::{self, Change, Release};
use super::row::{found, text_enum};
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::time::Timestamp;

text_enum! {
    Status { Pending = "pending", Completed = "completed" }
}

text_enum! {
    TargetStatus { Pending = "pending", Succeeded = "succeeded", Failed = "failed" }
}

/// Targets of one promotion at most.
pub const MAX_TARGETS: usize = 100;

#[derive(Clone, Debug)]
pub struct Promotion {
    pub id: Id,
    pub pipeline_id: Id,
    pub account_id: Id,
    pub source_app_id: Id,
    pub source_release_id: Id,
    pub status: Status,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Clone, Debug)]
pub struct Target {
    pub id: Id,
    pub promotion_id: Id,
    pub app_id: Id,
    pub release_id: Option<Id>,
    pub status: TargetStatus,
    pub error_message: Option<String>,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "pipeline_promotion.id", Kind::Id),
    Field::new("created_at", "pipeline_promotion.created_at", Kind::Time),
];

pub const TARGET_FIELDS: &[Field] = &[Field::new("id", "pipeline_promotion_target.id", Kind::Id)];

const COLUMNS: &str = "pipeline_promotion.id, pipeline_promotion.pipeline_id, pipeline_promotion.account_id,
    pipeline_promotion.source_app_id, pipeline_promotion.source_release_id, pipeline_promotion.status,
    pipeline_promotion.created_at, pipeline_promotion.updated_at";

fn promotion(row: &Row<'_>) -> rusqlite::Result<Promotion> {
    Ok(Promotion {
        id: row.get(0)?,
        pipeline_id: row.get(1)?,
        account_id: row.get(2)?,
        source_app_id: row.get(3)?,
        source_release_id: row.get(4)?,
        status: row.get(5)?,
        created_at: row.get(6)?,
        updated_at: row.get(7)?,
    })
}

fn target(row: &Row<'_>) -> rusqlite::Result<Target> {
    Ok(Target {
        id: row.get(0)?,
        promotion_id: row.get(1)?,
        app_id: row.get(2)?,
        release_id: row.get(3)?,
        status: row.get(4)?,
        error_message: row.get(5)?,
    })
}

/// What a target to which the caller may not deploy fails with, as on Heroku.
const NO_ACCESS: &str = "User does not have access to that app";

/// The apps that are to be promoted to.
#[derive(Default)]
pub struct Targets {
    pub all: Vec<Coupling>,
    /// Those of them to which the caller may not deploy. They fail, and keep the others from nothing.
    pub closed: Vec<Id>,
}

impl Targets {
    fn are_closed(&self, target: &Coupling) -> bool {
        self.closed.contains(&target.app_id)
    }

    /// Those on which something will move, for the gates.
    fn open(&self) -> Vec<Coupling> {
        let open = self.all.iter().filter(|target| !self.are_closed(target));
        open.cloned().collect()
    }
}

/// Queues a promotion of `release` (by default the source app's current one) to the target apps, each of them in the pipeline.
/// 422 or 409, and nothing is queued, when any of it cannot be.
pub fn create(
    connection: &Connection,
    by: &Account,
    source: &Coupling,
    release: Option<Id>,
    targets: &Targets,
    gates: Gates,
    now: Timestamp,
) -> Result<Promotion> {
    check_targets(source, &targets.all)?;
    let release = source_release(connection, source, release)?;
    gates.check(connection, source, &release, &targets.open())?;
    let id = Id::new();
    connection
        .prepare_cached(
            "INSERT INTO pipeline_promotion (id, pipeline_id, account_id, source_app_id, source_release_id, status, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, 'pending', ?6, ?6)",
        )?
        .execute(params![id, source.pipeline_id, by.id, source.app_id, release.id, now])?;
    for target in &targets.all {
        let (status, message) = match targets.are_closed(target) {
            true => (TargetStatus::Failed, Some(NO_ACCESS)),
            false => (TargetStatus::Pending, None),
        };
        connection
            .prepare_cached(
                "INSERT INTO pipeline_promotion_target (id, promotion_id, app_id, status, error_message) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![Id::new(), id, target.app_id, status, message])?;
    }
    complete(connection, id, now)?;
    let sql = format!("SELECT {COLUMNS} FROM pipeline_promotion WHERE id = ?1");
    found(
        connection.prepare_cached(&sql)?.query_row([id], promotion),
        "pipeline promotion",
    )
}

fn check_targets(source: &Coupling, targets: &[Coupling]) -> Result<()> {
    for (at, target) in targets.iter().enumerate() {
        if target.pipeline_id != source.pipeline_id {
            return Err(gates::no_target(&format!(
                "Add {} to the pipeline {} first.",
                target.app_name, source.pipeline_name
            )));
        }
        if target.app_id == source.app_id {
            return Err(gates::no_target(&format!(
                "The app {} cannot be promoted to itself.",
                source.app_name
            )));
        }
        if targets[..at]
            .iter()
            .any(|before| before.app_id == target.app_id)
        {
            return Err(Error::invalid(format!(
                "The app {} is named twice among the targets.",
                target.app_name
            )));
        }
    }
    Ok(())
}

fn source_release(
    connection: &Connection,
    source: &Coupling,
    chosen: Option<Id>,
) -> Result<Release> {
    let release = match chosen {
        Some(id) => releases::find(connection, source.app_id, &Identity::Id(id)).map_err(|_| {
            Error::invalid(format!(
                "The specified release was not part of the source app. [{id} is none of {}]",
                source.app_name
            ))
        })?,
        None => releases::current(connection, source.app_id)?
            .ok_or_else(|| nothing_to_promote(source))?,
    };
    match (release.slug_id, release.status) {
        (None, _) => Err(nothing_to_promote(source)),
        (_, releases::Status::Succeeded) => Ok(release),
        (_, status) => Err(Error::invalid(format!(
            "The release v{} of {} is {}, and only one that succeeded can be promoted.",
            release.version,
            source.app_name,
            status.as_str()
        ))),
    }
}

fn nothing_to_promote(source: &Coupling) -> Error {
    Error::invalid(format!(
        "The app {} has no release with a slug to promote. Deploy to it first.",
        source.app_name
    ))
}

/// Whoever has the pipeline, asked for the promotion, or sees one of its targets.
const SEEN: &str = "(pipeline.owner_id = ?1 OR pipeline_promotion.account_id = ?1 OR EXISTS (
    SELECT 1 FROM team_member WHERE team_member.team_id = pipeline.team_id AND team_member.account_id = ?1
    AND team_member.role = 'admin') OR EXISTS (
    SELECT 1 FROM pipeline_promotion_target JOIN collaborator ON collaborator.app_id = pipeline_promotion_target.app_id
    WHERE pipeline_promotion_target.promotion_id = pipeline_promotion.id AND collaborator.account_id = ?1))";

/// The promotions in the pipelines that `account` sees, as far as it may see them.
pub fn list(connection: &Connection, account: &Account, page: &Page) -> Result<Listing<Promotion>> {
    let from = format!(
        "pipeline_viewer CROSS JOIN pipeline_promotion CROSS JOIN pipeline
         WHERE pipeline_viewer.account_id = ?1 AND pipeline_promotion.pipeline_id = pipeline_viewer.pipeline_id
         AND pipeline.id = pipeline_viewer.pipeline_id AND {SEEN}"
    );
    let query = page::Query {
        columns: COLUMNS,
        from: &from,
        id: "pipeline_promotion.id",
        parameters: &[&account.id],
    };
    page::select(connection, &query, page, promotion)
}

/// A promotion in a pipeline that `account` may see.
pub fn find(connection: &Connection, account: &Account, id: Id) -> Result<Promotion> {
    let sql = format!(
        "SELECT {COLUMNS} FROM pipeline_promotion JOIN pipeline ON pipeline.id = pipeline_promotion.pipeline_id
         WHERE pipeline_promotion.id = ?2 AND (?3 OR {SEEN})"
    );
    found(
        connection
            .prepare_cached(&sql)?
            .query_row(params![account.id, id, account.admin], promotion),
        "pipeline promotion",
    )
}

pub fn targets(connection: &Connection, promotion: Id, page: &Page) -> Result<Listing<Target>> {
    let query = page::Query {
        columns: "pipeline_promotion_target.id, promotion_id, app_id, release_id, status, error_message",
        from: "pipeline_promotion_target WHERE promotion_id = ?1",
        id: "pipeline_promotion_target.id",
        parameters: &[&promotion],
    };
    page::select(connection, &query, page, target)
}

/// Promotions with a target on which no release has been made yet. One whose releases are pending waits for them alone.
const WAITING: &str = "pipeline_promotion WHERE status = 'pending' AND EXISTS (
    SELECT 1 FROM pipeline_promotion_target WHERE promotion_id = pipeline_promotion.id AND status = 'pending' AND release_id IS NULL)";

/// Whether a promotion is waiting to be run.
pub fn any_pending(connection: &Connection) -> Result<bool> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM {WAITING})");
    Ok(connection
        .prepare_cached(&sql)?
        .query_row([], |row| row.get(0))?)
}

/// Releases on the targets of every waiting promotion. Returns the releases that were made, with who asked for them.
pub fn run_pending(connection: &Connection, now: Timestamp) -> Result<Vec<Release>> {
    let sql = format!("SELECT {COLUMNS} FROM {WAITING} ORDER BY id");
    let pending: Vec<Promotion> = connection
        .prepare_cached(&sql)?
        .query_map([], promotion)?
        .collect::<rusqlite::Result<_>>()?;
    let mut made = Vec::new();
    for promotion in pending {
        made.extend(run(connection, &promotion, now)?);
    }
    Ok(made)
}

fn run(connection: &Connection, promotion: &Promotion, now: Timestamp) -> Result<Vec<Release>> {
    let by = connection
        .prepare_cached("SELECT id, email FROM account WHERE id = ?1")?
        .query_row([promotion.account_id], |row| {
            Ok(Account {
                id: row.get(0)?,
                email: row.get(1)?,
                name: None,
                admin: false,
                created_at: now,
                updated_at: now,
            })
        })?;
    let from = releases::find(
        connection,
        promotion.source_app_id,
        &Identity::Id(promotion.source_release_id),
    );
    let targets: Vec<(Id, Id)> = connection
        .prepare_cached(
            "SELECT id, app_id FROM pipeline_promotion_target
             WHERE promotion_id = ?1 AND status = 'pending' AND release_id IS NULL ORDER BY id",
        )?
        .query_map([promotion.id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut made = Vec::new();
    for (id, app) in targets {
        let outcome = match &from {
            Ok(from) => release_on(connection, promotion, app, from, &by, now)?,
            Err(_) => Err("The source app was deleted before it could be promoted.".to_owned()),
        };
        let (status, release, message) = match outcome {
            Ok(release) if release.status == releases::Status::Pending => {
                (TargetStatus::Pending, Some(release), None)
            }
            Ok(release) => (TargetStatus::Succeeded, Some(release), None),
            Err(message) => (TargetStatus::Failed, None, Some(message)),
        };
        connection
            .prepare_cached(
                "UPDATE pipeline_promotion_target SET status = ?2, release_id = ?3, error_message = ?4 WHERE id = ?1",
            )?
            .execute(params![id, status, release.as_ref().map(|release| release.id), message])?;
        made.extend(release);
    }
    complete(connection, promotion.id, now)?;
    Ok(made)
}

/// Notes what became of a release on the target that was waiting for it, if one was, with the words for a person why it failed.
pub(super) fn released(
    connection: &Connection,
    release: Id,
    fault: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    let status = match fault {
        None => TargetStatus::Succeeded,
        Some(_) => TargetStatus::Failed,
    };
    let promotions: Vec<Id> = connection
        .prepare_cached(
            "UPDATE pipeline_promotion_target SET status = ?2, error_message = ?3 WHERE release_id = ?1 AND status = 'pending'
             RETURNING promotion_id",
        )?
        .query_map(params![release, status, fault], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for promotion in promotions {
        complete(connection, promotion, now)?;
    }
    Ok(())
}

/// Ends a promotion once none of its targets is pending.
fn complete(connection: &Connection, promotion: Id, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE pipeline_promotion SET status = 'completed', updated_at = ?2 WHERE id = ?1 AND status = 'pending'
             AND NOT EXISTS (SELECT 1 FROM pipeline_promotion_target WHERE promotion_id = ?1 AND status = 'pending')",
        )?
        .execute(params![promotion, now])?;
    Ok(())
}

/// The release on one target, or the words for a person why there is none.
fn release_on(
    connection: &Connection,
    promotion: &Promotion,
    app: Id,
    from: &Release,
    by: &Account,
    now: Timestamp,
) -> Result<std::result::Result<Release, String>> {
    match couplings::of_app(connection, app) {
        Ok(coupling) if coupling.pipeline_id == promotion.pipeline_id => releases::create(
            connection,
            app,
            by,
            Change::Promotion { from: from.clone() },
            now,
        )
        .map(Ok),
        Ok(_) => Ok(Err(
            "The app was moved to another pipeline before the promotion.".to_owned(),
        )),
        Err(error) if error.resource.is_some() => Ok(Err(
            "The app was removed from the pipeline before the promotion.".to_owned(),
        )),
        Err(error) => Err(error),
    }
}
