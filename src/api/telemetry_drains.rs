//! Telemetry drains: added, seen, changed and removed, as log drains are. They belong to apps alone, for there are no spaces.
//!
//! Of what OpenTelemetry has, logs alone are sent, and over HTTP alone (see `drains`): a drain to which nothing would go is refused.

use std::collections::BTreeMap;

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::{Call, Caller};
use super::params::{self, Parts, Whole};
use super::reply::{Created, Reply};
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::outbound::Outbound;
use crate::store::access::Permission;
use crate::store::apps;
use crate::store::telemetry_drains::{
    self, Exporter, ExporterType, FIELDS, Settings, Signal, TelemetryDrain,
};
use crate::time::Timestamp;

/// Heroku's limits: of the endpoint and of a header's value in bytes, of a header's name in characters, and of their number.
const MAX_VALUE: usize = 1000;
const MAX_NAME: usize = 100;
const MAX_HEADERS: usize = 20;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TelemetryDrainOwner")]
pub struct OwnerView {
    id: Id,
    r#type: &'static str,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TelemetryDrainExporter")]
pub struct ExporterView {
    endpoint: String,
    headers: BTreeMap<String, String>,
    r#type: ExporterType,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TelemetryDrain")]
pub struct View {
    created_at: Timestamp,
    exporter: ExporterView,
    id: Id,
    owner: OwnerView,
    signals: Vec<Signal>,
    updated_at: Timestamp,
}

fn view(drain: TelemetryDrain) -> View {
    let exporter = drain.settings.exporter;
    View {
        created_at: drain.created_at,
        exporter: ExporterView {
            endpoint: exporter.endpoint,
            headers: exporter.headers,
            r#type: exporter.r#type,
        },
        id: drain.id,
        owner: OwnerView {
            id: drain.app_id,
            r#type: "app",
        },
        signals: drain.settings.signals,
        updated_at: drain.updated_at,
    }
}

/// The drain in the path, if the caller may do this with its app.
fn find(
    connection: &Connection,
    caller: &Caller,
    permission: Permission,
) -> Result<TelemetryDrain> {
    let id = caller.params.id("telemetry_drain", "telemetry drain")?;
    telemetry_drains::find(connection, &caller.account, id, permission)
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            telemetry_drains::list(connection, caller.app_id(connection)?, page)
        })
        .await?;
    paged.reply(view)
}

/// For whoever reads the config vars of the app, since headers are as secret.
pub async fn info(call: Call) -> Result<Reply<View>> {
    let drain = call.read(|connection, caller| find(connection, caller, Permission::Operate))?;
    Reply::of(&view(drain))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "TelemetryDrainOwnerParam")]
#[serde(deny_unknown_fields)]
pub struct OwnerParam {
    #[schemars(required)]
    id: Option<String>,
    #[schemars(required)]
    r#type: Option<String>,
}

/// What is left out of a change stays as it is.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "TelemetryDrainExporterParam")]
#[serde(deny_unknown_fields)]
pub struct ExporterParam {
    r#type: Option<String>,
    endpoint: Option<String>,
    headers: Option<BTreeMap<String, String>>,
}

impl Parts for ExporterParam {
    const NEEDED: &'static [&'static str] = &["endpoint", "type"];
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "TelemetryDrainNew")]
#[serde(deny_unknown_fields)]
pub struct New {
    #[schemars(required)]
    owner: Option<OwnerParam>,
    #[schemars(required)]
    signals: Option<Vec<String>>,
    #[schemars(required)]
    exporter: Option<Whole<ExporterParam>>,
}

pub async fn create(call: Call, new: New) -> Result<Created<View>> {
    let app = owner(params::required(new.owner, "owner")?)?;
    let Whole(exporter) = params::required(new.exporter, "exporter")?;
    let kind = params::required(exporter.r#type, "exporter.type")?;
    let settings = Settings {
        signals: signals(&params::required(new.signals, "signals")?)?,
        exporter: Exporter {
            r#type: exporter_type(&kind)?,
            endpoint: params::required(exporter.endpoint, "exporter.endpoint")?,
            headers: exporter.headers.unwrap_or_default(),
        },
    };
    check(&settings, &call.platform.outbound)?;
    let drain = call
        .write(move |connection, caller| {
            let app = apps::find_id(connection, &caller.account, &app, Permission::Manage)?;
            telemetry_drains::create(connection, app, &settings, caller.now)
        })
        .await?;
    Reply::of(&view(drain))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "TelemetryDrainChange")]
