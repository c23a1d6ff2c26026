//! Webhook deliveries: which event goes to which webhook, and how far that has come. The row is the queue entry too.
//!
//! The deliveries of one webhook are made one after another: the first of those that have not ended is `scheduled`, or `retrying`
//! after an attempt that failed, and has the moment of its next attempt; those behind it are `pending`. An attempt is written
//! down before it is made. It must not know how one is made.

use rusqlite::{Connection, Row, params};

use super::page::{self, Field, Kind, Listing, Page};
use super::row::{found, optional, text_enum};
use super::webhook_events::{self, Entity, Event};
use super::webhooks::Level;
use crate::error::Result;
use crate::name::Id;
use crate::time::Timestamp;

/// Deliveries that may wait for one webhook. What happens after that is not told to it.
const MAX_WAITING: i64 = 1_000;
/// Deliveries that are due and looked at in search of one that may be made now.
const MAX_LOOKED_AT: i64 = 100_000;
/// Deliveries of one webhook that are kept once they have ended, as on Heroku.
const KEPT: i64 = 300;

text_enum! {
    Status {
        Pending = "pending",
        Scheduled = "scheduled",
        Retrying = "retrying",
        Failed = "failed",
        Succeeded = "succeeded",
    }
}

text_enum! {
    /// How an attempt went; `scheduled` while nothing is known of it.
    AttemptStatus { Scheduled = "scheduled", Succeeded = "succeeded", Failed = "failed" }
}

#[derive(Clone, Debug)]
pub struct Attempt {
    pub id: Id,
    /// The status of the answer, if there was one.
    pub code: Option<u16>,
    /// What went wrong, if there was none.
    pub error_class: Option<String>,
    pub status: AttemptStatus,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: Id,
    pub event_id: Id,
    pub entity: Entity,
    pub webhook_id: Id,
    pub level: Level,
    pub status: Status,
    pub num_attempts: i64,
    pub next_attempt_at: Option<Timestamp>,
    pub last_attempt: Option<Attempt>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Ids are in the order of creation, so they are the sequence too.
pub const FIELDS: &[Field] = &[
    Field::new("id", "app_webhook_delivery.id", Kind::Id),
    Field::new("seq", "app_webhook_delivery.id", Kind::Id),
    Field::new("created_at", "app_webhook_delivery.created_at", Kind::Time),
];

const COLUMNS: &str = "app_webhook_delivery.id, app_webhook_delivery.event_id, app_webhook_event.entity,
    app_webhook_delivery.webhook_id, app_webhook.level, app_webhook_delivery.status, app_webhook_delivery.num_attempts,
    app_webhook_delivery.next_attempt_at, app_webhook_delivery.attempt_id, app_webhook_delivery.attempt_code,
    app_webhook_delivery.attempt_error, app_webhook_delivery.attempt_status, app_webhook_delivery.attempt_created_at,
    app_webhook_delivery.attempt_updated_at, app_webhook_delivery.created_at, app_webhook_delivery.updated_at";
const FROM: &str =
    "app_webhook_delivery JOIN app_webhook ON app_webhook.id = app_webhook_delivery.webhook_id
    JOIN app_webhook_event ON app_webhook_event.id = app_webhook_delivery.event_id";

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let attempt = |id: Id| {
        Ok::<_, rusqlite::Error>(Attempt {
            id,
            code: row.get(9)?,
            error_class: row.get(10)?,
            status: row.get(11)?,
            created_at: row.get(12)?,
            updated_at: row.get(13)?,
        })
    };
    Ok(Delivery {
        id: row.get(0)?,
        event_id: row.get(1)?,
        entity: row.get(2)?,
        webhook_id: row.get(3)?,
        level: row.get(4)?,
        status: row.get(5)?,
        num_attempts: row.get(6)?,
        next_attempt_at: row.get(7)?,
        last_attempt: row.get::<_, Option<Id>>(8)?.map(attempt).transpose()?,
        created_at: row.get(14)?,
        updated_at: row.get(15)?,
    })
}

/// Puts an event at the end of what waits for a webhook. Where too much waits already, it is failed at once.
pub(super) fn create(
    connection: &Connection,
    owner: Id,
    webhook: Id,
    event: Id,
    now: Timestamp,
) -> Result<()> {
    let waiting: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM app_webhook_delivery WHERE webhook_id = ?1 AND status IN ('pending', 'scheduled', 'retrying')",
        )?
        .query_row([webhook], |row| row.get(0))?;
    let (status, next) = match waiting {
        0 => (Status::Scheduled, Some(now)),
        1..MAX_WAITING => (Status::Pending, None),
        _ => (Status::Failed, None),
    };
    connection
        .prepare_cached(
            "INSERT INTO app_webhook_delivery (id, owner_id, webhook_id, event_id, status, next_attempt_at, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
        )?
        .execute(params![Id::new(), owner, webhook, event, status, next, now])?;
    Ok(())
}

