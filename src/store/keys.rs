//! Public SSH keys of accounts.

use rusqlite::{Connection, Row, params};

use super::page::{self, Field, Kind, Listing, Page};
use super::row::{found, unique};
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::time::Timestamp;

/// Of one account.
const MOST: i64 = 100;

#[derive(Clone, Debug)]
pub struct Key {
    pub id: Id,
    pub account_email: String,
    pub fingerprint: String,
    /// In OpenSSH's form, of three words: the algorithm, the key, the comment.
    pub public_key: String,
    pub comment: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "ssh_key.id", Kind::Id),
    Field::new("fingerprint", "ssh_key.fingerprint", Kind::Text),
    Field::new("created_at", "ssh_key.created_at", Kind::Time),
];

const COLUMNS: &str = "ssh_key.id, account.email, ssh_key.fingerprint, ssh_key.public_key, ssh_key.comment, ssh_key.created_at,
    ssh_key.updated_at";
const FROM: &str = "ssh_key JOIN account ON account.id = ssh_key.account_id";

fn key(row: &Row<'_>) -> rusqlite::Result<Key> {
    Ok(Key {
        id: row.get(0)?,
        account_email: row.get(1)?,
        fingerprint: row.get(2)?,
        public_key: row.get(3)?,
        comment: row.get(4)?,
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
    })
}

/// A key that is to be kept.
pub struct New<'a> {
    pub fingerprint: &'a str,
    pub public_key: &'a str,
    pub comment: &'a str,
}

/// Keeps a key. 422 when some account has it already, since a key says who somebody is.
pub fn create(connection: &Connection, account: Id, new: &New<'_>, now: Timestamp) -> Result<Key> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM ssh_key WHERE account_id = ?1")?
        .query_row([account], |row| row.get(0))?;
    if count >= MOST {
        return Err(Error::invalid(format!(
            "An account has {MOST} keys at most. Remove one that is not used any more."
        )));
    }
    let id = Id::new();
    let inserted = connection
        .prepare_cached(
            "INSERT INTO ssh_key (id, account_id, fingerprint, public_key, comment, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
        )?
        .execute(params![
            id,
            account,
            new.fingerprint,
            new.public_key,
            new.comment,
            now
        ]);
    unique(inserted, || {
        Error::invalid("This key is in use already, by this account or another.")
    })?;
    find(connection, account, &Identity::Id(id))
}

/// A key of the account, by its id or its fingerprint.
pub fn find(connection: &Connection, account: Id, identity: &Identity) -> Result<Key> {
    let select = |condition: &str, value: &dyn rusqlite::ToSql| {
        let sql =
            format!("SELECT {COLUMNS} FROM {FROM} WHERE ssh_key.account_id = ?1 AND {condition}");
        let mut statement = connection.prepare_cached(&sql)?;
        found(statement.query_row(params![account, value], key), "key")
    };
    match identity {
        Identity::Id(id) => select("ssh_key.id = ?2", id),
        Identity::Name(fingerprint) => select("ssh_key.fingerprint = ?2", fingerprint),
    }
}

pub fn list(connection: &Connection, account: Id, page: &Page) -> Result<Listing<Key>> {
    let query = page::Query {
        columns: COLUMNS,
        from: &format!("{FROM} WHERE ssh_key.account_id = ?1"),
        id: "ssh_key.id",
        parameters: &[&account],
    };
    page::select(connection, &query, page, key)
}

pub fn delete(connection: &Connection, id: Id) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM ssh_key WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}
