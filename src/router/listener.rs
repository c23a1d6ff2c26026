//! Threads, and how visitors' connections are spread over them and brought to an end.
//!
//! Each thread has a runtime of its own on which everything of its connections happens, so that threads meet only at counters.
//! The first accepts for all and hands each connection to the thread with the fewest.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use super::converse::{Arrival, converse};
use super::door::Door;
use super::guests::Guest;
use super::proxy::Proxy;
use crate::error::{Error, Result};
use crate::transport::set_uncrowded;

/// How long pages of the end may take to their visitors, when the time is over.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How many tasks have their turn before the system is asked what else has come. To ask costs something each time, and whatever comes
/// stands in line behind them anyway; a timer may be late by as long as their turns take.
const TURN: u32 = 256;

/// How long to wait before accepting again when the system has no more sockets to give.
const BREATH: Duration = Duration::from_millis(50);

/// The tasks of one thread that must be given time to end.
#[derive(Default)]
pub(super) struct Open {
    count: AtomicUsize,
    /// Those of them that are answers of connections which are counted already.
    answers: AtomicUsize,
    /// Answers that have left their dynos.
    pub parted: AtomicUsize,
    none: Notify,
    leaving: OnceLock<Instant>,
    left: Notify,
    hurried: AtomicBool,
    closing: AtomicBool,
    close: Notify,
    cut_off: AtomicBool,
    cut: Notify,
}

/// One thread's part of the work.
pub(super) struct Worker {
    pub proxy: Arc<Proxy>,
    pub incoming: mpsc::UnboundedReceiver<Incoming>,
    /// Becomes the time that is left, when the router is to stop.
    pub stop: watch::Receiver<Option<Duration>>,
}

/// A connection on its way to its thread, from whom and by which port; it counts there from the moment it is sent.
pub(super) type Incoming = (std::net::TcpStream, SocketAddr, u16, (Place, Guest));

/// A thread as the one that accepts sees it.
pub(super) struct Target {
    pub connections: mpsc::UnboundedSender<Incoming>,
    pub open: Arc<Open>,
}

impl Open {
    /// Runs a task that must be given time to end.
    pub(super) fn spawn(self: &Arc<Open>, task: impl Future<Output = ()> + Send + 'static) {
        self.place().spawn(task);
    }

    /// The same for an answer of a connection.
    pub(super) fn spawn_answer(self: &Arc<Open>, task: impl Future<Output = ()> + Send + 'static) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        let answer = OfConnection(self.clone());
        self.place().spawn(async move {
            let _answer = answer;
            task.await;
        });
    }

    /// How many connections there are, tunnels among them.
    pub(super) fn connections(&self) -> usize {
        let answers = self.answers.load(Ordering::Relaxed);
        self.count.load(Ordering::Relaxed).saturating_sub(answers)
    }

    /// From here on each answer by HTTP/1.1 is the last one of its connection, and says so.
    pub(super) fn leave(&self) {
        // It counts from the first time.
        let _ = self.leaving.set(Instant::now());
        self.left.notify_waiters();
    }

    /// Since when that is so, if it is.
    pub(super) fn leaving(&self) -> Option<Instant> {
        self.leaving.get().copied()
    }

    /// Resolves when it is so.
    pub(super) async fn left(&self) {
        let left = self.left.notified();
        if self.leaving().is_none() {
            left.await;
        }
    }

    /// Nobody follows who would have to be spared a closed connection.
    pub(super) fn hurry(&self) {
        self.hurried.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_hurried(&self) -> bool {
        self.hurried.load(Ordering::SeqCst)
    }

    /// Whether the router stops, so that what may go on for ever has to end.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Resolves when the router stops.
    pub(super) async fn closed(&self) {
        let close = self.close.notified();
        if !self.is_closing() {
            close.await;
        }
    }

    /// Whether the time is over that requests had to end.
    pub(super) fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::SeqCst)
    }

    /// Resolves when that time is over.
    pub(super) async fn cut(&self) {
        let cut = self.cut.notified();
        if !self.is_cut_off() {
            cut.await;
        }
    }

    fn place(self: &Arc<Open>) -> Place {
        self.count.fetch_add(1, Ordering::SeqCst);
        Place(self.clone())
    }

    /// Resolves when there are none.
    pub(super) async fn empty(&self) {
        loop {
            let mut none = std::pin::pin!(self.none.notified());
            none.as_mut().enable();
            if self.count.load(Ordering::SeqCst) == 0 {
                return;
            }
            none.await;
        }
    }
}

