//! From dyno to dyno with one request, until one of them answers.
//!
//! It must not know what a visitor is told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hyper::Response;
use hyper::body::Incoming;

use super::admit;
use super::code::{self, Code};
use super::exchange::{Exchange, Subject};
use super::glance::Glance;
use super::pool::{Lease, Unreachable};
use super::proxy::Proxy;
use super::queue::Place;
use super::send::{self, Outgoing};
use super::table::{Backends, Entry, Pick, pick};
use super::upload::Progress;
use super::visits::Visits;
use crate::name::Id;

/// A dyno's answer, with the connection it is coming in on.
pub(super) struct Reply {
    pub response: Response<Incoming>,
    pub glance: Glance,
    pub lease: Lease,
    pub upload: Progress,
}

/// Why an attempt brought no reply.
enum Failed {
    /// The dyno took no connection. Nothing was sent, so another may be tried.
    Elsewhere(&'static Code),
    Final(&'static Code),
}

impl Proxy {
    /// Sends the request to one dyno after another until one takes it.
    pub(super) async fn dispatch(
        &self,
        exchange: &mut Exchange,
        entry: &Arc<Entry>,
        outgoing: &mut Outgoing,
    ) -> Result<Reply, &'static Code> {
        // Found again since.
        let mut newer: Option<Arc<Entry>> = None;
        if entry.turns_away() {
            self.table.caught_up().await;
            newer = Some(self.find_again(&exchange.subject)?);
        }
        let mut tried: Vec<Id> = Vec::new();
        let mut failure = &code::H99;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        loop {
            let entry = newer.as_ref().unwrap_or(entry);
            let backends = match &entry.backends {
                _ if entry.maintenance => return Err(&code::H80),
                Backends::Away(why) => return Err(*why),
                Backends::Starting | Backends::Idle => {
                    let starting = self.await_start(&exchange.subject, &entry.visits);
                    // Seldom, and larger than all else that is waited for.
                    newer = Some(Box::pin(starting).await?);
                    continue;
                }
                Backends::Up(backends) => backends,
            };
            if tried.len() >= self.options.max_attempts {
                return Err(failure);
            }
            match pick(backends, &tried, turn, self.options.max_in_flight) {
                Pick::Busy => return Err(&code::H11),
                Pick::NoneLeft if tried.is_empty() => return Err(&code::H14),
                Pick::NoneLeft => return Err(failure),
                Pick::Outdated => newer = Some(self.find_again(&exchange.subject)?),
                Pick::Dyno(ticket) => {
                    let dyno = ticket.load.id;
                    exchange.ticket = Some(ticket);
                    match self.attempt(exchange, outgoing).await {
                        Ok(reply) => return Ok(reply),
                        Err(Failed::Elsewhere(code)) => failure = code,
                        Err(Failed::Final(code)) => return Err(code),
                    }
                    tried.push(dyno);
                }
            }
        }
    }

    /// The app's entry in the newest table.
    fn find_again(&self, subject: &Subject) -> Result<Arc<Entry>, &'static Code> {
        let entry = self.table.find(&subject.host);
        // A host that has meanwhile become another app's must not show that app's answer under this one's name.
        entry
            .filter(|entry| entry.app == subject.app)
            .ok_or(&code::H14)
    }

    /// Waits until the app is no longer starting, and wakes it if it sleeps.
    async fn await_start(
        &self,
        subject: &Subject,
        visits: &Visits,
    ) -> Result<Arc<Entry>, &'static Code> {
        // The app's own first: where it has none left, it takes none of all, not even for a moment.
        let place = |queued, most| Place::take(queued, most).ok_or(&code::H11);
        let _of_app = place(&visits.queued, self.options.max_queued_of_one)?;
        let _of_all = place(&self.queued, self.options.max_queued)?;
        let deadline = tokio::time::Instant::now() + self.options.boot_queue;
        let mut changes = self.table.changes();
        loop {
            // Subscribed before looking, so that no change falls between the two.
            changes.mark_unchanged();
            let entry = self.find_again(subject)?;
            match entry.backends {
                _ if entry.maintenance => return Ok(entry),
                // Each time: it may have fallen asleep again.
                Backends::Idle => self.table.wake(entry.app),
                Backends::Starting => {}
                _ => return Ok(entry),
            }
            match tokio::time::timeout_at(deadline, changes.changed()).await {
                Ok(Ok(())) => {}
                _ => return Err(&code::H20),
            }
        }
    }

    /// Tries the dyno whose ticket the exchange holds.
    async fn attempt(
        &self,
        exchange: &mut Exchange,
        outgoing: &mut Outgoing,
    ) -> Result<Reply, Failed> {
        loop {
            let now = tokio::time::Instant::now();
            let (mut lease, now) = match self.leased(exchange, outgoing, now) {
                Some(lease) => (lease, now),
                None => {
                    let connecting = self.connect(exchange);
                    // Once for many requests, and larger than all else that is waited for.
                    let lease = Box::pin(connecting).await?;
                    (lease, tokio::time::Instant::now())
                }
            };
            let time = (now, self.options.first_byte);
            match send::send(&mut lease, outgoing, exchange.visitor(), time).await {
                Ok(response) => {
                    let glance = admit::answer(&response, &self.options).map_err(Failed::Final)?;
                    return Ok(Reply {
                        response,
                        glance,
                        lease,
                        upload: outgoing.progress.clone(),
                    });
                }
                Err(send::Failure::Unsent) => {}
                Err(send::Failure::Dyno(code)) => return Err(Failed::Final(code)),
                Err(send::Failure::Visitor(code, cause)) => {
                    if let Some(cause) = cause {
                        exchange.refused(code, cause);
                    }
                    return Err(Failed::Final(code));
                }
            }
        }
    }

    /// A kept connection to the dyno whose ticket the exchange holds.
    fn leased(
        &self,
        exchange: &mut Exchange,
        outgoing: &Outgoing,
        now: tokio::time::Instant,
    ) -> Option<Lease> {
        let ticket = exchange.ticket.as_ref();
        let lease = ticket.and_then(|ticket| outgoing.pooled(&self.pool, &ticket.load, now));
        exchange.connected = lease.is_some();
        if exchange.connected {
            exchange.connect = Some(Duration::ZERO);
        }
        lease
    }

    /// A new one.
    async fn connect(&self, exchange: &mut Exchange) -> Result<Lease, Failed> {
        let Some(ticket) = &exchange.ticket else {
            return Err(Failed::Final(&code::H99));
        };
        let begun = Instant::now();
        let connected = self.pool.connect(ticket).await;
        exchange.connect = Some(begun.elapsed());
        let code = match connected {
            Ok(lease) => {
                exchange.connected = true;
                return Ok(lease);
            }
            Err(Unreachable::Ours(error)) => {
                exchange.report("no socket for the connection to a dyno", &error);
                return Err(Failed::Final(&code::H99));
            }
            Err(Unreachable::Slow) => &code::H19,
            Err(Unreachable::Refused) => &code::H21,
        };
        ticket.load.set_aside(self.options.aside);
        Err(Failed::Elsewhere(code))
    }
}
