//! Dynos as processes of this machine.
//!
//! Each has a folder of its own, an environment of its own, and a [`shim`](crate::shim) that holds it and outlives this process. It
//! must not know what should run: it starts, takes up and stops what it is told to, and says what happens.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder};
use std::ops::RangeInclusive;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, mpsc};

use super::attach::Attached;
use super::environment::Shell;
use super::family::Family;
use super::following::{Running, Who};
use super::note::Note;
use super::probe::Probe;
use super::trees::Trees;
use super::{Ended, Event, LastWords, Launch, Runtime, Started, Taken, port};
use crate::blob::Blobs;
use crate::error::{Error, Result};
use crate::log::Logs;
use crate::name::Id;
use crate::output::Outputs;
use crate::sandbox::{Isolation, folders};
use crate::shim::client::{self, Shim};
use crate::shim::memory::{self, Usage};
use crate::shim::{Program, Spec};
use crate::store::dynos::Dyno;

/// Slugs unpacked at the same time. More would only make each of them slower.
const UNPACKING: usize = 2;

/// Runs dynos on this machine, as the user that the server runs as.
pub struct Local {
    place: Arc<Place>,
    unpacking: Semaphore,
}

/// How dynos are held.
#[derive(Clone, Debug)]
pub struct Shims {
    /// The binary that is a shim when it is told to be one.
    pub program: PathBuf,
    /// Dynos end as soon as this process does, however it ends.
    pub tied: bool,
}

impl Default for Shims {
    /// This very binary, even when another one has been put in its place since it was started.
    fn default() -> Shims {
        Shims {
            program: "/proc/self/exe".into(),
            tied: false,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.isolation.close();
    }
}

/// What the tasks that watch over dynos need.
pub(super) struct Place {
    /// `<data>/dynos`, absolute.
    pub dir: PathBuf,
    pub shell: Shell,
    pub shims: Shims,
    pub isolation: Isolation,
    pub trees: Trees,
    pub blobs: Blobs,
    pub logs: Logs,
    pub(super) outputs: Outputs,
    events: mpsc::UnboundedSender<Event>,
    running: Mutex<HashMap<Id, Arc<Running>>>,
}

impl Local {
    /// Keeps dynos in `<data>/dynos`, which is made if it is not there. With it come the events that the reconciler listens to.
    pub fn open(
        data: &Path,
        blobs: Blobs,
        logs: Logs,
        outputs: Outputs,
        shims: Shims,
        isolation: Isolation,
    ) -> Result<(Local, mpsc::UnboundedReceiver<Event>)> {
        let dir = data.join("dynos");
        make_folder(&dir)?;
        let (events, receiver) = mpsc::unbounded_channel();
        let place = Place {
            dir: fs::canonicalize(dir)?,
            shell: Shell::find(&isolation),
            shims,
            isolation,
            trees: Trees::open(data)?,
            blobs,
            logs,
            outputs,
            events,
            running: Mutex::default(),
        };
        let local = Local {
            place: Arc::new(place),
            unpacking: Semaphore::new(UNPACKING),
        };
        Ok((local, receiver))
    }

    /// Of what fails, nothing is left running.
    async fn launch(&self, launch: Launch) -> Result<Started> {
        let dyno = launch.dyno;
        let started = self.begin(launch).await;
        if started.is_err() {
            // Its shim may only have been too slow to answer, or was not waited for.
            let doubtful = Family::doubtful(dyno, self.place.folder(dyno));
            doubtful.end(Duration::ZERO).await;
            self.place.clone().clear(dyno).await;
        }
        started
    }

    async fn begin(&self, launch: Launch) -> Result<Started> {
        let (place, haste) = (self.place.clone(), launch.haste.clone());
        if let Some(host) = &launch.inside {
            return haste
                .unless_it_runs(place.launch_inside(&launch, host))
                .await;
        }
        let (launch, program, note) = haste.unless(self.furnish(launch)).await?;
        let spawning = place.spawn(&launch, program, note);
        haste.unless_it_runs(spawning).await
    }

    /// Makes everything that a dyno needs before anything of it runs.
    async fn furnish(&self, launch: Launch) -> Result<(Launch, Program, Note)> {
        let permit = self.unpacking.acquire().await.map_err(Error::internal)?;
        let place = self.place.clone();
        // It may have to wait for other servers' hands on the machine's network, too. What a disk does not answer is waited for by
        // the thread that has asked, and by nobody else in haste.
        let furnishing = move || {
            let app = place.furnish(&launch)?;
            launch.haste.check()?;
            let (program, note) = place.enclose(&launch, app)?;
            Ok((launch, program, note))
        };
        let furnished = tokio::task::spawn_blocking(furnishing).await;
        drop(permit);
        furnished.map_err(Error::internal)?
    }
}

impl Runtime for Local {
    fn uids(&self) -> Option<RangeInclusive<u32>> {
        self.place.isolation.uids()
    }

    fn free_port(&self, taken: &HashSet<u16>) -> Result<u16> {
        port::free(taken)
    }

    fn start(&self, launch: Launch) -> BoxFuture<'_, Result<Started>> {
        Box::pin(self.launch(launch))
    }

