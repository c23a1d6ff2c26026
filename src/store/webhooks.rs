//! Webhooks: who is told of what happens to an app, and where. An app has some of its own, and so has each of its add-ons: those
//! are the provider's, who is told what the app's own are, but of no other provider's add-ons.
//!
//! The URL, the secret and the authorization are sealed. A webhook outlives its app until the last of its deliveries has ended, so
//! that it can be told of the app's own end.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, Row, params};

use super::page::{self, Field, Kind, Listing, Page};
use super::row::{found, json, text_enum};
use super::webhook_events::Entity;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::time::Timestamp;

/// Webhooks of one app or add-on at most, as on Heroku.
const MAX_WEBHOOKS: i64 = 10;

text_enum! {
    /// Whether a delivery is tried once, or again and again and in order.
    Level { Notify = "notify", Sync = "sync" }
}

#[derive(Clone, Debug)]
pub struct Webhook {
    pub id: Id,
    /// The app that it tells of.
    pub app: (Id, String),
    /// The add-on whose provider has made it.
    pub addon: Option<(Id, String)>,
    pub include: Vec<Entity>,
    pub level: Level,
    pub url: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "app_webhook.id", Kind::Id),
    Field::new("created_at", "app_webhook.created_at", Kind::Time),
];

const COLUMNS: &str =
    "app_webhook.id, app_webhook.app_id, app.name, addon.id, addon.name, app_webhook.include, app_webhook.level,
    unseal(app_webhook.id, app_webhook.url), app_webhook.created_at, app_webhook.updated_at";
const FROM: &str = "app_webhook JOIN app ON app.id = app_webhook.app_id
    LEFT JOIN addon ON addon.id = app_webhook.owner_id";

/// Whose a webhook is, and of which app it tells.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// The app itself, or one of its add-ons.
    pub id: Id,
    pub app_id: Id,
}

fn webhook(row: &Row<'_>) -> rusqlite::Result<Webhook> {
    let include: Vec<String> = json(row, 5)?;
    let addon = |id| Ok::<_, rusqlite::Error>((id, row.get(4)?));
    Ok(Webhook {
        id: row.get(0)?,
        app: (row.get(1)?, row.get(2)?),
        addon: row.get::<_, Option<Id>>(3)?.map(addon).transpose()?,
        include: entities(&include).collect(),
        level: row.get(6)?,
        url: row.get(7)?,
        created_at: row.get(8)?,
        updated_at: row.get(9)?,
    })
}

fn entities(names: &[String]) -> impl Iterator<Item = Entity> {
    names.iter().filter_map(|name| Entity::parse(name))
}

fn names(include: &[Entity]) -> Result<String> {
    let names: Vec<&str> = include.iter().map(|entity| entity.as_str()).collect();
    serde_json::to_string(&names).map_err(Error::internal)
}

/// What somebody asks to be told of.
#[derive(Clone)]
pub struct NewWebhook {
    pub include: Vec<Entity>,
    pub level: Level,
    pub url: String,
    /// What deliveries are signed with.
    pub secret: String,
    /// The value of a delivery's `Authorization` header.
    pub authorization: Option<String>,
}

/// 422 when it is one too many.
pub fn create(
    connection: &Connection,
    owner: Owner,
    new: &NewWebhook,
    now: Timestamp,
) -> Result<Webhook> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM app_webhook WHERE owner_id = ?1")?
        .query_row([owner.id], |row| row.get(0))?;
    if count >= MAX_WEBHOOKS {
        return Err(Error::invalid(format!(
            "There are {count} webhooks already. Remove one that is no longer used."
        )));
    }
    let id = Id::new();
    connection
        .prepare_cached(
            "INSERT INTO app_webhook (id, owner_id, app_id, include, level, url, secret, authorization, created_at, updated_at)
             VALUES (?1, ?9, ?2, ?3, ?4, seal(?1, ?5), seal(?1, ?6), iif(?7 IS NULL, NULL, seal(?1, coalesce(?7, ''))), ?8, ?8)",
        )?
        .execute(params![
            id,
            owner.app_id,
            names(&new.include)?,
            new.level,
            new.url,
            new.secret,
            new.authorization,
            now,
            owner.id
        ])?;
    find(connection, owner.id, id)
}

/// What a PATCH may change; `None` leaves it.
#[derive(Clone, Default)]
pub struct Update {
    pub include: Option<Vec<Entity>>,
    pub level: Option<Level>,
    pub url: Option<String>,
    pub secret: Option<String>,
    /// `Some(None)` takes it away.
    pub authorization: Option<Option<String>>,
}

