//! Tells webhooks of the events that wait for them: signs each delivery, makes it, and tries again later if need be.
//!
//! The row of a delivery is its queue entry, and an attempt is written down before it is made; whoever is killed in between makes
//! it once more, so a receiver may hear of an event twice and never not at all. One delivery at a time goes to a webhook, and a
//! share of all of them to the webhooks of one account, team or provider, so that who is slow or dead keeps nobody waiting but
//! himself. It must not know what made an event happen.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::Platform;
use crate::api::webhook_events::VERSION;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::outbound::{Authorization, Method, Request};
use crate::secret;
use crate::store::Table;
use crate::store::webhook_deliveries::{self as deliveries, Due, Outcome, Outgoing};
use crate::store::webhooks::Level;
use crate::time::Timestamp;

/// The longest between two ticks.
const EVERY: Duration = Duration::from_secs(10);
/// How long a delivery is tried for, from when its event happened, as on Heroku.
const LIFE: Duration = Duration::from_secs(72 * 60 * 60);
/// Between the first attempt and the second. It doubles with each one after that.
const FIRST_WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// How much is done at once, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Attempts that are under way at the same time.
    pub at_once: usize,
    /// Of those, to the webhooks of one account, team or provider.
    pub share: usize,
    /// An attempt takes no longer.
    pub attempt: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            at_once: 256,
            share: 32,
            attempt: Duration::from_secs(10),
        }
    }
}

/// The loop that makes deliveries.
pub struct Deliverer {
    platform: Arc<Platform>,
    limits: Limits,
    /// The webhooks that are being told something, and whose they are.
    under_way: watch::Sender<HashMap<Id, Id>>,
}

impl Deliverer {
    pub fn new(platform: Arc<Platform>, limits: Limits) -> Deliverer {
        Deliverer {
            platform,
            limits,
            under_way: watch::Sender::default(),
        }
    }

    /// Begins what is due, and returns how many attempts that were.
    pub async fn tick(&self) -> Result<usize> {
        let now = self.platform.clock.now();
        let due = {
            let under_way = self.under_way.borrow();
            let mut parties: HashMap<Id, usize> = HashMap::new();
            for party in under_way.values() {
                *parties.entry(*party).or_default() += 1;
            }
            let mut told = HashSet::new();
            // What is under way is still due, as far as its row says; and a webhook has one delivery that is due, or its rows were
            // written by hand.
            let wanted = |due: &Due| {
                let busy = parties.entry(due.party).or_default();
                let free = *busy < self.limits.share
                    && !under_way.contains_key(&due.webhook_id)
                    && told.insert(due.webhook_id);
                *busy += usize::from(free);
                free
            };
            let room = self.limits.at_once.saturating_sub(under_way.len());
            let read = |connection: &_| deliveries::due(connection, now, room, wanted);
            self.platform.store.read(read)?
        };
        if due.is_empty() {
            return Ok(0);
        }
        let begun = self.platform.store.write(move |connection| {
            let mut begun = Vec::new();
            for due in due {
                let outgoing = deliveries::begin(connection, due.id, now)?;
                begun.extend(outgoing.map(|outgoing| (outgoing, due.party)));
            }
            Ok(begun)
        });
        let begun = begun.await?;
        let count = begun.len();
        for (outgoing, party) in begun {
            self.spawn(outgoing, party);
        }
        Ok(count)
    }

    fn spawn(&self, outgoing: Outgoing, party: Id) {
        let (platform, within) = (self.platform.clone(), self.limits.attempt);
        let (under_way, webhook) = (self.under_way.clone(), outgoing.webhook_id);
        under_way.send_modify(|webhooks| {
            webhooks.insert(webhook, party);
        });
        tokio::spawn(async move {
            let done = std::panic::AssertUnwindSafe(attempt(&platform, outgoing, within));
            let done = futures_util::FutureExt::catch_unwind(done).await;
            if let Ok(Err(error)) = done {
                tracing::error!(%error, "how an attempt at a delivery went could not be written down; it is made once more, in a while");
                // Else its receiver would get it again and again.
                tokio::time::sleep(EVERY).await;
            }
            under_way.send_modify(|webhooks| {
                webhooks.remove(&webhook);
            });
        });
    }

    /// Resolves when no attempt is under way.
    pub async fn idle(&self) {
        let mut under_way = self.under_way.subscribe();
        // The sender is ours, so it is there.
        let _ = under_way.wait_for(HashMap::is_empty).await;
    }

