//! What is counted while the server runs, for Prometheus: visitors' requests, requests of the API, and builds.
//!
//! Labels are bounded: apps are told apart up to a number, statuses where they have a name, failures by Heroku's codes. What is counted
//! begins anew with each start. It must not know who asks for it, nor what else is worth showing (see `api::metrics`).

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    Opts, Registry, TextEncoder,
};

use crate::error::{Error, Result};
use crate::name::{ById, Id};

/// Apps that have labels of their own.
const MAX_APPS: usize = 1_000;
/// All the others, under a name that no app can have.
const OTHERS: &str = "(other)";
/// Those of the IANA's register, and the one that Heroku has for visitors who left. Others are counted by their class, so that no app
/// can make up any number of them.
const STATUSES: [u16; 50] = [
    101, 200, 201, 202, 203, 204, 205, 206, 207, 208, 300, 301, 302, 303, 304, 305, 307, 308, 400,
    401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 422,
    423, 425, 428, 429, 431, 451, 499, 500, 501, 502, 503, 504,
];
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
/// Upper bounds in seconds, up to where the router gives up.
const ANSWERS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
const BUILDS: &[f64] = &[1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0];

/// The counters of one server. Clones are the same counters.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    errors: IntCounterVec,
    unrouted: IntCounterVec,
    api: IntCounterVec,
    api_seconds: Histogram,
    builds: IntCounterVec,
    build_seconds: Histogram,
    apps: Arc<ArcSwap<Apps>>,
    traffic: Arc<OnceLock<Box<dyn Fn() -> Traffic + Send + Sync>>>,
}

/// What goes on in the router at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub connections: usize,
    pub requests: u64,
    pub queued: usize,
}

#[derive(Default)]
struct Apps {
    named: ById<Arc<OfApp>>,
    others: Option<Arc<OfApp>>,
}

/// One app's, so that counting takes no look-up by labels.
struct OfApp {
    name: String,
    /// Of each status, once there was one, and then of each class.
    requests: [OnceLock<IntCounter>; STATUSES.len() + CLASSES.len()],
    seconds: Histogram,
}

impl Metrics {
    pub fn new() -> Result<Metrics> {
        let opts = |name, help| Opts::new(name, help).namespace("penstock");
        let times = |name, help, buckets: &[f64]| HistogramOpts {
            common_opts: opts(name, help),
            buckets: buckets.to_vec(),
        };
        let made = || -> prometheus::Result<Metrics> {
            let metrics = Metrics {
                registry: Registry::new(),
                requests: IntCounterVec::new(
                    opts(
                        "router_requests_total",
                        "Visitors' requests that are over, by app and status; those that nobody knows by their class.",
                    ),
                    &["app", "status"],
                )?,
                seconds: HistogramVec::new(
                    times(
                        "router_request_seconds",
                        "From a request's head to the end of its answer, by app; not of WebSockets and streams of events.",
                        ANSWERS,
                    ),
                    &["app"],
                )?,
                errors: IntCounterVec::new(
                    opts(
                        "router_errors_total",
                        "Visitors' requests that ended with one of Heroku's codes.",
                    ),
                    &["code"],
                )?,
                unrouted: IntCounterVec::new(
                    opts(
                        "router_unrouted_total",
                        "Visitors who were answered or turned away before it was known which app is meant, by status.",
                    ),
                    &["status"],
                )?,
                api: IntCounterVec::new(
                    opts(
                        "api_requests_total",
                        "Requests of the API, by class of status.",
                    ),
                    &["status"],
                )?,
                api_seconds: Histogram::with_opts(times(
                    "api_request_seconds",
                    "From a request of the API to the head of its answer.",
                    ANSWERS,
                ))?,
                builds: IntCounterVec::new(
                    opts("builds_total", "Builds that have ended, by how."),
                    &["status"],
                )?,
                build_seconds: Histogram::with_opts(times(
                    "build_seconds",
                    "From a build's begin to its end.",
                    BUILDS,
                ))?,
                apps: Arc::default(),
                traffic: Arc::default(),
            };
            let registry = &metrics.registry;
            registry.register(Box::new(metrics.requests.clone()))?;
            registry.register(Box::new(metrics.seconds.clone()))?;
            registry.register(Box::new(metrics.errors.clone()))?;
            registry.register(Box::new(metrics.unrouted.clone()))?;
            registry.register(Box::new(metrics.api.clone()))?;
            registry.register(Box::new(metrics.api_seconds.clone()))?;
            registry.register(Box::new(metrics.builds.clone()))?;
            registry.register(Box::new(metrics.build_seconds.clone()))?;
            Ok(metrics)
        };
        made().map_err(Error::internal)
    }

