//! Webhook events of an app or an add-on: what their webhooks were told of.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::call::Call;
use super::reply::Reply;
use super::view::User;
use super::webhooks::owner;
use crate::error::Result;
use crate::name::Id;
use crate::store::webhook_events::{self, Action, Entity, Event, FIELDS};
use crate::time::Timestamp;

/// How all that is shown of an event is meant.
pub const VERSION: &str = "application/vnd.heroku+json; version=3";

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookEventPayload")]
pub struct Payload {
    action: Action,
    actor: User,
    data: Value,
    previous_data: Value,
    resource: &'static str,
    version: &'static str,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookEvent")]
pub struct View {
    created_at: Timestamp,
    id: Id,
    include: Entity,
    payload: Payload,
    updated_at: Timestamp,
}

fn view(event: Event) -> View {
    View {
        created_at: event.created_at,
        id: event.id,
        include: event.entity,
        payload: Payload {
            action: event.action,
            actor: User {
                email: event.actor.email,
                id: event.actor.id,
            },
            data: event.data,
            previous_data: event.previous_data,
            resource: event.entity.resource(),
            version: VERSION,
        },
        updated_at: event.updated_at,
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            webhook_events::list(connection, owner(connection, caller)?.id, page)
        })
        .await?;
    paged.reply(view)
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let event = call.read(|connection, caller| {
        let id = caller.params.id("event", "webhook event")?;
        webhook_events::find(connection, owner(connection, caller)?.id, id)
    })?;
    Reply::of(&view(event))
}
