//! Telemetry drains: where the OpenTelemetry signals of an app are to be sent. Endpoints and headers are sealed, since they may hold
//! credentials.
//!
//! It must not know which endpoints and headers may be used: what is kept here was checked.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};
use serde::Serialize;

use super::access::{self, Permission};
use super::accounts::Account;
use super::page::{self, Field, Kind, Listing, Page};
use super::row::{found, json, text_enum};
use crate::error::{Error, Result};
use crate::name::Id;
use crate::time::Timestamp;

/// Drains of one app at most, as of log drains.
const MAX_DRAINS: i64 = 5;

text_enum! {
    /// What OpenTelemetry tells apart.
    Signal { Traces = "traces", Metrics = "metrics", Logs = "logs" }
}

text_enum! {
    /// How signals are sent: over HTTP or over gRPC.
    ExporterType { Http = "otlphttp", Grpc = "otlp" }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exporter {
    pub r#type: ExporterType,
    pub endpoint: String,
    pub headers: BTreeMap<String, String>,
}

/// What somebody wants of a drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Each once, at least one.
    pub signals: Vec<Signal>,
    pub exporter: Exporter,
}

#[derive(Clone, Debug)]
pub struct TelemetryDrain {
    pub id: Id,
    pub app_id: Id,
    pub settings: Settings,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "telemetry_drain.id", Kind::Id),
    Field::new("created_at", "telemetry_drain.created_at", Kind::Time),
];

const COLUMNS: &str = "telemetry_drain.id, telemetry_drain.app_id, telemetry_drain.signals, telemetry_drain.exporter_type,
    unseal(telemetry_drain.id || '/endpoint', telemetry_drain.endpoint),
    unseal(telemetry_drain.id || '/headers', telemetry_drain.headers), telemetry_drain.created_at, telemetry_drain.updated_at";

fn telemetry_drain(row: &Row<'_>) -> rusqlite::Result<TelemetryDrain> {
    let signals: Vec<String> = json(row, 2)?;
    Ok(TelemetryDrain {
        id: row.get(0)?,
        app_id: row.get(1)?,
        settings: Settings {
            signals: signals
                .iter()
                .filter_map(|word| Signal::parse(word))
                .collect(),
            exporter: Exporter {
                r#type: row.get(3)?,
                endpoint: row.get(4)?,
                headers: json(row, 5)?,
            },
        },
        created_at: row.get(6)?,
        updated_at: row.get(7)?,
    })
}

fn text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}

/// Adds a drain. 422 for one too many.
pub fn create(
    connection: &Connection,
    app: Id,
    settings: &Settings,
    now: Timestamp,
) -> Result<TelemetryDrain> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM telemetry_drain WHERE app_id = ?1")?
        .query_row([app], |row| row.get(0))?;
    if count >= MAX_DRAINS {
        return Err(Error::invalid(format!(
            "This app has {count} telemetry drains already. Remove one that is no longer used."
        )));
    }
    let (id, exporter) = (Id::new(), &settings.exporter);
    connection
        .prepare_cached(
            "INSERT INTO telemetry_drain (id, app_id, signals, exporter_type, endpoint, headers, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, seal(?1 || '/endpoint', ?5), seal(?1 || '/headers', ?6), ?7, ?7)",
        )?
        .execute(params![
            id,
            app,
            text(&settings.signals)?,
            exporter.r#type,
            exporter.endpoint,
            text(&exporter.headers)?,
            now
        ])?;
    by_id(connection, id)
}

/// Puts other settings in the place of those that are there.
pub fn update(
    connection: &Connection,
    drain: &TelemetryDrain,
    settings: &Settings,
    now: Timestamp,
) -> Result<TelemetryDrain> {
    if drain.settings == *settings {
        return Ok(drain.clone());
    }
    let exporter = &settings.exporter;
    connection
        .prepare_cached(
            "UPDATE telemetry_drain SET signals = ?2, exporter_type = ?3, endpoint = seal(?1 || '/endpoint', ?4),
                 headers = seal(?1 || '/headers', ?5), updated_at = ?6
             WHERE id = ?1",
        )?
        .execute(params![
            drain.id,
            text(&settings.signals)?,
            exporter.r#type,
            exporter.endpoint,
            text(&exporter.headers)?,
            now
        ])?;
    by_id(connection, drain.id)
}

fn by_id(connection: &Connection, id: Id) -> Result<TelemetryDrain> {
    let sql = format!("SELECT {COLUMNS} FROM telemetry_drain WHERE id = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    found(
        statement.query_row([id], telemetry_drain),
        "telemetry drain",
    )
}

/// A drain, if `account` may do this with its app. To a stranger it does not exist.
pub fn find(
    connection: &Connection,
    account: &Account,
    id: Id,
    permission: Permission,
) -> Result<TelemetryDrain> {
    let drain = by_id(connection, id)?;
    if access::permissions(connection, account, drain.app_id)?.is_none() {
        return Err(Error::not_found("telemetry drain"));
    }
    access::require(connection, account, drain.app_id, permission)?;
    Ok(drain)
}

pub fn list(connection: &Connection, app: Id, page: &Page) -> Result<Listing<TelemetryDrain>> {
    let query = page::Query {
        columns: COLUMNS,
        from: "telemetry_drain WHERE telemetry_drain.app_id = ?1",
        id: "telemetry_drain.id",
        parameters: &[&app],
    };
    page::select(connection, &query, page, telemetry_drain)
}

/// Every drain of every app with the app's name, the oldest first.
pub fn all(connection: &Connection) -> Result<Vec<(TelemetryDrain, String)>> {
    let sql = format!(
        "SELECT {COLUMNS}, app.name FROM telemetry_drain JOIN app ON app.id = telemetry_drain.app_id ORDER BY telemetry_drain.id"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], |row| Ok((telemetry_drain(row)?, row.get(8)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub fn delete(connection: &Connection, id: Id) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM telemetry_drain WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}
