//! Pipeline couplings: which app stands at which stage of which pipeline. An app is in one pipeline at most.

use rusqlite::{Connection, Row, ToSql, params};

use super::accounts::Account;
use super::addons;
use super::page::{self, Field, Kind, Listing, Page};
use super::pipelines;
use super::release_statuses;
use super::row::{self, found, optional, text_enum, unique};
use crate::error::{Error, Result};
use crate::name::Id;
use crate::time::Timestamp;

text_enum! {
    Stage {
        Test = "test",
        Review = "review",
        Development = "development",
        Staging = "staging",
        Production = "production",
    }
}

/// Status checks that one coupling can ask for.
const MAX_CHECKS: usize = 50;

#[derive(Clone, Debug)]
pub struct Coupling {
    pub id: Id,
    pub app_id: Id,
    pub app_name: String,
    pub pipeline_id: Id,
    pub pipeline_name: String,
    pub stage: Stage,
    /// Contexts of release statuses that must be successful on what is promoted to this app.
    pub required_status_checks: Vec<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "shown.id", Kind::Id),
    Field::new("created_at", "shown.created_at", Kind::Time),
];

const COLUMNS: &str = "pipeline_coupling.id, pipeline_coupling.app_id, app.name, pipeline_coupling.pipeline_id, pipeline.name,
    pipeline_coupling.stage, pipeline_coupling.required_status_checks, pipeline_coupling.created_at, pipeline_coupling.updated_at";
const FROM: &str = "pipeline_coupling JOIN app ON app.id = pipeline_coupling.app_id
    JOIN pipeline ON pipeline.id = pipeline_coupling.pipeline_id";
/// The view `pipeline_coupling_seen` says who sees a coupling.
const VISIBLE: &str = "EXISTS (
    SELECT 1 FROM pipeline_coupling_viewer AS viewer WHERE viewer.coupling_id = pipeline_coupling.id AND viewer.account_id = ?1)";

fn coupling(row: &Row<'_>) -> rusqlite::Result<Coupling> {
    Ok(Coupling {
        id: row.get(0)?,
        app_id: row.get(1)?,
        app_name: row.get(2)?,
        pipeline_id: row.get(3)?,
        pipeline_name: row.get(4)?,
        stage: row.get(5)?,
        required_status_checks: row::json(row, 6)?,
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
    })
}

/// Couples an app to a pipeline. 409 when it is in one already.
pub fn create(
    connection: &Connection,
    app: Id,
    pipeline: Id,
    stage: Stage,
    required_status_checks: &[String],
    now: Timestamp,
) -> Result<Coupling> {
    check_contexts(stage, required_status_checks)?;
    let contexts = serde_json::to_string(required_status_checks).map_err(Error::internal)?;
    let id = Id::new();
    let inserted = connection
        .prepare_cached(
            "INSERT INTO pipeline_coupling (id, app_id, pipeline_id, stage, required_status_checks, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
        )?
        .execute(params![id, app, pipeline, stage, contexts, now]);
    unique(inserted, || {
        Error::conflict(
            "The application already is pipelined. Remove it from its pipeline first: an app is in one pipeline at most.",
        )
    })?;
    pipelines::touch(connection, pipeline, now)?;
    by_id(connection, id)
}

fn by_id(connection: &Connection, id: Id) -> Result<Coupling> {
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE pipeline_coupling.id = ?1");
    found(
        connection.prepare_cached(&sql)?.query_row([id], coupling),
        "pipeline coupling",
    )
}

pub fn find(connection: &Connection, account: &Account, id: Id) -> Result<Coupling> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {FROM} WHERE pipeline_coupling.id = ?2 AND (?3 OR {VISIBLE})"
    );
    found(
        connection
            .prepare_cached(&sql)?
            .query_row(params![account.id, id, account.admin], coupling),
        "pipeline coupling",
    )
}

/// Where the app of an add-on stands, as its provider may see it. 404 for any other app.
pub fn of_addon(connection: &Connection, addon: Id, app: Id) -> Result<Option<Coupling>> {
    let own = addons::by_id(connection, addon)?.filter(|own| own.app_id == app);
    let own = own.ok_or_else(|| Error::not_found("app"))?;
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE pipeline_coupling.app_id = ?1");
    optional(
        connection
            .prepare_cached(&sql)?
            .query_row([own.app_id], coupling),
    )
}

