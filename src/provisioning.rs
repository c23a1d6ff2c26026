//! Asks the providers of add-ons for what is wanted of them, until they agree or are given up.
//!
//! The row is the queue: what is due is read, the provider is asked with no transaction open, and the outcome is written on condition
//! that nothing else has happened meanwhile. A crash in between only means that the provider is asked again, which the protocol
//! allows. Each add-on is asked about by one task at a time, and a provider gets a share of all that is asked at once, so that one
//! that is slow holds up nobody else, however many add-ons it has to make.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::Platform;
use crate::api::log_drains::MAX_URL as MAX_DRAIN_URL;
use crate::error::{Error, Result};
use crate::log::platform as lines;
use crate::name::Id;
use crate::outbound::Outbound;
use crate::partner::{self, Grant, Outcome, Reach};
use crate::secret;
use crate::store::addon_tasks::{self, Removal};
use crate::store::addons::{AddOn, Task};
use crate::store::releases::Release;
use crate::store::{Table, addon_plans, addon_services};
use crate::time::Timestamp;

/// The longest between two ticks.
const EVERY: Duration = Duration::from_secs(10);
/// Requests that providers are sent at once, and those of them that one provider is sent.
const AT_ONCE: usize = 32;
const SHARE: usize = 8;
/// For which an add-on may be in the making, whether its provider is silent or said that it would take its time. Heroku's limit.
const PROVISION: Duration = Duration::from_secs(12 * 60 * 60);
/// For which a provider is told again and again of a removal.
const REMOVAL: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Within which a provider exchanges its code.
const GRANT: Duration = Duration::from_secs(5 * 60);
const FIRST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// When to try again after so many failures: after one minute, two, four, and so on to an hour. `None` once the patience since
/// `since` is over.
pub fn next_try(
    failures: u32,
    since: Timestamp,
    now: Timestamp,
    patience: Duration,
) -> Option<Timestamp> {
    let doubled = FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(10));
    (now.since(since) < patience).then(|| now.plus(doubled.min(LONGEST_WAIT)))
}

/// The loop. Clones are the same one.
#[derive(Clone)]
pub struct Provisioner {
    platform: Arc<Platform>,
    reach: Reach,
    /// The add-ons that somebody is asked about at this moment, and their services.
    asked: Arc<Mutex<HashMap<Id, Id>>>,
    idle: Arc<Notify>,
}

/// One thing that is due.
enum Due {
    AddOn(Box<AddOn>),
    Removal(Removal),
}

impl Due {
    /// The add-on, and its service.
    fn about(&self) -> (Id, Id) {
        match self {
            Due::AddOn(addon) => (addon.id, addon.addon_service_id),
            Due::Removal(removal) => (removal.addon_id, removal.addon_service_id),
        }
    }
}

impl Provisioner {
    /// Asks within `timeout`, for which [`partner::TIMEOUT`] is the usual one.
    pub fn new(platform: Arc<Platform>, timeout: Duration) -> Provisioner {
        Provisioner {
            reach: Reach {
                // The operator says where providers are, so they may be on this machine.
                outbound: Outbound::new(true),
                timeout,
            },
            platform,
            asked: Arc::default(),
            idle: Arc::default(),
        }
    }

    /// Begins of what is due as much as may be under way at once, and returns how many things that is.
    pub fn tick(&self) -> Result<usize> {
        let mut asked = self.asked();
        let due = self.due(&asked)?;
        let begun = due.len();
        for due in due {
            let (id, service) = due.about();
            asked.insert(id, service);
            let this = self.clone();
            tokio::spawn(async move {
                let guard = Asked(this.clone(), id);
                if let Err(error) = this.work(due).await {
                    tracing::error!(%error, addon = %id, "what a provider was asked could not be written down; it is asked again in a while");
                    tokio::time::sleep(EVERY).await;
                }
                drop(guard);
            });
        }
        Ok(begun)
    }

