//! Dynos as processes of this machine.
//!
//! Each has a folder of its own with its own copy of the slug, an environment of its own and a process group of its own. It must
//! not know what should run: it starts and stops what it is told to, and says what happens.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::process::Child;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;

use super::environment::Shell;
use super::family::Family;
use super::output::Output;
use super::{Ended, Event, Launch, Runtime, Started, port};
use crate::archive::{self, Limits, Strip};
use crate::blob::{Blobs, Digest};
use crate::error::{Error, Result};
use crate::log::{Logs, Source};
use crate::name::Id;
use crate::output::Outputs;
use crate::store::dynos::Dyno;

/// Slugs unpacked at the same time. More would only make each of them slower.
const UNPACKING: usize = 2;
/// For processes of an earlier run. Nobody waits for what they still have to say.
const SWEEP_GRACE: Duration = Duration::from_secs(1);
/// What a shell says of a process whose status nobody knows.
const UNKNOWN_STATUS: i32 = 255;

/// Runs dynos on this machine, as the user that the server runs as.
pub struct Local {
    place: Arc<Place>,
    unpacking: Semaphore,
}

/// What the tasks that watch over dynos need.
struct Place {
    /// `<data>/dynos`, absolute.
    dir: PathBuf,
    shell: Shell,
    blobs: Blobs,
    logs: Logs,
    outputs: Outputs,
    events: mpsc::UnboundedSender<Event>,
    running: Mutex<HashMap<Id, Arc<Running>>>,
}

/// A dyno with a process.
struct Running {
    family: Family,
    /// Somebody stops it, and learns of its end from that. Set while `Place::running` is locked.
    stopping: AtomicBool,
    /// Its status, once nothing of it is left and its output is in the log.
    ended: watch::Sender<Option<i32>>,
}

impl Local {
    /// Keeps dynos in `<data>/dynos`, which is made if it is not there. With it come the events that the reconciler listens to.
    pub fn open(
        data: &Path,
        blobs: Blobs,
        logs: Logs,
        outputs: Outputs,
    ) -> Result<(Local, mpsc::UnboundedReceiver<Event>)> {
        let dir = data.join("dynos");
        make_folder(&dir)?;
        let (events, receiver) = mpsc::unbounded_channel();
        let place = Place {
            dir: fs::canonicalize(dir)?,
            shell: Shell::find(),
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

    async fn launch(&self, launch: Launch) -> Result<Started> {
        let permit = self.unpacking.acquire().await.map_err(Error::internal)?;
        let place = self.place.clone();
        let (dyno, slug) = (launch.dyno, launch.slug);
        tokio::task::spawn_blocking(move || place.unpack(dyno, &slug))
            .await
            .map_err(Error::internal)??;
        drop(permit);
        let started = self.place.clone().spawn(&launch);
        if started.is_err() {
            self.place.clone().clear(dyno).await;
        }
        started
    }
}

impl Runtime for Local {
    fn free_port(&self, taken: &HashSet<u16>) -> Result<u16> {
        port::free(taken)
    }

    fn start(&self, launch: Launch) -> BoxFuture<'_, Result<Started>> {
        Box::pin(self.launch(launch))
    }

    fn stop(&self, dyno: Id, grace: Duration) -> BoxFuture<'_, Ended> {
        Box::pin(self.place.clone().stop(dyno, grace))
    }

    fn sweep<'a>(&'a self, known: &'a [Dyno]) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.place.sweep(known))
    }
}

impl Place {
    fn folder(&self, dyno: Id) -> PathBuf {
        self.dir.join(dyno.to_string())
    }

    /// Where the app's files are: the dyno's home.
    fn home(&self, dyno: Id) -> PathBuf {
        self.folder(dyno).join("app")
    }

    /// Makes the dyno's folder with its own copy of the slug. What an attempt before left is replaced.
    fn unpack(&self, dyno: Id, slug: &Digest) -> Result<()> {
        let archive = self.blobs.open_checked(slug)?;
        remove(&self.folder(dyno))?;
        let home = self.home(dyno);
        make_folder(&home)?;
        let unpacked = archive::unpack(archive, &home, &Limits::slug(), Strip::Prefix("app"));
        if unpacked.is_err() {
            remove(&self.folder(dyno))?;
        }
        unpacked.map(drop)
    }