/// One of them that is an answer.
struct OfConnection(Arc<Open>);

impl Drop for OfConnection {
    fn drop(&mut self) {
        self.0.answers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One of the things that are open on a thread.
pub(super) struct Place(Arc<Open>);

impl Place {
    fn spawn(self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(async move {
            let _place = self;
            task.await;
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

/// Accepts connections from the first table on, until told to stop.
pub(super) async fn accept(
    listener: TcpListener,
    targets: Arc<[Target]>,
    door: Arc<Door>,
    (mut tables, mut stop): (watch::Receiver<u64>, watch::Receiver<Option<Duration>>),
) {
    tokio::select! {
        biased;
        _ = stop.changed() => return,
        _ = tables.wait_for(|version| *version > 0) => {}
    }
    let address = listener.local_addr().ok();
    let port = address.map_or(0, |address| address.port());
    if address.is_some_and(|address| address.ip().is_loopback()) {
        set_uncrowded(&listener);
    }
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.changed() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, peer)) = accepted else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        let load = |target: &&Target| target.open.connections();
        let total: usize = targets.iter().map(|target| load(&target)).sum();
        let Some(guest) = door.admit(peer, total) else {
            door.turn_away(socket, (peer, port));
            continue;
        };
        if let Some(target) = targets.iter().min_by_key(load)
            && let Ok(socket) = socket.into_std()
        {
            // A thread that is gone is one that was told to stop.
            let place = (target.open.place(), guest);
            let _ = target.connections.send((socket, peer, port, place));
        }
    }
}

impl Worker {
    /// Serves until told to stop, and then until nothing is open or the time is over, which those are told who wait for an answer.
    pub(super) async fn run(mut self) {
        tokio::spawn(self.proxy.outbox.clone().run());
        tokio::spawn(self.proxy.lines.clone().run());
        loop {
            tokio::select! {
                biased;
                _ = self.stop.changed() => break,
                connection = self.incoming.recv() => match connection {
                    Some(connection) => self.serve(connection),
                    None => break,
                },
            }
        }
        let open = self.proxy.open.clone();
        open.leave();
        open.closing.store(true, Ordering::SeqCst);
        open.close.notify_waiters();
        let mut stop = self.stop.clone();
        let rest = async {
            // Whoever accepts may hear of the end later than this thread. What they accept until then is served as well.
            while let Some(connection) = self.incoming.recv().await {
                self.serve(connection);
            }
            open.empty().await;
        };
        let in_time = tokio::select! {
            biased;
            () = rest => true,
            () = is_over(&mut stop) => false,
        };
        open.cut_off.store(true, Ordering::SeqCst);
        if !in_time {
            open.cut.notify_waiters();
            let _ = tokio::time::timeout(LAST_WORDS, open.empty()).await;
        }
    }

    fn serve(&self, (socket, peer, port, (place, guest)): Incoming) {
        let Ok(socket) = TcpStream::from_std(socket) else {
            return;
        };
        let arrival = Arrival { socket, peer, port };
        let proxy = self.proxy.clone();
        place.spawn(async move {
            converse(proxy, arrival).await;
            drop(guest);
        });
    }
}

/// Resolves when the time that is left is over, which may be cut short.
async fn is_over(stop: &mut watch::Receiver<Option<Duration>>) {
    let begun = Instant::now();
    loop {
        let grace = stop.borrow_and_update().unwrap_or_default();
        tokio::select! {
            () = tokio::time::sleep_until(begun + grace) => return,
            // The sender is gone with the router itself, and with it whoever could wait.
            changed = stop.changed() => if changed.is_err() { return },
        }
    }
}

/// What a thread runs on.
pub(super) fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .event_interval(TURN)
        .enable_all()
        .build()
        .map_err(Error::from)
}
