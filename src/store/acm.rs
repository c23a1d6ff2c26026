//! Automatic certificates: for which domains an authority is to be asked, when next, and what came of it.
//!
//! An app's domain has an order from the moment that it wants a certificate which nobody gives it by hand. The order is the queue
//! and the history: who asks the authority takes those that are due, and writes the outcome. It must not know how one asks.

use std::collections::HashSet;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::row::{optional, text_enum};
use super::sni_endpoints::{self, KeyPair};
use crate::error::{Error, Result};
use crate::name::{self, Id};
use crate::time::Timestamp;

text_enum! {
    /// What came of it, in the words that the official CLI waits for.
    Status { Issued = "cert issued", Failing = "failing", Failed = "failed" }
}

/// Why a wildcard is not asked for: the ways in which this server can prove a name take a host.
const WILDCARD: &str = "An authority signs a wildcard only for who can change its DNS. Give it a certificate by hand: heroku certs:add";

/// A domain that wants a certificate.
#[derive(Clone, Debug)]
pub struct Order {
    pub domain: Id,
    pub hostname: String,
    /// How often it was tried in vain since it last came to something.
    pub attempts: u32,
    /// It has a certificate, which is to be renewed.
    pub renews: bool,
    /// Until when it is taken. Whoever wrote something else there meanwhile wants it done anew.
    taken: Timestamp,
}

/// Switches it on for an app. Domains that were given a certificate keep it.
pub fn enable(connection: &Connection, app: Id, now: Timestamp) -> Result<()> {
    set(connection, app, true, now)?;
    connection
        .prepare_cached(&format!(
            "{INSERT} WHERE domain.app_id = ?1 AND domain.sni_endpoint_id IS NULL
                 AND NOT EXISTS (SELECT 1 FROM acm_order WHERE acm_order.domain_id = domain.id)"
        ))?
        .execute(params![app, WILDCARD, now])?;
    Ok(())
}

/// Switches it off, and forgets the certificates that came by it.
pub fn disable(connection: &Connection, app: Id, now: Timestamp) -> Result<()> {
    set(connection, app, false, now)?;
    connection
        .prepare_cached(
            "DELETE FROM acm_order WHERE domain_id IN (SELECT id FROM domain WHERE app_id = ?1)",
        )?
        .execute([app])?;
    Ok(())
}

fn set(connection: &Connection, app: Id, on: bool, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached("UPDATE app SET acm = ?2, updated_at = ?3 WHERE id = ?1 AND acm <> ?2")?
        .execute(params![app, on, now])?;
    Ok(())
}

/// Has those that came to nothing tried again at once. Whether that was an even or an odd time stays, so that each goes on with the
/// proof whose turn it is.
pub fn refresh(connection: &Connection, app: Id, now: Timestamp) -> Result<()> {
    let on: bool = connection
        .prepare_cached("SELECT acm FROM app WHERE id = ?1")?
        .query_row([app], |row| row.get(0))?;
    if !on {
        return Err(Error::invalid(
            "This app's certificates are not looked after, so there is nothing to try again. Switch that on: heroku certs:auto:enable",
        ));
    }
    connection
        .prepare_cached(
            "UPDATE acm_order SET next_at = ?2, attempts = attempts & 1, status = NULL, reason = NULL
             WHERE domain_id IN (SELECT id FROM domain WHERE app_id = ?1 AND hostname NOT LIKE '*%')
                 AND status IS NOT 'cert issued'",
        )?
        .execute(params![app, now])?;
    Ok(())
}

/// An order for each domain of a condition on `?1`.
const INSERT: &str = "INSERT INTO acm_order (domain_id, status, reason, next_at)
    SELECT domain.id, iif(domain.hostname LIKE '*%', 'failed', NULL), iif(domain.hostname LIKE '*%', ?2, NULL),
        iif(domain.hostname LIKE '*%', NULL, ?3)
    FROM domain";

/// To be called when a domain was made or its certificate was changed by hand: gives it an order, or takes it away.
pub(super) fn follow(connection: &Connection, domain: Id, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM acm_order WHERE domain_id = ?1
                 AND sni_endpoint_id IS NOT (SELECT sni_endpoint_id FROM domain WHERE id = ?1)",
        )?
        .execute([domain])?;
    connection
        .prepare_cached(&format!(
            "{INSERT} JOIN app ON app.id = domain.app_id AND app.acm = 1
             WHERE domain.id = ?1 AND domain.sni_endpoint_id IS NULL
                 AND NOT EXISTS (SELECT 1 FROM acm_order WHERE acm_order.domain_id = domain.id)"
        ))?
        .execute(params![domain, WILDCARD, now])?;
    Ok(())
}