    fn spawn(self: Arc<Place>, launch: &Launch) -> Result<Started> {
        let (reader, writer) = std::io::pipe()?;
        let mut command = self.shell.command(launch, &self.home(launch.dyno));
        command.stdout(writer.try_clone()?).stderr(writer);
        let mut command = tokio::process::Command::from(command);
        // A group of its own: what the terminal sends to the server's does not reach it, and it can be signalled as a whole.
        let child = command.process_group(0).spawn()?;
        // The server's copies of the pipe's other end go with the command; else the output would never end.
        drop(command);
        let mut lines = self.logs.lines(launch.app, Source::App, &launch.name);
        if let Some(release) = launch.output {
            lines.copy_to(self.outputs.writer(release)?);
        }
        let output = Output::follow(reader, lines)?;
        let leader = child.id().and_then(|pid| i32::try_from(pid).ok());
        let running = Arc::new(Running {
            family: Family::new(launch.dyno, leader),
            stopping: AtomicBool::new(false),
            ended: watch::Sender::new(None),
        });
        self.running().insert(launch.dyno, running.clone());
        let probe = launch
            .port
            .map(|port| tokio::spawn(probe(self.events.clone(), launch.dyno, port, launch.boot)));
        let dyno = launch.dyno;
        tokio::spawn(async move {
            let status = running.see_out(child).await;
            if let Some(probe) = probe {
                probe.abort();
            }
            output.finish().await;
            self.report(dyno, &running, status);
            self.clear(dyno).await;
            running.ended.send_replace(Some(status));
        });
        Ok(Started {
            pid: leader.map(i64::from),
            port: launch.port,
        })
    }

    /// Either whoever stops the dyno learns of its end, or the reconciler does.
    fn report(&self, dyno: Id, ended: &Running, status: i32) {
        let mut running = self.running();
        if !ended.stopping.load(Ordering::Relaxed) {
            running.remove(&dyno);
            // Nobody listens when the server is stopping.
            let _ = self.events.send(Event::Exited { dyno, status });
        }
    }

    async fn stop(self: Arc<Place>, dyno: Id, grace: Duration) -> Ended {
        // In one statement, and so under one lock: between the two the dyno's own end could be reported as well.
        let found = self
            .running()
            .get(&dyno)
            .inspect(|running| running.stopping.store(true, Ordering::Relaxed))
            .cloned();
        let Some(running) = found else {
            let killed = Family::new(dyno, None).end(grace).await;
            self.clear(dyno).await;
            return Ended {
                status: None,
                killed,
            };
        };
        let killed = running.family.end(grace).await;
        let mut ended = running.ended.subscribe();
        let status = ended
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|status| *status);
        self.running().remove(&dyno);
        Ended { status, killed }
    }

    async fn sweep(&self, known: &[Dyno]) -> Result<()> {
        let mut family = Family::default();
        for dyno in known {
            let leader = dyno.pid.and_then(|pid| i32::try_from(pid).ok());
            family.add_earlier(dyno.id, leader, self.folder(dyno.id));
        }
        if !known.is_empty() {
            family.end(SWEEP_GRACE).await;
        }
        let dir = self.dir.clone();
        tokio::task::spawn_blocking(move || remove_contents(&dir))
            .await
            .map_err(Error::internal)?
    }

    /// Removes the folder of a dyno of which nothing runs. What cannot be removed is tried again at the next start.
    async fn clear(self: Arc<Place>, dyno: Id) {
        let removed = tokio::task::spawn_blocking(move || remove(&self.folder(dyno))).await;
        if let Ok(Err(cause)) = removed {
            tracing::warn!(%dyno, %cause, "a dyno's folder was not removed");
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<Id, Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Waits for the dyno's end, and returns its status when nothing of it is left.
    async fn see_out(&self, mut child: Child) -> i32 {
        let status = child.wait().await.map_or(UNKNOWN_STATUS, shell_status);
        if self.stopping.load(Ordering::Relaxed) {
            // Those who are left have the rest of the grace, and whoever stops the dyno ends it.
            self.family.gone(None).await;
        } else {
            // A dyno has ended when its first process has; what it left behind must not run beside its successor.
            self.family.end(Duration::ZERO).await;
        }
        status
    }
}

async fn probe(events: mpsc::UnboundedSender<Event>, dyno: Id, port: u16, boot: Duration) {
    let event = match timeout(boot, port::listening(port)).await {
        Ok(()) => Event::Listening { dyno },
        Err(_) => Event::BootTimeout { dyno },
    };
    // Nobody listens when the server is stopping.
    let _ = events.send(event);
}

/// 128 and the number of the signal, where there was one.
fn shell_status(status: ExitStatus) -> i32 {
    status
        .code()
        .or(status.signal().map(|signal| 128 + signal))
        .unwrap_or(UNKNOWN_STATUS)
}

/// For this user alone.
fn make_folder(folder: &Path) -> Result<()> {
    Ok(DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?)
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => Err(cause.into()),
        _ => Ok(()),
    }
}

fn remove_contents(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if let Err(cause) = remove(&path) {
            tracing::warn!(path = %path.display(), %cause, "a folder of an earlier dyno was not removed");
        }
    }
    Ok(())
}
