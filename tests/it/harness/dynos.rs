//! Dynos in a test's imagination: each does what the test says, and by default listens at once.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::{BoxFuture, ready};
use penstock::error::{Error, Result};
use penstock::name::Id;
use penstock::runtime::{
    Attached, Ended, Event, LastWords, Launch, Runtime, Started, Taken, Usage,
};
use penstock::store::dynos::Dyno;
use tokio::sync::mpsc;

/// A runtime without processes.
pub struct Dynos {
    events: mpsc::UnboundedSender<Event>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: BTreeMap<Id, Launch>,
    /// Every launch there was.
    launched: Vec<Launch>,
    /// New dynos do not listen before the test says so.
    held: bool,
    /// New dynos cannot be started.
    refusing: bool,
    /// Those that use twice the memory they have.
    hungry: HashSet<Id>,
    /// What each of them uses, if that is measured.
    usage: Option<Usage>,
}

impl Dynos {
    pub fn new() -> (Arc<Dynos>, mpsc::UnboundedReceiver<Event>) {
        let (events, receiver) = mpsc::unbounded_channel();
        let dynos = Dynos {
            events,
            state: Mutex::default(),
        };
        (Arc::new(dynos), receiver)
    }

    /// From here on no new dyno listens by itself.
    pub fn hold(&self) {
        self.state().held = true;
    }

    /// From here on no new dyno can be started.
    pub fn refuse(&self) {
        self.state().refusing = true;
    }

    /// From here on the dyno uses far more memory than it has.
    pub fn use_memory(&self, dyno: Id) {
        self.state().hungry.insert(dyno);
    }

    /// From here on each dyno uses so much.
    pub fn measure(&self, usage: Usage) {
        self.state().usage = Some(usage);
    }

    /// The web dyno takes connections now.
    pub fn listen(&self, dyno: Id) {
        self.say(Event::Listening { dyno });
    }

    /// The web dyno has taken too long.
    pub fn time_out(&self, dyno: Id) {
        self.say(Event::BootTimeout { dyno });
    }

    /// The dyno ends by itself.
    pub fn crash(&self, dyno: Id, status: i32) {
        let gone = self.state().running.remove(&dyno);
        assert!(gone.is_some(), "the dyno does not run");
        self.say(Event::Exited { dyno, status });
    }

    /// The launch of the one dyno of this name that runs.
    #[track_caller]
    pub fn one(&self, app: &str, name: &str) -> Launch {
        let state = self.state();
        let mut found = state
            .running
            .values()
            .filter(|launch| launch.app_name == app && launch.name == name);
        let launch = found.next().expect("no such dyno runs").clone();
        assert!(found.next().is_none(), "several such dynos run");
        launch
    }

    /// `web.1 v3`, for every dyno of the app that runs.
    pub fn of(&self, app: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .state()
            .running
            .values()
            .filter(|launch| launch.app_name == app)
            .map(|launch| format!("{} v{}", launch.name, launch.release_version))
            .collect();
        names.sort();
        names
    }

    /// How many times a dyno was started.
    pub fn launches(&self) -> usize {
        self.state().launched.len()
    }

    /// The ids of all that run.
    pub fn running(&self) -> Vec<Id> {
        self.state().running.keys().copied().collect()
    }

    fn say(&self, event: Event) {
        self.events.send(event).unwrap();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Runtime for Dynos {
    fn free_port(&self, taken: &HashSet<u16>) -> Result<u16> {
        Ok((20_000..).find(|port| !taken.contains(port)).unwrap())
    }

    fn start(&self, launch: Launch) -> BoxFuture<'_, Result<Started>> {
        let (dyno, port) = (launch.dyno, launch.port);
        let mut state = self.state();
        if state.refusing {
            return Box::pin(ready(Err(Error::invalid("No dyno can be started."))));
        }
        state.launched.push(launch.clone());
        state.running.insert(dyno, launch);
        if port.is_some() && !state.held {
            self.say(Event::Listening { dyno });
        }
        Box::pin(ready(Ok(Started {
            pid: None,
            port,
            address: None,
        })))
    }

    fn hasten(&self, _: Id, _: Duration) {}

    fn stop(&self, dyno: Id, _: Duration) -> BoxFuture<'_, Ended> {
        let status = self.state().running.remove(&dyno).map(|_| 143);
        let killed = false;
        Box::pin(ready(Ended { status, killed }))
    }

    /// Those of an earlier server have ended with it.
    fn take_up<'a>(&'a self, _: &'a [Dyno]) -> BoxFuture<'a, Result<Vec<Taken>>> {
        self.state().running.clear();
        Box::pin(ready(Ok(Vec::new())))
    }

    fn release(&self, _: Id) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }

    fn over_quota(&self, quotas: Vec<(Id, u64)>) -> BoxFuture<'_, Vec<(Id, u64)>> {
        let hungry = &self.state().hungry;
        let over = quotas.into_iter().filter(|(id, _)| hungry.contains(id));
        Box::pin(ready(over.map(|(id, quota)| (id, 2 * quota)).collect()))
    }

    fn usage(&self, dynos: Vec<Id>) -> BoxFuture<'_, Vec<(Id, Usage)>> {
        let state = self.state();
        let running = dynos
            .into_iter()
            .filter(|id| state.running.contains_key(id));
        let used = running.filter_map(|id| Some((id, state.usage?)));
        Box::pin(ready(used.collect()))
    }

    fn last_words(&self, _: Id) -> LastWords {
        LastWords::default()
    }

    fn attach(&self, _: Id) -> Option<Attached> {
        None
    }
}
