//! Whether a pipeline has review apps, and how they are named and when they go.

use rusqlite::{Connection, Row, params};

use super::row::{optional, unique};
use crate::error::{Error, Result};
use crate::name::{AppName, Id};

/// Days without a deployment, where nobody says how many: Heroku's.
const STALE_DAYS: i64 = 5;
const MAX_STALE_DAYS: i64 = 30;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub pipeline_id: Id,
    pub base_name: Option<String>,
    pub destroy_stale_apps: bool,
    pub stale_days: i64,
}

/// What is to be changed; `None` leaves it, and for `base_name` there is a `None` within to take it away.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub base_name: Option<Option<String>>,
    pub destroy_stale_apps: Option<bool>,
    pub stale_days: Option<i64>,
}

fn config(row: &Row<'_>) -> rusqlite::Result<Config> {
    Ok(Config {
        pipeline_id: row.get(0)?,
        base_name: row.get(1)?,
        destroy_stale_apps: row.get(2)?,
        stale_days: row.get(3)?,
    })
}

pub fn find(connection: &Connection, pipeline: Id) -> Result<Option<Config>> {
    let mut statement = connection.prepare_cached(
        "SELECT pipeline_id, base_name, destroy_stale_apps, stale_days FROM review_app_config WHERE pipeline_id = ?1",
    )?;
    optional(statement.query_row([pipeline], config))
}

/// Enables review apps. 422 when they are enabled already.
pub fn create(connection: &Connection, pipeline: Id, change: &Change) -> Result<Config> {
    let config = apply(
        Config {
            pipeline_id: pipeline,
            base_name: None,
            destroy_stale_apps: false,
            stale_days: STALE_DAYS,
        },
        change,
    )?;
    let inserted = connection
        .prepare_cached(
            "INSERT INTO review_app_config (pipeline_id, base_name, destroy_stale_apps, stale_days) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            pipeline,
            config.base_name,
            config.destroy_stale_apps,
            config.stale_days
        ]);
    match inserted {
        Err(error) if is_taken(&error) => Err(taken()),
        inserted => {
            unique(inserted, taken)?;
            Ok(config)
        }
    }
}

fn is_taken(error: &rusqlite::Error) -> bool {
    error.sqlite_extended_error_code() == Some(rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY)
}

fn taken() -> Error {
    Error::invalid(
        "Review apps are enabled for this pipeline already. PATCH its review-app-config to change it.",
    )
}

pub fn update(connection: &Connection, before: Config, change: &Change) -> Result<Config> {
    let config = apply(before, change)?;
    connection
        .prepare_cached(
            "UPDATE review_app_config SET base_name = ?2, destroy_stale_apps = ?3, stale_days = ?4 WHERE pipeline_id = ?1",
        )?
        .execute(params![
            config.pipeline_id,
            config.base_name,
            config.destroy_stale_apps,
            config.stale_days
        ])?;
    Ok(config)
}

/// Disables review apps. Those that are there stay.
pub fn delete(connection: &Connection, pipeline: Id) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM review_app_config WHERE pipeline_id = ?1")?
        .execute([pipeline])?;
    Ok(())
}

fn apply(mut config: Config, change: &Change) -> Result<Config> {
    if let Some(base_name) = &change.base_name {
        if let Some(name) = base_name {
            AppName::parse(name)?;
        }
        config.base_name.clone_from(base_name);
    }
    config.destroy_stale_apps = change
        .destroy_stale_apps
        .unwrap_or(config.destroy_stale_apps);
    config.stale_days = change.stale_days.unwrap_or(config.stale_days);
    if !(1..=MAX_STALE_DAYS).contains(&config.stale_days) {
        return Err(Error::invalid(format!(
            "The parameter stale_days must be from 1 to {MAX_STALE_DAYS}."
        )));
    }
    Ok(config)
}
