//! What is wanted of each process type: the formation, with what it takes to start one of its dynos. And what it takes to start
//! those once more that serve while the wanted ones do not come up.

use rusqlite::{Connection, Row};

use super::dynos::{Dyno, State};
use crate::error::Result;
use crate::name::Id;
use crate::time::Timestamp;

/// What is wanted of one process type: so many dynos of the app's current release. Only types with a quantity, of apps whose
/// current release has a slug that is uploaded.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub app_id: Id,
    pub app_name: String,
    pub r#type: String,
    /// At least 1.
    pub quantity: i64,
    pub size: String,
    pub command: String,
    pub release_id: Id,
    pub release_version: i64,
    pub config_set_id: Id,
    /// Of the slug: SHA-256 of its tar.gz, as hex.
    pub digest: String,
}

impl Wanted {
    /// All that a dyno in this place has, before it is started.
    pub fn row(&self, ordinal: i64, state: State, now: Timestamp) -> Dyno {
        Dyno {
            id: Id::new(),
            app_id: self.app_id,
            release_id: self.release_id,
            release_version: self.release_version,
            r#type: self.r#type.clone(),
            ordinal,
            size: self.size.clone(),
            command: self.command.clone(),
            state,
            port: None,
            pid: None,
            crashes: 0,
            start_at: None,
            restart: false,
            served: false,
            one_off: false,
            launched: true,
            inside: None,
            expires_at: None,
            attach: None,
            address: None,
            created_at: now,
            updated_at: now,
        }
    }
}

/// Of one app, or of all.
pub(super) fn all(connection: &Connection, app: Option<Id>) -> Result<Vec<Wanted>> {
    let of_app = match app {
        Some(_) => "AND formation.app_id = ?1",
        None => "AND ?1 IS NULL",
    };
    let sql = format!(
            "SELECT formation.app_id, app.name, formation.type, formation.quantity, formation.size, formation.command,
                 release.id, release.version, release.config_set_id, slug.digest
             FROM formation
             JOIN app ON app.id = formation.app_id
             JOIN release ON release.app_id = formation.app_id AND release.version =
                 (SELECT max(version) FROM release WHERE app_id = formation.app_id AND status = 'succeeded')
             JOIN slug ON slug.id = release.slug_id
             WHERE formation.quantity > 0 AND slug.digest IS NOT NULL {of_app}
             ORDER BY formation.app_id, formation.type",
        );
    let rows = connection
        .prepare_cached(&sql)?
        .query_map([app], wanted)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

/// What it takes to start web dynos again as they were, of their own releases: those that have crashed and had served.
pub(super) fn served(connection: &Connection) -> Result<Vec<(Id, Wanted)>> {
    let rows = connection
        .prepare_cached(
            "SELECT dyno.app_id, app.name, dyno.type, 1, dyno.size, dyno.command, release.id, release.version,
                 release.config_set_id, slug.digest, dyno.id
             FROM dyno
             JOIN app ON app.id = dyno.app_id
             JOIN release ON release.id = dyno.release_id
             JOIN slug ON slug.id = release.slug_id
             WHERE dyno.state = 'crashed' AND dyno.served = 1 AND dyno.type = 'web' AND slug.digest IS NOT NULL",
        )?
        .query_map([], |row| Ok((row.get(10)?, wanted(row)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

fn wanted(row: &Row<'_>) -> rusqlite::Result<Wanted> {
    Ok(Wanted {
        app_id: row.get(0)?,
        app_name: row.get(1)?,
        r#type: row.get(2)?,
        quantity: row.get(3)?,
        size: row.get(4)?,
        command: row.get(5)?,
        release_id: row.get(6)?,
        release_version: row.get(7)?,
        config_set_id: row.get(8)?,
        digest: row.get(9)?,
    })
}