/// The certificate that a domain has from an authority, if it has one.
pub(super) fn certificate_of(connection: &Connection, domain: Id) -> Result<Option<Id>> {
    let mut statement =
        connection.prepare_cached("SELECT sni_endpoint_id FROM acm_order WHERE domain_id = ?1")?;
    Ok(optional(statement.query_row([domain], |row| row.get(0)))?.flatten())
}

/// How often an authority may be asked, of which it has limits of its own: those of Let's Encrypt are 300 orders in three hours for
/// all that this server asks, and five proofs in vain an hour for a name.
struct Share {
    /// The condition that says whose requests are counted, with the subject as `?1`.
    of: &'static str,
    most: u32,
    within: Duration,
    /// What whoever waits because of it is told.
    reason: &'static str,
}

const OF_ALL: Share = Share {
    of: "?1 IS NOT NULL",
    most: 250,
    within: Duration::from_secs(3 * 3_600),
    reason: "This server has asked the authority for as many certificates as it should. This one's turn comes within hours",
};
/// Of the account or team whose apps they are, so that one with many names leaves something for the others.
const OF_HOLDER: Share = Share {
    of: "holder = ?1",
    most: 50,
    within: Duration::from_secs(3 * 3_600),
    reason: "The authority was asked for many names of this app's owner. This one's turn comes within hours",
};
const OF_HOSTNAME: Share = Share {
    of: "hostname = ?1",
    most: 5,
    within: Duration::from_secs(3_600),
    reason: "The authority was asked for this name often lately. It is asked again within the hour",
};

impl Share {
    /// When it will not be used up any more; nothing if it is not.
    fn used_up(
        &self,
        connection: &Connection,
        subject: &str,
        now: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT requested_at FROM acm_request WHERE {} AND requested_at > ?2
             ORDER BY requested_at DESC LIMIT 1 OFFSET ?3",
            self.of
        ))?;
        let since = now.minus(self.within);
        let oldest = statement.query_row(params![subject, since, self.most - 1], |row| row.get(0));
        Ok(optional(oldest)?.map(|oldest: Timestamp| oldest.plus(self.within)))
    }
}

/// Orders that are looked at in one go.
const MOST_LOOKED_AT: usize = 200;

/// Takes orders whose time has come, renewals first, and then those of whoever had the fewest: nobody takes them again before
/// `until`, should nothing be heard of them. What would be more than a share is put off. A host that is asked for already stays due.
pub fn take_due(
    connection: &Connection,
    now: Timestamp,
    room: usize,
    until: Timestamp,
    under_way: &HashSet<String>,
) -> Result<Vec<Order>> {
    connection
        .prepare_cached("DELETE FROM acm_request WHERE requested_at <= ?1")?
        .execute([now.minus(OF_ALL.within)])?;
    let mut orders: Vec<Order> = Vec::new();
    for (order, holder) in due(connection, now, until)? {
        if orders.len() == room {
            break;
        }
        if under_way.contains(&order.hostname) {
            continue;
        }
        // A renewal is owed, and comes once in months.
        let of_holder = Some(&OF_HOLDER).filter(|_| !order.renews);
        let shares = [
            (Some(&OF_HOSTNAME), order.hostname.as_str()),
            (of_holder, holder.as_str()),
            (Some(&OF_ALL), ""),
        ];
        let mut later = None;
        for (share, subject) in shares {
            let Some(share) = share else { continue };
            if let Some(at) = share.used_up(connection, subject, now)? {
                later = Some((at, share.reason));
                break;
            }
        }
        match later {
            Some((at, reason)) => put_off(connection, order.domain, reason, at, now)?,
            None => {
                take(connection, &order, &holder, now)?;
                orders.push(order);
            }
        }
    }
    Ok(orders)
}

