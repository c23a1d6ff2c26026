//! Sets apps up from their `app.json`: a loop over the setups that are pending.
//!
//! Each is taken a step further when the step before is on disk: its source is read, its config vars are set and its add-ons are
//! asked for in one transaction; when their providers have made them, its build is queued in the next (or in the first, where there
//! are none); when the build has ended, the formation is scaled and the postdeploy script is asked for in another; when the script has ended, so has the setup. What has to be done next follows from the row alone, so that a server
//! that is killed goes on where it was. It must not know how a build is made or a dyno is run.

mod begin;
mod deeds;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Platform;
use crate::build;
use crate::error::Result;
use crate::name::Id;
use crate::store::Table;
use crate::store::app_setups::{self, Setup};
use crate::store::builds;
use crate::store::releases;

/// The longest between two ticks.
const EVERY: Duration = Duration::from_secs(10);
/// Sources that are fetched at the same time.
const AT_ONCE: usize = 4;

/// What is to be done next for a setup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read the source, and ask for the add-ons.
    Begin,
    /// The add-ons are made: queue the build.
    Build,
    /// A provider did not make one.
    FailAddOn,
    /// Somebody else has to do something first.
    Wait,
    /// Scale, and ask for the postdeploy script, if there is one.
    Deploy,
    /// The script has ended: keep what came of it.
    Conclude,
    /// The build has failed.
    FailBuild,
    /// The build's release command has failed.
    FailRelease,
    /// The app is gone.
    FailApp,
}

/// A pure function of the row.
pub fn next(setup: &Setup) -> Step {
    if !setup.app_exists {
        return Step::FailApp;
    }
    match (setup.build_id, setup.build_status, &setup.postdeploy) {
        (None, _, _) if setup.manifest.is_none() => Step::Begin,
        (None, _, _) if setup.addon_failure.is_some() => Step::FailAddOn,
        (None, _, _) if setup.awaits_addons => Step::Wait,
        (None, _, _) => Step::Build,
        (_, Some(builds::Status::Pending), _) => Step::Wait,
        (_, Some(builds::Status::Succeeded), None) => match setup.release_status {
            Some(releases::Status::Pending) => Step::Wait,
            Some(releases::Status::Failed) => Step::FailRelease,
            _ => Step::Deploy,
        },
        (_, Some(builds::Status::Succeeded), Some(script)) if script.ended => Step::Conclude,
        (_, Some(builds::Status::Succeeded), Some(_)) => Step::Wait,
        (_, Some(builds::Status::Failed) | None, _) => Step::FailBuild,
    }
}

/// The loop.
pub struct Setups {
    platform: Arc<Platform>,
    settings: build::Settings,
    /// Setups whose source is being read.
    reading: Arc<Mutex<HashSet<Id>>>,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
}

impl Setups {
    /// `settings` say how large a source may be, and how long it may take to arrive.
    pub fn new(platform: Arc<Platform>, settings: build::Settings) -> Setups {
        Setups {
            platform,
            settings,
            reading: Arc::default(),
            tasks: tokio::sync::Mutex::default(),
        }
    }

    /// Takes every pending setup a step further that can be, and returns how many those were. Sources are read in tasks. One that
    /// cannot go on holds up no other; it is tried again with the next tick.
    pub async fn tick(&self) -> Result<usize> {
        let mut done = 0;
        for setup in self.platform.store.read(app_setups::pending)? {
            let id = setup.id;
            match self.step(setup).await {
                Ok(stepped) => done += usize::from(stepped),
                Err(error) => {
                    tracing::error!(%error, setup = %id, "an app setup could not go on; it is tried again in a while");
                }
            }
        }
        Ok(done)
    }

    async fn step(&self, setup: Setup) -> Result<bool> {
        let platform = &self.platform;
        let addon;
        let fault = match next(&setup) {
            Step::Wait => return Ok(false),
            Step::Begin => return Ok(self.begin(setup).await),
            Step::Build => return begin::build(platform, &setup).await,
            Step::Deploy => return deeds::deploy(platform, &setup).await,
            Step::Conclude => return deeds::conclude(platform, &setup).await,
            Step::FailAddOn => {
                let why = setup.addon_failure.as_deref().unwrap_or_default();
                addon = format!("An add-on was not made. {why}");
                &addon
            }
            Step::FailBuild => "The build failed. Its output says why.",
            Step::FailRelease => "The release command failed. The app's log says what it printed.",
            Step::FailApp => "The app was deleted before it was set up.",
        };
        deeds::fail(platform, &setup, fault, &[], None).await
    }

    /// Begins to read the source of a setup, unless that is under way or too many are.
    async fn begin(&self, setup: Setup) -> bool {
        let mut tasks = self.tasks.lock().await;
        while tasks.try_join_next().is_some() {}
        let room = {
            let mut reading = lock(&self.reading);
            reading.len() < AT_ONCE && reading.insert(setup.id)
        };
        if !room {
            return false;
        }
        let place = Place(self.reading.clone(), setup.id);
        let (platform, settings) = (self.platform.clone(), self.settings.clone());
        tasks.spawn(async move {
            let _place = place;
            if let Err(error) = begin::begin(&platform, &settings, &setup).await {
                tracing::error!(setup = %setup.id, %error, "an app setup could not be begun; it is tried again in a while");
            }
        });
        true
    }

    /// Waits until no source is being read.
    pub async fn idle(&self) {
        let mut tasks = self.tasks.lock().await;
        while tasks.join_next().await.is_some() {}
    }

    /// Ticks after each change, and now and then for the sake of a tick that failed, until the store is no more.
    pub async fn run(&self) {
        let tables = [
            Table::AppSetup,
            Table::Build,
            Table::Release,
            Table::App,
            Table::Addon,
        ];
        let mut changes = self.platform.store.changes(&tables);
        loop {
            changes.mark_unchanged();
            if let Err(error) = self.tick().await {
                tracing::error!(%error, "app setups are waiting and could not go on; they are tried again in a while");
            }
            if let Ok(Err(_)) = timeout(EVERY, changes.changed()).await {
                return;
            }
        }
    }
}

/// A setup's place among those whose source is read, also if the reading panics.
struct Place(Arc<Mutex<HashSet<Id>>>, Id);

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.0).remove(&self.1);
    }
}

fn lock(reading: &Mutex<HashSet<Id>>) -> std::sync::MutexGuard<'_, HashSet<Id>> {
    reading.lock().unwrap_or_else(PoisonError::into_inner)
}
