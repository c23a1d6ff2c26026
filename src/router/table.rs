//! Which host leads to which dynos, and how busy each of them is.
//!
//! The table is rebuilt whole and swapped whole, so a request sees one table or the next and never a mixture. What is known of
//! a dyno outlives the tables that list it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::code::{self, Code};
use super::load::Load;
use super::visits::Visits;
use super::{Dyno, Pages, Route, TableSource, Web};
use crate::name::Id;

/// The current table, and the state of every dyno in it or still draining.
pub(super) struct Table {
    current: ArcSwap<HashMap<String, Arc<Entry>>>,
    dynos: Mutex<HashMap<Id, Arc<Load>>>,
    /// Of every app in the table.
    visits: Mutex<HashMap<Id, Arc<Visits>>>,
    version: watch::Sender<u64>,
    source: OnceLock<Weak<dyn TableSource>>,
}

/// What is behind a host.
pub(super) struct Entry {
    pub app: Id,
    pub maintenance: bool,
    pub https_only: bool,
    pub pages: Pages,
    pub visits: Arc<Visits>,
    pub backends: Backends,
}

impl Entry {
    /// Whether visitors are sent away with nothing to wait for.
    pub(super) fn turns_away(&self) -> bool {
        matches!(self.backends, Backends::Away(_))
    }
}

pub(super) enum Backends {
    /// Nobody answers, for this reason.
    Away(&'static Code),
    Idle,
    Starting,
    Up(Vec<Backend>),
}

/// A dyno that takes requests.
pub(super) struct Backend {
    pub name: Arc<str>,
    pub address: SocketAddr,
    pub load: Arc<Load>,
}

/// The right to send one request to a dyno. It counts as in flight until this is dropped.
pub(super) struct Ticket {
    pub name: Arc<str>,
    pub address: SocketAddr,
    pub load: Arc<Load>,
}

/// What came of looking for a dyno.
pub(super) enum Pick {
    Dyno(Ticket),
    /// Each has as many requests in flight as it may.
    Busy,
    /// All have been tried.
    NoneLeft,
    /// The dyno left the table while it was being picked, so the table in hand is an old one.
    Outdated,
}

impl Table {
    pub(super) fn new() -> Table {
        Table {
            current: ArcSwap::default(),
            dynos: Mutex::default(),
            visits: Mutex::default(),
            version: watch::Sender::new(0),
            source: OnceLock::new(),
        }
    }

    /// The entry of a host, or of the nearest wildcard above it.
    pub(super) fn find(&self, host: &str) -> Option<Arc<Entry>> {
        let current = self.current.load();
        if let Some(entry) = current.get(host) {
            return Some(entry.clone());
        }
        let mut rest = host;
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(entry) = current.get(&format!("*.{parent}")) {
                return Some(entry.clone());
            }
            rest = parent;
        }
        None
    }

    /// Asks this source from here on, and no other that comes later.
    pub(super) fn follow(&self, source: Weak<dyn TableSource>) {
        let _ = self.source.set(source);
    }

    /// Resolves once the table holds what was true when this was called, as far as its source can tell.
    pub(super) async fn caught_up(&self) {
        if let Some(source) = self.source.get().and_then(Weak::upgrade) {
            source.caught_up().await;
        }
    }

    /// Has an app woken.
    pub(super) fn wake(&self, app: Id) {
        if let Some(source) = self.source.get().and_then(Weak::upgrade) {
            source.wake(app);
        }
    }

    /// Requests for an app that have begun, and those that have not ended.
    pub(super) fn visits(&self, app: Id) -> (u64, u64) {
        let visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        visits.get(&app).map_or((0, 0), |visits| visits.count())
    }

    /// Requests for all apps that have not ended.
    pub(super) fn under_way(&self) -> u64 {
        let visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        visits.values().map(|visits| visits.count().1).sum()
    }

