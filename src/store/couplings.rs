//! Pipeline couplings: which app stands at which stage of which pipeline. An app is in one pipeline at most.

use rusqlite::{Connection, Row, params};

use super::accounts::Account;
use super::page::{self, Field, Kind, Listing, Page};
use super::row::{found, text_enum, unique};
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

#[derive(Clone, Debug)]
pub struct Coupling {
    pub id: Id,
    pub app_id: Id,
    pub app_name: String,
    pub pipeline_id: Id,
    pub pipeline_name: String,
    pub stage: Stage,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "pipeline_coupling.id", Kind::Id),
    Field::new("created_at", "pipeline_coupling.created_at", Kind::Time),
];

const COLUMNS: &str = "pipeline_coupling.id, pipeline_coupling.app_id, app.name, pipeline_coupling.pipeline_id, pipeline.name,
    pipeline_coupling.stage, pipeline_coupling.created_at, pipeline_coupling.updated_at";
const FROM: &str = "pipeline_coupling JOIN app ON app.id = pipeline_coupling.app_id
    JOIN pipeline ON pipeline.id = pipeline_coupling.pipeline_id";
/// Seen by the owner of the app and the owner of the pipeline.
const VISIBLE: &str = "(app.owner_id = ?1 OR pipeline.owner_id = ?1)";
/// The same as a set, for a list: it is found by indexes, however many couplings others have.
const VISIBLE_SET: &str = "pipeline_coupling.id IN (
    SELECT own.id FROM app JOIN pipeline_coupling AS own ON own.app_id = app.id WHERE app.owner_id = ?1
    UNION SELECT own.id FROM pipeline JOIN pipeline_coupling AS own ON own.pipeline_id = pipeline.id
    WHERE pipeline.owner_id = ?1)";

fn coupling(row: &Row<'_>) -> rusqlite::Result<Coupling> {
    Ok(Coupling {
        id: row.get(0)?,
        app_id: row.get(1)?,
        app_name: row.get(2)?,
        pipeline_id: row.get(3)?,
        pipeline_name: row.get(4)?,
        stage: row.get(5)?,
        created_at: row.get(6)?,
        updated_at: row.get(7)?,
    })
}

/// Couples an app to a pipeline. 409 when it is in one already.
pub fn create(
    connection: &Connection,
    app: Id,
    pipeline: Id,
    stage: Stage,
    now: Timestamp,
) -> Result<Coupling> {
    let id = Id::new();
    let inserted = connection
        .prepare_cached(
            "INSERT INTO pipeline_coupling (id, app_id, pipeline_id, stage, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        )?
        .execute(params![id, app, pipeline, stage, now]);
    unique(inserted, || {
        Error::conflict(
            "The app is in a pipeline already. Remove it from that one first: an app is in one pipeline at most.",
        )
    })?;
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
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE pipeline_coupling.id = ?2 AND {VISIBLE}");
    found(
        connection
            .prepare_cached(&sql)?
            .query_row(params![account.id, id], coupling),
        "pipeline coupling",
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

/// The couplings that `account` may see: all, or those of one pipeline.
pub fn list(
    connection: &Connection,
    account: &Account,
    pipeline: Option<Id>,
    page: &Page,
) -> Result<Listing<Coupling>> {
    let all = format!("{FROM} WHERE {VISIBLE_SET}");
    let one = format!("{FROM} WHERE {VISIBLE} AND pipeline_coupling.pipeline_id = ?2");
    let (from, parameters): (&str, &[&dyn rusqlite::ToSql]) = match &pipeline {
        None => (&all, &[&account.id]),
        Some(pipeline) => (&one, &[&account.id, pipeline]),
    };
    page::select(
        connection,
        &page::Query {
            columns: COLUMNS,
            from,
            id: "pipeline_coupling.id",
            parameters,
        },
        page,
        coupling,
    )
}

/// Moves an app to another stage of its pipeline.
pub fn set_stage(
    connection: &Connection,
    id: Id,
    stage: Stage,
    now: Timestamp,
) -> Result<Coupling> {
    connection
        .prepare_cached("UPDATE pipeline_coupling SET stage = ?2, updated_at = ?3 WHERE id = ?1 AND stage <> ?2")?
        .execute(params![id, stage, now])?;
    by_id(connection, id)
}

pub fn delete(connection: &Connection, id: Id) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM pipeline_coupling WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}