/// Deliveries that have not ended are made as the webhook is from here on. What was to be shown to one receiver is not shown to
/// another: where the URL becomes another, the authorization goes, unless a new one comes with it.
pub fn update(connection: &Connection, id: Id, update: &Update, now: Timestamp) -> Result<()> {
    let include = update.include.as_deref().map(names).transpose()?;
    let authorization = update.authorization.clone().flatten();
    connection
        .prepare_cached(
            "UPDATE app_webhook SET include = coalesce(?2, include), level = coalesce(?3, level),
                 url = iif(?4 IS NULL, url, seal(id, coalesce(?4, ''))),
                 secret = iif(?5 IS NULL, secret, seal(id, coalesce(?5, ''))),
                 authorization = CASE WHEN NOT ?6 THEN iif(?4 <> unseal(id, url), NULL, authorization)
                     WHEN ?7 IS NULL THEN NULL ELSE seal(id, coalesce(?7, '')) END,
                 updated_at = ?8 WHERE id = ?1",
        )?
        .execute(params![
            id,
            include,
            update.level,
            update.url,
            update.secret,
            update.authorization.is_some(),
            authorization,
            now
        ])?;
    Ok(())
}

/// A webhook of this app or add-on.
pub fn find(connection: &Connection, owner: Id, id: Id) -> Result<Webhook> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {FROM} WHERE app_webhook.owner_id = ?1 AND app_webhook.id = ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    found(statement.query_row(params![owner, id], webhook), "webhook")
}

pub fn list(connection: &Connection, owner: Id, page: &Page) -> Result<Listing<Webhook>> {
    let query = page::Query {
        columns: COLUMNS,
        from: &format!("{FROM} WHERE app_webhook.owner_id = ?1"),
        id: "app_webhook.id",
        parameters: &[&owner],
    };
    page::select(connection, &query, page, webhook)
}

/// Forgets a webhook and its deliveries.
pub fn delete(connection: &Connection, id: Id) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM app_webhook WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// One that asks to be told.
pub struct Asking {
    pub owner_id: Id,
    pub id: Id,
}

/// The webhooks that ask to be told of this: the app's own and those of its add-ons, one owner's after another's. What is an
/// `addon`'s is told to that one and to no other, and a provider that gave its add-on up is told of nothing else.
pub fn asking(
    connection: &Connection,
    app: Id,
    addon: Option<Id>,
    entity: Entity,
) -> Result<Vec<Asking>> {
    let mut statement = connection.prepare_cached(
        "SELECT owner_id, id FROM app_webhook WHERE (owner_id = ?1 OR owner_id = ?2 OR (?2 IS NULL AND app_id = ?1 AND EXISTS
             (SELECT 1 FROM addon WHERE addon.id = app_webhook.owner_id AND addon.state <> 'deprovisioned')))
         AND EXISTS (SELECT 1 FROM json_each(app_webhook.include) WHERE json_each.value = ?3) ORDER BY owner_id, id",
    )?;
    let asking = statement.query_map(params![app, addon, entity], |row| {
        Ok(Asking {
            owner_id: row.get(0)?,
            id: row.get(1)?,
        })
    })?;
    Ok(asking.collect::<rusqlite::Result<_>>()?)
}

/// What the webhooks of each app that is there, and of each add-on, ask to be told of, all together. An add-on's count for its app
/// as well.
pub fn wanted(connection: &Connection) -> Result<HashMap<Id, BTreeSet<Entity>>> {
    let mut wanted: HashMap<Id, BTreeSet<Entity>> = HashMap::new();
    let mut statement = connection.prepare_cached(
        "SELECT app_webhook.app_id, app_webhook.owner_id, app_webhook.include
         FROM app_webhook JOIN app ON app.id = app_webhook.app_id",
    )?;
    for row in statement.query_map([], |row| {
        let include = json::<Vec<String>>(row, 2)?;
        Ok((row.get::<_, Id>(0)?, row.get::<_, Id>(1)?, include))
    })? {
        let (app, owner, include) = row?;
        wanted.entry(app).or_default().extend(entities(&include));
        wanted.entry(owner).or_default().extend(entities(&include));
    }
    Ok(wanted)
}

/// Forgets the webhooks of apps and add-ons that are no more, once they have nothing left to tell. How many there were.
pub fn delete_orphans(connection: &Connection) -> Result<usize> {
    Ok(connection
        .prepare_cached(
            "DELETE FROM app_webhook WHERE NOT EXISTS (SELECT 1 FROM app WHERE app.id = app_webhook.owner_id)
             AND NOT EXISTS (SELECT 1 FROM addon WHERE addon.id = app_webhook.owner_id)
             AND NOT EXISTS (SELECT 1 FROM app_webhook_delivery WHERE webhook_id = app_webhook.id
                 AND status IN ('pending', 'scheduled', 'retrying'))",
        )?
        .execute([])?)
}
