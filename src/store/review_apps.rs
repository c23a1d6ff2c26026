//! Review apps: apps that are made for one branch, at the stage review of a pipeline, and go again. Each is an app setup with the
//! config vars of the stage, so what becomes of one is told by its setup.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::accounts::Account;
use super::app_setups::{self, NewSetup, Setup};
use super::apps::{self, App};
use super::builds::NewBuild;
use super::config_vars::{self, ConfigVars};
use super::couplings::{self, Stage};
use super::ownership::Owner;
use super::page::{self, Field, Kind, Listing, Page};
use super::pipelines::Pipeline;
use super::row::{found, optional, text_enum};
use super::{addons, pipeline_config_vars, review_app_configs};
use crate::error::{Error, Result};
use crate::name::{AppName, Id, Identity};
use crate::time::Timestamp;

text_enum! {
    Status {
        Pending = "pending",
        Creating = "creating",
        Created = "created",
        Deleting = "deleting",
        Deleted = "deleted",
        Errored = "errored",
    }
}

/// Characters of an app's name.
const NAME: usize = 30;

#[derive(Clone, Debug)]
pub struct ReviewApp {
    pub id: Id,
    pub pipeline_id: Id,
    pub creator_id: Id,
    pub creator_email: String,
    pub app_setup_id: Id,
    /// While it is there, and is still a review app of this pipeline.
    pub app_id: Option<Id>,
    pub branch: String,
    pub pr_number: Option<i64>,
    pub status: Status,
    /// Why it could not be made.
    pub failure_message: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "review_app.id", Kind::Id),
    Field::new("created_at", "review_app.created_at", Kind::Time),
];

/// The status follows from the setup, and from whether the app is there still. An app that was given away, uncoupled or moved to
/// another stage is no review app any more: who has the pipeline has no power over it through the record of what it was.
const COLUMNS: &str = "review_app.id, review_app.pipeline_id, review_app.account_id, account.email, review_app.app_setup_id,
    own.id, review_app.branch, review_app.pr_number,
    CASE WHEN review_app.deleted = 1 THEN 'deleted' WHEN app_setup.status = 'failed' THEN 'errored'
         WHEN app_setup.status = 'succeeded' THEN
             CASE WHEN own.id IS NOT NULL THEN 'created' ELSE 'deleted' END
         WHEN app_setup.manifest IS NULL THEN 'pending' ELSE 'creating' END,
    app_setup.failure_message, review_app.created_at, max(review_app.updated_at, app_setup.updated_at)";
const FROM: &str = "review_app JOIN app_setup ON app_setup.id = review_app.app_setup_id
    JOIN account ON account.id = review_app.account_id
    LEFT JOIN pipeline AS its ON its.id = review_app.pipeline_id
    LEFT JOIN pipeline_coupling AS coupling ON coupling.app_id = app_setup.app_id
        AND coupling.pipeline_id = review_app.pipeline_id AND coupling.stage = 'review'
    LEFT JOIN app AS own ON own.id = coupling.app_id
        AND (own.owner_id = its.owner_id OR own.team_id = its.team_id OR own.owner_id = review_app.account_id)";

