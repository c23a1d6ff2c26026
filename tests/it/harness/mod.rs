//! A whole server for each test: real files, a real API on a loopback port, a clock that the test moves, and dynos that are only
//! imagined. Nothing runs by itself: [`Server::settle`] runs every loop until nothing is left to do, so no test waits for one.

mod answer;
mod client;
mod contract;
mod database;
mod deploy;
mod dynos;
mod golden;
mod outgoing;
pub mod shape;
mod visitors;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use futures_util::future::BoxFuture;
use penstock::Platform;
use penstock::app_setup::Setups;
use penstock::build::{self, Bench, Builder};
use penstock::caches::Caches;
use penstock::config::{Config, DataDirArg, EcoIdle, Waits};
use penstock::data_dir::DataDir;
use penstock::deliveries::Deliverer;
use penstock::idling::{Bell, Idler};
use penstock::name::Id;
use penstock::promotion::Promoter;
use penstock::provisioning::Provisioner;
use penstock::release_phase::ReleasePhases;
use penstock::runtime::plan::Policy;
use penstock::runtime::{Drain, Reception, Reconciler};
use penstock::sandbox::{Isolation, Level, Settings};
use penstock::scheduler::Scheduler;
use penstock::secret::SealingKey;
use penstock::serve;
use penstock::store::{accounts, oauth_authorizations};
use penstock::time::{Clock, Timestamp};
use penstock::urls::Urls;

pub use answer::{Answer, id};
pub use client::{Client, http};
pub use deploy::{gz, web_app};
pub use dynos::Dynos;
pub use golden::golden;
pub use visitors::Visitors;

/// When every test begins.
pub const T0: &str = "2026-01-31T12:00:00Z";
/// For a store without a server.
pub fn sealing_key() -> SealingKey {
    SealingKey::new([7; 32]).unwrap()
}

/// For which a provider of add-ons may be silent.
const PROVIDERS: Duration = Duration::from_secs(5);
/// Where the router would be.
const ROUTER_PORT: u16 = 8080;

/// A server of one test.
pub struct Server {
    pub platform: Arc<Platform>,
    pub clock: Clock,
    /// What the dynos do is for the test to say.
    pub dynos: Arc<Dynos>,
    /// Who visits the apps.
    pub visitors: Arc<Visitors>,
    idler: Idler,
    builder: Builder,
    promoter: Promoter,
    phases: ReleasePhases,
    scheduler: Scheduler,
    setups: Setups,
    provisioner: Provisioner,
    /// The provisioner's own loop: a request for an add-on is answered once its provider has been asked.
    providers: tokio::task::JoinHandle<()>,
    deliverer: Deliverer,
    /// The loop of the drains, in tests that have any.
    drains: Option<tokio::task::JoinHandle<()>>,
    reconciler: Reconciler,
    http: reqwest::Client,
    api: ServerHandle,
    dir: tempfile::TempDir,
}

impl Server {
    pub async fn start() -> Server {
        Server::with_acme(penstock::acm::Settings::default()).await
    }