    fn stop(&self, dyno: Id, grace: Duration) -> BoxFuture<'_, Ended> {
        Box::pin(self.place.clone().stop(dyno, grace))
    }

    fn hasten(&self, dyno: Id, grace: Duration) {
        if let Some(running) = self.place.running().get(&dyno) {
            running.hasten(grace);
        }
    }

    fn take_up<'a>(&'a self, known: &'a [Dyno]) -> BoxFuture<'a, Result<Vec<Taken>>> {
        Box::pin(self.place.take_up(known))
    }

    fn release(&self, dyno: Id) -> BoxFuture<'_, ()> {
        Box::pin(self.place.clone().release(dyno))
    }

    fn over_quota(&self, quotas: Vec<(Id, u64)>) -> BoxFuture<'_, Vec<(Id, u64)>> {
        let measured = self.place.measured(quotas);
        Box::pin(async move {
            let measuring = tokio::task::spawn_blocking(move || memory::over(measured));
            measuring.await.unwrap_or_default()
        })
    }

    fn usage(&self, dynos: Vec<Id>) -> BoxFuture<'_, Vec<(Id, Usage)>> {
        let quotas = dynos.into_iter().map(|dyno| (dyno, 0)).collect();
        let measured = self.place.measured(quotas);
        Box::pin(async move {
            let measuring = tokio::task::spawn_blocking(move || memory::used(measured));
            measuring.await.unwrap_or_default()
        })
    }

    fn look_after(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.place.clone().guard())
    }

    fn last_words(&self, dyno: Id) -> LastWords {
        let running = self.place.running();
        running
            .get(&dyno)
            .map(|running| running.last_words())
            .unwrap_or_default()
    }

    fn attach(&self, dyno: Id) -> Option<Attached> {
        self.place.running().get(&dyno)?.attach()
    }
}

impl Place {
    pub fn folder(&self, dyno: Id) -> PathBuf {
        self.dir.join(dyno.to_string())
    }

    /// Starts what was enclosed, and waits for its port if it has one.
    async fn spawn(
        self: Arc<Place>,
        launch: &Launch,
        program: Program,
        note: Note,
    ) -> Result<Started> {
        let probe = launch.port.map(|port| Probe {
            address: note.address,
            port,
            boot: launch.boot,
            checks: note.checks.clone(),
        });
        self.hold(launch, program, &note, probe).await
    }

    /// Gives a program to a shim of its own, and watches over it. `note` is what the server after this one has to know.
    pub async fn hold(
        self: Arc<Place>,
        launch: &Launch,
        program: Program,
        note: &Note,
        probe: Option<Probe>,
    ) -> Result<Started> {
        let folder = self.folder(launch.dyno);
        let spec = Spec {
            note: serde_json::to_string(note).map_err(Error::internal)?,
            program,
            streams: launch.streams,
            tied: self.shims.tied,
        };
        let claim = self.isolation.claim(launch.dyno)?;
        let shim = client::start(&self.shims.program, &folder, spec, claim).await?;
        let who = Who {
            dyno: launch.dyno,
            app: launch.app,
            name: launch.name.clone(),
            folder,
            attached: note.attached,
            copy: self.copy(note),
        };
        let running = self.follow(shim, who, probe);
        Ok(Started {
            pid: Some(i64::from(running.pid)),
            port: launch.port,
            address: note.address,
        })
    }

    /// Watches over a dyno from here on. A dyno with a port is waited for until it listens there, for so long at most.
    pub fn follow(self: Arc<Place>, shim: Shim, who: Who, probe: Option<Probe>) -> Arc<Running> {
        let dyno = who.dyno;
        let (running, mut following) = Running::new(shim, who, &self.logs);
        let running = Arc::new(running);
        self.running().insert(dyno, running.clone());
        let followed = running.clone();
        let probe = probe.map(|probe| {
            let (events, running) = (self.events.clone(), running.clone());
            tokio::spawn(probe.report(events, running, dyno))
        });
        tokio::spawn(async move {
            let ended = following.see_end(&running).await;
            if let Some(probe) = probe {
                probe.abort();
            }
            if !running.end(ended) {
                let status = ended.status.unwrap_or_default();
                // Nobody listens when the server is stopping.
                let _ = self.events.send(Event::Exited { dyno, status });
            }
            following.see_gone().await;
            running.note_gone();
        });
        followed
    }

    async fn stop(self: Arc<Place>, dyno: Id, grace: Duration) -> Ended {
        let found = self.running().get(&dyno).cloned();
        let Some(running) = found else {
            let killed = Family::new(dyno).end(grace).await;
            self.clear(dyno).await;
            return Ended {
                status: None,
                killed,
            };
        };
        let ended = match running.stop(grace) {
            true => running.ended().await,
            false => Ended::default(),
        };
        self.release(dyno).await;
        ended
    }

    /// Lets the shim of a dyno that has ended go, and removes what is left.
    async fn release(self: Arc<Place>, dyno: Id) {
        let found = self.running().get(&dyno).cloned();
        if let Some(running) = found {
            running.release().await;
            self.running().remove(&dyno);
            self.clear(dyno).await;
        }
    }

    /// Removes the folder of a dyno of which nothing runs, and what else it left. What cannot be removed is tried again at the
    /// next start.
    pub async fn clear(self: Arc<Place>, dyno: Id) {
        let clearing = move || {
            self.isolation.clean(dyno);
            folders::remove(&self.folder(dyno))?;
            self.sweep_trees()
        };
        if let Ok(Err(cause)) = tokio::task::spawn_blocking(clearing).await {
            tracing::warn!(%dyno, %cause, "a dyno's folder was not removed");
        }
    }

    pub fn sweep_trees(&self) -> Result<()> {
        self.trees.sweep(&self.dir)
    }

    pub fn running(&self) -> MutexGuard<'_, HashMap<Id, Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For this user alone.
pub(super) fn make_folder(folder: &Path) -> Result<()> {
    Ok(DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?)
}
