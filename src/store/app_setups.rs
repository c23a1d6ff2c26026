//! App setups: apps that are made from a source and what its `app.json` says. The row is the queue entry: it is pending until the
//! app is ready, or is deleted again because it could not be made so.
//!
//! The app, its build and the dyno of its postdeploy script are no references: the record stays when they are gone.

use rusqlite::{Connection, Row, params};

use super::accounts::Account;
use super::apps::{self, App};
use super::builds;
use super::config_vars::ConfigVars;
use super::row::{self, found, optional, text_enum};
use super::{releases, teams};
use crate::error::{Error, Result};
use crate::name::{self, AppName, Id, Identity};
use crate::time::Timestamp;

text_enum! {
    Status { Pending = "pending", Succeeded = "succeeded", Failed = "failed" }
}

/// Setups of one account that may be under way at once.
const MAX_PENDING: i64 = 20;
/// Names that are made up before it is given up.
const NAMES: usize = 20;

#[derive(Clone, Debug)]
pub struct Setup {
    pub id: Id,
    pub account_id: Id,
    pub app_id: Id,
    pub app_name: String,
    pub status: Status,
    pub failure_message: Option<String>,
    pub manifest_errors: Vec<String>,
    pub source_url: String,
    pub source_digest: Option<String>,
    pub checksum: Option<String>,
    pub version: Option<String>,
    /// Whose part of `environments` counts.
    pub environment: Option<String>,
    /// In place of those of the manifest.
    pub buildpacks: Option<Vec<String>>,
    /// What is left to do of the manifest, as JSON, once that was read.
    pub manifest: Option<String>,
    /// A provider has still to make an add-on for it.
    pub awaits_addons: bool,
    /// What became of an add-on that its provider did not make.
    pub addon_failure: Option<String>,
    pub build_id: Option<Id>,
    /// As of now, or of when the app was deleted.
    pub build_status: Option<builds::Status>,
    /// Of the release that the build led to, while it is there.
    pub release_status: Option<releases::Status>,
    pub postdeploy: Option<Postdeploy>,
    pub success_url: Option<String>,
    /// The app is there still.
    pub app_exists: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The postdeploy script, once it was asked for.
#[derive(Clone, Debug)]
pub struct Postdeploy {
    /// Of its dyno: `postdeploy.1234`.
    pub process: String,
    pub ended: bool,
    /// None while it runs, and when nobody knows.
    pub exit_code: Option<i64>,
    /// None until it is kept.
    pub output: Option<String>,
}

const COLUMNS: &str = "app_setup.id, app_setup.account_id, app_setup.app_id,
    coalesce((SELECT name FROM app WHERE app.id = app_setup.app_id), app_setup.app_name), app_setup.status, app_setup.failure_message,
    app_setup.manifest_errors, unseal(app_setup.id, app_setup.source_url), app_setup.source_digest, app_setup.checksum, app_setup.version,
    app_setup.environment, app_setup.buildpacks, app_setup.manifest, app_setup.build_id,
    coalesce((SELECT status FROM build WHERE build.id = app_setup.build_id), app_setup.build_status),
    app_setup.postdeploy_process, app_setup.postdeploy_ended, app_setup.postdeploy_exit_code,
    CASE WHEN app_setup.postdeploy_output IS NOT NULL THEN unseal(app_setup.id, app_setup.postdeploy_output) END, app_setup.success_url, EXISTS (SELECT 1 FROM app WHERE app.id = app_setup.app_id), app_setup.created_at, app_setup.updated_at,
    (SELECT release.status FROM build JOIN release ON release.id = build.release_id WHERE build.id = app_setup.build_id),
    EXISTS (SELECT 1 FROM json_each(app_setup.addons) AS asked JOIN addon ON addon.id = asked.value
        WHERE addon.state = 'provisioning'),
    (SELECT plan.name || ': ' || addon.provision_message FROM json_each(app_setup.addons) AS asked
        JOIN addon ON addon.id = asked.value JOIN plan ON plan.id = addon.plan_id
        WHERE addon.state = 'deprovisioned' ORDER BY addon.id LIMIT 1)";

fn setup(row: &Row<'_>) -> rusqlite::Result<Setup> {
    let buildpacks: Option<String> = row.get(12)?;
    let postdeploy = match row.get(16)? {
        None => None,
        Some(process) => Some(Postdeploy {
            process,
            ended: row.get(17)?,
            exit_code: row.get(18)?,
            output: row.get(19)?,
        }),
    };
    Ok(Setup {
        id: row.get(0)?,
        account_id: row.get(1)?,
        app_id: row.get(2)?,
        app_name: row.get(3)?,
        status: row.get(4)?,
        failure_message: row.get(5)?,
        manifest_errors: row::json(row, 6)?,
        source_url: row.get(7)?,
        source_digest: row.get(8)?,
        checksum: row.get(9)?,
        version: row.get(10)?,
        environment: row.get(11)?,
        buildpacks: match buildpacks {
            None => None,
            Some(_) => Some(row::json(row, 12)?),
        },
        manifest: row.get(13)?,
        build_id: row.get(14)?,
        build_status: row.get(15)?,
        postdeploy,
        success_url: row.get(20)?,
        app_exists: row.get(21)?,
        created_at: row.get(22)?,
        updated_at: row.get(23)?,
        release_status: row.get(24)?,
        awaits_addons: row.get(25)?,
        addon_failure: row.get(26)?,
    })
}

/// What a client asks to be set up.
#[derive(Clone, Debug)]
pub struct NewSetup {
    /// None makes one up.
    pub name: Option<AppName>,
    /// The team that is to have the app, instead of whoever asks.
    pub team: Option<Identity>,
    /// Only for a team's app.
    pub locked: bool,
    pub source_url: String,
    /// Of an upload.
    pub source_digest: Option<String>,
    pub checksum: Option<String>,
    pub version: Option<String>,
    pub environment: Option<&'static str>,
    /// Before what the manifest says.
    pub env: ConfigVars,
    pub buildpacks: Option<Vec<String>>,
}

/// Makes the app and queues its setup. 422 when the name is taken, 409 when too many setups are under way.
pub fn create(
    connection: &Connection,
    by: &Account,
    new: &NewSetup,
    now: Timestamp,
) -> Result<(Setup, App)> {
    let pending: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM app_setup WHERE account_id = ?1 AND status = 'pending'",
        )?
        .query_row([by.id], |row| row.get(0))?;
    if pending >= MAX_PENDING {
        return Err(Error::conflict(format!(
            "{pending} of your app setups are under way already. Wait until some have ended, then create this one again."
        )));
    }
    let app = create_app(connection, by, new, now)?;
    let env = serde_json::to_string(&new.env).map_err(Error::internal)?;
    let buildpacks = new.buildpacks.as_ref().map(serde_json::to_string);
    let buildpacks = buildpacks.transpose().map_err(Error::internal)?;
    let id = Id::new();
    connection
        .prepare_cached(
            "INSERT INTO app_setup (id, account_id, app_id, app_name, status, source_url, source_digest, checksum, version,
                 environment, env, buildpacks, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, 'pending', seal(?1, ?5), ?6, ?7, ?8, ?9, seal(?1, ?10), ?11, ?12, ?12)",
        )?
        .execute(params![
            id,
            by.id,
            app.id,
            app.name,
            new.source_url,
            new.source_digest,
            new.checksum,
            new.version,
            new.environment,
            env,
            buildpacks,
            now
        ])?;
    let setup = by_id(connection, id)?.ok_or_else(|| Error::not_found("app setup"))?;
    Ok((setup, app))
}