/// The orders that are due, with whose they are.
fn due(connection: &Connection, now: Timestamp, until: Timestamp) -> Result<Vec<(Order, String)>> {
    let mut statement = connection.prepare_cached(
        "SELECT acm_order.domain_id, domain.hostname, acm_order.attempts, acm_order.sni_endpoint_id IS NOT NULL AS renews,
             coalesce(app.owner_id, app.team_id) AS holder
         FROM acm_order JOIN domain ON domain.id = acm_order.domain_id JOIN app ON app.id = domain.app_id
         WHERE acm_order.next_at <= ?1
         ORDER BY renews DESC, (SELECT count(*) FROM acm_request WHERE acm_request.holder = coalesce(app.owner_id, app.team_id)),
             acm_order.next_at LIMIT ?2",
    )?;
    let rows = statement.query_map(params![now, MOST_LOOKED_AT as i64], |row| {
        let order = Order {
            domain: row.get(0)?,
            hostname: row.get(1)?,
            attempts: row.get(2)?,
            renews: row.get(3)?,
            taken: until,
        };
        Ok((order, row.get(4)?))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn take(connection: &Connection, order: &Order, holder: &str, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached("UPDATE acm_order SET next_at = ?2 WHERE domain_id = ?1")?
        .execute(params![order.domain, order.taken])?;
    connection
        .prepare_cached(
            "INSERT INTO acm_request (id, holder, hostname, requested_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![Id::new(), holder, order.hostname, now])?;
    Ok(())
}

/// What the status of an order is that has to wait at `?1`: a certificate that has expired meanwhile is none.
const WAITING: &str = "iif(status = 'cert issued' AND EXISTS (SELECT 1 FROM sni_endpoint
    WHERE sni_endpoint.id = acm_order.sni_endpoint_id AND sni_endpoint.expires_at <= ?1), 'failing', status)";

fn put_off(
    connection: &Connection,
    domain: Id,
    reason: &str,
    at: Timestamp,
    now: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(&format!(
            "UPDATE acm_order SET status = {WAITING}, next_at = ?3, reason = coalesce(reason, ?4) WHERE domain_id = ?2"
        ))?
        .execute(params![now, domain, at, reason])?;
    Ok(())
}

/// Whether an order's time has come.
pub fn any_due(connection: &Connection, now: Timestamp) -> Result<bool> {
    Ok(next_due(connection)?.is_some_and(|next| next <= now))
}

/// When the next order is due.
pub fn next_due(connection: &Connection) -> Result<Option<Timestamp>> {
    let mut statement = connection
        .prepare_cached("SELECT min(next_at) FROM acm_order WHERE next_at IS NOT NULL")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Keeps the certificate of a domain, in the place of the one that it renews, and has it served. False if nobody wants it any more.
pub fn issued(
    connection: &Connection,
    order: &Order,
    pair: &KeyPair,
    renew_at: Timestamp,
    now: Timestamp,
) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT domain.app_id, acm_order.sni_endpoint_id FROM acm_order JOIN domain ON domain.id = acm_order.domain_id
         WHERE acm_order.domain_id = ?1",
    )?;
    let found = statement.query_row([order.domain], |row| {
        Ok((row.get::<_, Id>(0)?, row.get::<_, Option<Id>>(1)?))
    });
    let Some((app, before)) = optional(found)? else {
        return Ok(false);
    };
    let endpoint = match before {
        Some(endpoint) => {
            sni_endpoints::replace(connection, endpoint, pair, now)?;
            endpoint
        }
        None => sni_endpoints::create(connection, app, name::generated()?.as_str(), pair, now)?.id,
    };
    connection
        .prepare_cached(
            "UPDATE acm_order SET status = 'cert issued', reason = NULL, attempts = 0, next_at = ?2, sni_endpoint_id = ?3
             WHERE domain_id = ?1",
        )?
        .execute(params![order.domain, renew_at, endpoint])?;
    connection
        .prepare_cached("UPDATE domain SET sni_endpoint_id = ?2, updated_at = ?3 WHERE id = ?1")?
        .execute(params![order.domain, endpoint, now])?;
    Ok(true)
}

/// Notes that an attempt came to nothing and why, and when the next one is due: never, if nobody asks for it. If somebody did
/// meanwhile, no more than that it is the other proof's turn.
pub fn failed(
    connection: &Connection,
    order: &Order,
    reason: &str,
    next_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<()> {
    let status = match next_at {
        Some(_) => Status::Failing,
        None => Status::Failed,
    };
    let noted = connection
        .prepare_cached(
            "UPDATE acm_order SET status = ?2, reason = ?3, next_at = ?4, attempts = attempts + 1
             WHERE domain_id = ?1 AND next_at = ?5",
        )?
        .execute(params![order.domain, status, reason, next_at, order.taken])?;
    if noted > 0 {
        connection
            .prepare_cached("UPDATE domain SET updated_at = ?2 WHERE id = ?1")?
            .execute(params![order.domain, now])?;
    } else {
        connection
            .prepare_cached(
                "UPDATE acm_order SET attempts = 1 - (?2 & 1) WHERE domain_id = ?1 AND status IS NULL",
            )?
            .execute(params![order.domain, order.attempts])?;
    }
    Ok(())
}

/// Puts an attempt off that did not come to the domain at all. It does not count.
pub fn postponed(
    connection: &Connection,
    order: &Order,
    reason: &str,
    next_at: Timestamp,
    now: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(&format!(
            "UPDATE acm_order SET status = {WAITING}, reason = ?3, next_at = ?4 WHERE domain_id = ?2 AND next_at = ?5"
        ))?
        .execute(params![now, order.domain, reason, next_at, order.taken])?;
    Ok(())
}
