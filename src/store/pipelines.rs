//! Pipelines. Names are unique for one owner; two owners may have one name each.

use rusqlite::{Connection, Row, ToSql, params};

use super::accounts::Account;
use super::ownership::Owner;
use super::page::{self, Field, Kind, Listing, Page};
use super::row::{found, unique};
use super::teams;
use crate::error::{Error, ErrorId, Result};
use crate::name::{Id, Identity, PipelineName};
use crate::time::Timestamp;

#[derive(Clone, Debug)]
pub struct Pipeline {
    pub id: Id,
    pub name: String,
    /// Akkeris'.
    pub description: Option<String>,
    pub owner: Owner,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "pipeline_viewer.pipeline_id", Kind::Id),
    Field::new("name", "pipeline_viewer.name", Kind::SharedText),
    Field::new("created_at", "pipeline_viewer.created_at", Kind::Time),
];

const COLUMNS: &str = "pipeline.id, pipeline.name, pipeline.owner_id, pipeline.team_id, pipeline.created_at, pipeline.updated_at,
    pipeline.description";

fn pipeline(row: &Row<'_>) -> rusqlite::Result<Pipeline> {
    Ok(Pipeline {
        id: row.get(0)?,
        name: row.get(1)?,
        owner: match row.get(3)? {
            Some(team) => Owner::Team(team),
            None => Owner::Account(row.get(2)?),
        },
        created_at: row.get(4)?,
        updated_at: row.get(5)?,
        description: row.get(6)?,
    })
}

fn taken() -> Error {
    Error::invalid(
        "The specified pipeline already exists. Choose another name: those of one owner are unique.",
    )
}

pub fn create(
    connection: &Connection,
    name: &PipelineName,
    description: Option<&str>,
    owner: Owner,
    now: Timestamp,
) -> Result<Pipeline> {
    let id = Id::new();
    let (account, team) = owner.columns();
    let inserted = connection
        .prepare_cached("INSERT INTO pipeline (id, name, owner_id, team_id, description, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)")?
        .execute(params![id, name.as_str(), account, team, description, now]);
    unique(inserted, taken)?;
    Ok(Pipeline {
        id,
        name: name.to_string(),
        description: description.map(str::to_owned),
        owner,
        created_at: now,
        updated_at: now,
    })
}

/// The pipelines that the identity may mean, among those `account` may see: none, one, or several of one name.
pub fn candidates(
    connection: &Connection,
    account: &Account,
    identity: &Identity,
) -> Result<Vec<Pipeline>> {
    let select = |column: &str, value: &dyn ToSql| -> Result<Vec<Pipeline>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM pipeline WHERE {column} = ?2 AND (?3 OR {VISIBLE}) ORDER BY id"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement
            .query_map(params![account.id, value, account.admin], pipeline)?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    };
    match identity {
        Identity::Id(id) => select("pipeline.id", id),
        Identity::Name(name) => select("pipeline.name", name),
    }
}

/// The view `pipeline_seen` says who sees a pipeline.
const VISIBLE: &str = "EXISTS (
    SELECT 1 FROM pipeline_viewer WHERE pipeline_viewer.pipeline_id = pipeline.id AND pipeline_viewer.account_id = ?1)";

/// The pipeline that the app of an add-on is in, for its provider. 404 for any other.
pub fn of_addon(connection: &Connection, addon: Id, id: Id) -> Result<Pipeline> {
    let sql = format!(
        "SELECT {COLUMNS} FROM pipeline WHERE pipeline.id = ?2 AND EXISTS (
             SELECT 1 FROM addon JOIN pipeline_coupling ON pipeline_coupling.app_id = addon.app_id
             WHERE addon.id = ?1 AND pipeline_coupling.pipeline_id = pipeline.id)"
    );
    found(
        connection
            .prepare_cached(&sql)?
            .query_row(params![addon, id], pipeline),
        "pipeline",
    )
}