    /// Tells when the table has been replaced.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    pub(super) fn replace(&self, routes: Vec<Route>) {
        let mut dynos = self.dynos.lock().unwrap_or_else(PoisonError::into_inner);
        let mut visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        let known = std::mem::take(&mut *visits);
        let mut listed = HashMap::new();
        let mut hosts = HashMap::new();
        for route in routes {
            let counted = visits.entry(route.app);
            let counted =
                counted.or_insert_with(|| known.get(&route.app).cloned().unwrap_or_default());
            let backends = match route.web {
                Web::Blank => Backends::Away(&code::H81),
                Web::Unreleased => Backends::Away(&code::H14_RELEASE),
                Web::Undeclared => Backends::Away(&code::H14_WEB),
                Web::NoWebDynos => Backends::Away(&code::H14),
                Web::Crashed => Backends::Away(&code::H10),
                Web::Idle => Backends::Idle,
                Web::Starting => Backends::Starting,
                Web::Up(up) => Backends::Up(
                    up.into_iter()
                        .map(|dyno| backend(dyno, &mut dynos, &mut listed))
                        .collect(),
                ),
            };
            let entry = Arc::new(Entry {
                app: route.app,
                maintenance: route.maintenance,
                https_only: route.https_only,
                pages: route.pages,
                visits: counted.clone(),
                backends,
            });
            hosts.extend(route.hosts.into_iter().map(|host| (host, entry.clone())));
        }
        // The new table comes first: whoever meets a retired dyno looks again, and must then find another table.
        self.current.store(Arc::new(hosts));
        dynos.retain(|id, load| {
            if listed.contains_key(id) {
                return true;
            }
            load.retired.store(true, Ordering::SeqCst);
            load.in_flight.load(Ordering::SeqCst) > 0
        });
        drop((dynos, visits));
        self.version.send_modify(|version| *version += 1);
    }

    /// Resolves when nothing is in flight at the dyno, or at the deadline.
    pub(super) async fn drain(&self, dyno: Id, deadline: Duration) {
        let load = {
            let dynos = self.dynos.lock().unwrap_or_else(PoisonError::into_inner);
            dynos.get(&dyno).cloned()
        };
        let Some(load) = load else { return };
        // Whether it ended or the time did makes no difference to what the caller does next.
        let _ = tokio::time::timeout(deadline, load.empty()).await;
    }
}

fn backend(
    dyno: Dyno,
    dynos: &mut HashMap<Id, Arc<Load>>,
    listed: &mut HashMap<Id, ()>,
) -> Backend {
    let load = dynos
        .entry(dyno.id)
        .or_insert_with(|| Arc::new(Load::new(dyno.id)));
    load.retired.store(false, Ordering::SeqCst);
    listed.insert(dyno.id, ());
    Backend {
        name: dyno.name.into(),
        address: dyno.address,
        load: load.clone(),
    }
}

