//! Lines as OpenTelemetry logs: the JSON form of OTLP/HTTP 1.x.
//!
//! Pure functions on text. <https://opentelemetry.io/docs/specs/otlp/#otlphttp> says what they look like; numbers of 64 bits are
//! strings in it. It must not know where they go.

use serde::Serialize;

use crate::log::{Line, Source};

/// The number of INFO. What an app means by a line, the platform does not know.
const INFO: u8 = 9;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Export<'a> {
    resource_logs: [ResourceLogs<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceLogs<'a> {
    resource: Resource<'a>,
    scope_logs: [ScopeLogs<'a>; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: [Attribute<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScopeLogs<'a> {
    scope: Scope,
    log_records: Vec<Record<'a>>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    time_unix_nano: String,
    observed_time_unix_nano: String,
    severity_number: u8,
    severity_text: &'static str,
    body: Text<'a>,
    attributes: [Attribute<'a>; 2],
}

#[derive(Serialize)]
struct Attribute<'a> {
    key: &'static str,
    value: Text<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Text<'a> {
    string_value: &'a str,
}

fn attribute<'a>(key: &'static str, string_value: &'a str) -> Attribute<'a> {
    Attribute {
        key,
        value: Text { string_value },
    }
}

/// The body of a request for these lines.
pub fn request(text: &str, app: &str) -> Vec<u8> {
    let lines = text.lines().filter_map(Line::parse);
    let log_records = lines.map(record).collect();
    let export = Export {
        resource_logs: [ResourceLogs {
            resource: Resource {
                attributes: [attribute("service.name", app)],
            },
            scope_logs: [ScopeLogs {
                scope: Scope {
                    name: "penstock",
                    version: env!("CARGO_PKG_VERSION"),
                },
                log_records,
            }],
        }],
    };
    // Nothing in it can fail to be written.
    serde_json::to_vec(&export).unwrap_or_default()
}

fn record(line: Line<'_>) -> Record<'_> {
    let micros = line.timestamp().map_or(0, |time| time.micros());
    let nanos = format!("{micros}000");
    Record {
        time_unix_nano: nanos.clone(),
        observed_time_unix_nano: nanos,
        severity_number: INFO,
        severity_text: "INFO",
        body: Text {
            string_value: line.message,
        },
        attributes: [
            attribute(
                "heroku.log.source",
                match line.source {
                    Source::App => "app",
                    Source::Heroku => "heroku",
                },
            ),
            attribute("heroku.log.process", line.process),
        ],
    }
}

/// Where logs go at an endpoint: `/v1/logs`, unless its path says so already.
pub fn url(endpoint: &str) -> String {
    let (base, query) = match endpoint.split_once('?') {
        Some((base, query)) => (base, format!("?{query}")),
        None => (endpoint, String::new()),
    };
    let base = base.trim_end_matches('/');
    match base.ends_with("/v1/logs") {
        true => format!("{base}{query}"),
        false => format!("{base}/v1/logs{query}"),
    }
}