fn review_app(row: &Row<'_>) -> rusqlite::Result<ReviewApp> {
    Ok(ReviewApp {
        id: row.get(0)?,
        pipeline_id: row.get(1)?,
        creator_id: row.get(2)?,
        creator_email: row.get(3)?,
        app_setup_id: row.get(4)?,
        app_id: row.get(5)?,
        branch: row.get(6)?,
        pr_number: row.get(7)?,
        status: row.get(8)?,
        failure_message: row.get(9)?,
        created_at: row.get(10)?,
        updated_at: row.get(11)?,
    })
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub struct NewReviewApp {
    pub branch: String,
    pub pr_number: Option<i64>,
    /// On top of the config vars of the stage.
    pub env: ConfigVars,
    pub source: NewBuild,
}

/// Makes the app of a review app, couples it and queues its setup. 422 when review apps are not enabled, 409 when the pull
/// request has one already.
pub fn create(
    connection: &Connection,
    by: &Account,
    pipeline: &Pipeline,
    new: &NewReviewApp,
    now: Timestamp,
) -> Result<(ReviewApp, App)> {
    let config = review_app_configs::find(connection, pipeline.id)?.ok_or_else(|| {
        Error::invalid(format!(
            "Review apps are not enabled for this pipeline. Enable them first: heroku reviewapps:enable --pipeline {}",
            pipeline.name
        ))
    })?;
    if let Some(number) = new.pr_number
        && of_pull_request(connection, pipeline.id, number)?
    {
        return Err(Error::conflict(format!(
            "There is a review app for pull request {number} already. Delete it first."
        )));
    }
    let base = config.base_name.as_deref().unwrap_or(&pipeline.name);
    let name = free_name(connection, base, new.pr_number)?;
    let mut env = pipeline_config_vars::get(connection, pipeline.id, Stage::Review)?;
    env.extend(new.env.clone());
    env.insert("HEROKU_APP_NAME".to_owned(), name.to_string());
    env.insert("HEROKU_BRANCH".to_owned(), new.branch.clone());
    if let Some(number) = new.pr_number {
        env.insert("HEROKU_PR_NUMBER".to_owned(), number.to_string());
    }
    config_vars::check_all(&env)?;
    let (setup, app) =
        app_setups::create(connection, by, &new_setup(pipeline, new, name, env), now)?;
    couplings::create(connection, app.id, pipeline.id, Stage::Review, &[], now)?;
    let id = insert(connection, by, pipeline, new, &setup, now)?;
    Ok((by_id(connection, id)?, app))
}

fn new_setup(pipeline: &Pipeline, new: &NewReviewApp, name: AppName, env: ConfigVars) -> NewSetup {
    NewSetup {
        name: Some(name),
        team: match pipeline.owner {
            Owner::Team(team) => Some(Identity::Id(team)),
            Owner::Account(_) => None,
        },
        locked: false,
        source_url: new.source.source_url.clone(),
        source_digest: new.source.source_digest.clone(),
        checksum: new.source.checksum.clone(),
        version: new.source.version.clone(),
        environment: Some(Stage::Review.as_str()),
        env,
        buildpacks: None,
    }
}

fn insert(
    connection: &Connection,
    by: &Account,
    pipeline: &Pipeline,
    new: &NewReviewApp,
    setup: &Setup,
    now: Timestamp,
) -> Result<Id> {
    let id = Id::new();
    connection
        .prepare_cached(
            "INSERT INTO review_app (id, pipeline_id, account_id, app_setup_id, branch, pr_number, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
        )?
        .execute(params![id, pipeline.id, by.id, setup.id, new.branch, new.pr_number, now])?;
    Ok(id)
}

/// Whether a pull request has a review app that is there or on its way.
fn of_pull_request(connection: &Connection, pipeline: Id, number: i64) -> Result<bool> {
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM {FROM} WHERE review_app.pipeline_id = ?1 AND review_app.pr_number = ?2
         AND review_app.deleted = 0 AND own.id IS NOT NULL)"
    );
    Ok(connection
        .prepare_cached(&sql)?
        .query_row(params![pipeline, number], |row| row.get(0))?)
}

/// `water-pr-12`, or with some digits after it where there is no number or the name is taken.
fn free_name(connection: &Connection, base: &str, number: Option<i64>) -> Result<AppName> {
    for attempt in 0..20 {
        let digits = Id::new().random_bits() & 0xffff;
        let end = match number {
            Some(number) if attempt == 0 => format!("-pr-{number}"),
            Some(number) => format!("-pr-{number}-{digits:04x}"),
            None => format!("-{digits:04x}"),
        };
        let base: String = base.chars().take(NAME.saturating_sub(end.len())).collect();
        let name = AppName::parse(&format!("{base}{end}"))?;
        if !apps::is_taken(connection, &name)? {
            return Ok(name);
        }
    }
    Err(Error::conflict(
        "No free name was found for the review app. Choose another base_name.",
    ))
}

/// A review app, for who has been let through to its pipeline.
pub fn by_id(connection: &Connection, id: Id) -> Result<ReviewApp> {
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE review_app.id = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    found(statement.query_row([id], review_app), "review app")
}

