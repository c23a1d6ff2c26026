//! A server, from its settings to its end: what is opened, in which order, and how it stops.

mod loops;
mod ready;
mod stopping;

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_server::ServerHandle;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};

pub use self::loops::{builder, reconciler, setups};
use self::loops::{local, spawn_loops};
pub use self::ready::Ready;
use self::ready::first_account;
pub use self::stopping::Patience;
use crate::Platform;
use crate::acm::{Acm, Challenges};
use crate::authority::Authority;
use crate::build;
use crate::certificates::Certificates;
use crate::config::Config;
use crate::data_dir::{DATABASE, DataDir, Lock};
use crate::drains::{self, Drains};
use crate::error::{Error, Result};
use crate::fixed_hosts;
use crate::idling::{Bell, Idler};
use crate::isolation::{self, Trial};
use crate::listener;
use crate::rendezvous::{self, Rendezvous};
use crate::router::{self, Beside, Handed, Router};
use crate::routes::{RouterLog, Routes};
use crate::runtime::plan::Policy;
use crate::runtime::{Haste, Isolation, Parting, Reception, Shims};
use crate::sockets::Sockets;
use crate::store::{self, AfterCommit, server_certificates};
use crate::time::Clock;
use crate::tunnel;

/// What a server that has stopped still gives its threads to end by themselves.
const MOMENT: Duration = Duration::from_millis(500);

/// What only tests set.
#[derive(Default)]
pub struct Options {
    pub clock: Clock,
    pub policy: Policy,
    /// Of connections to one-off dynos.
    pub attached: rendezvous::Limits,
    pub patience: Patience,
    /// Called after each commit, once it is on disk.
    pub after_commit: Option<AfterCommit>,
    /// The binary that holds dynos, where this process is none.
    pub shim: Option<PathBuf>,
}

/// A running server.
pub struct Server {
    pub ready: Ready,
    pub platform: Arc<Platform>,
    router: Router,
    api: ServerHandle,
    clients: listener::Clients,
    api_task: JoinHandle<std::io::Result<()>>,
    loops: JoinSet<()>,
    /// What the router relies on: its table, and what wakes apps that sleep.
    visiting: JoinSet<()>,
    /// The builder's loop, which ends what it builds when the server stops.
    builds: JoinHandle<()>,
    /// The reconciler's loop, and what makes it end.
    dynos: JoinHandle<()>,
    part_from_dynos: oneshot::Sender<Parting>,
    haste: Haste,
    /// Of dynos that are to end: nobody else's, since those that end for another reason outlive a server that makes room.
    dynos_haste: Haste,
    /// Whatever is asked for.
    tied: bool,
    patience: Patience,
    lock: Lock,
}

/// Runs a server until `shutdown` resolves, which says what is to become of the dynos, and with what resolves when whoever stops it
/// has no more patience. `ready` is told once it serves.
pub fn serve<H: Future<Output = ()>>(
    config: Config,
    options: Options,
    ready: impl FnOnce(&Ready),
    shutdown: impl Future<Output = (Parting, H)>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let stopped: Result<Option<Lock>> = runtime.block_on(async {
        let mut shutdown = pin!(shutdown);
        // Polled first, so that signals are listened for before anything is started, and one that comes early ends it cleanly.
        let server = tokio::select! {
            biased;
            _ = &mut shutdown => return Ok(None),
            server = Server::start(config, options) => server?,
        };
        ready(&server.ready);
        let (parting, haste) = shutdown.await;
        Ok(Some(server.stop_in_haste(parting, haste).await))
    });
    // A thread that waits for a disk, such as for the files of a dyno that is just being started, goes with the process. What it leaves
    // unfinished, the next start removes, for which the data directory stays ours until then: the kernel lets go of it.
    runtime.shutdown_timeout(MOMENT);
    stopped.map(std::mem::forget)
}

