//! The deeds that take time, each in a task of its own: starting a dyno, and seeing one to its end.
//!
//! A slow one holds up nobody else. What they write is conditional on the row's state, so that one that comes late changes
//! nothing. It must not decide what is to be done.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::news::crash;
use super::plan::{Policy, Start, WEB};
use super::reconcile::Parts;
use super::{Drain, Haste, Inside, LastWords, Launch, Reception, Runtime, Size, Started, Streams};
use crate::blob::Digest;
use crate::error::{Error, ErrorId, Result};
use crate::log::{Logs, platform};
use crate::name::Id;
use crate::output::Outputs;
use crate::store::dyno_ends::{self, Left};
use crate::store::dynos::{self, Attach, Dyno, State};
use crate::store::{Store, app_uids, apps, config_vars, features, one_offs, release_phases};
use crate::time::Clock;

/// Between two attempts to write what has happened and must not be forgotten.
const AGAIN: Duration = Duration::from_secs(1);
/// What a shell says of a process that SIGKILL has ended.
const KILLED: i32 = 137;

/// What the deeds work with, and which are under way.
pub struct Acts {
    pub store: Store,
    pub runtime: Arc<dyn Runtime>,
    pub logs: Logs,
    pub outputs: Outputs,
    pub clock: Clock,
    pub policy: Policy,
    pub haste: Haste,
    drain: Arc<dyn Drain>,
    reception: Reception,
    /// Dynos that are being started. The sender goes when that is over.
    starting: Mutex<HashMap<Id, watch::Receiver<()>>>,
    /// Dynos that are being seen to their end, and whether that is over.
    ending: Mutex<HashMap<Id, bool>>,
    under_way: watch::Sender<usize>,
}

impl Acts {
    pub fn new(parts: Parts) -> Acts {
        Acts {
            store: parts.store,
            runtime: parts.runtime,
            logs: parts.logs,
            outputs: parts.outputs,
            drain: parts.drain,
            clock: parts.clock,
            policy: parts.policy,
            haste: Haste::default(),
            reception: parts.reception,
            starting: Mutex::default(),
            ending: Mutex::default(),
            under_way: watch::Sender::new(0),
        }
    }

