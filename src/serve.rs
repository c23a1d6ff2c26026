//! A server, from its settings to its end: what is opened, in which order, and how it stops.

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_server::ServerHandle;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use crate::Platform;
use crate::acm::{Acm, Challenges};
use crate::app_setup::Setups;
use crate::authority::Authority;
use crate::build::{self, Builder};
use crate::certificates::Certificates;
use crate::config::Config;
use crate::data_dir::{DataDir, Lock};
use crate::deliveries::{Deliverer, Limits};
use crate::error::{Error, Result};
use crate::idling::{Bell, Idler};
use crate::isolation;
use crate::listener;
use crate::partner;
use crate::promotion::Promoter;
use crate::provisioning::Provisioner;
use crate::pushes;
use crate::release_phase::ReleasePhases;
use crate::rendezvous::{self, Rendezvous};
use crate::router::{self, Router};
use crate::routes::{RouterLog, Routes};
use crate::runtime::plan::Policy;
use crate::runtime::{
    self, Drain, Event, Isolation, Local, Parting, Reception, Reconciler, Runtime, Shims,
};
use crate::sandbox::Level;
use crate::scheduler::Scheduler;
use crate::sockets::Sockets;
use crate::store::{AfterCommit, accounts, oauth_authorizations, oauth_tokens};
use crate::sweep;
use crate::time::Clock;

/// How long requests that are under way may take to end when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// What a server says of itself when it is ready: printed as one line of JSON, and kept in the data directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    pub api_url: String,
    pub router_url: String,
    pub api_key: String,
    pub data_dir: String,
    pub pid: u32,
    /// The certificate that clients of one-off dynos are to trust.
    #[serde(default)]
    pub ca_file: String,
    /// How well dynos are kept apart. A server of an older version said nothing of it.
    #[serde(default)]
    pub isolation: Option<Level>,
}

impl Ready {
    /// What the last server on this directory said of itself.
    pub fn read(data: &DataDir) -> Result<Option<Ready>> {
        data.read_private("server.json")?
            .map(|json| serde_json::from_str(&json).map_err(Error::internal))
            .transpose()
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What only tests set.
pub struct Options {
    pub clock: Clock,
    pub attached_idle: Duration,
    pub policy: Policy,
    /// Called after each commit, once it is on disk.
    pub after_commit: Option<AfterCommit>,
    /// The binary that holds dynos, where this process is none.
    pub shim: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            clock: Clock::default(),
            attached_idle: rendezvous::IDLE,
            policy: Policy::default(),
            after_commit: None,
            shim: None,
        }
    }
}

pub struct Server {
    pub ready: Ready,
    pub platform: Arc<Platform>,
    router: Router,
    api: ServerHandle,
    api_task: JoinHandle<std::io::Result<()>>,
    loops: JoinSet<()>,
    builds: JoinHandle<()>,
    dynos: JoinHandle<()>,
    part_from_dynos: oneshot::Sender<Parting>,
    /// Whatever is asked for.
    tied: bool,
    _lock: Lock,
}

/// Runs a server until `shutdown` resolves, which says what is to become of the dynos. `ready` is told once it serves.
pub fn serve(
    config: Config,
    options: Options,
    ready: impl FnOnce(&Ready),
    shutdown: impl Future<Output = Parting>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut shutdown = pin!(shutdown);
        // Polled first, so that signals are listened for before anything is started, and one that comes early ends it cleanly.
        let server = tokio::select! {
            biased;
            _ = &mut shutdown => return Ok(()),
            server = Server::start(config, options) => server?,
        };
        ready(&server.ready);
        let parting = shutdown.await;
        server.stop(parting).await;
        Ok(())
    })
}

