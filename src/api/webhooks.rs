//! Webhooks of an app, and those that the provider of an add-on has made for it. Neither a secret nor an authorization that was given is ever shown again.

use actix_web::http::header::HeaderName;
use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::addon_actions::of_provider;
use super::call::{Call, Caller};
use super::params;
use super::reply::{Created, Reply};
use super::view::{Named, left_out};
use crate::Platform;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::secret;
use crate::store::webhook_events::Entity;
use crate::store::webhooks::{self, FIELDS, Level, NewWebhook, Owner, Update, Webhook};
use crate::time::Timestamp;

/// Says a generated secret, once.
const SECRET: HeaderName = HeaderName::from_static("heroku-webhook-secret");
/// Of a URL, a secret and an authorization, in bytes.
const MAX_TEXT: usize = 4_096;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Webhook", transform = left_out)]
pub struct View {
    /// Of a webhook that an add-on's provider has made.
    #[serde(skip_serializing_if = "Option::is_none")]
    addon: Option<Named>,
    /// Of any other.
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<Named>,
    created_at: Timestamp,
    id: Id,
    include: Vec<Entity>,
    level: Level,
    updated_at: Timestamp,
    url: String,
}

fn view(webhook: Webhook) -> View {
    let named = |(id, name)| Named { id, name };
    View {
        app: webhook.addon.is_none().then(|| named(webhook.app)),
        addon: webhook.addon.map(named),
        created_at: webhook.created_at,
        id: webhook.id,
        include: webhook.include,
        level: webhook.level,
        updated_at: webhook.updated_at,
        url: webhook.url,
    }
}

/// Whose webhooks the path is about: the app's or, for its provider alone, the add-on's.
pub(super) fn owner(connection: &Connection, caller: &Caller) -> Result<Owner> {
    if caller.params.text("addon").is_empty() {
        let id = caller.app_id(connection)?;
        return Ok(Owner { id, app_id: id });
    }
    let addon = of_provider(connection, caller)?;
    Ok(Owner {
        id: addon.id,
        app_id: addon.app_id,
    })
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            webhooks::list(connection, owner(connection, caller)?.id, page)
        })
        .await?;
    paged.reply(view)
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let webhook = call.read(|connection, caller| {
        let id = caller.params.id("webhook", "webhook")?;
        webhooks::find(connection, owner(connection, caller)?.id, id)
    })?;
    Reply::of(&view(webhook))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WebhookNew")]
pub struct New {
    #[schemars(required)]
    include: Option<Vec<String>>,
    #[schemars(required)]
    level: Option<String>,
    #[schemars(required)]
    url: Option<String>,
    secret: Option<String>,
    authorization: Option<String>,
}

/// A secret comes as the header of the answer when nobody gave one.
pub async fn create(call: Call, new: New) -> Result<Created<View>> {
    let (secret, generated) = secret(new.secret)?;
    let new = NewWebhook {
        include: entities(params::required(new.include, "include")?)?,
        level: level(&params::required(new.level, "level")?)?,
        url: url(&call.platform, params::required(new.url, "url")?)?,
        secret,
        authorization: authorization(new.authorization)?,
    };
    let webhook = call
        .write(move |connection, caller| {
            webhooks::create(connection, owner(connection, caller)?, &new, caller.now)
        })
        .await?;
    let reply = Reply::of(&view(webhook))?;
    Ok(match &generated {
        Some(secret) => reply.with_header(SECRET, secret),
        None => reply,
    })
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "WebhookChange")]
pub struct Change {
    include: Option<Vec<String>>,
    level: Option<String>,
    url: Option<String>,
    /// Null has another one generated.
    #[serde(default, deserialize_with = "params::nullable")]
    secret: Option<Option<String>>,
    /// Null takes it away.
    #[serde(default, deserialize_with = "params::nullable")]
    authorization: Option<Option<String>>,
}