/// The app of a setup. A name that was made up and is taken is nobody's fault: another is made up.
fn create_app(
    connection: &Connection,
    by: &Account,
    new: &NewSetup,
    now: Timestamp,
) -> Result<App> {
    let mut name = new.name.clone().map_or_else(name::generated, Ok)?;
    for _ in 0..NAMES {
        if new.name.is_some() || !apps::is_taken(connection, &name)? {
            break;
        }
        name = name::generated()?;
    }
    match &new.team {
        None => apps::create(connection, &name, by, now),
        Some(team) => {
            let team = teams::find(connection, by, team)?.for_members()?;
            apps::create_in_team(connection, &name, &team, by, new.locked, now)
        }
    }
}

/// A setup, for whoever may see its app, and when that is gone for who made it.
pub fn find(connection: &Connection, account: &Account, id: Id) -> Result<Setup> {
    let sql = format!(
        "SELECT {COLUMNS} FROM app_setup WHERE app_setup.id = ?2 AND (?3 OR EXISTS (
             SELECT 1 FROM collaborator WHERE collaborator.app_id = app_setup.app_id AND collaborator.account_id = ?1)
         OR (app_setup.account_id = ?1 AND NOT EXISTS (SELECT 1 FROM app WHERE app.id = app_setup.app_id)))"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    found(
        statement.query_row(params![account.id, id, account.admin], setup),
        "app setup",
    )
}