impl Server {
    /// Opens everything, takes up what an earlier run left running, and serves.
    pub async fn start(config: Config, options: Options) -> Result<Server> {
        let data = DataDir::open(&config.data_dir.data_dir)?;
        let lock = data.lock()?;
        let sockets = Sockets::bind(&config)?;
        let urls = sockets.urls(&config)?;
        let authority = Arc::new(Authority::open(&data)?);
        let program = options.shim.unwrap_or(Shims::default().program);
        let level = isolation::choose(&config.isolation, &data, &program).await?;
        let (clock, after_commit) = (options.clock, options.after_commit);
        let platform = Platform::open(config, urls, clock, level, &data, after_commit)?;
        isolation::tell(&platform)?;
        let ready = Ready {
            api_url: platform.urls.api.clone(),
            router_url: platform.urls.router(),
            api_key: first_account(&platform, &data).await?,
            data_dir: data.root().display().to_string(),
            pid: std::process::id(),
            ca_file: authority.certificate.display().to_string(),
            isolation: Some(level),
        };
        let log = Arc::new(RouterLog(platform.logs.clone()));
        let challenges = Challenges::default();
        let certificates = Certificates::new(
            platform.store.clone(),
            authority.clone(),
            challenges.clone(),
        );
        certificates.refresh().await?;
        let routing = router::Options {
            tls: Some(certificates.server()?),
            https_port: platform.urls.router_tls_port,
            challenges: Some(Arc::new(challenges.clone())),
            ..router::Options::default()
        };
        let router = Router::start(sockets.routers, log, routing)?;
        certificates.follow(router.hosts());
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
            options.attached_idle,
        )?;
        let reconciler = reconciler(
            &platform,
            Arc::new(local),
            events,
            routes.clone(),
            policy,
            reception,
        );
        // Nobody who comes now may be told that there is no such app, or be sent to a dyno that is no more.
        reconciler.take_up().await?;
        routes.refresh().await?;
        let (part_from_dynos, parting) = oneshot::channel();
        let dynos = tokio::spawn(reconciler.run(async { parting.await.unwrap_or(Parting::Leave) }));
        let mut loops = JoinSet::new();
        spawn_loops(&platform, routes, &data, &mut loops)?;
        let builder = builder(&platform, &data, bench)?;
        let mut stopping = platform.stopping.subscribe();
        let builds = tokio::spawn(async move {
            let stopped = async { drop(stopping.wait_for(|stopping| *stopping).await) };
            builder.run(stopped).await;
        });
        loops.spawn(rendezvous.run());
        loops.spawn(certificates.run());
        loops.spawn(Acm::new(platform.clone(), data.clone(), challenges).run());
        loops.spawn(async move { idler.run().await });
        let tls = authority.server(&platform.names())?;
        let (api, api_task) = listener::serve(&platform, sockets.api, Some(tls))?;
        data.write_passing("server.json", &ready.to_json())?;
        Ok(Server {
            ready,
            platform,
            router,
            api,
            api_task,
            loops,
            builds,
            dynos,
            part_from_dynos,
            tied,
            _lock: lock,
        })
    }

    /// Ends what is under way, parts from the dynos, and lets go of the data directory.
    pub async fn stop(mut self, parting: Parting) {
        // The API waits for the answers under way, and a build's output ends only when nobody writes to it any more.
        self.platform.end_streams();
        self.loops.shutdown().await;
        if tokio::time::timeout(STOP_GRACE, self.builds).await.is_err() {
            tracing::error!("a build did not end; the next start removes what is left of it");
        }
        self.api.stop(true).await;
        if let Ok(Err(error)) = self.api_task.await {
            tracing::error!(%error, "the API ended with an error");
        }
        let router = self.router.clone();
        if tokio::task::spawn_blocking(move || router.stop(STOP_GRACE))
            .await
            .is_err()
        {
            tracing::error!("the router did not stop cleanly");
        }
        let parting = if self.tied { Parting::End } else { parting };
        let _ = self.part_from_dynos.send(parting);
        if self.dynos.await.is_err() {
            tracing::error!(
                "the dynos may not have been stopped; the next start takes up what is left"
            );
        }
        self.platform.logs.flush();
    }
}

