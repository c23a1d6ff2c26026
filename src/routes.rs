//! Keeps the router's table in line with the store: who is visited under which host, and by way of which dynos.
//!
//! The table is rebuilt whole from one snapshot after each change that matters to it. It must not know how requests are passed
//! on, nor how dynos are run.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::Platform;
use crate::error::{Error, Result};
use crate::hostname::Hostname;
use crate::idling::{Bell, Visited as Counts, Visits};
use crate::log::{Logs, Source};
use crate::metrics::Metrics;
use crate::name::Id;
use crate::router::{self, Pages, RequestLog, Route, Router, TableSource, Web};
use crate::runtime::Drain;
use crate::store::Table;
use crate::store::dynos::{Dyno, State};
use crate::store::routes::{self, Deployed, Visited};
use crate::urls::Urls;

/// The longest between two refreshes.
const EVERY: Duration = Duration::from_secs(10);
/// A table takes milliseconds to make, unless something is badly wrong.
const CATCH_UP: Duration = Duration::from_secs(2);

/// The router, and the loop that tells it where the dynos are.
pub struct Routes {
    platform: Arc<Platform>,
    router: Router,
    /// How long a dyno that is to be stopped may go on answering the requests it has.
    patience: Duration,
    /// Rung for apps that sleep.
    bell: Arc<Bell>,
    /// Held from the snapshot to the swap, so that an older table never replaces a newer one.
    order: Mutex<()>,
    /// Counts the commits that matter to the table.
    committed: watch::Receiver<u64>,
    /// The count that the router's table holds.
    shown: watch::Sender<u64>,
}

impl Routes {
    pub fn new(
        platform: Arc<Platform>,
        router: Router,
        patience: Duration,
        bell: Arc<Bell>,
    ) -> Routes {
        let committed = platform.store.changes(&[
            Table::App,
            Table::AppFeature,
            Table::Domain,
            Table::Dyno,
            Table::Formation,
            // Visitors wait for the first, and are told when it fails.
            Table::Release,
        ]);
        Routes {
            platform,
            router,
            patience,
            bell,
            order: Mutex::default(),
            committed,
            shown: watch::Sender::new(0),
        }
    }

    /// Gives the router a new table.
    pub async fn refresh(&self) -> Result<()> {
        let _order = self.order.lock().await;
        let committed = *self.committed.borrow();
        let platform = self.platform.clone();
        let table = tokio::task::spawn_blocking(move || -> Result<Vec<Route>> {
            let apps = platform.store.read(routes::snapshot)?;
            let names = apps.iter().map(|app| (app.app_id, app.name.as_str()));
            platform.metrics.set_apps(names);
            Ok(apps.iter().map(|app| route(app, &platform.urls)).collect())
        })
        .await
        .map_err(Error::internal)??;
        self.router.replace(table);
        self.shown.send_replace(committed);
        Ok(())
    }

    /// Refreshes after each change, and now and then for the sake of a refresh that failed, until the store is no more.
    pub async fn run(&self) {
        let mut changes = self.committed.clone();
        loop {
            changes.mark_unchanged();
            if let Err(error) = self.refresh().await {
                tracing::error!(%error, "the router's table could not be renewed; the old one stays until the next try");
            }
            if let Ok(Err(_)) = timeout(EVERY, changes.changed()).await {
                return;
            }
        }
    }
}

impl TableSource for Routes {
    fn caught_up(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let committed = *self.committed.borrow();
            let mut shown = self.shown.subscribe();
            let caught_up = shown.wait_for(|shown| *shown >= committed);
            // Late is as good as never: the visitor is then told what the old table says.
            let _ = timeout(CATCH_UP, caught_up).await;
        })
    }

    fn wake(&self, app: Id) {
        self.bell.ring(app);
    }
}

/// As the router counts them.
impl Counts for Routes {
    fn visits(&self, app: Id) -> Visits {
        let (begun, under_way) = self.router.visits(app);
        Visits { begun, under_way }
    }
}

/// The dyno's row was marked before this is called, so the table that is made here is without it.
impl Drain for Routes {
    fn drained(&self, dyno: Id) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Err(error) = self.refresh().await {
                tracing::error!(%error, %dyno, "a dyno may be stopped while it has visitors");
            }
            self.router.drain(dyno, self.patience).await;
        })
    }
}

/// The router's lines, as Heroku's `heroku[router]`.
pub struct RouterLog(pub Logs, pub Metrics);

impl RequestLog for RouterLog {
    fn requests(&self, app: Id, lines: &[&str]) {
        self.0.append_soon(app, Source::Heroku, "router", lines);
    }

    fn counted(&self, app: Id, status: u16, code: Option<&'static str>, took: Option<Duration>) {
        match took {
            Some(took) => self.1.request(app, status, code, took),
            None => self.1.endless(app, status, code),
        }
    }

    fn unrouted(&self, status: u16, code: Option<&'static str>) {
        self.1.unrouted(status, code);
    }
}

fn route(app: &Visited, urls: &Urls) -> Route {
    // A base domain that the operator changed may since have met a custom one; whose name it is, the base domain says.
    let added = app
        .domains
        .iter()
        .filter(|domain| !Hostname::canonical(domain).is_none_or(|name| urls.has(&name)));
    Route {
        hosts: added.cloned().chain([urls.host(&app.name)]).collect(),
        app: app.app_id,
        maintenance: app.maintenance,
        https_only: app.https_only,
        pages: Pages {
            error: app.error_page_url.clone(),
            maintenance: app.maintenance_page_url.clone(),
        },
        web: web(app),
    }
}

/// Which dynos take the requests. While a new release comes up, or dynos are restarted, the old ones do, until every new one can:
/// visitors are swapped whole and never see two releases at once.
fn web(app: &Visited) -> Web {
    let quantity = match app.deployed {
        Deployed::Nothing => return Web::Blank,
        Deployed::Pending => return Web::Starting,
        Deployed::Failed => return Web::Unreleased,
        Deployed::NoWeb => return Web::Undeclared,
        Deployed::Web(0) => return Web::NoWebDynos,
        Deployed::Web(quantity) => quantity,
    };
    let up = app.dynos.iter().filter(|dyno| dyno.state == State::Up);
    let (fresh, stale): (Vec<&Dyno>, Vec<&Dyno>) =
        up.partition(|dyno| dyno.release_version == app.version && !dyno.restart);
    let ready = i64::try_from(fresh.len()).unwrap_or(i64::MAX) >= quantity;
    let chosen = if ready || stale.is_empty() {
        fresh
    } else {
        stale
    };
    let backends: Vec<router::Dyno> = chosen.into_iter().filter_map(backend).collect();
    if !backends.is_empty() {
        return Web::Up(backends);
    }
    // One that was asked to wake up is on its way already.
    let asleep = |dyno: &Dyno| dyno.state == State::Idle && !dyno.restart;
    if app.dynos.iter().any(asleep) {
        return Web::Idle;
    }
    // A crashed dyno that is about to be started again is on its way up only once it has been; one that went with the machine is.
    let has_crashed = |dyno: &Dyno| dyno.state == State::Crashed && dyno.crashes > 0;
    let crashed = !app.dynos.is_empty() && app.dynos.iter().all(has_crashed);
    if crashed { Web::Crashed } else { Web::Starting }
}

fn backend(dyno: &Dyno) -> Option<router::Dyno> {
    let address = SocketAddr::from((dyno.address.unwrap_or(Ipv4Addr::LOCALHOST), dyno.port?));
    Some(router::Dyno {
        id: dyno.id,
        name: dyno.name(),
        address,
    })
}
