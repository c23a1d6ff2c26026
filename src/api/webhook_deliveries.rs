//! Webhook deliveries of an app or an add-on: which event went to which webhook, and how that went.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::reply::Reply;
use super::webhooks::owner;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::store::webhook_deliveries::{self, Attempt, AttemptStatus, Delivery, FIELDS, Status};
use crate::store::webhook_events::Entity;
use crate::store::webhooks::Level;
use crate::time::Timestamp;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookDeliveryEvent")]
pub struct EventRef {
    id: Id,
    include: Entity,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookAttempt")]
pub struct AttemptView {
    code: Option<u16>,
    created_at: Timestamp,
    error_class: Option<String>,
    id: Id,
    status: AttemptStatus,
    updated_at: Timestamp,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookDeliveryWebhook")]
pub struct WebhookRef {
    id: Id,
    level: Level,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookDelivery")]
pub struct View {
    created_at: Timestamp,
    event: EventRef,
    id: Id,
    last_attempt: Option<AttemptView>,
    next_attempt_at: Option<Timestamp>,
    num_attempts: i64,
    status: Status,
    updated_at: Timestamp,
    webhook: WebhookRef,
}

fn view(delivery: Delivery) -> View {
    let attempt = |attempt: Attempt| AttemptView {
        code: attempt.code,
        created_at: attempt.created_at,
        error_class: attempt.error_class,
        id: attempt.id,
        status: attempt.status,
        updated_at: attempt.updated_at,
    };
    View {
        created_at: delivery.created_at,
        event: EventRef {
            id: delivery.event_id,
            include: delivery.entity,
        },
        id: delivery.id,
        last_attempt: delivery.last_attempt.map(attempt),
        next_attempt_at: delivery.next_attempt_at,
        num_attempts: delivery.num_attempts,
        status: delivery.status,
        updated_at: delivery.updated_at,
        webhook: WebhookRef {
            id: delivery.webhook_id,
            level: delivery.level,
        },
    }
}

/// The parameter of the query by which the list is narrowed down to those of a status.
pub const BY_STATUS: &str = "eq[status]";

/// All of them, or with `?eq[status]=` those of one status.
pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let status = call.query(BY_STATUS).map(|text| {
        Status::parse(&text).ok_or_else(|| {
            Error::invalid("The status is pending, scheduled, retrying, failed or succeeded.")
        })
    });
    let status = status.transpose()?;
    let paged = call
        .page(FIELDS, move |connection, caller, page| {
            webhook_deliveries::list(connection, owner(connection, caller)?.id, status, page)
        })
        .await?;
    paged.reply(view)
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let delivery = call.read(|connection, caller| {
        let id = caller.params.id("delivery", "webhook delivery")?;
        webhook_deliveries::find(connection, owner(connection, caller)?.id, id)
    })?;
    Reply::of(&view(delivery))
}