/// A delivery to a webhook of this app or add-on.
pub fn find(connection: &Connection, owner: Id, id: Id) -> Result<Delivery> {
    let sql = format!(
        "SELECT {COLUMNS} FROM {FROM} WHERE app_webhook_delivery.owner_id = ?1 AND app_webhook_delivery.id = ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    found(
        statement.query_row(params![owner, id], delivery),
        "webhook delivery",
    )
}

/// The deliveries to the webhooks of an app or an add-on; of this status, if one is named.
pub fn list(
    connection: &Connection,
    owner: Id,
    status: Option<Status>,
    page: &Page,
) -> Result<Listing<Delivery>> {
    let all = format!("{FROM} WHERE app_webhook_delivery.owner_id = ?1");
    let some = format!("{all} AND app_webhook_delivery.status = ?2");
    let (from, parameters): (&str, &[&dyn rusqlite::ToSql]) = match &status {
        None => (&all, &[&owner]),
        Some(status) => (&some, &[&owner, status]),
    };
    let query = page::Query {
        columns: COLUMNS,
        from,
        id: "app_webhook_delivery.id",
        parameters,
    };
    page::select(connection, &query, page, delivery)
}

/// A delivery whose time has come, with its webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub id: Id,
    pub webhook_id: Id,
    /// Whose webhook it is: the account or the team that has the app, or the service of the provider. An app that is gone stands
    /// for itself.
    pub party: Id,
}

/// Deliveries whose time has come and that `wanted` takes, longest due first. Of those that it does not take it is asked about so
/// many at most.
pub fn due(
    connection: &Connection,
    now: Timestamp,
    max: usize,
    mut wanted: impl FnMut(&Due) -> bool,
) -> Result<Vec<Due>> {
    let mut statement = connection.prepare_cached(
        "SELECT due.id, due.webhook_id, coalesce(addon.addon_service_id, app.owner_id, app.team_id, due.owner_id)
         FROM app_webhook_delivery AS due JOIN app_webhook ON app_webhook.id = due.webhook_id
         LEFT JOIN addon ON addon.id = due.owner_id LEFT JOIN app ON app.id = app_webhook.app_id
         WHERE due.next_attempt_at <= ?1 ORDER BY due.next_attempt_at, due.id LIMIT ?2",
    )?;
    let mut rows = statement.query(params![now, MAX_LOOKED_AT])?;
    let mut due = Vec::new();
    while due.len() < max
        && let Some(row) = rows.next()?
    {
        let found = Due {
            id: row.get(0)?,
            webhook_id: row.get(1)?,
            party: row.get(2)?,
        };
        if wanted(&found) {
            due.push(found);
        }
    }
    Ok(due)
}

