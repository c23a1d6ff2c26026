//! The loop that makes it so: snapshot, plan, act.
//!
//! A tick takes no input and may be interrupted anywhere; the next one starts from the rows as they are. It must not know how a
//! process is started, nor HTTP. What takes time (starting, draining, stopping) runs in tasks of its own, in [`act`](super::act).

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::act::Acts;
use super::plan::{Action, Policy, Start, WEB, Why, next_moment, plan};
use super::quota::{self, Quotas};
use super::samples::Samples;
use super::{Drain, Event, Haste, Parting, Reception, Runtime};
use crate::error::Result;
use crate::log::Logs;
use crate::name::Id;
use crate::output::Outputs;
use crate::store::dynos::{self, Dyno, Snapshot, State};
use crate::store::{Store, Table, dyno_ends, one_offs};
use crate::time::{Clock, Timestamp};

/// The longest between two ticks, for the sake of whatever no one told us of.
const EVERY: Duration = Duration::from_secs(10);
/// After a tick that failed: a full disk is not emptied by asking again at once.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What a reconciler works with.
pub struct Parts {
    pub store: Store,
    pub runtime: Arc<dyn Runtime>,
    pub logs: Logs,
    /// Of releases, which tell why one does not come up.
    pub outputs: Outputs,
    pub drain: Arc<dyn Drain>,
    pub clock: Clock,
    pub policy: Policy,
    /// Where the streams of dynos are handed over to whoever sits in front of them.
    pub reception: Reception,
}

/// Brings the dynos in line with the rows, again and again.
pub struct Reconciler {
    acts: Arc<Acts>,
    quotas: Quotas,
    samples: Samples,
    inbox: tokio::sync::Mutex<Inbox>,
    next: Mutex<Option<Timestamp>>,
}

/// What only one tick at a time may touch.
struct Inbox {
    events: mpsc::UnboundedReceiver<Event>,
    /// Events that could not be written down yet.
    pending: Vec<Event>,
    /// What an earlier run of the server left has been taken up.
    taken_up: bool,
}

impl Reconciler {
    /// With the events of the runtime that is among the parts.
    pub fn new(parts: Parts, events: mpsc::UnboundedReceiver<Event>) -> Reconciler {
        let inbox = Inbox {
            events,
            pending: Vec::new(),
            taken_up: false,
        };
        Reconciler {
            acts: Arc::new(Acts::new(parts)),
            quotas: Quotas::default(),
            samples: Samples::default(),
            inbox: tokio::sync::Mutex::new(inbox),
            next: Mutex::new(None),
        }
    }

    /// By which dynos that are being stopped are hurried.
    pub fn haste(&self) -> Haste {
        self.acts.haste.clone()
    }

    /// Takes up what an earlier run of the server left running, unless that was done before, and takes in what was said of it.
    /// After this the rows tell which dynos visitors may be sent to.
    pub async fn take_up(&self) -> Result<()> {
        let mut inbox = self.inbox.lock().await;
        self.take_up_once(&mut inbox).await?;
        self.take_in(&mut inbox).await.map(drop)
    }

    /// Takes in what the runtime has said, and does what is to be done now. How much that was: zero means that nothing is left
    /// to do, save what is under way.
    pub async fn tick(&self) -> Result<usize> {
        let mut inbox = self.inbox.lock().await;
        self.take_up_once(&mut inbox).await?;
        let news = self.take_in(&mut inbox).await?;
        Ok(news + self.act().await?)
    }

    /// How many events there were.
    async fn take_in(&self, inbox: &mut Inbox) -> Result<usize> {
        while let Ok(event) = inbox.events.try_recv() {
            inbox.pending.push(event);
        }
        let news = inbox.pending.len();
        self.acts.take_in(&inbox.pending).await?;
        inbox.pending.clear();
        Ok(news)
    }

    /// Ticks until nothing is left to do and nothing is under way. With a runtime of real processes, what they do later is
    /// later's affair.
    pub async fn settle(&self) -> Result<()> {
        loop {
            let busy = self.acts.is_busy();
            let done = self.tick().await?;
            self.acts.idle().await;
            if done == 0 && !busy {
                return Ok(());
            }
        }
    }