#[serde(deny_unknown_fields)]
pub struct Change {
    signals: Option<Vec<String>>,
    exporter: Option<ExporterParam>,
}

pub async fn update(call: Call, change: Change) -> Result<Reply<View>> {
    let wanted = change.signals.as_deref().map(signals).transpose()?;
    let exporter = change.exporter.unwrap_or(ExporterParam {
        r#type: None,
        endpoint: None,
        headers: None,
    });
    let kind = exporter.r#type.as_deref().map(exporter_type).transpose()?;
    let outbound = call.platform.outbound.clone();
    let drain = call
        .write(move |connection, caller| {
            let drain = find(connection, caller, Permission::Manage)?;
            let mut settings = drain.settings.clone();
            settings.signals = wanted.unwrap_or(settings.signals);
            let own = &mut settings.exporter;
            own.r#type = kind.unwrap_or(own.r#type);
            exporter
                .endpoint
                .into_iter()
                .for_each(|url| own.endpoint = url);
            exporter
                .headers
                .into_iter()
                .for_each(|headers| own.headers = headers);
            check(&settings, &outbound)?;
            telemetry_drains::update(connection, &drain, &settings, caller.now)
        })
        .await?;
    Reply::of(&view(drain))
}

pub async fn delete(call: Call) -> Result<Reply<View>> {
    let drain = call
        .write(|connection, caller| {
            let drain = find(connection, caller, Permission::Manage)?;
            telemetry_drains::delete(connection, drain.id)?;
            Ok(drain)
        })
        .await?;
    Reply::of(&view(drain))
}

/// The app that is to own a drain. 422 for a space.
fn owner(owner: OwnerParam) -> Result<Identity> {
    let id = params::required(owner.id, "owner.id")?;
    match params::required(owner.r#type, "owner.type")?.as_str() {
        "app" => Ok(Identity::parse(&id)),
        _ => Err(Error::invalid(
            "The owner of a telemetry drain is an app: give {\"type\": \"app\"} and the app's id.",
        )),
    }
}

fn signals(words: &[String]) -> Result<Vec<Signal>> {
    let parsed: Option<Vec<Signal>> = words.iter().map(|word| Signal::parse(word)).collect();
    let mut sorted = parsed.clone().unwrap_or_default();
    sorted.sort_unstable();
    sorted.dedup();
    parsed
        .filter(|signals| !signals.is_empty() && signals.len() == sorted.len())
        .ok_or_else(|| {
            Error::invalid(
                "The signals are traces, metrics and logs. Name at least one, and each once.",
            )
        })
}

fn exporter_type(word: &str) -> Result<ExporterType> {
    ExporterType::parse(word)
        .ok_or_else(|| Error::invalid("The type of an exporter is otlphttp or otlp."))
}

/// 422 for a drain to which nothing would be sent, for an endpoint that cannot be reached by its text, and for headers that could
/// not be sent.
fn check(settings: &Settings, outbound: &Outbound) -> Result<()> {
    if !settings.signals.contains(&Signal::Logs) {
        return Err(Error::invalid(
            "Of the signals this server sends the logs alone, so logs has to be among them.",
        ));
    }
    let exporter = &settings.exporter;
    if exporter.r#type == ExporterType::Grpc {
        return Err(Error::invalid(
            "This server does not speak gRPC: let the type of the exporter be otlphttp, with an endpoint for OTLP over HTTP.",
        ));
    }
    let (endpoint, headers) = (&exporter.endpoint, &exporter.headers);
    if endpoint.len() > MAX_VALUE {
        return Err(Error::invalid(format!(
            "The parameter exporter.endpoint is longer than {MAX_VALUE} bytes."
        )));
    }
    outbound.check_end(endpoint)?;
    let named = |name: &str| {
        (1..=MAX_NAME).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let fits = |(name, value): (&String, &String)| {
        named(name) && value.len() <= MAX_VALUE && !value.contains(char::is_control)
    };
    match headers.len() <= MAX_HEADERS && headers.iter().all(fits) {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "The headers do not fit: {MAX_HEADERS} at most, with names of {MAX_NAME} letters, digits, - and _ and values of \
             {MAX_VALUE} bytes without control characters."
        ))),
    }
}
