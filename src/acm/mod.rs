//! Automatic certificates: asks an authority for those that apps' domains want, and again before they expire.
//!
//! The order of a domain is a row, and its outcome another write: whatever happens between the two, it is asked again. It must not
//! know how a certificate is served.

mod authority;
mod challenges;
mod own;
mod settings;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use self::challenges::Challenges;
pub use self::settings::Settings;

use self::authority::{Authority, Refused, Signed, Way};
use crate::Platform;
use crate::certificate;
use crate::data_dir::DataDir;
use crate::error::{Error, ErrorId, Result};
use crate::store::Table;
use crate::store::acm::{self, Order};
use crate::store::server_certificates;
use crate::store::sni_endpoints::KeyPair;
use crate::time::Timestamp;

/// The longest between two ticks.
const EVERY: Duration = Duration::from_secs(60);
/// Domains that are asked for at the same time. Authorities count.
const AT_ONCE: usize = 4;
/// For one domain, all in all.
const LIMIT: Duration = Duration::from_secs(300);
/// How long an order that was taken is nobody else's, should nothing be heard of it.
const TAKEN: Duration = Duration::from_secs(600);
/// How long an authority that takes no orders is left alone, the first, the second and each later time in a row: a network that is
/// not up yet is soon, and an authority that has enough of us is not.
const PAUSES: [u64; 3] = [60, 300, 1_800];
/// Between one attempt in vain and the next. DNS that was just changed takes minutes to hours to be seen.
const WAITS: [u64; 7] = [30, 60, 300, 1_800, 3_600, 6 * 3_600, 12 * 3_600];
/// Before a certificate that is there, and only to be renewed, is tried again.
const RENEWAL_WAIT: Duration = Duration::from_secs(12 * 3_600);
/// The longest reason that is kept, in bytes.
const MAX_REASON: usize = 1_000;

/// The loop.
pub struct Acm {
    platform: Arc<Platform>,
    authority: Arc<Authority>,
    challenges: Challenges,
    /// The hosts that are asked for.
    under_way: Mutex<HashSet<String>>,
    /// Until when the authority takes no orders, and how often in a row it took none.
    paused: Mutex<(Option<Timestamp>, usize)>,
    ended: Notify,
    tasks: Mutex<JoinSet<()>>,
}

impl Acm {
    pub fn new(platform: Arc<Platform>, data: DataDir, challenges: Challenges) -> Arc<Acm> {
        let authority = Authority::new(platform.config.acme.clone(), data);
        Arc::new(Acm {
            platform,
            authority: Arc::new(authority),
            challenges,
            under_way: Mutex::default(),
            paused: Mutex::default(),
            ended: Notify::new(),
            tasks: Mutex::default(),
        })
    }

    /// Begins what is due, as far as there is room, and says how many that were. Each is written down as taken first, so that what
    /// a crash cuts off is paced too.
    pub async fn tick(self: &Arc<Acm>) -> Result<usize> {
        let (store, now) = (&self.platform.store, self.platform.clock.now());
        let room = AT_ONCE.saturating_sub(self.under_way().len());
        let is_paused = self.paused_until().is_some_and(|until| now < until);
        if self.platform.config.acme.acme_contact.is_none() || room == 0 || is_paused {
            return Ok(0);
        }
        let own = self.begin_own(now).await?;
        let room = room.saturating_sub(own);
        if room == 0 || !store.read(|connection| acm::any_due(connection, now))? {
            return Ok(own);
        }
        let until = now.plus(TAKEN);
        // One that was asked for anew, or whose domain is another app's now, has its turn when what is under way has ended.
        let under_way = self.under_way().clone();
        let take = move |connection: &rusqlite::Connection| {
            acm::take_due(connection, now, room, until, &under_way)
        };
        let taken = store.write(take).await?;
        let mut begun = own;
        for order in taken {
            let Some(place) = self.place(&order.hostname) else {
                continue;
            };
            let this = self.clone();
            self.tasks().spawn(async move {
                this.see_through(order).await;
                drop(place);
            });
            begun += 1;
        }
        Ok(begun)
    }

