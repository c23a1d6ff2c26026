//! The router: takes visitors' requests, finds the app by its host, and passes them to one of its dynos and back.
//!
//! It serves from memory and knows nothing of the store, the API or how dynos are run. It is told where they are with
//! [`Router::replace`], and it tells what it did through [`RequestLog`].
//!
//! - `listener`, `door`, `guests`, `converse`, `visitor` and `stream`: threads, connections and sockets. `proxy`, `passage`, `dispatch` and
//!   `queue`: the way of one request. `table`: where it may lead.
//! - `admit`, `host`, `glance` and `forward`: what may come in, what it is for, and what of its head is changed.
//! - `load`, `send`, `pool`, `upload`, `answer`, `paced`, `piece` and `tunnel`: the dyno's side, streamed in bounded memory.
//! - `beside`: the one host that leads to no app.
//! - `exchange`, `lines`, `code` and `page`: what is told of it, in the log and to the visitor.
//!
//! Every request is parsed and written anew: no byte of a visitor's reaches a dyno in the form it came in, save for bodies, and
//! for tunnels once the dyno has agreed to them.

mod admit;
mod answer;
mod beside;
mod challenge;
mod code;
mod converse;
mod dispatch;
mod door;
mod exchange;
mod forward;
mod glance;
mod guests;
mod host;
mod https_only;
mod idle;
mod lines;
mod listener;
mod load;
mod options;
mod outbox;
mod paced;
mod page;
mod passage;
mod piece;
mod pool;
mod posting;
mod proxy;
mod queue;
mod request_id;
mod send;
mod sheet;
mod stream;
mod table;
mod tunnel;
mod under_way;
mod upload;
mod visitor;
mod visits;
mod wire;

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use tokio::sync::{mpsc, watch};

pub use beside::{Beside, Handed};
pub use challenge::Challenges;
pub use converse::{ACME_PROTOCOL, PROTOCOLS};
pub use options::Options;
pub use under_way::UnderWay;

use self::door::Door;
use self::lines::Lines;
use self::listener::{Open, Target, Worker, runtime};
use self::outbox::Outbox;
use self::pool::Pool;
use self::proxy::Proxy;
use self::table::Table;
use crate::error::Result;
use crate::metrics::Traffic;
use crate::name::Id;

/// Where an app is found, and what is behind it.
#[derive(Clone, Debug)]
pub struct Route {
    /// In lower case and without port. `*.example.com` stands for every host below `example.com` that no other route names.
    pub hosts: Vec<String>,
    pub app: Id,
    /// Visitors see the maintenance page, whatever else is there.
    pub maintenance: bool,
    /// Visitors who come without TLS are sent to come again within it.
    pub https_only: bool,
    pub pages: Pages,
    pub web: Web,
}

/// Pages of an app's own that visitors see in the place of ours: `http://` or `https://` URLs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// When no dyno answers.
    pub error: Option<String>,
    pub maintenance: Option<String>,
}

/// What is behind an app's hosts.
#[derive(Clone, Debug)]
pub enum Web {
    /// Nothing was ever deployed: H81.
    Blank,
    /// Something was, but its first release has failed: H14.
    Unreleased,
    /// It has no web process to be scaled: H14.
    Undeclared,
    /// Scaled to zero: H14.
    NoWebDynos,
    /// All its dynos have crashed: H10.
    Crashed,
    /// Its dynos sleep. Requests wake it, and wait as for one that is starting.
    Idle,
    /// Requests wait for another table, and at last get H20.
    Starting,
    Up(Vec<Dyno>),
}

/// A web dyno that takes requests.
#[derive(Clone, Debug)]
pub struct Dyno {
    /// Never used for two dynos: connections are kept, and requests counted, under it.
    pub id: Id,
    /// As log lines show it: `web.1`.
    pub name: String,
    pub address: SocketAddr,
}

/// Where the router's log lines go.
pub trait RequestLog: Send + Sync {
    /// Takes the lines of some requests of an app, without time and source, once and when they are over. Called on the router's
    /// threads, so it must not wait.
    fn requests(&self, app: Id, lines: &[&str]);

    /// The same request in numbers: the status that the visitor saw (0 for none), Heroku's code where it ended with one, and how
    /// long it took, unless it was one that has no end of its own.
    fn counted(
        &self,
        _app: Id,
        _status: u16,
        _code: Option<&'static str>,
        _took: Option<Duration>,
    ) {
    }

