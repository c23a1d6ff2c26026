//! The audit trail: what was done over this API, by whom and from where, for the server's admins. It is kept for all of the server,
//! under the name `penstock` where Heroku has the name of an enterprise account.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::call::Call;
use super::reply::Reply;
use crate::catalog;
use crate::error::{Error, Result};
use crate::name::Identity;
use crate::store::audit_trail::{self, Deed, Event, FIELDS, Filter};
use crate::time::Timestamp;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// What must not be told of a path: some of these stand for the right to do something.
const SECRET: &[&str] = &[
    "access_token",
    "authorization",
    "code",
    "log_drain",
    "token",
];

/// 404 for everybody but an admin, and for every name but this server's.
pub(super) fn require_trail(call: &Call) -> Result<()> {
    let named = match call.caller.params.identity("enterprise_account") {
        Identity::Id(id) => id == catalog::SERVER.id,
        Identity::Name(name) => name == catalog::SERVER.name,
    };
    match named && call.caller.account.admin {
        true => Ok(()),
        false => Err(Error::not_found("enterprise_account")),
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<Event>>> {
    require_trail(&call)?;
    let filter = filter(&call)?;
    let descending = match call.query("order").as_deref() {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(_) => return Err(Error::invalid("The order is asc or desc.")),
    };
    let paged = call
        .page(FIELDS, move |connection, _, page| {
            let mut page = page.clone();
            page.descending |= descending;
            audit_trail::list(connection, &filter, &page)
        })
        .await?;
    paged.reply(|event| event)
}

fn filter(call: &Call) -> Result<Filter> {
    let day = match call.query("day") {
        Some(day) => day,
        None => call.caller.now.to_seconds()[..10].to_owned(),
    };
    let from = Timestamp::parse(&format!("{day}T00:00:00Z"));
    let from = from.ok_or_else(|| {
        Error::invalid("The day cannot be read. Write it as in day=2026-01-31; it is one of UTC.")
    })?;
    Ok(Filter {
        from,
        until: from.plus(DAY),
        entity: call.query("type"),
        action: call.query("action"),
        actor: call.query("actor"),
    })
}

impl Call {
    /// What the request does, for the audit trail; `None` for one that asks, or whose deed is there already.
    pub(super) fn deed(&self) -> Option<Deed> {
        let route = self.route;
        if matches!(route.method, "GET") || self.noted.get().is_some() {
            return None;
        }
        let params = &self.caller.params;
        let named = |name: &str| {
            let there = params.0.iter().any(|(known, _)| known == name);
            there.then(|| params.identity(name))
        };
        let (entity, action) = words(route.method, route.path);
        Some(Deed {
            entity,
            action,
            app: named("app"),
            team: named("team"),
            from: self
                .request
                .peer_addr()
                .map(|peer| peer.ip().to_canonical().to_string()),
            data: self.told(),
        })
    }

    /// Takes back what the audit trail says of this request, which has come to nothing after all.
    pub(super) async fn withdraw(&self) -> Result<()> {
        let (noted, now) = (self.noted.get(), self.caller.now);
        let Some(event) = noted else { return Ok(()) };
        let withdraw = move |connection: &_| audit_trail::withdraw(connection, event, now);
        self.platform.store.write(withdraw).await
    }

    fn told(&self) -> Value {
        let parameters: Map<String, Value> = self
            .caller
            .params
            .0
            .iter()
            .filter(|(name, _)| !SECRET.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        let operation = format!("{} {}", self.route.method, self.route.path);
        json!({ "operation": operation, "parameters": parameters })
    }
}

/// What it is that a route changes, and what becomes of it.
fn words(method: &str, path: &str) -> (String, String) {
    let fixed = |part: &&str| !part.is_empty() && !part.starts_with('{');
    let (resource, action) = match path.split_once("/actions/") {
        Some((resource, action)) => (resource, action),
        None => match path.strip_suffix("/accept") {
            Some(resource) => (resource, "accept"),
            None => (path, verb(method)),
        },
    };
    let noun = resource.split('/').rfind(fixed).unwrap_or_default();
    (singular(noun), action.to_owned())
}

fn verb(method: &str) -> &'static str {
    match method {
        "POST" => "create",
        "DELETE" => "destroy",
        _ => "update",
    }
}

/// `release` of `releases`.
fn singular(noun: &str) -> String {
    match noun {
        "statuses" => "status".to_owned(),
        "preferences" => noun.to_owned(),
        _ => noun.strip_suffix('s').unwrap_or(noun).to_owned(),
    }
}
