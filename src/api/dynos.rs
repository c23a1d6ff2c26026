//! Dynos: seen, asked for, and asked to be replaced. Who starts and ends them reads it from the store.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::held_back::warned;
use super::reply::{Accepted, Created, Reply};
use super::view::Named;
use super::{params, rendezvous};
use crate::catalog;
use crate::error::{Error, ErrorId, Result};
use crate::log::platform as lines;
use crate::name::{Id, Identity, ProcessType};
use crate::secret;
use crate::store::apps::App;
use crate::store::config_vars::ConfigVars;
use crate::store::dynos::{self, Dyno, FIELDS, Which};
use crate::store::formation;
use crate::store::held_back;
use crate::store::one_offs::{self, MAX_SECONDS, NewAttach, NewOneOff, RUN};
use crate::store::release_phases::RELEASE;
use crate::time::Timestamp;

const DEFAULT_SIZE: &str = "Basic";
/// Of a terminal whose size nobody tells.
const ROWS: u16 = 24;
const COLUMNS: u16 = 80;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DynoReleaseRef")]
pub struct ReleaseRef {
    id: Id,
    version: i64,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Dyno")]
pub struct View {
    app: Named,
    attach_url: Option<String>,
    command: String,
    created_at: Timestamp,
    id: Id,
    name: String,
    release: ReleaseRef,
    size: String,
    state: dynos::State,
    r#type: String,
    updated_at: Timestamp,
}

impl View {
    /// With where to sit in front of it, which is shown once.
    pub(super) fn attached_at(self, url: String) -> View {
        View {
            attach_url: Some(url),
            ..self
        }
    }
}

pub(super) fn view(dyno: Dyno, app: &App) -> View {
    View {
        app: Named {
            id: app.id,
            name: app.name.clone(),
        },
        attach_url: None,
        name: dyno.name(),
        command: dyno.command,
        created_at: dyno.created_at,
        id: dyno.id,
        release: ReleaseRef {
            id: dyno.release_id,
            version: dyno.release_version,
        },
        size: dyno.size,
        state: dyno.state,
        r#type: dyno.r#type,
        updated_at: dyno.updated_at,
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let (app, held_back) = call.read(|connection, caller| {
        let app = caller.app(connection)?;
        let held_back = held_back::of(connection, app.id)?;
        Ok((app, held_back))
    })?;
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            dynos::list(connection, caller.app_id(connection)?, page)
        })
        .await?;
    Ok(warned(paged.reply(|dyno| view(dyno, &app))?, held_back))
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let (app, dyno) = call.read(|connection, caller| {
        let app = caller.app(connection)?;
        let dyno = dynos::find(connection, app.id, &caller.params.exact_identity("dyno"))?;
        Ok((app, dyno))
    })?;
    Reply::of(&view(dyno, &app))
}

/// A command to be run once. Whoever attaches to it gets a terminal there, as large as `env` says in LINES and COLUMNS, or of 24
/// lines with 80 columns. He gets plain streams if `force_no_tty` is set, or if `env` has a TERM and neither of the two, as the
/// official CLI says it when what it prints goes to no terminal.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "DynoNewDyno")]
pub struct NewDyno {
    attach: Option<bool>,
    #[schemars(required)]
    command: Option<String>,
    env: Option<BTreeMap<String, EnvValue>>,
    force_no_tty: Option<bool>,
    size: Option<String>,
    time_to_live: Option<i64>,
    r#type: Option<String>,
}

/// The official CLI sends the size of its terminal as numbers.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "it must be text, or a whole number")]
pub(super) enum EnvValue {
    Text(String),
    Number(i64),
}