    /// A visitor was answered, or turned away, before it was known which app is meant: with this status, and Heroku's code if
    /// there is one for it.
    fn unrouted(&self, _status: u16, _code: Option<&'static str>) {}
}

/// Where the table comes from.
pub trait TableSource: Send + Sync {
    /// Resolves once the table holds all that was true when this was called; at once, if it does already. Asked before a visitor
    /// is turned away, so that nobody hears of an app that it is not there, or runs nothing, just after it was deployed.
    fn caught_up(&self) -> BoxFuture<'_, ()>;

    /// Somebody has come for an app that sleeps, and waits. Called for each of them, on the router's threads, so it must not wait
    /// itself.
    fn wake(&self, app: Id);
}

/// A running router. Clones are the same router; it stops when the last one is dropped.
#[derive(Clone)]
pub struct Router {
    inner: Arc<Inner>,
}

struct Inner {
    addresses: Vec<SocketAddr>,
    table: Arc<Table>,
    stop: watch::Sender<Option<Duration>>,
    under_way: Vec<Arc<UnderWay>>,
    open: Vec<Arc<Open>>,
    queued: Arc<AtomicUsize>,
    options: Arc<Options>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Router {
    /// Serves on the listeners from the first [`replace`](Router::replace) on: visitors who come earlier wait. Fails if the system gives no threads or timers.
    pub fn start(
        listeners: Vec<TcpListener>,
        log: Arc<dyn RequestLog>,
        options: Options,
    ) -> Result<Router> {
        let addresses = listeners.iter().map(TcpListener::local_addr);
        let addresses = addresses.collect::<std::io::Result<Vec<_>>>()?;
        let table = Arc::new(Table::new());
        let stop = watch::Sender::new(None);
        let shared = Shared {
            table: table.clone(),
            log,
            queued: Arc::default(),
            options: Arc::new(options),
        };
        let mut targets = Vec::new();
        let (mut under_way, mut open) = (Vec::new(), Vec::new());
        let mut workers = Vec::new();
        for _ in 0..shared.options.threads.max(1) {
            let (worker, target) = shared.worker(stop.subscribe());
            open.push(target.open.clone());
            under_way.push(worker.proxy.under_way.clone());
            workers.push((runtime()?, worker));
            targets.push(target);
        }
        let targets: Arc<[Target]> = targets.into();
        let door = Arc::new(Door::new(shared.options.clone(), shared.log.clone()));
        for (listener, (runtime, _)) in listeners.into_iter().zip(workers.iter().cycle()) {
            listener.set_nonblocking(true)?;
            let _inside = runtime.enter();
            let listener = tokio::net::TcpListener::from_std(listener)?;
            runtime.spawn(listener::accept(
                listener,
                targets.clone(),
                door.clone(),
                (table.changes(), stop.subscribe()),
            ));
        }
        let router = Router {
            inner: Arc::new(Inner {
                addresses,
                table,
                stop,
                under_way,
                open,
                queued: shared.queued.clone(),
                options: shared.options.clone(),
                threads: Mutex::default(),
            }),
        };
        for (number, (runtime, worker)) in workers.into_iter().enumerate() {
            let thread = std::thread::Builder::new()
                .name(format!("router-{number}"))
                .spawn(move || runtime.block_on(worker.run()))?;
            router.threads().push(thread);
        }
        Ok(router)
    }

    /// Where it listens, in the order of the listeners.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.inner.addresses
    }

    /// From here on, asks where the table comes from before it turns a visitor away. The source is not kept alive by this.
    pub fn follow(&self, source: &Arc<impl TableSource + 'static>) {
        let source: Arc<dyn TableSource> = source.clone();
        self.inner.table.follow(Arc::downgrade(&source));
    }

    /// Tells which hosts lead to an app, now and later.
    pub fn hosts(&self) -> Hosts {
        Hosts(self.inner.table.clone())
    }

    /// Makes these the routes, all at once. What is known of a dyno (requests in flight, whether it is set aside) is kept by its
    /// id, and requests that wait for a starting app look again.
    pub fn replace(&self, routes: Vec<Route>) {
        self.inner.table.replace(routes);
    }

    /// How many requests there were for an app, and how many of them are under way, waiting ones included.
    pub fn visits(&self, app: Id) -> (u64, u64) {
        self.inner.table.visits(app)
    }

