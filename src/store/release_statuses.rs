//! Release statuses: what tests and people say of a release, as gates for its promotion. Akkeris' resource and words.

use rusqlite::{Connection, Row, params};

use super::accounts::Account;
use super::row::{found, text_enum, unique};
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::time::Timestamp;

text_enum! {
    /// In the order in which one outweighs the next, when a release has several.
    State { Error = "error", Failure = "failure", Pending = "pending", Success = "success" }
}

/// Statuses of one release at most.
const MAX_STATUSES: i64 = 100;

#[derive(Clone, Debug)]
pub struct ReleaseStatus {
    pub id: Id,
    pub context: String,
    pub name: String,
    pub state: State,
    pub description: String,
    pub target_url: String,
    pub image_url: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What may be said of a status; `None` leaves what is there, or is empty for a new one.
#[derive(Clone, Debug, Default)]
pub struct Update {
    pub state: Option<State>,
    pub name: Option<String>,
    pub description: Option<String>,
    pub target_url: Option<String>,
    pub image_url: Option<String>,
}

impl Update {
    /// 422 for what Akkeris refuses.
    fn check(&self) -> Result<()> {
        let invalid = |text: &str| Err(Error::invalid(text.to_owned()));
        match self.name.as_ref().map_or(4, |name| name.chars().count()) {
            0..=3 => {
                return invalid("Invalid name: The status name must be more than 3 characters.");
            }
            4..=255 => {}
            _ => {
                return invalid(
                    "Invalid name: The status name cannot be longer than 256 characters.",
                );
            }
        }
        for (name, url) in [("image", &self.image_url), ("target", &self.target_url)] {
            let url = url.as_deref().unwrap_or("");
            if url.len() >= 256 {
                return Err(Error::invalid(format!(
                    "Invalid {name}_url: The {name}_url cannot be longer than 256 characters."
                )));
            }
            if !url.is_empty() && !url.starts_with("https://") && !url.starts_with("http://") {
                return Err(Error::invalid(format!(
                    "Invalid {name} url: The {name}_url must begin with https://"
                )));
            }
        }
        if self
            .description
            .as_ref()
            .is_some_and(|text| text.chars().count() >= 1024)
        {
            return invalid("The payload description length may not be more than 1024 characters.");
        }
        let texts = [
            &self.name,
            &self.description,
            &self.target_url,
            &self.image_url,
        ];
        if texts.into_iter().flatten().any(|text| text.contains('\0')) {
            return invalid("A status cannot hold a NUL character.");
        }
        Ok(())
    }
}

/// Akkeris' rule for the name of a check.
pub fn check_context(context: &str) -> Result<()> {
    let allowed =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/' | b'\\' | b'+' | b'-');
    if context.is_empty() || !context.bytes().all(allowed) {
        return Err(Error::invalid(
            "Invalid context name: The context name must be alpha numeric and can contain the characters /\\+-.",
        ));
    }
    match context.len() {
        0..=5 => Err(Error::invalid(
            "Invalid context length: The context length must be more than 5 characters",
        )),
        6..=31 => Ok(()),
        _ => Err(Error::invalid(
            "Invalid context length: The context length cannot be more than 32 characters.",
        )),
    }
}

const COLUMNS: &str =
    "id, context, name, state, description, target_url, image_url, created_at, updated_at";

fn status(row: &Row<'_>) -> rusqlite::Result<ReleaseStatus> {
    Ok(ReleaseStatus {
        id: row.get(0)?,
        context: row.get(1)?,
        name: row.get(2)?,
        state: row.get(3)?,
        description: row.get(4)?,
        target_url: row.get(5)?,
        image_url: row.get(6)?,
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
    })
}

/// Says something new of a release. 422 when this context was spoken of already.
pub fn create(
    connection: &Connection,
    release: Id,
    context: &str,
    new: &Update,
    now: Timestamp,
) -> Result<ReleaseStatus> {
    check_context(context)?;
    new.check()?;
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM release_status WHERE release_id = ?1")?
        .query_row([release], |row| row.get(0))?;
    if count >= MAX_STATUSES {
        return Err(Error::invalid(format!(
            "A release can have {MAX_STATUSES} statuses at most."
        )));
    }
    let id = Id::new();
    let inserted = connection
        .prepare_cached(
            "INSERT INTO release_status (id, release_id, context, name, state, description, target_url, image_url, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)",
        )?
        .execute(params![
            id,
            release,
            context,
            new.name.as_deref().unwrap_or(context),
            new.state.unwrap_or(State::Pending),
            new.description.as_deref().unwrap_or(""),
            new.target_url.as_deref().unwrap_or(""),
            new.image_url.as_deref().unwrap_or(""),
            now
        ]);
    unique(inserted, || {
        Error::invalid("This status already exists for this release, use update not create.")
    })?;
    find(connection, release, &Identity::Id(id))
}

/// A status of a release, by id or context.
pub fn find(connection: &Connection, release: Id, identity: &Identity) -> Result<ReleaseStatus> {
    let select = |column: &str, value: &dyn rusqlite::ToSql| {
        let sql =
            format!("SELECT {COLUMNS} FROM release_status WHERE release_id = ?1 AND {column} = ?2");
        found(
            connection
                .prepare_cached(&sql)?
                .query_row(params![release, value], status),
            "release status",
        )
    };
    match identity {
        Identity::Id(id) => select("id", id),
        Identity::Name(context) => select("lower(context)", context),
    }
}

/// All that was said of a release, oldest first.
pub fn list(connection: &Connection, release: Id) -> Result<Vec<ReleaseStatus>> {
    let sql = format!("SELECT {COLUMNS} FROM release_status WHERE release_id = ?1 ORDER BY id");
    let rows = connection
        .prepare_cached(&sql)?
        .query_map([release], status)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

/// What several statuses come to: the worst of them, and success when there is none.
pub fn combined(statuses: &[ReleaseStatus]) -> State {
    statuses
        .iter()
        .map(|status| status.state)
        .min()
        .unwrap_or(State::Success)
}

/// Says something else of a release.
pub fn update(
    connection: &Connection,
    release: Id,
    identity: &Identity,
    update: &Update,
    now: Timestamp,
) -> Result<ReleaseStatus> {
    update.check()?;
    let before = find(connection, release, identity).map_err(|error| match error.resource {
        Some(_) => Error::invalid("This status does not exist, use create not update."),
        None => error,
    })?;
    connection
        .prepare_cached(
            "UPDATE release_status SET state = coalesce(?2, state), name = coalesce(?3, name),
                 description = coalesce(?4, description), target_url = coalesce(?5, target_url),
                 image_url = coalesce(?6, image_url), updated_at = ?7 WHERE id = ?1",
        )?
        .execute(params![
            before.id,
            update.state,
            update.name,
            update.description,
            update.target_url,
            update.image_url,
            now
        ])?;
    find(connection, release, &Identity::Id(before.id))
}

/// Whether this check was successful on the release. One that nobody spoke of was not.
pub fn succeeded(connection: &Connection, release: Id, context: &str) -> Result<bool> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM release_status WHERE release_id = ?1 AND context = ?2 AND state = 'success')",
        )?
        .query_row(params![release, context], |row| row.get(0))?)
}

/// Each context and name that was ever spoken of on a release of an app in the pipeline, of the apps that `account` may see.
pub fn of_pipeline(
    connection: &Connection,
    account: &Account,
    pipeline: Id,
) -> Result<Vec<(String, String)>> {
    let rows = connection
        .prepare_cached(
            "SELECT DISTINCT release_status.context, release_status.name FROM pipeline_coupling
             JOIN release ON release.app_id = pipeline_coupling.app_id
             JOIN release_status ON release_status.release_id = release.id
             WHERE pipeline_coupling.pipeline_id = ?1 AND (?3 OR EXISTS (
                 SELECT 1 FROM collaborator
                 WHERE collaborator.app_id = pipeline_coupling.app_id AND collaborator.account_id = ?2))
             ORDER BY 1, 2",
        )?
        .query_map(params![pipeline, account.id, account.admin], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}