/// The owner's account and token: made by the first start, and the same after that.
async fn first_account(platform: &Arc<Platform>, data: &DataDir) -> Result<String> {
    let (token, email, now) = (
        data.api_key()?,
        platform.config.owner.clone(),
        platform.clock.now(),
    );
    let written = token.clone();
    if platform
        .store
        .read(|connection| {
            oauth_tokens::credential(connection, &crate::secret::digest(&token), now)
        })?
        .is_none()
    {
        platform
            .store
            .write(move |connection| {
                let owner = match accounts::by_email(connection, &email)? {
                    Some(owner) => owner,
                    None => accounts::create(connection, &email, now)?,
                };
                accounts::make_admin(connection, owner.id)?;
                oauth_authorizations::add_key(
                    connection,
                    owner.id,
                    &written,
                    "the server's api_key file",
                    now,
                )
            })
            .await?;
    }
    Ok(token)
}

fn spawn_loops(
    platform: &Arc<Platform>,
    routes: Arc<Routes>,
    data: &DataDir,
    loops: &mut JoinSet<()>,
) -> Result<()> {
    let promoter = Promoter::new(platform.clone());
    let phases = ReleasePhases::new(platform.clone());
    let scheduler = Scheduler::new(platform.clone());
    let setups = setups(platform, data);
    let provisioner = Provisioner::new(platform.clone(), partner::TIMEOUT);
    let deliverer = Deliverer::new(platform.clone(), Limits::default());
    loops.spawn(sweep::run(platform.clone()));
    loops.spawn(pushes::run(platform.clone()));
    loops.spawn(async move { setups.run().await });
    loops.spawn(async move { promoter.run().await });
    loops.spawn(async move { phases.run().await });
    loops.spawn(async move { scheduler.run().await });
    loops.spawn(async move { provisioner.run().await });
    loops.spawn(async move { deliverer.run().await });
    loops.spawn(async move { routes.run().await });
    Ok(())
}

pub fn reconciler(
    platform: &Arc<Platform>,
    runtime: Arc<dyn Runtime>,
    events: mpsc::UnboundedReceiver<Event>,
    drain: Arc<dyn Drain>,
    policy: Policy,
    reception: Reception,
) -> Reconciler {
    let parts = runtime::Parts {
        store: platform.store.clone(),
        runtime,
        logs: platform.logs.clone(),
        outputs: platform.outputs.clone(),
        drain,
        clock: platform.clock.clone(),
        policy,
        reception,
    };
    Reconciler::new(parts, events)
}

pub fn builder(platform: &Arc<Platform>, data: &DataDir, bench: build::Bench) -> Result<Builder> {
    let (urls, links) = (platform.urls.clone(), platform.clone());
    let parts = build::Parts {
        store: platform.store.clone(),
        blobs: platform.blobs.clone(),
        logs: platform.logs.clone(),
        outputs: platform.outputs.clone(),
        clock: platform.clock.clone(),
        outbound: platform.outbound.clone(),
        links: build::Links {
            app: Arc::new(move |app| urls.web(app)),
            output: Arc::new(move |build| links.build_output_url(build)),
        },
        bench,
    };
    let settings = build::Settings {
        at_once: usize::from(platform.config.builds),
        limits: platform.config.build.clone(),
        shelves: platform.config.buildpacks.clone(),
        ..build::Settings::new(data.path("builds"))
    };
    Builder::open(parts, settings, platform.boot)
}

fn local(
    platform: &Arc<Platform>,
    data: &DataDir,
    program: PathBuf,
    isolation: Isolation,
) -> Result<(Local, mpsc::UnboundedReceiver<Event>)> {
    let shims = Shims {
        program,
        tied: platform.config.dynos_end_with_server,
    };
    let (blobs, logs) = (platform.blobs.clone(), platform.logs.clone());
    let outputs = platform.outputs.clone();
    Local::open(data.root(), blobs, logs, outputs, shims, isolation)
}

pub fn setups(platform: &Arc<Platform>, data: &DataDir) -> Setups {
    Setups::new(platform.clone(), build::Settings::new(data.path("builds")))
}
