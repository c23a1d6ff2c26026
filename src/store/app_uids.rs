//! The user that an app's dynos run as, where the server can run them as others: a number for each app, the same ever after.

use std::ops::RangeInclusive;

use rusqlite::{Connection, params};

use super::row::optional;
use crate::error::{Error, ErrorId, Result};
use crate::name::Id;

/// The app's own, if it has one in this range.
pub fn read(connection: &Connection, app: Id, range: &RangeInclusive<u32>) -> Result<Option<u32>> {
    let sql = "SELECT uid FROM app_uid WHERE app_id = ?1 AND uid BETWEEN ?2 AND ?3";
    optional(
        connection
            .prepare_cached(sql)?
            .query_row(params![app, range.start(), range.end()], |row| row.get(0)),
    )
}

/// The app's own, which it gets if it has none: the one after the last that was given out, or one that is free again when there
/// are no more. 503 when all are in use.
pub fn allot(connection: &Connection, app: Id, range: &RangeInclusive<u32>) -> Result<u32> {
    if let Some(uid) = read(connection, app, range)? {
        return Ok(uid);
    }
    let free = "SELECT uid FROM (
            SELECT ?1 AS uid
            UNION ALL SELECT (SELECT max(uid) + 1 FROM app_uid WHERE uid BETWEEN ?1 AND ?2)
            UNION ALL SELECT uid + 1 FROM app_uid WHERE uid BETWEEN ?1 AND ?2)
        WHERE uid BETWEEN ?1 AND ?2 AND uid NOT IN (SELECT uid FROM app_uid) ORDER BY uid DESC LIMIT 1";
    let uid: Option<u32> = optional(
        connection
            .prepare_cached(free)?
            .query_row(params![range.start(), range.end()], |row| row.get(0)),
    )?;
    let uid = uid.ok_or_else(|| {
        Error::new(
            ErrorId::Unavailable,
            "All user ids for apps are in use. Give the server a wider range of --dyno-uids, or delete some apps.",
        )
    })?;
    connection
        .prepare_cached("INSERT INTO app_uid (app_id, uid) VALUES (?1, ?2) ON CONFLICT (app_id) DO UPDATE SET uid = excluded.uid")?
        .execute(params![app, uid])?;
    Ok(uid)
}
