//! App webhooks: who is told of what happens to an app, and where.
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

/// Webhooks of one app at most, as on Heroku.
const MAX_WEBHOOKS: i64 = 10;

text_enum! {
    /// Whether a delivery is tried once, or again and again and in order.
    Level { Notify = "notify", Sync = "sync" }
}

#[derive(Clone, Debug)]
pub struct Webhook {
    pub id: Id,
    pub app_id: Id,
    pub app_name: String,
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
    "app_webhook.id, app_webhook.app_id, app.name, app_webhook.include, app_webhook.level,
    unseal(app_webhook.id, app_webhook.url), app_webhook.created_at, app_webhook.updated_at";
const FROM: &str = "app_webhook JOIN app ON app.id = app_webhook.app_id";

fn webhook(row: &Row<'_>) -> rusqlite::Result<Webhook> {
    let include: Vec<String> = json(row, 3)?;
    Ok(Webhook {
        id: row.get(0)?,
        app_id: row.get(1)?,
        app_name: row.get(2)?,
        include: entities(&include).collect(),
        level: row.get(4)?,
        url: row.get(5)?,
        created_at: row.get(6)?,
        updated_at: row.get(7)?,
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
    app: Id,
    new: &NewWebhook,
    now: Timestamp,
) -> Result<Webhook> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM app_webhook WHERE app_id = ?1")?
        .query_row([app], |row| row.get(0))?;
    if count >= MAX_WEBHOOKS {
        return Err(Error::invalid(format!(
            "This app has {count} webhooks already. Remove one that is no longer used."
        )));
    }
    let id = Id::new();
    connection
        .prepare_cached(
            "INSERT INTO app_webhook (id, app_id, include, level, url, secret, authorization, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, seal(?1, ?5), seal(?1, ?6), iif(?7 IS NULL, NULL, seal(?1, coalesce(?7, ''))), ?8, ?8)",
        )?
        .execute(params![
            id,
            app,
            names(&new.include)?,
            new.level,
            new.url,
            new.secret,
            new.authorization,
            now
        ])?;
    find(connection, app, id)
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

/// A webhook of this app.
pub fn find(connection: &Connection, app: Id, id: Id) -> Result<Webhook> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {FROM} WHERE app_webhook.app_id = ?1 AND app_webhook.id = ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    found(statement.query_row(params![app, id], webhook), "webhook")
}

pub fn list(connection: &Connection, app: Id, page: &Page) -> Result<Listing<Webhook>> {
    let query = page::Query {
        columns: COLUMNS,
        from: &format!("{FROM} WHERE app_webhook.app_id = ?1"),
        id: "app_webhook.id",
        parameters: &[&app],
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

/// The app's webhooks that ask to be told of this.
pub fn asking(connection: &Connection, app: Id, entity: Entity) -> Result<Vec<Id>> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM app_webhook WHERE app_id = ?1
         AND EXISTS (SELECT 1 FROM json_each(app_webhook.include) WHERE json_each.value = ?2) ORDER BY id",
    )?;
    let ids = statement.query_map(params![app, entity], |row| row.get(0))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

/// What the webhooks of each app that is there ask to be told of, all together.
pub fn wanted(connection: &Connection) -> Result<HashMap<Id, BTreeSet<Entity>>> {
    let mut wanted: HashMap<Id, BTreeSet<Entity>> = HashMap::new();
    let mut statement = connection.prepare_cached(
        "SELECT app_webhook.app_id, app_webhook.include FROM app_webhook JOIN app ON app.id = app_webhook.app_id",
    )?;
    for row in statement.query_map([], |row| {
        Ok((row.get::<_, Id>(0)?, json::<Vec<String>>(row, 1)?))
    })? {
        let (app, include) = row?;
        wanted.entry(app).or_default().extend(entities(&include));
    }
    Ok(wanted)
}

/// Forgets the webhooks of apps that are no more, once they have nothing left to tell. How many there were.
pub fn delete_orphans(connection: &Connection) -> Result<usize> {
    Ok(connection
        .prepare_cached(
            "DELETE FROM app_webhook WHERE NOT EXISTS (SELECT 1 FROM app WHERE app.id = app_webhook.app_id)
             AND NOT EXISTS (SELECT 1 FROM app_webhook_delivery WHERE webhook_id = app_webhook.id
                 AND status IN ('pending', 'scheduled', 'retrying'))",
        )?
        .execute([])?)
}