    /// Reads off the async workers, since all dynos are many rows.
    pub async fn read<T: Send + 'static>(&self, f: fn(&Connection) -> Result<T>) -> Result<T> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || store.read(f))
            .await
            .map_err(Error::internal)?
    }

    /// Writes what has happened already, so it is tried until it works: a full disk is emptied some day.
    pub async fn record<T: Send + 'static>(
        &self,
        f: impl Fn(&Connection) -> Result<T> + Clone + Send + 'static,
    ) -> T {
        loop {
            match self.store.write(f.clone()).await {
                Ok(answer) => return answer,
                Err(error) => tracing::error!(%error, "a dyno's row was not written; trying again"),
            }
            sleep(AGAIN).await;
        }
    }

    /// Whether any deed is under way.
    pub fn is_busy(&self) -> bool {
        *self.under_way.borrow() > 0
    }

    /// Resolves when no deed is under way.
    pub async fn idle(&self) {
        // It fails only without a sender, and that is in our own hands.
        let _ = self
            .under_way
            .subscribe()
            .wait_for(|count| *count == 0)
            .await;
    }

    /// Starts the process of a dyno whose row is written.
    pub fn start(self: &Arc<Acts>, start: Start, dyno: Dyno) {
        let name = dyno.name();
        match start.before {
            Some(State::Crashed) => {
                platform::state_changed(&self.logs, dyno.app_id, &name, "crashed", "starting");
            }
            Some(State::Idle) => platform::unidling(&self.logs, dyno.app_id, &name),
            Some(state) => self.tell_restart(&dyno, state),
            None => {}
        }
        platform::starting(&self.logs, dyno.app_id, &name, &shown(&dyno));
        let (over, receiver) = watch::channel(());
        lock(&self.starting).insert(dyno.id, receiver);
        let acts = self.clone();
        self.spawn(async move {
            let id = dyno.id;
            let launching = acts.clone().launch(start, dyno.clone());
            // A panic in it must not leave a row behind that nobody cares for.
            let outcome = tokio::spawn(launching).await;
            if matches!(&outcome, Err(lost) if lost.is_cancelled()) {
                // The server ends, and leaves the dyno to the next one.
                return;
            }
            match outcome.map_err(Error::internal).flatten() {
                Ok(started) => acts.note_started(&dyno, started).await,
                Err(error) => acts.note_failed(&dyno, &error).await,
            }
            lock(&acts.starting).remove(&id);
            drop(over);
        });
    }

    async fn launch(self: Arc<Acts>, start: Start, dyno: Dyno) -> Result<Started> {
        let wanted = start.wanted;
        let config_set = wanted.config_set_id;
        let (config_vars, output, inside) = self.store.read(|connection| {
            let mut vars = features::metadata(connection, &dyno)?;
            vars.extend(config_vars::read(connection, config_set)?);
            if !dyno.one_off {
                return Ok((vars, None, None));
            }
            vars.extend(one_offs::env(connection, dyno.id)?);
            let output = release_phases::of_dyno(connection, dyno.id)?;
            Ok((vars, output, host(connection, &dyno)?))
        })?;
        let uid = self.uid_of(dyno.app_id).await?;
        let slug = Digest::parse(&wanted.digest)
            .ok_or_else(|| Error::internal("a slug's digest is none"))?;
        let launch = Launch {
            dyno: dyno.id,
            app: dyno.app_id,
            app_name: wanted.app_name,
            name: dyno.name(),
            r#type: dyno.r#type,
            command: dyno.command,
            config_vars,
            slug,
            release: dyno.release_id,
            release_version: dyno.release_version,
            port: dyno.port,
            size: dyno.size,
            uid,
            output,
            boot: self.policy.boot,
            inside,
            streams: streams(dyno.attach),
            haste: self.haste.clone(),
        };
        let started = self.runtime.start(launch).await?;
        if dyno.attach.is_some() {
            let attached = self.runtime.attach(dyno.id);
            let attached = attached.ok_or_else(|| Error::internal("a dyno without its streams"));
            self.reception.present(dyno.id, attached);
        }
        Ok(started)
    }

    /// The user that an app's dynos run as, if not the server's: chosen with the first of them.
    async fn uid_of(&self, app: Id) -> Result<Option<u32>> {
        let Some(range) = self.runtime.uids() else {
            return Ok(None);
        };
        let read = |connection: &Connection| app_uids::read(connection, app, &range);
        if let Some(uid) = self.store.read(read)? {
            return Ok(Some(uid));
        }
        let allot = move |connection: &Connection| app_uids::allot(connection, app, &range);
        self.store.write(allot).await.map(Some)
    }

    /// A dyno with a port is up when it listens, any other one when it runs.
    pub async fn note_started(&self, dyno: &Dyno, started: Started) {
        let (id, now) = (dyno.id, self.clock.now());
        let up = self
            .record(move |connection| {
                dynos::set_process(connection, id, started.pid, started.port, started.address)?;
                match started.port {
                    Some(_) => Ok(false),
                    None => dynos::change(connection, id, State::Starting, State::Up, now),
                }
            })
            .await;
        if up {
            self.tell_change(dyno, State::Starting, State::Up);
        }
    }

    async fn note_failed(self: &Arc<Acts>, dyno: &Dyno, error: &Error) {
        let reason = Error::new(error.id, error.message.clone());
        self.reception.present(dyno.id, Err(reason));
        if self.haste.is_called() {
            // It did not fail by itself: it goes with the server, as the others do.
            return;
        }
        let crashed = self.note_crash(dyno.id, None).await;
        let Some(before) = crashed.filter(|_| self.has_app(dyno)) else {
            // Nobody wants it any more, and what it needs may have gone with its app.
            tracing::debug!(dyno = %dyno.id, %error, "a dyno that is to go could not be started");
            return;
        };
        tracing::error!(dyno = %dyno.id, %error, "a dyno could not be started");
        platform::not_started(&self.logs, dyno.app_id, &dyno.name(), error);
        self.tell_change(&before, before.state, State::Crashed);
        self.tell_held_back(&before, "could not be started", LastWords::default());
    }

    fn has_app(&self, dyno: &Dyno) -> bool {
        let found = self.store.read(|c| apps::by_id(c, dyno.app_id).map(drop));
        found.map_or_else(|error| error.id != ErrorId::NotFound, |()| true)
    }

    /// Notes that a dyno has ended by itself. The row as it was, if it was starting or up.
    async fn note_crash(&self, id: Id, status: Option<i32>) -> Option<Dyno> {
        let (policy, now) = (self.policy.clone(), self.clock.now());
        self.record(move |connection| crash(connection, &policy, id, status, now))
            .await
    }

    /// Lets go of a dyno whose end is written down.
    pub fn release(self: &Arc<Acts>, dyno: Id) {
        let acts = self.clone();
        self.spawn(async move { acts.runtime.release(dyno).await });
    }

    /// Kills a dyno that took too long to listen, or far too much memory. `how` says so, after its name.
    pub fn kill(self: &Arc<Acts>, dyno: Dyno, how: &'static str) {
        let acts = self.clone();
        self.spawn(async move {
            let words = acts.runtime.last_words(dyno.id);
            let ended = acts.runtime.stop(dyno.id, Duration::ZERO).await;
            // It ended by our doing. For a command that nobody is to run again, that is an end like any other.
            let status = Some(ended.status.unwrap_or(KILLED));
            let Some(before) = acts.note_crash(dyno.id, status).await else {
                return;
            };
            acts.tell_exited(&dyno, ended.status);
            if before.one_off {
                acts.tell_complete(&before);
            } else {
                acts.tell_change(&before, before.state, State::Crashed);
                acts.tell_held_back(&before, how, words);
            }
        });
    }

    /// Sees a dyno that is down to its end, unless that is under way already.
    pub fn end(self: &Arc<Acts>, dyno: &Dyno, drain: bool) -> bool {
        match lock(&self.ending).entry(dyno.id) {
            Entry::Occupied(_) => return false,
            Entry::Vacant(entry) => entry.insert(false),
        };
        let (acts, dyno) = (self.clone(), dyno.clone());
        self.spawn(async move {
            acts.see_out(&dyno, drain).await;
            lock(&acts.ending).insert(dyno.id, true);
        });
        true
    }

    /// Forgets the dynos that have ended. Called before the rows are read: what was read earlier may still have rows of some that
    /// have ended since, which are not to be ended once more.
    pub fn forget_ended(&self) {
        lock(&self.ending).retain(|_, over| !*over);
    }

    async fn see_out(&self, dyno: &Dyno, drain: bool) {
        let starting = lock(&self.starting).get(&dyno.id).cloned();
        if let Some(mut starting) = starting {
            // Its end is the only news that there is.
            let _ = starting.changed().await;
        }
        if drain && dyno.r#type == WEB && !dyno.one_off {
            // Whoever is still being answered after this will see the process end.
            let _ = timeout(self.policy.drain, self.drain.drained(dyno.id)).await;
        }
        let grace = self.policy.grace;
        platform::stopping(&self.logs, dyno.app_id, &dyno.name());
        let ended = self.haste.stop(&*self.runtime, dyno.id, grace).await;
        if ended.killed {
            platform::exit_timeout(&self.logs, dyno.app_id, &dyno.name(), grace.as_secs());
        }
        self.tell_exited(dyno, ended.status);
        let (id, one_off, now) = (dyno.id, dyno.one_off, self.clock.now());
        // What was cut off because the server stops did not fail by itself.
        let status = ended.status.filter(|status| drain || *status == 0);
        let gone = self
            .record(move |connection| match one_off {
                true => one_offs::end(connection, id, status, now).map(Gone::OneOff),
                false => dyno_ends::leave(connection, id, now).map(Gone::OfFormation),
            })
            .await;
        match gone {
            Gone::OneOff(true) => self.tell_complete(dyno),
            // What was said of it last is that it is restarted.
            Gone::OfFormation(Left::Forsaken) => {
                self.tell_change(dyno, State::Starting, State::Down)
            }
            Gone::OneOff(false) | Gone::OfFormation(Left::Gone | Left::Kept) => {}
        }
    }

    pub fn spawn(self: &Arc<Acts>, deed: impl Future<Output = ()> + Send + 'static) {
        let counted = Counted::new(self.clone());
        tokio::spawn(async move {
            deed.await;
            drop(counted);
        });
    }
}

