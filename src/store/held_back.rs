//! Releases whose web dynos do not come up, and those that serve visitors in their place.

use rusqlite::{Connection, params};

use super::dynos::Dyno;
use super::row::optional;
use crate::error::Result;
use crate::name::Id;

/// A release that does not come up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldBack {
    pub version: i64,
    /// The version that visitors see meanwhile.
    pub serving: i64,
    /// The release's output says why.
    pub told: bool,
}

/// The release of an app that is held back, if one is: some of its web dynos have crashed, and those of an older one are up.
pub fn of(connection: &Connection, app: Id) -> Result<Option<HeldBack>> {
    let mut statement = connection.prepare_cached(
        "SELECT failing.release_version, min(serving.release_version), release.told FROM dyno AS failing
         JOIN dyno AS serving ON serving.app_id = failing.app_id AND serving.type = 'web' AND serving.one_off = 0
             AND serving.state = 'up' AND serving.release_version < failing.release_version
         JOIN release ON release.id = failing.release_id
         WHERE failing.app_id = ?1 AND failing.type = 'web' AND failing.one_off = 0 AND failing.crashes > 0
             AND failing.state NOT IN ('up', 'down')
         GROUP BY failing.release_version ORDER BY failing.release_version DESC LIMIT 1",
    )?;
    optional(statement.query_row([app], |row| {
        Ok(HeldBack {
            version: row.get(0)?,
            serving: row.get(1)?,
            told: row.get(2)?,
        })
    }))
}

/// The version that serves the visitors of an app in place of this dyno's release: the newest other one with a dyno of the type
/// that is up.
pub fn serving_instead(connection: &Connection, dyno: &Dyno) -> Result<Option<i64>> {
    Ok(connection
        .prepare_cached(
            "SELECT max(release_version) FROM dyno
             WHERE app_id = ?1 AND type = ?2 AND state = 'up' AND one_off = 0 AND release_id <> ?3",
        )?
        .query_row(params![dyno.app_id, dyno.r#type, dyno.release_id], |row| {
            row.get(0)
        })?)
}

/// Whether a newer dyno is in the place of this one, which goes once that has come up.
pub fn has_successor(connection: &Connection, dyno: &Dyno) -> Result<bool> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM dyno WHERE app_id = ?1 AND type = ?2 AND ordinal = ?3 AND one_off = 0 AND state <> 'down'
                 AND (release_version, id) > (?4, ?5))",
        )?
        .query_row(
            params![dyno.app_id, dyno.r#type, dyno.ordinal, dyno.release_version, dyno.id],
            |row| row.get(0),
        )?)
}
