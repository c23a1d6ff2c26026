//! The state in numbers, for whoever watches the server; and whether it can be written at all.
//!
//! It must not know how they are shown.

use rusqlite::Connection;

use crate::error::Result;

/// How many there are.
pub struct Figures {
    pub apps: i64,
    /// By state.
    pub dynos: Vec<(String, i64)>,
    /// Builds that have begun, and those that wait.
    pub builds_running: i64,
    pub builds_waiting: i64,
    /// Releases whose command runs, and those whose turn has not come.
    pub phases_running: i64,
    pub phases_waiting: i64,
    /// What providers of add-ons are still to be asked.
    pub addon_tasks: i64,
    /// Runs of cron jobs that have begun, and those that wait.
    pub cron_running: i64,
    pub cron_waiting: i64,
    /// Deliveries to webhooks that are still to be made.
    pub deliveries_waiting: i64,
}

/// Takes about as long as there are dynos and apps.
pub fn figures(connection: &Connection) -> Result<Figures> {
    let count = |sql: &str| {
        connection
            .prepare_cached(sql)?
            .query_row([], |row| row.get(0))
    };
    let mut statement = connection
        .prepare_cached("SELECT state, count(*) FROM dyno GROUP BY state ORDER BY state")?;
    let dynos = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Figures {
        dynos: dynos.collect::<rusqlite::Result<_>>()?,
        apps: count("SELECT count(*) FROM app")?,
        builds_running: count(
            "SELECT count(*) FROM build WHERE status = 'pending' AND claimed_by IS NOT NULL",
        )?,
        builds_waiting: count(
            "SELECT count(*) FROM build WHERE status = 'pending' AND claimed_by IS NULL",
        )?,
        phases_running: count(
            "SELECT count(*) FROM release_phase WHERE dyno_id IS NOT NULL AND ended IS NULL",
        )?,
        phases_waiting: count(
            "SELECT count(*) FROM release CROSS JOIN release_phase ON release_phase.release_id = release.id
             WHERE release.status = 'pending' AND release_phase.dyno_id IS NULL",
        )?,
        addon_tasks: count(
            "SELECT (SELECT count(*) FROM addon WHERE task IS NOT NULL) + (SELECT count(*) FROM addon_removal)",
        )?,
        cron_running: count("SELECT count(*) FROM cron_run WHERE status = 'running'")?,
        cron_waiting: count("SELECT count(*) FROM cron_run WHERE status = 'pending'")?,
        deliveries_waiting: count(
            "SELECT count(*) FROM app_webhook_delivery WHERE next_attempt_at IS NOT NULL",
        )?,
    })
}

/// Writes something that changes nothing: the version of the schema, as it is.
pub fn touch(connection: &Connection) -> Result<()> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    connection.pragma_update(None, "user_version", version)?;
    Ok(())
}