    /// What is due and can be begun beside what is being `asked` already.
    fn due(&self, asked: &HashMap<Id, Id>) -> Result<Vec<Due>> {
        let now = self.platform.clock.now();
        let mut under_way = asked.clone();
        let mut wanted = |addon: Id, service: Id| {
            let of_service = under_way.values().filter(|other| **other == service);
            let free = under_way.len() < AT_ONCE
                && !under_way.contains_key(&addon)
                && of_service.count() < SHARE;
            if free {
                under_way.insert(addon, service);
            }
            free
        };
        self.platform.store.read(|connection| {
            let addons = addon_tasks::due(connection, now, &mut wanted)?.into_iter();
            let removals = addon_tasks::removals_due(connection, now, &mut wanted)?.into_iter();
            let addons = addons.map(|addon| Due::AddOn(Box::new(addon)));
            Ok(addons.chain(removals.map(Due::Removal)).collect())
        })
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, HashMap<Id, Id>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves once nobody is asked anything.
    pub async fn idle(&self) {
        loop {
            let changed = self.idle.notified();
            if self.asked().is_empty() {
                return;
            }
            changed.await;
        }
    }

    async fn work(&self, due: Due) -> Result<()> {
        let releases = match due {
            Due::AddOn(addon) => match addon.task {
                Some(Task::Provision) => self.provision(*addon).await?,
                Some(Task::Wait) => self.give_up(&addon).await?,
                Some(Task::Plan) => self.change_plan(*addon).await?,
                None => Vec::new(),
            },
            Due::Removal(removal) => {
                self.remove(removal).await?;
                Vec::new()
            }
        };
        lines::all_released(&self.platform.logs, &releases);
        Ok(())
    }

    async fn provision(&self, addon: AddOn) -> Result<Vec<Release>> {
        let (platform, id) = (&self.platform, addon.id);
        let (store, now) = (&platform.store, platform.clock.now());
        let grant = Grant {
            code: secret::token()?,
            expires_at: now.plus(GRANT),
        };
        let (digest, expires) = (secret::digest(&grant.code), grant.expires_at);
        let begun = store.write(move |connection| {
            addon_tasks::begin_provision(connection, id, (&digest, expires))
        });
        if !begun.await? {
            return Ok(Vec::new());
        }
        let service = addon.addon_service_id;
        let (provider, options) = store.read(|connection| {
            let options = addon_tasks::options(connection, id)?;
            Ok((addon_tasks::provider(connection, service)?, options))
        })?;
        let outcome = partner::provision(
            &self.reach,
            &provider,
            &addon,
            &options,
            &grant,
            &platform.urls,
        )
        .await;
        let outcome = self.with_good_drain(outcome, &provider.service);
        let now = platform.clock.now();
        let (created, failures) = (addon.created_at, addon.attempts + 1);
        store
            .write(move |connection| match &outcome {
                Outcome::Done(made) => {
                    addon_tasks::made(connection, id, made, true, created.plus(PROVISION), now)
                }
                Outcome::Accepted(made) => {
                    addon_tasks::made(connection, id, made, false, created.plus(PROVISION), now)
                }
                Outcome::Refused(message) => {
                    addon_tasks::failed(connection, id, message, false, now)
                }
                Outcome::Unreadable(message) => {
                    addon_tasks::failed(connection, id, message, true, now)
                }
                Outcome::Unknown(message) => match next_try(failures, created, now, PROVISION) {
                    Some(due) => {
                        addon_tasks::again(connection, id, message, due)?;
                        Ok(Vec::new())
                    }
                    None => addon_tasks::failed(connection, id, message, true, now),
                },
            })
            .await
    }

    /// A log is sent only where any other is, and an add-on that is to get one and cannot is not made.
    fn with_good_drain(&self, outcome: Outcome, service: &str) -> Outcome {
        let (Outcome::Done(made) | Outcome::Accepted(made)) = &outcome else {
            return outcome;
        };
        let Some(url) = &made.log_drain_url else {
            return outcome;
        };
        let checked = match url.len() > MAX_DRAIN_URL {
            true => Err(Error::invalid("It is too long.")),
            false => self.platform.outbound.check_drain(url),
        };
        match checked {
            Ok(()) => outcome,
            Err(Error { message, .. }) => Outcome::Unreadable(format!(
                "The provider of {service} gave a log_drain_url that cannot be used. {message}"
            )),
        }
    }

    /// The provider said that it would take its time, and has taken too much.
    async fn give_up(&self, addon: &AddOn) -> Result<Vec<Release>> {
        let (id, now) = (addon.id, self.platform.clock.now());
        let message = format!(
            "The provider of {} did not finish within 12 hours.",
            addon.addon_service_name
        );
        let failed = move |connection: &_| addon_tasks::failed(connection, id, &message, true, now);
        self.platform.store.write(failed).await
    }

    async fn change_plan(&self, addon: AddOn) -> Result<Vec<Release>> {
        let (platform, service) = (&self.platform, addon.addon_service_id);
        let wanted = addon.wanted_plan_id.unwrap_or(addon.plan_id);
        let (provider, plan) = platform.store.read(|connection| {
            let plan = addon_services::plan_name(connection, wanted)?;
            Ok((addon_tasks::provider(connection, service)?, plan))
        })?;
        let outcome =
            partner::change_plan(&self.reach, &provider, &addon, &plan, &platform.urls).await;
        let now = platform.clock.now();
        platform
            .store
            .write(move |connection| {
                let message = match outcome {
                    Outcome::Done(made) | Outcome::Accepted(made) => {
                        return addon_plans::changed(connection, &addon, &made, now);
                    }
                    Outcome::Refused(message) => message,
                    Outcome::Unreadable(message) | Outcome::Unknown(message) => {
                        let failures = addon.attempts + 1;
                        if let Some(due) = next_try(failures, addon.updated_at, now, PROVISION) {
                            addon_plans::unknown(connection, &addon, &message, due)?;
                            return Ok(Vec::new());
                        }
                        message
                    }
                };
                addon_plans::refused(connection, &addon, &message, now)?;
                Ok(Vec::new())
            })
            .await
    }

    async fn remove(&self, removal: Removal) -> Result<()> {
        let platform = &self.platform;
        let service = removal.addon_service_id;
        let provider = platform
            .store
            .read(|connection| addon_tasks::provider(connection, service))?;
        let outcome = partner::deprovision(&self.reach, &provider, removal.addon_id).await;
        let now = platform.clock.now();
        let due = match &outcome {
            Outcome::Done(_) => None,
            _ => next_try(removal.attempts + 1, removal.created_at, now, REMOVAL),
        };
        if due.is_none() && !matches!(outcome, Outcome::Done(_)) {
            tracing::warn!(addon = %removal.addon_id, service = provider.service, "a provider was told for a week that an add-on is no more, and is told no longer");
        }
        let done = move |connection: &_| match due {
            None => addon_tasks::removed(connection, removal.id),
            Some(due) => addon_tasks::remove_again(connection, removal.id, due),
        };
        platform.store.write(done).await
    }

    /// Ticks after each change, when something becomes due, and now and then, until the store is no more.
    pub async fn run(&self) {
        let tables = [Table::Addon, Table::AddonRemoval];
        let mut changes = self.platform.store.changes(&tables);
        loop {
            changes.mark_unchanged();
            if let Err(error) = self.tick() {
                tracing::error!(%error, "what providers are to be asked could not be read; it is tried again in a while");
            }
            let now = self.platform.clock.now();
            let next = self.platform.store.read(addon_tasks::next_due);
            let wait = match next {
                // What is due already is being asked about, or the tick has failed.
                Ok(Some(next)) if next > now => next.since(now).min(EVERY),
                _ => EVERY,
            };
            let freed = self.idle.notified();
            tokio::select! {
                changed = timeout(wait, changes.changed()) => if let Ok(Err(_)) = changed { return },
                // Something else may be due about an add-on that its provider was being asked about.
                () = freed => {}
            }
        }
    }
}

/// Lets go of an add-on, also when a task panics.
struct Asked(Provisioner, Id);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.asked().remove(&self.1);
        self.0.idle.notify_waiters();
    }
}