    /// These are the apps there are. Those that went are forgotten, and so is what was counted under an app's former name.
    pub fn set_apps<'a>(&self, apps: impl Iterator<Item = (Id, &'a str)>) {
        let before = self.apps.load();
        let mut named = ById::default();
        for (id, name) in apps.take(MAX_APPS) {
            let known = before.named.get(&id).filter(|app| app.name == name);
            let app = known
                .cloned()
                .unwrap_or_else(|| Arc::new(self.of_app(name)));
            named.insert(id, app);
        }
        let stay: HashSet<&str> = named.values().map(|app| app.name.as_str()).collect();
        let gone = before.named.values();
        let gone = gone.filter(|app| !stay.contains(app.name.as_str()));
        let gone: Vec<_> = gone.cloned().collect();
        let others = before.others.clone();
        let others = Some(others.unwrap_or_else(|| Arc::new(self.of_app(OTHERS))));
        self.apps.store(Arc::new(Apps { named, others }));
        // Not sooner, lest they be counted anew.
        for app in gone {
            self.forget(&app.name);
        }
    }

    fn of_app(&self, name: &str) -> OfApp {
        OfApp {
            name: name.to_owned(),
            requests: std::array::from_fn(|_| OnceLock::new()),
            seconds: self.seconds.with_label_values(&[name]),
        }
    }

    fn forget(&self, name: &str) {
        // What is not there needs no removing.
        for at in 0..STATUSES.len() + CLASSES.len() {
            let _ = self.requests.remove_label_values(&[name, &label(at)]);
        }
        let _ = self.seconds.remove_label_values(&[name]);
    }

    /// A visitor's request is over. `code` is Heroku's, such as `H12`.
    pub fn request(&self, app: Id, status: u16, code: Option<&'static str>, took: Duration) {
        self.count(app, status, code, Some(took));
    }

    /// The same for one that had no end of its own, a WebSocket or a stream of events: how long it took says nothing of the app.
    pub fn endless(&self, app: Id, status: u16, code: Option<&'static str>) {
        self.count(app, status, code, None);
    }

    fn count(&self, app: Id, status: u16, code: Option<&'static str>, took: Option<Duration>) {
        let apps = self.apps.load();
        if let Some(app) = apps.named.get(&app).or(apps.others.as_ref()) {
            let at = place(status);
            let named = || self.requests.with_label_values(&[&app.name, &label(at)]);
            app.requests[at].get_or_init(named).inc();
            if let Some(took) = took {
                app.seconds.observe(took.as_secs_f64());
            }
        }
        self.failed(code);
    }

    /// A visitor was answered, or turned away, before it was known which app is meant.
    pub fn unrouted(&self, status: u16, code: Option<&'static str>) {
        let status = label(place(status));
        self.unrouted.with_label_values(&[&status]).inc();
        self.failed(code);
    }

    fn failed(&self, code: Option<&'static str>) {
        if let Some(code) = code {
            self.errors.with_label_values(&[code]).inc();
        }
    }

    /// Asks this for what goes on in the router, and no other that comes later.
    pub fn watch(&self, traffic: impl Fn() -> Traffic + Send + Sync + 'static) {
        let _ = self.traffic.set(Box::new(traffic));
    }

    /// Nothing, where there is no router.
    pub fn traffic(&self) -> Traffic {
        self.traffic.get().map(|ask| ask()).unwrap_or_default()
    }

    pub fn api_request(&self, status: u16, took: Duration) {
        self.api.with_label_values(&[CLASSES[class(status)]]).inc();
        self.api_seconds.observe(took.as_secs_f64());
    }

    pub fn build(&self, status: &'static str, took: Duration) {
        self.builds.with_label_values(&[status]).inc();
        self.build_seconds.observe(took.as_secs_f64());
    }

    /// All of it and `moment`, in Prometheus' text format.
    pub fn text(&self, moment: &Moment) -> Result<String> {
        let mut families = self.registry.gather();
        families.extend(moment.registry.gather());
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&families, &mut text)
            .map_err(Error::internal)?;
        String::from_utf8(text).map_err(Error::internal)
    }
}

/// Where a status is counted.
fn place(status: u16) -> usize {
    let known = STATUSES.binary_search(&status);
    known.unwrap_or_else(|_| STATUSES.len() + class(status))
}

/// What is counted there.
fn label(place: usize) -> String {
    match STATUSES.get(place) {
        Some(status) => status.to_string(),
        None => CLASSES[place - STATUSES.len()].to_owned(),
    }
}

fn class(status: u16) -> usize {
    match status / 100 {
        class @ 1..=5 => usize::from(class),
        _ => 0,
    }
}

/// What is so at one moment, and counted by others.
#[derive(Default)]
pub struct Moment {
    registry: Registry,
}

impl Moment {
    /// Each name once. Counters of others have a name that ends in `_total`.
    pub fn put(&mut self, name: &str, help: &str, value: f64) -> Result<()> {
        let put = || -> prometheus::Result<()> {
            let gauge = Gauge::with_opts(Opts::new(name, help).namespace("penstock"))?;
            gauge.set(value);
            self.registry.register(Box::new(gauge))
        };
        put().map_err(Error::internal)
    }

    /// The same for a counter.
    pub fn count(&mut self, name: &str, help: &str, value: u64) -> Result<()> {
        let put = || -> prometheus::Result<()> {
            let counter = IntCounter::with_opts(Opts::new(name, help).namespace("penstock"))?;
            counter.inc_by(value);
            self.registry.register(Box::new(counter))
        };
        put().map_err(Error::internal)
    }

    /// A value for each of some words, of which there are few.
    pub fn put_each<'a>(
        &mut self,
        (name, help): (&str, &str),
        label: &str,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<()> {
        let put = || -> prometheus::Result<()> {
            let gauges = GaugeVec::new(Opts::new(name, help).namespace("penstock"), &[label])?;
            for (word, value) in values {
                gauges.with_label_values(&[word]).set(value);
            }
            self.registry.register(Box::new(gauges))
        };
        put().map_err(Error::internal)
    }
}
