//! An app in a store, and a reconciler for its dynos under a held clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use penstock::log::Source;
use penstock::name::{AppName, Id, Identity};
use penstock::runtime::plan::Policy;
use penstock::runtime::{Drain, Event, Parts, Reception, Reconciler, Runtime};
use penstock::store::Store;
use penstock::store::accounts::{self, Account};
use penstock::store::apps::{self, App};
use penstock::store::dynos::{self, Which};
use penstock::store::formation::{self, Quantity};
use penstock::store::releases::{self, Change};
use penstock::store::slugs::{self, NewSlug};
use penstock::time::{Clock, Timestamp};
use tokio::sync::mpsc::UnboundedReceiver;

use super::Ground;
use super::scripted::Scripted;

/// An app, and whoever runs its dynos.
pub struct Stage {
    pub ground: Ground,
    pub store: Store,
    pub clock: Clock,
    account: Account,
    pub app: App,
}

impl Stage {
    pub async fn new() -> Stage {
        let ground = Ground::new();
        let store = Store::open(
            &ground.path().join("penstock.db"),
            crate::harness::sealing_key(),
        )
        .unwrap();
        let clock = Clock::held(Timestamp::from_micros(1_700_000_000_000_000));
        let now = clock.now();
        let made = store.write(move |connection| {
            let account = accounts::create(connection, "ann@example.com", now)?;
            let app = apps::create(connection, &AppName::parse("shop")?, &account, now)?;
            Ok((account, app))
        });
        let (account, app) = made.await.unwrap();
        Stage {
            ground,
            store,
            clock,
            account,
            app,
        }
    }

    pub fn reconciler(
        &self,
        runtime: Arc<dyn Runtime>,
        events: UnboundedReceiver<Event>,
        drain: Arc<dyn Drain>,
    ) -> Reconciler {
        let parts = Parts {
            store: self.store.clone(),
            runtime,
            logs: self.ground.logs.clone(),
            outputs: self.ground.outputs.clone(),
            drain,
            clock: self.clock.clone(),
            policy: Policy::default(),
            reception: Reception::default(),
        };
        Reconciler::new(parts, events)
    }

    pub fn scripted(&self) -> (Scripted, Reconciler) {
        let (runtime, events) = Scripted::new();
        let drain = Arc::new(runtime.clone());
        (
            runtime.clone(),
            self.reconciler(Arc::new(runtime), events, drain),
        )
    }

    /// Releases a slug with these process types; the first release is v3.
    pub async fn deploy(&self, types: &[(&str, &str)]) {
        let types: BTreeMap<String, String> = types
            .iter()
            .map(|(name, command)| ((*name).to_owned(), (*command).to_owned()))
            .collect();
        let digest = self.ground.slug(&[("index.html", "hello\n")]).to_string();
        let (app, account, now) = (self.app.id, self.account.clone(), self.clock.now());
        let release = self.store.write(move |connection| {
            let new = NewSlug {
                digest: Some(digest),
                process_types: types,
                ..NewSlug::default()
            };
            let slug = slugs::create(connection, app, &new, now)?.id;
            let change = Change::Deploy {
                slug,
                description: None,
            };
            releases::create(connection, app, &account, change, now)
        });
        release.await.unwrap();
    }

    pub async fn scale(&self, kind: &str, quantity: i64) {
        let (app, now) = (self.app.id, self.clock.now());
        let identity = Identity::Name(kind.to_owned());
        let quantity = Some(Quantity::Exactly(quantity));
        let scaled = self.store.write(move |connection| {
            formation::update(connection, app, &identity, quantity, None, now)
        });
        scaled.await.unwrap();
    }

    pub fn deletion(&self) -> impl Future<Output = ()> + Send + 'static {
        let (store, app) = (self.store.clone(), self.app.clone());
        let (account, now) = (self.account.clone(), self.clock.now());
        async move {
            let deleted = store.write(move |c| apps::delete(c, &app, &account, now));
            deleted.await.unwrap();
        }
    }

    pub async fn restart(&self) {
        let (app, now) = (self.app.id, self.clock.now());
        let restarted = self
            .store
            .write(move |c| dynos::restart(c, app, Which::All, now));
        restarted.await.unwrap();
    }

    /// `web.1 v3 up`, of all rows.
    pub fn rows(&self) -> Vec<String> {
        let rows = self.store.read(dynos::all).unwrap();
        let shown = |dyno: dynos::Dyno| {
            format!(
                "{} v{} {}",
                dyno.name(),
                dyno.release_version,
                dyno.state.as_str()
            )
        };
        let mut shown: Vec<String> = rows.into_iter().map(shown).collect();
        shown.sort();
        shown
    }

    /// All of a release's output.
    pub fn output_of(&self, release: Id) -> String {
        let file = self.ground.path().join(format!("outputs/{release}.log"));
        std::fs::read_to_string(file).unwrap_or_default()
    }

    /// What the platform has said of dynos since the last time, without the part in front.
    pub fn told(&self, seen: &mut usize) -> Vec<String> {
        let lines = self.ground.lines(self.app.id);
        let lines = lines
            .iter()
            .filter(|line| line.starts_with(Source::Heroku.as_str()));
        let lines: Vec<String> = lines
            .map(|line| line.split_once("]: ").unwrap().1.to_owned())
            .collect();
        lines[std::mem::replace(seen, lines.len())..].to_vec()
    }
}
