//! Favorites: the apps that an account has put on a list of its own.

use rusqlite::{Connection, Row, params};

use super::page::{self, Field, Kind, Listing, Page};
use super::row::{found, unique};
use crate::error::{Error, Result};
use crate::name::Id;
use crate::time::Timestamp;

/// Of one account.
const MOST: i64 = 1_000;

#[derive(Clone, Debug)]
pub struct Favorite {
    pub id: Id,
    pub app_id: Id,
    pub app_name: String,
    pub created_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "favorite.id", Kind::Id),
    Field::new("created_at", "favorite.created_at", Kind::Time),
];

const COLUMNS: &str = "favorite.id, favorite.app_id, app.name, favorite.created_at";
/// Of those that the account may still see.
const FROM: &str = "favorite JOIN app ON app.id = favorite.app_id
    JOIN collaborator ON collaborator.app_id = favorite.app_id AND collaborator.account_id = favorite.account_id";

fn favorite(row: &Row<'_>) -> rusqlite::Result<Favorite> {
    Ok(Favorite {
        id: row.get(0)?,
        app_id: row.get(1)?,
        app_name: row.get(2)?,
        created_at: row.get(3)?,
    })
}

/// Puts an app, which the caller has looked up, on the list of an account. 422 when it is there already.
pub fn create(connection: &Connection, account: Id, app: Id, now: Timestamp) -> Result<Favorite> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM favorite WHERE account_id = ?1")?
        .query_row([account], |row| row.get(0))?;
    if count >= MOST {
        return Err(Error::invalid(format!(
            "An account has {MOST} favorites at most. Remove one that is none any more."
        )));
    }
    let id = Id::new();
    let inserted = connection
        .prepare_cached(
            "INSERT INTO favorite (id, account_id, app_id, created_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![id, account, app, now]);
    unique(inserted, || {
        Error::invalid("This app is a favorite already.")
    })?;
    find(connection, account, id)
}

pub fn find(connection: &Connection, account: Id, id: Id) -> Result<Favorite> {
    let sql =
        format!("SELECT {COLUMNS} FROM {FROM} WHERE favorite.account_id = ?1 AND favorite.id = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    found(
        statement.query_row(params![account, id], favorite),
        "favorite",
    )
}

pub fn list(connection: &Connection, account: Id, page: &Page) -> Result<Listing<Favorite>> {
    let query = page::Query {
        columns: COLUMNS,
        from: &format!("{FROM} WHERE favorite.account_id = ?1"),
        id: "favorite.id",
        parameters: &[&account],
    };
    page::select(connection, &query, page, favorite)
}

pub fn delete(connection: &Connection, id: Id) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM favorite WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}