    /// Resolves when nothing is asked for.
    pub async fn idle(&self) {
        loop {
            let ended = self.ended.notified();
            if self.under_way().is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// Asks for what is due until it is dropped.
    pub async fn run(self: Arc<Acm>) {
        let mut changes = self
            .platform
            .store
            .changes(&[Table::AcmOrder, Table::ServerCertificate]);
        loop {
            changes.mark_unchanged();
            if let Err(error) = self.tick().await {
                tracing::error!(%error, "certificates could not be asked for; it is tried again");
            }
            tokio::select! {
                _ = timeout(self.until_due(), changes.changed()) => {}
                () = self.ended.notified() => {}
            }
        }
    }

    fn until_due(&self) -> Duration {
        let next = self.platform.store.read(|connection| {
            let own = server_certificates::next_due(connection)?;
            let next = acm::next_due(connection)?;
            Ok(own.into_iter().chain(next).min())
        });
        let next = next.ok().flatten();
        let wait = next.map(|next| next.since(self.platform.clock.now()));
        // What is due and under way already is not to be asked for without a pause.
        wait.map_or(EVERY, |wait| wait.clamp(Duration::from_secs(1), EVERY))
    }

    async fn see_through(&self, order: Order) {
        let outcome = self.ask_in_time(&order.hostname, order.attempts).await;
        let mut concluded = self.conclude(&order, outcome).await;
        if let Err(error) = concluded {
            // A certificate that cannot be kept is as good as none. Where nothing can be written, the order stays taken for a while.
            tracing::error!(%error, hostname = order.hostname, "a certificate could not be kept");
            concluded = self.conclude(&order, Err(Refused::Host(error))).await;
        }
        if let Err(error) = concluded {
            tracing::error!(%error, hostname = order.hostname, "what came of asking for a certificate could not be written");
        }
    }

    async fn ask_in_time(
        &self,
        hostname: &str,
        attempts: u32,
    ) -> std::result::Result<KeyPair, Refused> {
        let asked = timeout(LIMIT, self.ask(hostname, attempts)).await;
        asked.unwrap_or_else(|_| {
            let late = "The authority did not come to an end in time.";
            Err(Refused::Host(Error::invalid(late)))
        })
    }

    /// Each attempt proves the name in the other way than the one before: one of the two ports may be somebody else's.
    async fn ask(&self, hostname: &str, attempts: u32) -> std::result::Result<KeyPair, Refused> {
        let way = match attempts % 2 {
            0 => Way::Http,
            _ => Way::Tls,
        };
        let Signed { chain, private_key } =
            self.authority.sign(hostname, way, &self.challenges).await?;
        let now = self.platform.clock.now();
        let checking = move || {
            let certificate = certificate::check(&chain, &private_key, now)?;
            Ok(KeyPair {
                certificate,
                chain,
                private_key,
            })
        };
        let checked = tokio::task::spawn_blocking(checking).await;
        checked.map_err(Error::internal)?.map_err(Refused::Host)
    }

    async fn conclude(
        &self,
        order: &Order,
        outcome: std::result::Result<KeyPair, Refused>,
    ) -> Result<()> {
        let (store, now, order) = (
            &self.platform.store,
            self.platform.clock.now(),
            order.clone(),
        );
        if !matches!(outcome, Err(Refused::Authority(_))) {
            *self.paused() = (None, 0);
        }
        match outcome {
            Ok(pair) => {
                tracing::info!(hostname = order.hostname, "a certificate was issued");
                let renew_at = renewal(&pair, now);
                let write = move |connection: &rusqlite::Connection| {
                    acm::issued(connection, &order, &pair, renew_at, now).map(drop)
                };
                store.write(write).await
            }
            Err(Refused::Host(error)) => {
                tracing::warn!(%error, hostname = order.hostname, "no certificate could be had");
                let (reason, next) = (reason(&error), next(&order, now));
                let write = move |connection: &rusqlite::Connection| {
                    acm::failed(connection, &order, &reason, next, now)
                };
                store.write(write).await
            }
            Err(Refused::Authority(error)) => {
                tracing::warn!(%error, hostname = order.hostname, "no certificate could be asked for");
                let (reason, later) = (reason(&error), self.pause(now));
                let write = move |connection: &rusqlite::Connection| {
                    acm::postponed(connection, &order, &reason, later, now)
                };
                store.write(write).await
            }
        }
    }

    /// The right to ask for this host; `None` while somebody has it.
    fn place(self: &Arc<Acm>, hostname: &str) -> Option<Place> {
        let is_new = self.under_way().insert(hostname.to_owned());
        is_new.then(|| Place(self.clone(), hostname.to_owned()))
    }

    fn paused_until(&self) -> Option<Timestamp> {
        self.paused().0
    }

    /// Leaves the authority alone until then. Those who asked at the same time count as one time.
    fn pause(&self, now: Timestamp) -> Timestamp {
        let mut paused = self.paused();
        if let Some(until) = paused.0.filter(|until| now < *until) {
            return until;
        }
        let wait = PAUSES[paused.1.min(PAUSES.len() - 1)];
        let until = now.plus(Duration::from_secs(wait));
        *paused = (Some(until), paused.1 + 1);
        until
    }

    fn paused(&self) -> MutexGuard<'_, (Option<Timestamp>, usize)> {
        self.paused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn under_way(&self) -> MutexGuard<'_, HashSet<String>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The tasks, less those that have ended.
    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks
    }
}

/// A host's place among those that are asked for.
struct Place(Arc<Acm>, String);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.under_way().remove(&self.1);
        // Of those who wait, one may just be on its way to waiting.
        self.0.ended.notify_waiters();
        self.0.ended.notify_one();
    }
}

/// When two thirds of its life are over, as authorities advise.
fn renewal(pair: &KeyPair, now: Timestamp) -> Timestamp {
    let life = pair
        .certificate
        .expires_at
        .since(pair.certificate.starts_at);
    let renew_at = pair.certificate.starts_at.plus(life * 2 / 3);
    renew_at.max(now.plus(Duration::from_secs(60)))
}

/// When it is tried again after it came to nothing; never, if it did so too often and there is nothing to be lost.
fn next(order: &Order, now: Timestamp) -> Option<Timestamp> {
    if order.renews {
        return Some(now.plus(RENEWAL_WAIT));
    }
    let wait = WAITS.get(usize::try_from(order.attempts).unwrap_or(usize::MAX))?;
    Some(now.plus(Duration::from_secs(*wait)))
}

/// What the domain's owner is told.
fn reason(error: &Error) -> String {
    if error.id == ErrorId::Internal {
        return "Penstock could not ask for it; the server's log has the reason.".to_owned();
    }
    let mut reason = error.message.to_string();
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.truncate(end);
    reason
}