/// The one pipeline that the identity means. A name that means several is refused with 422 `multiple_matches`: only reading offers
/// a choice.
pub fn find(connection: &Connection, account: &Account, identity: &Identity) -> Result<Pipeline> {
    let mut candidates = candidates(connection, account, identity)?;
    match (candidates.pop(), candidates.len()) {
        (Some(pipeline), 0) => Ok(pipeline),
        (Some(_), _) => Err(Error::new(
            ErrorId::MultipleMatches,
            "Several pipelines have this name. Say which one by its id.",
        )),
        (None, _) => Err(Error::not_found("pipeline")),
    }
}

/// The same, for a caller who may change it: its owner. Whoever only sees it is told so with 403.
pub fn owned(connection: &Connection, account: &Account, identity: &Identity) -> Result<Pipeline> {
    let pipeline = find(connection, account, identity)?;
    match may_change(connection, account, &pipeline)? {
        true => Ok(pipeline),
        false => Err(Error::forbidden(
            "Only the owner of the pipeline may do this.",
        )),
    }
}

/// Whether `account` owns the pipeline, or is an admin or a member of the team that does.
pub fn may_change(connection: &Connection, account: &Account, pipeline: &Pipeline) -> Result<bool> {
    match pipeline.owner {
        _ if account.admin => Ok(true),
        Owner::Account(owner) => Ok(owner == account.id),
        Owner::Team(team) => match teams::find(connection, account, &Identity::Id(team)) {
            Ok(team) => Ok(team.for_members().is_ok()),
            Err(error) if error.resource.is_some() => Ok(false),
            Err(error) => Err(error),
        },
    }
}

/// 403 for whoever may not give the pipeline away: its owner may, and of a team its admins.
pub fn may_give(connection: &Connection, account: &Account, pipeline: &Pipeline) -> Result<()> {
    match pipeline.owner {
        Owner::Team(team) => teams::find(connection, account, &Identity::Id(team))?
            .for_admins()
            .map(drop),
        Owner::Account(owner) if owner == account.id || account.admin => Ok(()),
        Owner::Account(_) => Err(Error::forbidden(
            "Only the owner of the pipeline may do this.",
        )),
    }
}

/// The pipelines that `account` may see, or those of them with this name.
pub fn list(
    connection: &Connection,
    account: &Account,
    name: Option<&str>,
    page: &Page,
) -> Result<Listing<Pipeline>> {
    let own = "pipeline_viewer CROSS JOIN pipeline
        WHERE pipeline_viewer.account_id = ?1 AND pipeline.id = pipeline_viewer.pipeline_id";
    let named = format!("{own} AND pipeline_viewer.name = ?2");
    let (from, parameters): (&str, &[&dyn ToSql]) = match &name {
        None => (own, &[&account.id]),
        Some(name) => (&named, &[&account.id, name]),
    };
    let query = page::Query {
        columns: COLUMNS,
        from,
        id: "pipeline_viewer.pipeline_id",
        parameters,
    };
    page::select(connection, &query, page, pipeline)
}

/// Gives a pipeline this name and this description.
pub fn update(
    connection: &Connection,
    id: Id,
    name: &str,
    description: Option<&str>,
    now: Timestamp,
) -> Result<Pipeline> {
    let updated = connection
        .prepare_cached(
            "UPDATE pipeline SET name = ?2, description = ?3, updated_at = ?4
             WHERE id = ?1 AND (name <> ?2 OR description IS NOT ?3)",
        )?
        .execute(params![id, name, description, now]);
    unique(updated, taken)?;
    let sql = format!("SELECT {COLUMNS} FROM pipeline WHERE id = ?1");
    found(
        connection.prepare_cached(&sql)?.query_row([id], pipeline),
        "pipeline",
    )
}

/// Notes that what is in a pipeline has changed, as Akkeris does.
pub(super) fn touch(connection: &Connection, id: Id, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached("UPDATE pipeline SET updated_at = ?2 WHERE id = ?1")?
        .execute(params![id, now])?;
    Ok(())
}

/// Deletes a pipeline and its couplings; the apps stay.
pub fn delete(connection: &Connection, id: Id) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM pipeline WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}