/// Where an app stands; 404 when it is in no pipeline.
pub fn of_app(connection: &Connection, app: Id) -> Result<Coupling> {
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE pipeline_coupling.app_id = ?1");
    found(
        connection.prepare_cached(&sql)?.query_row([app], coupling),
        "pipeline coupling",
    )
}

/// The apps of a pipeline, from its earliest stage on.
pub fn apps(connection: &Connection, pipeline: Id) -> Result<Vec<Id>> {
    let rows = connection
        .prepare_cached(
            "SELECT app_id FROM pipeline_coupling WHERE pipeline_id = ?1
             ORDER BY stage = 'production', stage = 'staging', id",
        )?
        .query_map([pipeline], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

/// The couplings that `account` may see: all, or those of one pipeline.
pub fn list(
    connection: &Connection,
    account: &Account,
    pipeline: Option<Id>,
    page: &Page,
) -> Result<Listing<Coupling>> {
    let seen =
        "SELECT coupling_id AS id, created_at FROM pipeline_coupling_viewer WHERE account_id = ?1";
    match &pipeline {
        None => listing(connection, seen, &[&account.id], page),
        // Whoever runs the server has been let through to any pipeline.
        Some(pipeline) if account.admin => {
            let all = "SELECT id, created_at FROM pipeline_coupling WHERE pipeline_id = ?1";
            listing(connection, all, &[pipeline], page)
        }
        Some(pipeline) => {
            let seen = format!("{seen} AND pipeline_id = ?2");
            listing(connection, &seen, &[&account.id, pipeline], page)
        }
    }
}

/// One page of the couplings that are `shown`, each by its id and what else they can be ordered by.
fn listing(
    connection: &Connection,
    shown: &str,
    parameters: &[&dyn ToSql],
    page: &Page,
) -> Result<Listing<Coupling>> {
    let query = page::Query {
        columns: COLUMNS,
        from: &format!(
            "({shown}) AS shown CROSS JOIN {FROM} WHERE pipeline_coupling.id = shown.id"
        ),
        id: "shown.id",
        parameters,
    };
    page::select(connection, &query, page, coupling)
}

/// The couplings of a team's apps that `account` may see.
pub fn list_of_team(
    connection: &Connection,
    account: &Account,
    team: Id,
    page: &Page,
) -> Result<Listing<Coupling>> {
    let seen = "SELECT coupling_id AS id, created_at FROM pipeline_coupling_viewer WHERE account_id = ?1 AND team_id = ?2";
    listing(connection, seen, &[&account.id, &team], page)
}

/// Moves an app to another stage of its pipeline, or replaces the checks that it asks for; `None` leaves them.
pub fn update(
    connection: &Connection,
    coupling: &Coupling,
    stage: Option<Stage>,
    required_status_checks: Option<&[String]>,
    now: Timestamp,
) -> Result<Coupling> {
    let stage = stage.unwrap_or(coupling.stage);
    let contexts = required_status_checks.unwrap_or(&coupling.required_status_checks);
    check_contexts(stage, contexts)?;
    let contexts = serde_json::to_string(contexts).map_err(Error::internal)?;
    let changed = connection
        .prepare_cached(
            "UPDATE pipeline_coupling SET stage = ?2, required_status_checks = ?3, updated_at = ?4
             WHERE id = ?1 AND (stage <> ?2 OR required_status_checks <> ?3)",
        )?
        .execute(params![coupling.id, stage, contexts, now])?;
    if changed > 0 {
        pipelines::touch(connection, coupling.pipeline_id, now)?;
    }
    by_id(connection, coupling.id)
}

/// Akkeris' rules for the checks of a stage.
fn check_contexts(stage: Stage, contexts: &[String]) -> Result<()> {
    if stage == Stage::Review && !contexts.is_empty() {
        return Err(Error::invalid(
            "Required status checks cannot be added to a pipelines review stage.",
        ));
    }
    if contexts.len() > MAX_CHECKS {
        return Err(Error::invalid(format!(
            "A stage can ask for {MAX_CHECKS} status checks at most."
        )));
    }
    contexts
        .iter()
        .try_for_each(|context| release_statuses::check_context(context))
}

pub fn delete(connection: &Connection, coupling: &Coupling, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM pipeline_coupling WHERE id = ?1")?
        .execute([coupling.id])?;
    pipelines::touch(connection, coupling.pipeline_id, now)
}
