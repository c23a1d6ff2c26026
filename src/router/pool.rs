//! Connections to dynos, kept open between requests; one pool a thread.
//!
//! It is not hyper-util's, because that one consumes a request that could not be sent, and a proxy wants it back: nothing of it
//! has left, so it can go to another dyno.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;

use super::converse::BEYOND;
use super::idle::Alarm;
use super::load::Load;
use super::options::Options;
use super::outbox::{Outbox, Way};
use super::posting::Posting;
use super::table::Ticket;
use super::upload::Upload;
use super::wire::Wire;
use crate::name::ById;
use crate::transport::{Connection, connect_uncrowded};

/// How long after an answer its connection may take to become ready for another request.
const SETTLE: Duration = Duration::from_secs(1);

/// Bytes of an answer that is worth to be read by the task that passes it on. With short ones, tasks that do the same one after the
/// other cost less than one that does all.
const WIDE: u64 = 16 * 1024;

/// Bytes of an answer that are taken at a time at most. Twice as many gain nothing, and half as many cost two per cent at large bodies,
/// since whoever waits is woken more often. Of an upload, as many may be on their way to a dyno.
const READ: usize = 512 * 1024;

/// Cheap to clone: all clones are one pool.
#[derive(Clone)]
pub(super) struct Pool(Arc<Inner>);

struct Inner {
    idle: Mutex<Idle>,
    keep: Duration,
    keep_unrepeatable: Duration,
    trial: Duration,
    most: usize,
    builder: Builder,
    connect: Duration,
    outbox: Arc<Outbox>,
}

/// By dyno and not by address, since another app's dyno may get the address next.
#[derive(Default)]
struct Idle {
    connections: ById<Vec<Resting>>,
    swept: bool,
}

/// A connection to a dyno, handed on whole from one request to the next.
struct Connected {
    load: Arc<Load>,
    sender: SendRequest<Upload>,
    wire: Arc<Wire>,
    way: Option<Arc<Way>>,
    /// That drives the wire while nobody else does.
    task: AbortHandle,
    /// For whoever waits for an answer on it and has none of his own.
    alarm: Alarm,
    /// Whether it had carried requests before the last one.
    reused: bool,
    /// Whether the last answer on it was a long one, as the next may be.
    is_wide: bool,
}

struct Resting {
    connection: Connected,
    since: Instant,
}

/// A connection in use. Dropped, it is closed, and with it whatever was going on there.
pub(super) struct Lease {
    connection: Option<Connected>,
    /// Whoever holds this drives the connection.
    rides: bool,
    pool: Pool,
}

/// Why a dyno could not be connected to.
pub(super) enum Unreachable {
    Refused,
    Slow,
    /// This process or machine has no more sockets to give.
    Ours(io::Error),
}

impl Pool {
    pub(super) fn new(options: &Options, outbox: Arc<Outbox>) -> Pool {
        let mut builder = Builder::new();
        builder.max_buf_size(READ.max(options.max_response_head * BEYOND));
        // It goes for trailers as well, which nobody gets.
        builder.max_header_size(options.max_response_head * BEYOND);
        Pool(Arc::new(Inner {
            idle: Mutex::default(),
            keep: options.pool_idle,
            keep_unrepeatable: options.pool_idle_unrepeatable,
            trial: options.pool_trial,
            most: options.max_in_flight,
            builder,
            connect: options.connect,
            outbox,
        }))
    }

    /// A connection to the dyno that has rested for so short a time that it can still be trusted.
    pub(super) fn take(&self, load: &Load, repeatable: bool, now: Instant) -> Option<Lease> {
        let keep = if repeatable {
            self.0.keep
        } else {
            self.0.keep_unrepeatable
        };
        let mut idle = self.lock();
        let resting = idle.connections.get_mut(&load.id)?;
        if !repeatable && !self.trusts(load, resting, now) {
            return None;
        }
        // The last one given back is the freshest.
        while let Some(Resting {
            mut connection,
            since,
        }) = resting.pop()
        {
            if connection.sender.is_ready() && now.saturating_duration_since(since) < keep {
                connection.reused = true;
                return Some(self.lease(connection));
            }
        }
        None
    }

    fn lease(&self, connection: Connected) -> Lease {
        Lease {
            connection: Some(connection),
            rides: false,
            pool: self.clone(),
        }
    }

    /// Whether the dyno can be trusted not to close a connection just when a request is sent on it. The oldest that rests says
    /// how long they may.
    fn trusts(&self, load: &Load, resting: &[Resting], now: Instant) -> bool {
        let rested = |oldest: &Resting| now.saturating_duration_since(oldest.since);
        let keeps = |oldest: &Resting| rested(oldest) >= self.0.trial;
        if resting.first().is_some_and(keeps) {
            load.keeping.kept();
        }
        load.keeping.is_trusted()
    }

