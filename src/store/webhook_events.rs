//! Webhook events: what happened to an app's resources, as the API showed them then.
//!
//! An event is written in the transaction that made it happen, with a delivery to each webhook that asks for it. It must not know
//! how a delivery is made.

use rusqlite::{Connection, Row, params};
use serde_json::Value;

use super::page::{self, Field, Kind, Listing, Page};
use super::row::{found, json, text_enum};
use super::{webhook_deliveries, webhooks};
use crate::error::Result;
use crate::name::Id;
use crate::time::Timestamp;

text_enum! {
    /// What a webhook can be told of, by Heroku's names.
    Entity {
        Addon = "api:addon",
        AddonAttachment = "api:addon-attachment",
        App = "api:app",
        Build = "api:build",
        Collaborator = "api:collaborator",
        Domain = "api:domain",
        ApiDyno = "api:dyno",
        Formation = "api:formation",
        Release = "api:release",
        SniEndpoint = "api:sni-endpoint",
        Dyno = "dyno",
    }
}

impl Entity {
    pub const ALL: [Entity; 11] = [
        Entity::Addon,
        Entity::AddonAttachment,
        Entity::App,
        Entity::Build,
        Entity::Collaborator,
        Entity::Domain,
        Entity::ApiDyno,
        Entity::Formation,
        Entity::Release,
        Entity::SniEndpoint,
        Entity::Dyno,
    ];

    /// The resource's name: `release` of `api:release`.
    pub fn resource(self) -> &'static str {
        let name = self.as_str();
        name.strip_prefix("api:").unwrap_or(name)
    }
}

text_enum! {
    /// What became of the resource.
    Action { Create = "create", Update = "update", Destroy = "destroy" }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    pub id: Id,
    pub email: String,
}

#[derive(Clone, Debug)]
pub struct Event {
    pub id: Id,
    pub entity: Entity,
    pub action: Action,
    pub actor: Actor,
    /// The resource as the API showed it: after the change, or before it went.
    pub data: Value,
    /// What was otherwise before an update, an object.
    pub previous_data: Value,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "app_webhook_event.id", Kind::Id),
    Field::new("created_at", "app_webhook_event.created_at", Kind::Time),
];

pub(super) const COLUMNS: &str = "app_webhook_event.id, app_webhook_event.entity, app_webhook_event.action,
    app_webhook_event.actor_id, app_webhook_event.actor_email, app_webhook_event.data, app_webhook_event.previous_data,
    app_webhook_event.created_at";

/// From [`COLUMNS`], of which the first stands at `at`.
pub(super) fn event(row: &Row<'_>, at: usize) -> rusqlite::Result<Event> {
    let created_at = row.get(at + 7)?;
    Ok(Event {
        id: row.get(at)?,
        entity: row.get(at + 1)?,
        action: row.get(at + 2)?,
        actor: Actor {
            id: row.get(at + 3)?,
            email: row.get(at + 4)?,
        },
        data: json(row, at + 5)?,
        previous_data: json(row, at + 6)?,
        created_at,
        updated_at: created_at,
    })
}

/// What happened.
pub struct NewEvent<'a> {
    pub app: Id,
    /// Whose it is, when it is an add-on or attached by one.
    pub addon: Option<Id>,
    pub entity: Entity,
    pub action: Action,
    pub actor: &'a Actor,
    pub data: &'a Value,
    pub previous_data: &'a Value,
}

/// Writes down what happened, for each webhook of the app, or of an add-on, that asks for it; nothing where none does.
pub fn create(connection: &Connection, new: &NewEvent<'_>, now: Timestamp) -> Result<()> {
    let webhooks = webhooks::asking(connection, new.app, new.addon, new.entity)?;
    for told in webhooks.chunk_by(|one, other| one.owner_id == other.owner_id) {
        let (id, owner) = (Id::new(), told[0].owner_id);
        connection
            .prepare_cached(
                "INSERT INTO app_webhook_event (id, owner_id, entity, action, actor_id, actor_email, data, previous_data, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                id,
                owner,
                new.entity,
                new.action,
                new.actor.id,
                new.actor.email,
                new.data.to_string(),
                new.previous_data.to_string(),
                now
            ])?;
        for webhook in told {
            webhook_deliveries::create(connection, owner, webhook.id, id, now)?;
        }
    }
    Ok(())
}

/// An event that the webhooks of this app or add-on were told of.
pub fn find(connection: &Connection, owner: Id, id: Id) -> Result<Event> {
    let sql = format!("SELECT {COLUMNS} FROM app_webhook_event WHERE owner_id = ?1 AND id = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    found(
        statement.query_row(params![owner, id], |row| event(row, 0)),
        "webhook event",
    )
}

pub fn list(connection: &Connection, owner: Id, page: &Page) -> Result<Listing<Event>> {
    let query = page::Query {
        columns: COLUMNS,
        from: "app_webhook_event WHERE app_webhook_event.owner_id = ?1",
        id: "app_webhook_event.id",
        parameters: &[&owner],
    };
    page::select(connection, &query, page, |row| event(row, 0))
}