/// What became of the row of a dyno that was stopped.
enum Gone {
    /// Whether there was one.
    OneOff(bool),
    OfFormation(Left),
}

/// The dyno in whose sandbox this one is run. 422 if nothing runs there any more.
fn host(connection: &Connection, dyno: &Dyno) -> Result<Option<Inside>> {
    let Some(id) = dyno.inside else {
        return Ok(None);
    };
    let host = dynos::by_id(connection, id)?.filter(Dyno::runs);
    let host = host.ok_or_else(|| Error::invalid("The dyno that it was to run in has ended."))?;
    Ok(Some(Inside {
        dyno: id,
        name: host.name(),
        port: host.port,
    }))
}

fn streams(attach: Option<Attach>) -> Streams {
    match attach.map(|attach| attach.terminal) {
        None => Streams::Output,
        Some(None) => Streams::Pipes,
        Some(Some((rows, columns))) => Streams::Terminal(Size { rows, columns }),
    }
}

/// Counts a deed as under way for as long as it lives, also if the deed panics.
struct Counted(Arc<Acts>);

impl Counted {
    fn new(acts: Arc<Acts>) -> Counted {
        acts.under_way.send_modify(|count| *count += 1);
        Counted(acts)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.under_way.send_modify(|count| *count -= 1);
    }
}

/// The command with its port put in, as Heroku shows it.
fn shown(dyno: &Dyno) -> String {
    match dyno.port {
        Some(port) => {
            let port = port.to_string();
            dyno.command
                .replace("${PORT}", &port)
                .replace("$PORT", &port)
        }
        None => dyno.command.clone(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