    /// Ticks whenever something has changed, until `shutdown`. Then it stops all dynos, and returns when they have ended, or
    /// leaves them to the next server. Visitors have to be sent away before that: a web dyno that ends with the server is not
    /// drained.
    pub async fn run(self, shutdown: impl Future<Output = Parting>) {
        let tables = [Table::App, Table::Dyno, Table::Formation, Table::Release];
        let mut changes = self.acts.store.changes(&tables);
        let mut shutdown = std::pin::pin!(shutdown);
        let mut memory = interval(quota::EVERY);
        memory.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let parting = loop {
            changes.borrow_and_update();
            let failed = self.tick().await.inspect_err(|error| {
                tracing::error!(%error, "dynos could not be brought in line; trying again");
            });
            let wait = match failed {
                Ok(_) => self.rest(),
                Err(_) => AFTER_FAILURE,
            };
            tokio::select! {
                parting = &mut shutdown => break parting,
                changed = changes.changed(), if wait != AFTER_FAILURE => if changed.is_err() { break Parting::Leave },
                () = self.heard(), if wait != AFTER_FAILURE => {}
                _ = memory.tick() => {
                    self.acts.runtime.look_after().await;
                    self.check_memory().await;
                }
                () = sleep(wait) => {}
            }
        };
        if parting == Parting::End {
            self.stop_all().await;
        }
    }

    /// Looks at the memory that dynos take, and tells of those that take too much, or ends them.
    pub async fn check_memory(&self) {
        if let Err(error) = self.quotas.check(&self.acts).await {
            tracing::error!(%error, "the memory of dynos was not looked at");
        }
        if let Err(error) = self.samples.take(&self.acts).await {
            tracing::error!(%error, "what dynos use was not looked at");
        }
    }

    /// Stops all dynos, and returns when they have ended.
    async fn stop_all(&self) {
        if let Err(error) = self.retire_all().await {
            tracing::error!(%error, "dynos were left running; the next start takes them up");
        }
        self.acts.idle().await;
    }

    /// Resolves when the runtime has said something.
    async fn heard(&self) {
        let mut inbox = self.inbox.lock().await;
        match inbox.events.recv().await {
            Some(event) => inbox.pending.push(event),
            None => std::future::pending().await,
        }
    }

    /// Until the plan changes by itself.
    fn rest(&self) -> Duration {
        let next = *self.next.lock().unwrap_or_else(PoisonError::into_inner);
        next.map_or(EVERY, |next| next.since(self.acts.clock.now()).min(EVERY))
    }

    /// Rows of an earlier run stand for processes that go on, or are gone. The latter are forgotten, and the plan starts anew.
    async fn take_up_once(&self, inbox: &mut Inbox) -> Result<()> {
        if inbox.taken_up {
            return Ok(());
        }
        let known = self.acts.read(dynos::all).await?;
        let taken = self.acts.runtime.take_up(&known).await?;
        let held: HashSet<Id> = taken.iter().map(|taken| taken.dyno).collect();
        let gone = |dyno: &Dyno| dyno.has_process() && !held.contains(&dyno.id);
        if known.iter().any(gone) {
            let (now, held) = (self.acts.clock.now(), held.clone());
            let forget = move |connection: &rusqlite::Connection| {
                dyno_ends::forget_processes(connection, &held, now)
            };
            self.acts.store.write(forget).await?;
        }
        inbox.taken_up = true;
        let rows: HashMap<Id, &Dyno> = known.iter().map(|dyno| (dyno.id, dyno)).collect();
        for taken in taken {
            // Killed before it could note what it had started.
            if let Some(row) = rows.get(&taken.dyno)
                && row.state == State::Starting
            {
                self.acts.note_started(row, taken.started).await;
            }
        }
        Ok(())
    }