    /// What goes on at this moment. The function does not keep the router alive.
    pub fn traffic(&self) -> impl Fn() -> Traffic + Send + Sync + use<> {
        let inner = Arc::downgrade(&self.inner);
        move || {
            inner.upgrade().map_or(Traffic::default(), |inner| Traffic {
                connections: inner.open.iter().map(|open| open.connections()).sum(),
                requests: inner.table.under_way(),
                queued: inner.queued.load(Ordering::Relaxed),
            })
        }
    }

    /// Resolves when no request is in flight at the dyno, streams and tunnels included, or at the deadline. To be called after
    /// [`replace`](Router::replace) has taken the dyno out of the table: from then on, no request goes there. Needs to be
    /// awaited on a tokio runtime with timers.
    pub async fn drain(&self, dyno: Id, deadline: Duration) {
        self.inner.table.drain(dyno, deadline).await;
    }

    /// The requests of each thread, for whoever wants to go on serving until those have ended that are here now. Tunnels and
    /// streams of events are none of them, since nobody knows when they will end.
    pub fn under_way(&self) -> &[Arc<UnderWay>] {
        &self.inner.under_way
    }

    /// From here on each answer by HTTP/1.1 says that it is the last one of its connection: who asks again comes by another, and
    /// nobody has one in hand when it is closed. Who comes is served as ever. Resolves when no connection is left, or when visitors
    /// whose connections rest have had [`Options::last_call`] to ask once more.
    pub async fn take_leave(&self) {
        let open = &self.inner.open;
        open.iter().for_each(|open| open.leave());
        let gone = join_all(open.iter().map(|open| open.empty()));
        // Who has not asked by then is asked for no longer.
        let _ = tokio::time::timeout(self.inner.options.last_call, gone).await;
    }

    /// Connections that rest are closed at once when the router stops: what they led to ends as well, and nobody follows.
    pub fn hurry(&self) {
        self.inner.open.iter().for_each(|open| open.hurry());
    }

    /// Stops accepting, ends tunnels, streams of events, and answers that have lasted for longer than a dyno may take to begin
    /// one, lets what else is in flight end for at most `grace`, and visitors whose connections rest ask once more, tells those H24
    /// who have had no answer by then, and ends the threads. Blocks until then, so not to be called on a thread that drives other tasks.
    pub fn stop(&self, grace: Duration) {
        self.leave_at_most(grace);
        let threads = std::mem::take(&mut *self.threads());
        for thread in threads {
            // A panic in a thread has nothing left to stop.
            let _ = thread.join();
        }
    }

    /// Of a router that is being stopped: the time is over.
    pub fn cut(&self) {
        self.leave_at_most(Duration::ZERO);
    }

    /// Of two times that are left, the shorter one counts.
    fn leave_at_most(&self, grace: Duration) {
        let shorter = |left: &mut Option<Duration>| {
            *left = Some(left.map_or(grace, |left| left.min(grace)));
        };
        self.inner.stop.send_modify(shorter);
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.inner
            .threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hosts that lead to an app.
pub struct Hosts(Arc<Table>);

impl Hosts {
    /// In lower case and without port.
    pub fn has(&self, host: &str) -> bool {
        self.0.find(host).is_some()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.send_replace(Some(Duration::ZERO));
    }
}

/// What all threads have in common.
struct Shared {
    table: Arc<Table>,
    log: Arc<dyn RequestLog>,
    queued: Arc<AtomicUsize>,
    options: Arc<Options>,
}

impl Shared {
    fn worker(&self, stop: watch::Receiver<Option<Duration>>) -> (Worker, Target) {
        let open = Arc::new(Open::default());
        let outbox = Arc::<Outbox>::default();
        let (connections, incoming) = mpsc::unbounded_channel();
        let proxy = Arc::new(Proxy {
            table: self.table.clone(),
            options: self.options.clone(),
            lines: Arc::new(Lines::new(self.log.clone())),
            pool: Pool::new(&self.options, outbox.clone()),
            outbox,
            queued: self.queued.clone(),
            turn: AtomicUsize::new(0),
            open: open.clone(),
            under_way: Arc::default(),
        });
        let worker = Worker {
            proxy,
            incoming,
            stop,
        };
        (worker, Target { connections, open })
    }
}