    /// One that asks an authority for certificates.
    pub async fn with_acme(acme: penstock::acm::Settings) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let clock = Clock::held(Timestamp::parse(T0).unwrap());
        let config = Config {
            acme,
            ..config(&data)
        };
        let urls = Urls {
            api: format!("http://{}", listener.local_addr().unwrap()),
            router_port: ROUTER_PORT,
            router_tls_port: None,
            base_domain: config.base_domain.clone(),
            rendezvous_at: ([127, 0, 0, 1], 5_001).into(),
        };
        let platform = Platform::open(config, urls, clock.clone(), &data, None).unwrap();
        let platform = platform.at(Level::Full);
        let (dynos, events) = Dynos::new();
        let policy = Policy::default();
        let reconciler = serve::reconciler(
            &platform,
            dynos.clone(),
            events,
            Arc::new(NoVisitors),
            policy,
            Reception::default(),
        );
        let bell = Arc::new(Bell::default());
        let visitors = Arc::new(Visitors::new(bell.clone()));
        let provisioner = Provisioner::new(platform.clone(), PROVIDERS);
        let looping = provisioner.clone();
        let providers = tokio::spawn(async move { looping.run().await });
        let (api, task) =
            penstock::listener::serve(&platform, listener, None, Default::default()).unwrap();
        drop(task);
        Server {
            clock,
            dynos,
            builder: serve::builder(
                &platform,
                &data,
                bench(data.root(), platform.caches.clone()),
            )
            .unwrap(),
            promoter: Promoter::new(platform.clone()),
            phases: ReleasePhases::new(platform.clone()),
            scheduler: Scheduler::new(platform.clone()),
            setups: serve::setups(&platform, &data),
            provisioner,
            providers,
            deliverer: Deliverer::new(platform.clone(), outgoing::DELIVERIES),
            drains: None,
            idler: Idler::new(platform.clone(), visitors.clone(), bell),
            visitors,
            reconciler,
            http: client::http(),
            api,
            platform,
            dir,
        }
    }

    /// A client that sends as `name`, whose account is made when it is first asked for.
    pub async fn account(&self, name: &str) -> Client {
        let (email, now) = (format!("{name}@example.com"), self.clock.now());
        let token = penstock::secret::token().unwrap();
        let written = token.clone();
        let account = self
            .platform
            .store
            .write(move |connection| {
                let account = match accounts::by_email(connection, &email)? {
                    Some(account) => account,
                    None => accounts::create(connection, &email, now)?,
                };
                oauth_authorizations::add_key(connection, account.id, &written, "a test", now)?;
                Ok(account)
            })
            .await
            .unwrap();
        Client::new(self, Some((account.id, token)))
    }

    /// The same, for somebody who runs the server.
    pub async fn admin(&self, name: &str) -> Client {
        let client = self.account(name).await;
        let id = client.id.unwrap();
        let written = self
            .platform
            .store
            .write(move |connection| accounts::make_admin(connection, id));
        written.await.unwrap();
        client
    }

    /// A client without a token.
    pub fn nobody(&self) -> Client {
        Client::new(self, None)
    }

    /// Runs every loop until nothing is left to do.
    pub async fn settle(&self) {
        loop {
            let begun = self.builder.tick().await.unwrap();
            self.builder.idle().await;
            let promoted = self.promoter.tick().await.unwrap();
            let asked = self.provisioner.tick().unwrap();
            self.provisioner.idle().await;
            self.reconciler.settle().await.unwrap();
            let scheduled = self.scheduler.tick().await.unwrap();
            let released = self.phases.tick().await.unwrap();
            let set_up = self.setups.tick().await.unwrap();
            self.setups.idle().await;
            let slept = self.idler.tick().await.unwrap();
            let told = self.deliverer.tick().await.unwrap();
            self.deliverer.idle().await;
            if begun + promoted + scheduled + released + asked + set_up + slept + told == 0 {
                return;
            }
        }
    }

    /// Resolves once no provider of add-ons is being asked, and none is due to be.
    pub async fn providers_idle(&self) {
        while self.provisioner.tick().unwrap() > 0 {
            self.provisioner.idle().await;
        }
        self.provisioner.idle().await;
    }

    /// Makes waiting promotions come true, and nothing else.
    pub async fn promote(&self) {
        self.promoter.tick().await.unwrap();
    }

    /// Reads the sources of waiting app setups and queues their builds, and nothing else.
    pub async fn step_setups(&self) {
        self.setups.tick().await.unwrap();
        self.setups.idle().await;
    }

    /// Looks at what memory the dynos use, as the server does every few seconds.
    pub async fn check_memory(&self) {
        self.reconciler.check_memory().await;
    }

    /// From here on the row of this release cannot be changed.
    pub async fn freeze_release(&self, release: &serde_json::Value) {
        let id = release["id"].as_str().unwrap();
        self.execute(format!(
            "CREATE TRIGGER frozen BEFORE UPDATE ON release WHEN OLD.id = '{id}'
             BEGIN SELECT RAISE(ABORT, 'frozen'); END"
        ))
        .await;
    }

    /// It can be changed again.
    pub async fn thaw_release(&self) {
        self.execute("DROP TRIGGER frozen".to_owned()).await;
    }

    async fn execute(&self, sql: String) {
        let write = move |connection: &rusqlite::Connection| Ok(connection.execute_batch(&sql)?);
        self.platform.store.write(write).await.unwrap();
    }

    /// Moves the clock.
    pub fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    /// Somebody puts the clock back.
    pub fn go_back(&self, time: Duration) {
        self.clock.set(self.clock.now().minus(time));
    }

    /// Removes what nothing points at any more, as the server does every hour.
    pub async fn sweep(&self) {
        penstock::sweep::sweep(&self.platform).await.unwrap();
    }

    /// Every row of every table but the audit trail, which outlives all that it tells of.
    pub fn dump_without_trail(&self) -> String {
        database::dump_without_trail(self.dir.path())
    }

    /// Every row of every table, as text.
    pub fn dump(&self) -> String {
        database::dump(self.dir.path())
    }
}

impl Drop for Server {
    /// What must hold at the end of every test.
    fn drop(&mut self) {
        drop(self.api.stop(false));
        self.providers.abort();
        self.drains.iter().for_each(tokio::task::JoinHandle::abort);
        if !std::thread::panicking() {
            database::check(self.dir.path(), &self.dynos.running());
        }
    }
}

/// Builds that run commands do so in the best sandbox that this user is sure to have.
pub fn bench(data: &Path, caches: Caches) -> Bench {
    let level = match nix::unistd::geteuid().is_root() {
        true => Level::Full,
        false => Level::Userns,
    };
    Bench {
        isolation: Isolation::new(level, Settings::default(), data),
        penstock: env!("CARGO_BIN_EXE_penstock").into(),
        caches,
    }
}

/// A server of its own, where nothing else is said.
pub fn config(data: &DataDir) -> Config {
    let any_port = "127.0.0.1:0".parse().unwrap();
    Config {
        data_dir: DataDirArg {
            data_dir: data.root().to_owned(),
        },
        listen: any_port,
        router_listen: any_port,
        router_tls_listen: None,
        certificates: penstock::certificates::Settings::default(),
        acme: penstock::acm::Settings::default(),
        rendezvous_listen: any_port,
        base_domain: "localhost".to_owned(),
        api_url: None,
        owner: "owner@localhost".to_owned(),
        builds: 2,
        build: build::Limits::default(),
        buildpacks: build::Shelves::default(),
        allow_private_fetch: None,
        strict_stages: false,
        eco_idle: EcoIdle(Some(Duration::from_secs(30 * 60))),
        crash_backoff: Waits(vec![Duration::ZERO, Duration::from_secs(1)]),
        dynos_end_with_server: true,
        isolation: Settings::default(),
        rate_limit: true,
    }
}

/// A router that nobody visits.
struct NoVisitors;

impl Drain for NoVisitors {
    fn drained(&self, _: Id) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