    /// Ticks after each change, when the next delivery is due, and now and then, until the store is no more.
    pub async fn run(&self) {
        let mut changes = self.platform.store.changes(&[Table::WebhookDelivery]);
        let mut under_way = self.under_way.subscribe();
        loop {
            changes.mark_unchanged();
            under_way.mark_unchanged();
            if let Err(error) = self.tick().await {
                tracing::error!(%error, "webhook deliveries are waiting and could not be begun; they are tried again in a while");
            }
            let next = tokio::select! {
                changed = timeout(self.rest(), changes.changed()) => changed,
                changed = under_way.changed() => Ok(changed),
            };
            if let Ok(Err(_)) = next {
                return;
            }
        }
    }

    /// Until the next delivery is due. What is due already waits for an attempt to end, and who ends one says so.
    fn rest(&self) -> Duration {
        let now = self.platform.clock.now();
        match self.platform.store.read(deliveries::next_due) {
            Ok(Some(next)) if next > now => next.since(now).min(EVERY),
            _ => EVERY,
        }
    }
}

/// Makes one attempt, and writes down how it went.
async fn attempt(platform: &Platform, outgoing: Outgoing, within: Duration) -> Result<()> {
    let body = body(&outgoing)?;
    let signature = secret::hmac_base64(&outgoing.secret, &body)?;
    let headers = [("heroku-webhook-hmac-sha256", signature)];
    let authorization = outgoing.authorization.as_deref();
    let request = Request {
        method: Method::POST,
        url: &outgoing.url,
        authorization: authorization.map_or(Authorization::OfUrl, Authorization::Header),
        headers: &headers,
        body: Some(body),
        timeout: within,
    };
    let sent = platform.outbound.tell(request).await;
    let succeeded = sent.is_ok_and(|code| (200..300).contains(&code));
    let now = platform.clock.now();
    let again = next_attempt(
        outgoing.level,
        outgoing.created_at,
        outgoing.num_attempts,
        now,
    );
    let outcome = Outcome {
        succeeded,
        code: sent.ok(),
        error_class: sent.err().map(|failure| failure.class()),
        next_attempt_at: again.filter(|_| !succeeded),
    };
    let finish = move |connection: &_| deliveries::finish(connection, &outgoing, outcome, now);
    platform.store.write(finish).await
}

/// When a delivery is tried again after so many attempts that failed: not at all where one is all it gets, or where its time is up.
fn next_attempt(
    level: Level,
    created_at: Timestamp,
    attempts: i64,
    now: Timestamp,
) -> Option<Timestamp> {
    if level == Level::Notify {
        return None;
    }
    let doublings = u32::try_from(attempts - 1).unwrap_or(0).min(16);
    let wait = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
    let next = now.plus(wait);
    (next <= created_at.plus(LIFE)).then_some(next)
}

/// What a receiver reads.
fn body(outgoing: &Outgoing) -> Result<Vec<u8>> {
    let event = &outgoing.event;
    let body = json!({
        "action": event.action,
        "actor": { "email": event.actor.email, "id": event.actor.id },
        "created_at": event.created_at,
        "data": event.data,
        "id": event.id,
        "previous_data": event.previous_data,
        "published_at": event.created_at,
        "resource": event.entity.resource(),
        "sequence": null,
        "updated_at": event.updated_at,
        "version": VERSION,
        "webhook_metadata": {
            "attempt": { "id": outgoing.attempt_id },
            "delivery": { "id": outgoing.id },
            "event": { "id": event.id, "include": event.entity },
            "webhook": { "id": outgoing.webhook_id },
        },
    });
    serde_json::to_vec(&body).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_tried_ever_more_seldom_and_at_last_no_more() {
        let begun = Timestamp::from_micros(0);
        let (mut now, mut attempts, mut waits) = (begun, 1, Vec::new());
        while let Some(next) = next_attempt(Level::Sync, begun, attempts, now) {
            waits.push(next.since(now).as_secs());
            now = next;
            attempts += 1;
        }
        assert_eq!(waits[..5], [10, 20, 40, 80, 160]);
        assert_eq!(waits.last(), Some(&3_600));
        assert!(waits.is_sorted());
        assert!(now <= begun.plus(LIFE) && now > begun.plus(LIFE - LONGEST_WAIT));
    }

    #[test]
    fn one_attempt_is_all_that_a_notice_gets() {
        let now = Timestamp::from_micros(0);
        assert_eq!(next_attempt(Level::Notify, now, 1, now), None);
    }
}