    /// A new connection to the dyno.
    pub(super) async fn connect(&self, ticket: &Ticket) -> Result<Lease, Unreachable> {
        let connecting = connect_uncrowded(ticket.address);
        let socket = match tokio::time::timeout(self.0.connect, connecting).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return Err(reason(error)),
            Err(_) => return Err(Unreachable::Slow),
        };
        // A socket that cannot be told this works all the same, only more slowly.
        let _ = socket.set_nodelay(true);
        let socket = Connection::Plain(socket);
        let socket = Posting::new(socket, self.0.outbox.clone());
        let way = socket.way();
        let Ok((sender, connection)) = self.0.builder.handshake(TokioIo::new(socket)).await else {
            return Err(Unreachable::Refused);
        };
        let (pool, load) = (Arc::downgrade(&self.0), ticket.load.clone());
        let wire = Wire::new(async {
            // Its errors reach whoever waits for an answer on it.
            let _ = connection.with_upgrades().await;
        });
        let running = wire.clone().run();
        let task = tokio::spawn(async move {
            running.await;
            if let Some(pool) = pool.upgrade() {
                pool.closed(&load);
            }
        });
        let connection = Connected {
            load: ticket.load.clone(),
            sender,
            wire,
            way,
            task: task.abort_handle(),
            alarm: Alarm::default(),
            reused: false,
            is_wide: false,
        };
        Ok(self.lease(connection))
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.0.lock()
    }

    fn put(&self, connection: Connected, now: Instant) {
        if connection.load.keeping.is_hopeless() {
            return;
        }
        let mut idle = self.lock();
        let resting = idle.connections.entry(connection.load.id).or_default();
        if resting.len() < self.0.most {
            resting.push(Resting {
                connection,
                since: now,
            });
        }
        if !std::mem::replace(&mut idle.swept, true) {
            tokio::spawn(self.clone().sweep());
        }
    }

    /// Closes what has rested for too long, until nothing is left to close.
    async fn sweep(self) {
        loop {
            tokio::time::sleep(self.0.keep / 4).await;
            let mut idle = self.lock();
            let keep = self.0.keep;
            idle.connections.retain(|_, resting| {
                resting.retain(|Resting { connection, since }| {
                    !connection.sender.is_closed() && since.elapsed() < keep
                });
                !resting.is_empty()
            });
            if idle.connections.is_empty() {
                idle.swept = false;
                return;
            }
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to the dyno has ended. One that rested was closed by the dyno.
    fn closed(&self, load: &Load) {
        let mut idle = self.lock();
        let Some(resting) = idle.connections.get_mut(&load.id) else {
            return;
        };
        resting.retain(|Resting { connection, since }| {
            let closed = connection.sender.is_closed();
            if closed && since.elapsed() < self.keep_unrepeatable {
                load.keeping.closed(!connection.reused);
            }
            !closed
        });
    }
}

impl Lease {
    /// From here on the connection is driven by whoever [asks](Lease::ask) for what comes on it, one task at a time.
    pub(super) fn ride(&mut self) {
        if let Some(connection) = &self.connection
            && connection.is_wide
        {
            connection.wire.board();
            self.rides = true;
        }
    }

    /// The connection, to send one request on and to wait for the answer, which has to be asked for through the wire if there is one.
    pub(super) fn parts(
        &mut self,
    ) -> Option<(&mut SendRequest<Upload>, &mut Alarm, Option<&Wire>)> {
        let connection = self.connection.as_mut()?;
        let wire = self.rides.then_some(&*connection.wire);
        Some((&mut connection.sender, &mut connection.alarm, wire))
    }

    /// What comes of `ask`, for something that comes on the connection.
    pub(super) fn ask<T>(
        &self,
        cx: &mut Context<'_>,
        mut ask: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        match &self.connection {
            Some(connection) if self.rides => connection.wire.ride(cx, ask),
            _ => ask(cx),
        }
    }

    /// It is to be a tunnel, of which nobody knows when something has been said to its end.
    pub(super) fn leave_outbox(&self) {
        let way = self.connection.as_ref().and_then(|it| it.way.as_ref());
        if let Some(way) = way {
            way.leave();
        }
    }

    /// Whether whoever asks has got much in a row, and is to let others have their turn.
    pub(super) fn yields(&self, cx: &mut Context<'_>) -> bool {
        let connection = self.connection.as_ref().filter(|_| self.rides);
        connection.is_some_and(|connection| connection.wire.yields(cx))
    }

    /// Whether it has carried requests before, so that the dyno may just now be closing it.
    pub(super) fn is_reused(&self) -> bool {
        self.connection
            .as_ref()
            .is_some_and(|connection| connection.reused)
    }

    /// Both bodies have passed whole: the connection can serve another request, unless the dyno is on its way out.
    pub(super) fn give_back(mut self, retired: bool, bytes: u64, now: Instant) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        connection.is_wide = bytes >= WIDE;
        if self.rides {
            connection.wire.alight();
        }
        if retired || connection.sender.is_closed() {
            return;
        }
        if connection.sender.is_ready() {
            return self.pool.put(connection, now);
        }
        let pool = self.pool.clone();
        tokio::spawn(async move {
            match tokio::time::timeout(SETTLE, connection.sender.ready()).await {
                Ok(Ok(())) => pool.put(connection, Instant::now()),
                _ => connection.task.abort(),
            }
        });
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.task.abort();
        }
    }
}

fn reason(error: io::Error) -> Unreachable {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::TimedOut, _) => Unreachable::Slow,
        (io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory, _)
        | (_, Some(EMFILE | ENFILE)) => Unreachable::Ours(error),
        _ => Unreachable::Refused,
    }
}