impl Server {
    /// Opens everything, takes up what an earlier run left running, and serves.
    pub async fn start(config: Config, options: Options) -> Result<Server> {
        let data = DataDir::open(&config.data_dir.data_dir)?;
        let lock = data.lock()?;
        let sockets = Sockets::bind(&config)?;
        let config = sockets.as_bound(config)?;
        let urls = sockets.urls(&config)?;
        let api_host = urls.api_by_router();
        let program = options.shim.unwrap_or(Shims::default().program);
        let mut trial = Trial::begin(&config.isolation, &data, &program);
        // At a first start it waits for the disk again and again, as what follows does too.
        let authority = spawn_blocking({
            let data = data.clone();
            move || Authority::open(&data)
        });
        if store::is_to_be_changed(&data.path(DATABASE))? {
            // If this one does not start, the version that wrote it shall find it as it was; and where there is none, nobody owns
            // anything yet.
            trial.level().await?;
        }
        let (clock, after_commit) = (options.clock, options.after_commit);
        let mut platform = Platform::open(config, urls, clock, &data, after_commit)?;
        let api_key = first_account(&platform, &data).await?;
        let authority = Arc::new(authority.await.map_err(Error::internal)??);
        platform.ca_certificate = authority.pem()?;
        let challenges = Challenges::default();
        let certificates = Certificates::new(
            platform.store.clone(),
            authority.clone(),
            challenges.clone(),
            (platform.config.certificates.clone(), platform.clock.clone()),
            api_host.clone(),
        );
        let wanted = api_host
            .clone()
            .filter(|_| platform.config.acme.acme_contact.is_some());
        let now = platform.clock.now();
        let want = move |connection: &rusqlite::Connection| {
            server_certificates::want(connection, wanted.as_deref(), now)
        };
        platform.store.write(want).await?;
        certificates.refresh().await?;
        // Nobody has been served yet, and nothing of anybody's has been run.
        let level = trial.level().await?;
        isolation::open_the_way(level, &platform.config.isolation);
        let platform = platform.at(level);
        isolation::tell(&platform)?;
        let ready = Ready {
            api_url: platform.urls.api.clone(),
            router_url: platform.urls.router(),
            listen: Some(sockets.api.local_addr()?),
            api_key,
            data_dir: data.root().display().to_string(),
            pid: std::process::id(),
            ca_file: authority.certificate.display().to_string(),
            isolation: Some(level),
        };
        let log = Arc::new(RouterLog(platform.logs.clone(), platform.metrics.clone()));
        let handed = Handed::default();
        let beside = match api_host {
            Some(host) => Some(Beside {
                host,
                tls: certificates.api_server()?,
                at: tunnel::here(sockets.api.local_addr()?),
                handed: handed.clone(),
            }),
            None => None,
        };
        let routing = router::Options {
            tls: Some(certificates.server()?),
            beside,
            https_port: platform.urls.router_tls_port,
            challenges: Some(Arc::new(challenges.clone())),
            ..router::Options::default()
        };
        let router = Router::start(sockets.routers, log, routing)?;
        certificates.follow(router.hosts());
        platform.metrics.watch(router.traffic());
        let policy = Policy {
            backoff: platform.config.crash_backoff.0.clone(),
            ..options.policy
        };
        let bell = Arc::new(Bell::default());
        let routes = Routes::new(platform.clone(), router.clone(), policy.drain, bell.clone());
        let routes = Arc::new(routes);
        router.follow(&routes);
        let idler = Idler::new(platform.clone(), routes.clone(), bell);
        let tied = platform.config.dynos_end_with_server;
        let isolation = Isolation::new(level, platform.config.isolation.clone(), data.root());
        let bench = build::Bench {
            isolation: isolation.clone(),
            penstock: program.clone(),
            caches: platform.caches.clone(),
        };
        let (local, events) = local(&platform, &data, program, isolation)?;
        let reception = Reception::default();
        let rendezvous = Rendezvous::new(
            platform.clone(),
            reception.clone(),
            sockets.rendezvous,
            &authority,
            options.attached,
        )?;
        let reconciler = reconciler(
            &platform,
            Arc::new(local),
            events,
            routes.clone(),
            policy,
            reception,
        );
        // Before there are new lines, lest those that wait for a drain go to make room for them.
        let drains = Drains::new(
            platform.clone(),
            platform.outbound.clone(),
            drains::Limits::default(),
        );
        drains.tick()?;
        // Nobody who comes now may be told that there is no such app, or be sent to a dyno that is no more.
        reconciler.take_up().await?;
        routes.refresh().await?;
        let dynos_haste = reconciler.haste();
        let (part_from_dynos, parting) = oneshot::channel();
        let dynos = tokio::spawn(reconciler.run(async { parting.await.unwrap_or(Parting::Leave) }));
        let mut loops = JoinSet::new();
        spawn_loops(&platform, &data, &mut loops)?;
        let builder = builder(&platform, &data, bench)?;
        let mut stopping = platform.stopping.subscribe();
        let builds = tokio::spawn(async move {
            let stopped = async { drop(stopping.wait_for(|stopping| *stopping).await) };
            builder.run(stopped).await;
        });
        loops.spawn(rendezvous.run());
        loops.spawn(async move { drains.run().await });
        loops.spawn(certificates.run());
        loops.spawn(Acm::new(platform.clone(), data.clone(), challenges).run());
        let mut visiting = JoinSet::new();
        visiting.spawn(async move { routes.run().await });
        visiting.spawn(async move { idler.run().await });
        let names = platform.names();
        let certificates = listener::Certificates {
            own: authority.server(&names)?,
            fixed_hosts: authority.server(&fixed_hosts::HOSTS.map(str::to_owned))?,
            names,
        };
        let clients = listener::Clients::default();
        let known = (handed, clients.clone());
        let (api, api_task) = listener::serve(&platform, sockets.api, Some(certificates), known)?;
        data.write_passing("server.json", &ready.to_json())?;
        Ok(Server {
            ready,
            platform,
            router,
            api,
            clients,
            api_task,
            loops,
            visiting,
            builds,
            dynos,
            part_from_dynos,
            haste: Haste::default(),
            dynos_haste,
            tied,
            patience: options.patience,
            lock,
        })
    }
}