    async fn act(&self) -> Result<usize> {
        self.acts.forget_ended();
        let snapshot = self.acts.read(dynos::snapshot).await?;
        let now = self.acts.clock.now();
        let policy = &self.acts.policy;
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) =
            next_moment(&snapshot, now, policy);
        let actions = plan(&snapshot, now, policy);
        if actions.is_empty() {
            return Ok(0);
        }
        let steps = self.steps(actions, &snapshot, now);
        let done = self.write_down(steps, now).await?;
        Ok(done.into_iter().map(|step| self.carry_out(step)).sum())
    }

    /// Puts the rows to the ids, and makes rows for the dynos to be started.
    fn steps(&self, actions: Vec<Action>, snapshot: &Snapshot, now: Timestamp) -> Vec<Step> {
        let rows: HashMap<Id, &Dyno> = snapshot.dynos.iter().map(|dyno| (dyno.id, dyno)).collect();
        let row = |id: Id| rows.get(&id).map(|dyno| (*dyno).clone());
        let mut ports: HashSet<u16> = snapshot.dynos.iter().filter_map(|dyno| dyno.port).collect();
        let step = |action| match action {
            Action::Start(start) => match self.new_row(&start, &mut ports, now) {
                Ok(dyno) => Some(Step::Start(start, dyno)),
                Err(error) => {
                    tracing::error!(%error, app = start.wanted.app_name, "a dyno could not be started");
                    None
                }
            },
            Action::Launch { dyno, start } => row(dyno).map(|dyno| Step::Launch(start, dyno)),
            Action::Retire { dyno, why } => row(dyno).map(|dyno| Step::Retire(dyno, why)),
            Action::Remove { dyno, why } => row(dyno).map(|dyno| Step::Remove(dyno, why)),
            Action::End { dyno } => row(dyno).map(Step::End),
        };
        actions.into_iter().filter_map(step).collect()
    }

    fn new_row(&self, start: &Start, ports: &mut HashSet<u16>, now: Timestamp) -> Result<Dyno> {
        let wanted = &start.wanted;
        let port = match wanted.r#type == WEB {
            true => Some(self.acts.runtime.free_port(ports)?),
            false => None,
        };
        ports.extend(port);
        Ok(Dyno {
            port,
            crashes: start.crashes,
            served: start.served,
            ..wanted.row(start.ordinal, State::Starting, now)
        })
    }

    /// Writes all steps in one transaction, and returns those that were still right.
    async fn write_down(&self, steps: Vec<Step>, now: Timestamp) -> Result<Vec<Step>> {
        // For what is on its way out there is nothing to write, and it may be there for many ticks.
        if steps.iter().all(|step| matches!(step, Step::End(_))) {
            return Ok(steps);
        }
        let write = move |connection: &rusqlite::Connection| {
            let mut done = Vec::with_capacity(steps.len());
            for step in steps {
                if step.write(connection, now)? {
                    done.push(step);
                }
            }
            Ok(done)
        };
        self.acts.store.write(write).await
    }

    /// Begins the deed, and counts it unless it was under way already.
    fn carry_out(&self, step: Step) -> usize {
        match step {
            Step::Start(start, dyno) | Step::Launch(start, dyno) => self.acts.start(*start, dyno),
            Step::Retire(dyno, why) => {
                self.acts.tell_retired(&dyno, why);
                self.acts.end(&dyno, true);
            }
            Step::Remove(dyno, why) => self.acts.tell_removed(&dyno, why),
            Step::Part(dyno) | Step::End(dyno) => return usize::from(self.acts.end(&dyno, true)),
        }
        1
    }

    async fn retire_all(&self) -> Result<()> {
        let now = self.acts.clock.now();
        // At one stroke: whatever changed between a look and a write would be passed over, and nobody looks again.
        let part = move |connection: &rusqlite::Connection| {
            let mut parted = Vec::new();
            for step in dynos::all(connection)?
                .into_iter()
                .filter_map(Step::parting)
            {
                if step.write(connection, now)? {
                    parted.push(step);
                }
            }
            Ok(parted)
        };
        for step in self.acts.store.write(part).await? {
            match step {
                Step::Part(dyno) => {
                    self.acts.tell_retired(&dyno, Why::Surplus);
                    self.acts.end(&dyno, false);
                }
                Step::End(dyno) => {
                    self.acts.end(&dyno, false);
                }
                Step::Start(..) | Step::Launch(..) | Step::Retire(..) | Step::Remove(..) => {}
            }
        }
        Ok(())
    }
}

/// An action with its row.
enum Step {
    Start(Box<Start>, Dyno),
    Launch(Box<Start>, Dyno),
    Retire(Dyno, Why),
    /// It goes because the server does, so what it was for is not forgotten.
    Part(Dyno),
    Remove(Dyno, Why),
    End(Dyno),
}

impl Step {
    /// What is to be done with a dyno when the server goes and takes its dynos along.
    fn parting(dyno: Dyno) -> Option<Step> {
        match dyno.state {
            // It waits for the next server.
            State::Starting if !dyno.launched => None,
            State::Starting | State::Up => Some(Step::Part(dyno)),
            State::Down => Some(Step::End(dyno)),
            State::Crashed | State::Idle => None,
        }
    }

    /// Whether the row was still as the plan saw it.
    fn write(&self, connection: &rusqlite::Connection, now: Timestamp) -> Result<bool> {
        match self {
            Step::Start(start, dyno) => {
                let vacated = match start.replaces {
                    Some(before) => dyno_ends::vacate(connection, before)?,
                    None => true,
                };
                if vacated {
                    dynos::insert(connection, dyno)?;
                }
                Ok(vacated)
            }
            Step::Retire(dyno, why) => {
                let for_successor = *why == Why::Restart;
                dyno_ends::retire(connection, dyno.id, dyno.state, for_successor, now)
            }
            Step::Part(dyno) => dynos::change(connection, dyno.id, dyno.state, State::Down, now),
            Step::Launch(_, dyno) => one_offs::launch(connection, dyno.id, now),
            Step::Remove(dyno, _) if dyno.one_off => one_offs::end(connection, dyno.id, None, now),
            Step::Remove(dyno, _) => dyno_ends::vacate(connection, dyno.id),
            Step::End(_) => Ok(true),
        }
    }
}