/// When the next delivery is due.
pub fn next_due(connection: &Connection) -> Result<Option<Timestamp>> {
    let mut statement = connection.prepare_cached(
        "SELECT min(next_attempt_at) FROM app_webhook_delivery WHERE next_attempt_at IS NOT NULL",
    )?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// All that an attempt needs.
#[derive(Clone)]
pub struct Outgoing {
    pub id: Id,
    pub attempt_id: Id,
    pub webhook_id: Id,
    pub level: Level,
    pub url: String,
    pub secret: String,
    pub authorization: Option<String>,
    pub event: Event,
    /// This attempt counted.
    pub num_attempts: i64,
    pub created_at: Timestamp,
}

/// Writes down that an attempt is about to be made. `None` when the delivery is no more, or no longer waits for one.
pub fn begin(connection: &Connection, id: Id, now: Timestamp) -> Result<Option<Outgoing>> {
    let attempt = Id::new();
    let begun = connection
        .prepare_cached(
            "UPDATE app_webhook_delivery SET attempt_id = ?2, attempt_status = 'scheduled', attempt_code = NULL, attempt_error = NULL,
                 attempt_created_at = ?3, attempt_updated_at = ?3, num_attempts = num_attempts + 1, updated_at = ?3
             WHERE id = ?1 AND next_attempt_at <= ?3",
        )?
        .execute(params![id, attempt, now])?;
    if begun == 0 {
        return Ok(None);
    }
    let sql = format!(
        "SELECT app_webhook.id, app_webhook.level, unseal(app_webhook.id, app_webhook.url),
             unseal(app_webhook.id, app_webhook.secret),
             iif(app_webhook.authorization IS NULL, NULL, unseal(app_webhook.id, coalesce(app_webhook.authorization, x''))),
             app_webhook_delivery.num_attempts, app_webhook_delivery.created_at, {}
         FROM {FROM} WHERE app_webhook_delivery.id = ?1",
        webhook_events::COLUMNS
    );
    optional(connection.prepare_cached(&sql)?.query_row([id], |row| {
        Ok(Outgoing {
            id,
            attempt_id: attempt,
            webhook_id: row.get(0)?,
            level: row.get(1)?,
            url: row.get(2)?,
            secret: row.get(3)?,
            authorization: row.get(4)?,
            num_attempts: row.get(5)?,
            created_at: row.get(6)?,
            event: webhook_events::event(row, 7)?,
        })
    }))
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub succeeded: bool,
    pub code: Option<u16>,
    pub error_class: Option<&'static str>,
    /// When it is tried again; never, where that is `None`.
    pub next_attempt_at: Option<Timestamp>,
}

/// Writes down what came of an attempt, lets the webhook's next delivery have its turn if this one has ended, and forgets what is
/// too much of the past. Does nothing when another attempt was begun meanwhile.
pub fn finish(
    connection: &Connection,
    outgoing: &Outgoing,
    outcome: Outcome,
    now: Timestamp,
) -> Result<()> {
    let (status, attempt) = match (outcome.succeeded, outcome.next_attempt_at) {
        (true, _) => (Status::Succeeded, AttemptStatus::Succeeded),
        (false, Some(_)) => (Status::Retrying, AttemptStatus::Failed),
        (false, None) => (Status::Failed, AttemptStatus::Failed),
    };
    let next = outcome.next_attempt_at.filter(|_| !outcome.succeeded);
    let known = connection
        .prepare_cached(
            "UPDATE app_webhook_delivery SET status = ?3, attempt_status = ?4, attempt_code = ?5, attempt_error = ?6,
                 attempt_updated_at = ?8, next_attempt_at = ?7, updated_at = ?8 WHERE id = ?1 AND attempt_id = ?2",
        )?
        .execute(params![
            outgoing.id,
            outgoing.attempt_id,
            status,
            attempt,
            outcome.code,
            outcome.error_class,
            next,
            now
        ])?;
    if known == 1 && next.is_none() {
        connection
            .prepare_cached(
                "UPDATE app_webhook_delivery SET status = 'scheduled', next_attempt_at = ?2, updated_at = ?2
                 WHERE id = (SELECT min(id) FROM app_webhook_delivery WHERE webhook_id = ?1 AND status = 'pending')",
            )?
            .execute(params![outgoing.webhook_id, now])?;
        forget_beyond(connection, outgoing.webhook_id)?;
    }
    Ok(())
}

/// Keeps the newest of a webhook's deliveries that have ended, and the events that are still told of by one.
fn forget_beyond(connection: &Connection, webhook: Id) -> Result<()> {
    let events: Vec<Id> = connection
        .prepare_cached(
            "DELETE FROM app_webhook_delivery WHERE id IN (
                 SELECT id FROM app_webhook_delivery WHERE webhook_id = ?1 AND status IN ('failed', 'succeeded')
                 ORDER BY id DESC LIMIT -1 OFFSET ?2) RETURNING event_id",
        )?
        .query_map(params![webhook, KEPT], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut forget = connection.prepare_cached(
        "DELETE FROM app_webhook_event WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM app_webhook_delivery WHERE event_id = ?1)",
    )?;
    for event in events {
        forget.execute([event])?;
    }
    Ok(())
}

/// Forgets deliveries that ended and were made before this moment, and the events that no delivery is left of. How many rows.
pub fn forget_before(connection: &Connection, moment: Timestamp) -> Result<usize> {
    let deliveries = connection
        .prepare_cached(
            "DELETE FROM app_webhook_delivery WHERE created_at < ?1 AND status IN ('failed', 'succeeded')",
        )?
        .execute([moment])?;
    let events = connection
        .prepare_cached(
            "DELETE FROM app_webhook_event
             WHERE NOT EXISTS (SELECT 1 FROM app_webhook_delivery WHERE event_id = app_webhook_event.id)",
        )?
        .execute([])?;
    Ok(deliveries + events)
}