impl Backend {
    /// Counts first and looks afterwards: either the one who drains sees the count, or this sees that the dyno is retired. Whom there
    /// is no room for is not counted, lest others find none either.
    fn enter(&self, limit: usize) -> Pick {
        let more = |before: usize| (before < limit).then_some(before + 1);
        let in_flight = &self.load.in_flight;
        let entered = in_flight.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        let ticket = entered.is_ok().then(|| Ticket {
            name: self.name.clone(),
            address: self.address,
            load: self.load.clone(),
        });
        match ticket {
            _ if self.load.retired() => Pick::Outdated,
            Some(ticket) => Pick::Dyno(ticket),
            None => Pick::Busy,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.load.leave();
    }
}

/// The least busy of the dynos not yet tried; among equals the first after `turn`, which moves on with every request. Dynos set
/// aside are taken only when there are no others, since an app with one dyno is better served by another attempt than by none.
pub(super) fn pick(backends: &[Backend], tried: &[Id], turn: usize, limit: usize) -> Pick {
    // Others may have taken the last place at a dyno since it was looked at, while there is room at the next.
    let mut full: Vec<Id> = Vec::new();
    loop {
        let least = |aside: bool| {
            let start = turn % backends.len().max(1);
            let (before, from) = backends.split_at(start);
            from.iter()
                .chain(before)
                .filter(|backend| !tried.contains(&backend.load.id))
                .filter(|backend| !full.contains(&backend.load.id))
                .filter(|backend| aside || !backend.load.aside())
                .min_by_key(|backend| backend.load.in_flight.load(Ordering::Relaxed))
        };
        match least(false).or_else(|| least(true)) {
            Some(backend) => match backend.enter(limit) {
                Pick::Busy => full.push(backend.load.id),
                entered => return entered,
            },
            None if full.is_empty() => return Pick::NoneLeft,
            None => return Pick::Busy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "app.test";

    fn up(ids: &[u128]) -> Vec<Route> {
        let dynos = ids.iter().map(|id| Dyno {
            id: Id::fixed(*id),
            name: format!("web.{id}"),
            address: SocketAddr::from(([127, 0, 0, 1], 9)),
        });
        vec![Route {
            hosts: vec![HOST.to_owned()],
            app: Id::fixed(0),
            maintenance: false,
            https_only: false,
            pages: Pages::default(),
            web: Web::Up(dynos.collect()),
        }]
    }

    /// What the entry's dynos offer a request.
    fn offer(entry: Option<&Entry>, limit: usize) -> Pick {
        match entry.map(|entry| &entry.backends) {
            Some(Backends::Up(backends)) => pick(backends, &[], 0, limit),
            _ => Pick::NoneLeft,
        }
    }

    fn picked(pick: &Pick) -> Option<Id> {
        match pick {
            Pick::Dyno(ticket) => Some(ticket.load.id),
            _ => None,
        }
    }

    #[test]
    fn a_request_with_an_old_table_in_hand_has_to_look_again() {
        let table = Table::new();
        table.replace(up(&[1]));
        let old = table.find(HOST);
        table.replace(up(&[2]));
        assert!(matches!(offer(old.as_deref(), 9), Pick::Outdated));
        let new = table.find(HOST);
        assert_eq!(picked(&offer(new.as_deref(), 9)), Some(Id::fixed(2)));
    }

    #[test]
    fn a_dyno_that_comes_back_keeps_its_count() {
        let table = Table::new();
        table.replace(up(&[1]));
        let held = offer(table.find(HOST).as_deref(), 1);
        assert_eq!(picked(&held), Some(Id::fixed(1)));
        table.replace(up(&[]));
        table.replace(up(&[1]));
        assert!(matches!(offer(table.find(HOST).as_deref(), 1), Pick::Busy));
        drop(held);
        assert!(picked(&offer(table.find(HOST).as_deref(), 1)).is_some());
    }

    /// Each of the two holds one place at a time, and there are four.
    #[test]
    fn two_who_choose_the_same_dyno_are_not_told_that_all_are_busy() {
        let table = Table::new();
        table.replace(up(&[1, 2, 3, 4]));
        let entry = table.find(HOST);
        let visit = || (0..200_000).all(|_| !matches!(offer(entry.as_deref(), 1), Pick::Busy));
        let served = std::thread::scope(|threads| {
            let other = threads.spawn(visit);
            visit() && other.join().is_ok_and(|served| served)
        });
        assert!(served);
    }

    #[test]
    fn a_dyno_set_aside_is_taken_only_when_there_is_no_other() {
        let table = Table::new();
        table.replace(up(&[1, 2]));
        let entry = table.find(HOST);
        let first = offer(entry.as_deref(), 9);
        if let Pick::Dyno(ticket) = &first {
            ticket.load.set_aside(Duration::from_secs(3600));
        }
        drop(first);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(offer(entry.as_deref(), 9));
        }
        assert!(held.iter().all(|pick| picked(pick) == Some(Id::fixed(2))));
        table.replace(up(&[1]));
        let alone = table.find(HOST);
        assert_eq!(picked(&offer(alone.as_deref(), 9)), Some(Id::fixed(1)));
    }
}