impl NewDyno {
    /// With the secret of whoever attaches to it.
    fn check(self) -> Result<(NewOneOff, Option<String>)> {
        let command = command(self.command)?;
        let seconds = self.time_to_live.unwrap_or(MAX_SECONDS);
        if !(1..=MAX_SECONDS).contains(&seconds) {
            return Err(Error::invalid(format!(
                "The parameter time_to_live must be from 1 to {MAX_SECONDS} seconds."
            )));
        }
        let size = self.size.unwrap_or_else(|| DEFAULT_SIZE.to_owned());
        let size = catalog::dyno_size(&size).ok_or_else(super::formation::no_such_size)?;
        let kind = ProcessType::parse(self.r#type.as_deref().unwrap_or(RUN))?;
        let env = env(self.env);
        let secret = match self.attach {
            Some(true) => Some(secret::uuid()?),
            _ => None,
        };
        let terminal = terminal(&env, self.force_no_tty);
        let attach = secret.as_deref().map(|secret| NewAttach {
            digest: secret::digest(secret),
            terminal,
        });
        let new = NewOneOff {
            r#type: kind.to_string(),
            command,
            env,
            size: size.entry.name,
            seconds,
            attach,
        };
        Ok((new, secret))
    }
}

/// A line for a shell.
pub(super) fn command(command: Option<String>) -> Result<String> {
    let command = params::required(command, "command")?;
    let command = params::text(Some(command), "command", 32_768)?.unwrap_or_default();
    if command.trim().is_empty() {
        return Err(Error::invalid("The parameter command is empty."));
    }
    Ok(command)
}

pub(super) fn env(given: Option<BTreeMap<String, EnvValue>>) -> ConfigVars {
    let text = |value| match value {
        EnvValue::Text(text) => text,
        EnvValue::Number(number) => number.to_string(),
    };
    let given = given.unwrap_or_default().into_iter();
    given.map(|(name, value)| (name, text(value))).collect()
}

/// Rows and columns of the terminal that a client gets, if he gets one.
pub(super) fn terminal(env: &ConfigVars, force_no_tty: Option<bool>) -> Option<(u16, u16)> {
    let number = |name: &str| env.get(name)?.parse::<u16>().ok();
    let (rows, columns) = (number("LINES"), number("COLUMNS"));
    let prints_elsewhere = env.contains_key("TERM") && rows.is_none() && columns.is_none();
    let wanted = force_no_tty != Some(true) && !prints_elsewhere;
    wanted.then(|| (rows.unwrap_or(ROWS), columns.unwrap_or(COLUMNS)))
}

/// Runs a command in a one-off dyno of its own. It is written down with this, and started by whoever reads it there.
pub async fn create(call: Call, body: NewDyno) -> Result<Created<View>> {
    let (new, secret) = body.check()?;
    let (app, dyno) = call
        .write(move |connection, caller| {
            let app = caller.app(connection)?;
            let dyno = one_offs::create(connection, app.id, &new, caller.now)?;
            Ok((app, dyno))
        })
        .await?;
    let (logs, user) = (&call.platform.logs, &call.caller.account.email);
    lines::run(logs, app.id, &dyno.command, user);
    if secret.is_some() {
        lines::awaiting_client(logs, app.id, &dyno.name());
    }
    let view = view(dyno, &app);
    Reply::of(&match secret {
        Some(secret) => view.attached_at(rendezvous::url(&call, &secret)),
        None => view,
    })
}

/// Restarting a dyno and stopping one are the same for a dyno of the formation: another takes its place.
/// Nothing takes the place of a one-off dyno. One that serves in place of a successor that does not come up goes when that has.
pub async fn restart(call: Call) -> Result<Accepted> {
    call.write(|connection, caller| {
        let app = caller.app(connection)?;
        let dyno = dynos::find(connection, app.id, &caller.params.exact_identity("dyno"))?;
        if held_back::has_successor(connection, &dyno)? {
            return Err(Error::conflict(format!(
                "This dyno of v{} serves visitors until its successor comes up, and is not replaced otherwise. To have the successor tried \
                 again at once, restart all of its type: heroku ps:restart {}.",
                dyno.release_version, dyno.r#type
            )));
        }
        dynos::restart(connection, app.id, Which::One(dyno.id), caller.now)
    })
    .await?;
    Accepted::accepted()
}

/// The dynos of a type of the formation are replaced; of another type there may be one-off dynos, which are stopped.
pub async fn restart_type(call: Call) -> Result<Accepted> {
    call.write(|connection, caller| {
        let app = caller.app(connection)?;
        let identity = caller.params.exact_identity("type");
        let missing = match formation::find(connection, app.id, &identity) {
            // Its dynos are one-offs, though the formation has the type.
            Ok(entry) if entry.r#type == RELEASE => {
                return one_offs::stop(connection, app.id, RELEASE, caller.now);
            }
            Ok(entry) => {
                let which = Which::Type(&entry.r#type);
                return dynos::restart(connection, app.id, which, caller.now);
            }
            Err(error) => error,
        };
        let stopped = match &identity {
            Identity::Name(kind) if missing.id == ErrorId::NotFound => {
                one_offs::stop(connection, app.id, kind, caller.now)?
            }
            _ => 0,
        };
        if stopped == 0 {
            Err(missing)
        } else {
            Ok(stopped)
        }
    })
    .await?;
    Accepted::accepted()
}

pub async fn restart_all(call: Call) -> Result<Accepted> {
    call.write(|connection, caller| {
        let app = caller.app(connection)?;
        dynos::restart(connection, app.id, Which::All, caller.now)
    })
    .await?;
    Accepted::accepted()
}