/// Why there is no such app, if this account asked for it and its setup failed: the last one, where the name was tried again.
pub fn why_missing(connection: &Connection, account: Id, app: &Identity) -> Result<Option<String>> {
    let (column, value): (&str, &dyn rusqlite::ToSql) = match app {
        Identity::Id(id) => ("app_id", id),
        Identity::Name(name) => ("app_name", name),
    };
    let sql = format!(
        "SELECT failure_message FROM app_setup WHERE account_id = ?1 AND {column} = ?2 AND status = 'failed'
             AND NOT EXISTS (SELECT 1 FROM app WHERE app.id = app_setup.app_id)
         ORDER BY id DESC LIMIT 1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let found = optional(statement.query_row(params![account, value], |row| {
        row.get::<_, Option<String>>(0)
    }))?;
    Ok(found.flatten())
}

/// A setup, for the platform's own work.
pub fn by_id(connection: &Connection, id: Id) -> Result<Option<Setup>> {
    let sql = format!("SELECT {COLUMNS} FROM app_setup WHERE app_setup.id = ?1");
    optional(connection.prepare_cached(&sql)?.query_row([id], setup))
}

/// What is given before the manifest's own values.
pub fn env(connection: &Connection, id: Id) -> Result<ConfigVars> {
    let mut statement =
        connection.prepare_cached("SELECT unseal(id, env) FROM app_setup WHERE id = ?1")?;
    let json: String = found(statement.query_row([id], |row| row.get(0)), "app setup")?;
    serde_json::from_str(&json).map_err(Error::internal)
}

/// Setups that are under way, oldest first.
pub fn pending(connection: &Connection) -> Result<Vec<Setup>> {
    let sql =
        format!("SELECT {COLUMNS} FROM app_setup WHERE app_setup.status = 'pending' ORDER BY id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], setup)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What was read of the source of a setup.
pub struct Read<'a> {
    /// What is left to do, as JSON.
    pub manifest: &'a str,
    pub success_url: Option<&'a str>,
    /// The source, which is kept until the setup has ended.
    pub digest: &'a str,
    /// The add-ons that were asked for.
    pub addons: &'a [Id],
}

/// Notes what was read.
pub fn note_read(connection: &Connection, id: Id, read: &Read<'_>, now: Timestamp) -> Result<()> {
    let addons = serde_json::to_string(read.addons).map_err(Error::internal)?;
    connection
        .prepare_cached(
            "UPDATE app_setup SET manifest = ?2, success_url = ?3, source_digest = ?4, addons = ?5, updated_at = ?6 WHERE id = ?1",
        )?
        .execute(params![id, read.manifest, read.success_url, read.digest, addons, now])?;
    Ok(())
}

/// Notes the build of a setup.
pub fn note_build(connection: &Connection, id: Id, build: Id, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached("UPDATE app_setup SET build_id = ?2, updated_at = ?3 WHERE id = ?1")?
        .execute(params![id, build, now])?;
    Ok(())
}

/// Notes the dyno of the postdeploy script.
pub fn note_postdeploy(
    connection: &Connection,
    id: Id,
    dyno: Id,
    process: &str,
    now: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE app_setup SET postdeploy_dyno_id = ?2, postdeploy_process = ?3, updated_at = ?4 WHERE id = ?1",
        )?
        .execute(params![id, dyno, process, now])?;
    Ok(())
}

/// Notes that a dyno has ended, if it ran a postdeploy script, and its exit status, if that is known.
pub(super) fn postdeploy_ended(
    connection: &Connection,
    dyno: Id,
    status: Option<i32>,
    now: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE app_setup SET postdeploy_ended = 1, postdeploy_exit_code = ?2, updated_at = ?3
             WHERE postdeploy_dyno_id = ?1 AND postdeploy_ended = 0",
        )?
        .execute(params![dyno, status, now])?;
    Ok(())
}

/// Whether a setup tells of this build. Its output is kept then, though the build's app may be gone.
pub fn tells_of_build(connection: &Connection, build: Id) -> Result<bool> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM app_setup WHERE build_id = ?1)")?
        .query_row([build], |row| row.get(0))?)
}