/// A secret comes as the header of the answer when another one was generated.
pub async fn update(call: Call, change: Change) -> Result<Reply<View>> {
    let (update, generated) = checked(&call.platform, change)?;
    let webhook = call
        .write(move |connection, caller| {
            let owner = owner(connection, caller)?.id;
            let id = caller.params.id("webhook", "webhook")?;
            webhooks::find(connection, owner, id)?;
            webhooks::update(connection, id, &update, caller.now)?;
            webhooks::find(connection, owner, id)
        })
        .await?;
    let reply = Reply::of(&view(webhook))?;
    Ok(match &generated {
        Some(secret) => reply.with_header(SECRET, secret),
        None => reply,
    })
}

/// What is to be changed, and a secret that was generated for it.
fn checked(platform: &Platform, change: Change) -> Result<(Update, Option<String>)> {
    let (secret, generated) = match change.secret {
        None => (None, None),
        Some(given) => {
            let (secret, generated) = secret(given)?;
            (Some(secret), generated)
        }
    };
    let update = Update {
        include: change.include.map(entities).transpose()?,
        level: change.level.as_deref().map(level).transpose()?,
        url: change.url.map(|given| url(platform, given)).transpose()?,
        secret,
        authorization: change.authorization.map(authorization).transpose()?,
    };
    Ok((update, generated))
}

pub async fn delete(call: Call) -> Result<Reply<View>> {
    let webhook = call
        .write(|connection, caller| {
            let id = caller.params.id("webhook", "webhook")?;
            let found = webhooks::find(connection, owner(connection, caller)?.id, id)?;
            webhooks::delete(connection, id)?;
            Ok(found)
        })
        .await?;
    Reply::of(&view(webhook))
}

fn entities(names: Vec<String>) -> Result<Vec<Entity>> {
    let mut entities = Vec::new();
    for name in names.iter().take(Entity::ALL.len() * 2) {
        let entity = Entity::parse(name).ok_or_else(|| {
            let all: Vec<&str> = Entity::ALL.iter().map(|known| known.as_str()).collect();
            Error::invalid(format!("The parameter include takes {}.", all.join(", ")))
        })?;
        if !entities.contains(&entity) {
            entities.push(entity);
        }
    }
    match entities.is_empty() {
        true => Err(Error::invalid(
            "The parameter include is empty. Name what the webhook is to be told of, such as api:release.",
        )),
        false => Ok(entities),
    }
}

fn level(text: &str) -> Result<Level> {
    Level::parse(text).ok_or_else(|| {
        Error::invalid(
            "The level is notify, for one attempt at each delivery, or sync, for as many as it takes.",
        )
    })
}

fn url(platform: &Platform, text: String) -> Result<String> {
    if text.len() > MAX_TEXT || platform.outbound.check(&text).is_err() {
        return Err(Error::invalid(
            "The URL does not fit. Give a whole http or https one, such as https://example.com/hooks, at an address that this \
             server may reach.",
        ));
    }
    Ok(text)
}

/// The secret that was given, or a generated one, which the answer has to say.
fn secret(given: Option<String>) -> Result<(String, Option<String>)> {
    match params::text(given, "secret", MAX_TEXT)? {
        Some(secret) if secret.is_empty() => Err(Error::invalid(
            "The secret is empty. Leave it out, and one is generated.",
        )),
        Some(secret) => Ok((secret, None)),
        None => {
            let secret = hex::encode(secret::random::<32>()?);
            Ok((secret.clone(), Some(secret)))
        }
    }
}

fn authorization(given: Option<String>) -> Result<Option<String>> {
    let given = params::text(given, "authorization", MAX_TEXT)?;
    let fits = |text: &String| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    match given.as_ref().is_none_or(fits) {
        true => Ok(given.filter(|text| !text.is_empty())),
        false => Err(Error::invalid(
            "The authorization is sent as a header, so it takes printable ASCII characters and nothing else.",
        )),
    }
}