/// The review app that this app is.
pub fn of_app(connection: &Connection, app: Id) -> Result<ReviewApp> {
    let sql =
        format!("SELECT {COLUMNS} FROM {FROM} WHERE app_setup.app_id = ?1 AND own.id IS NOT NULL");
    let mut statement = connection.prepare_cached(&sql)?;
    found(statement.query_row([app], review_app), "review app")
}

/// Who may see a pipeline for an app of his in it sees of its review apps his own and those whose app he may see; who has the
/// pipeline sees all.
const VISIBLE: &str = "(review_app.account_id = ?1 OR its.owner_id = ?1
    OR EXISTS (SELECT 1 FROM team_member WHERE team_member.team_id = its.team_id AND team_member.account_id = ?1
        AND team_member.role IN ('admin', 'member', 'viewer'))
    OR EXISTS (SELECT 1 FROM collaborator WHERE collaborator.app_id = app_setup.app_id AND collaborator.account_id = ?1))";

/// A review app that `account` may see, who has been let through to its pipeline.
pub fn find(connection: &Connection, account: &Account, id: Id) -> Result<ReviewApp> {
    let sql =
        format!("SELECT {COLUMNS} FROM {FROM} WHERE review_app.id = ?2 AND (?3 OR {VISIBLE})");
    let mut statement = connection.prepare_cached(&sql)?;
    let parameters = params![account.id, id, account.admin];
    found(statement.query_row(parameters, review_app), "review app")
}

/// The review apps of a pipeline that `account` may see, those that are gone too.
pub fn list(
    connection: &Connection,
    account: &Account,
    pipeline: Id,
    page: &Page,
) -> Result<Listing<ReviewApp>> {
    let query = page::Query {
        columns: COLUMNS,
        from: &format!("{FROM} WHERE review_app.pipeline_id = ?2 AND (?3 OR {VISIBLE})"),
        id: "review_app.id",
        parameters: &[&account.id, &pipeline, &account.admin],
    };
    page::select(connection, &query, page, review_app)
}

/// Deletes the app of a review app, if it still is one; the record stays. Harmless for one that is deleted.
pub fn delete(connection: &Connection, id: Id, now: Timestamp) -> Result<ReviewApp> {
    let before = by_id(connection, id)?;
    if let Some(app) = before.app_id {
        let app = apps::by_id(connection, app)?;
        let owner = addons::owner(connection, app.id)?;
        apps::delete(connection, &app, &owner, now)?;
    }
    connection
        .prepare_cached(
            "UPDATE review_app SET deleted = 1, updated_at = ?2 WHERE id = ?1 AND deleted = 0",
        )?
        .execute(params![id, now])?;
    by_id(connection, id)
}

/// Deletes the review apps that were not deployed for as long as their pipelines say. How many that were.
pub fn delete_stale(connection: &Connection, now: Timestamp) -> Result<usize> {
    let mut statement = connection.prepare_cached(
        "SELECT review_app.id, review_app_config.stale_days,
             (SELECT max(release.created_at) FROM release WHERE release.app_id = app_setup.app_id)
         FROM review_app_config JOIN review_app ON review_app.pipeline_id = review_app_config.pipeline_id
         JOIN app_setup ON app_setup.id = review_app.app_setup_id
         WHERE review_app_config.destroy_stale_apps = 1 AND review_app.deleted = 0 AND app_setup.status = 'succeeded'",
    )?;
    let rows: Vec<(Id, u32, Option<Timestamp>)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut deleted = 0;
    for (id, days, released) in rows {
        let limit = Duration::from_secs(u64::from(days) * 24 * 3_600);
        if released.is_some_and(|at| now.since(at) >= limit) {
            delete(connection, id, now)?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

/// The pipeline of a review app; `None` when there is no such review app.
pub fn pipeline_of(connection: &Connection, id: Id) -> Result<Option<Id>> {
    let mut statement =
        connection.prepare_cached("SELECT pipeline_id FROM review_app WHERE id = ?1")?;
    optional(statement.query_row([id], |row| row.get(0)))
}
