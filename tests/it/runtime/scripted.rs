//! A runtime that starts nothing, notes what it is asked for, and says what a test tells it to say.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, ready};
use penstock::error::{Error, Result};
use penstock::name::Id;
use penstock::runtime::{
    Attached, Drain, Ended, Event, LastWords, Launch, Runtime, Started, Taken,
};
use penstock::store::dynos::Dyno;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

/// Cheap to clone; clones are the same runtime.
#[derive(Clone)]
pub struct Scripted {
    events: UnboundedSender<Event>,
    state: Arc<Mutex<Script>>,
    visited: Arc<watch::Sender<bool>>,
}

#[derive(Default)]
struct Script {
    running: Vec<Launch>,
    /// All that was asked, in order: `start web.1 v3`, `drain web.1 v3`, `stop web.1 v3`, `take up 2`.
    asked: Vec<String>,
    ports: u16,
    fails: bool,
    /// What happens while the next dyno is being started.
    meanwhile: Option<BoxFuture<'static, ()>>,
    ending: Ended,
    /// Per cent of its quota that a dyno uses, if that is too much.
    used: HashMap<String, u64>,
}

impl Scripted {
    pub fn new() -> (Scripted, UnboundedReceiver<Event>) {
        let (events, receiver) = unbounded_channel();
        let script = Script {
            ending: Ended {
                status: Some(143),
                killed: false,
            },
            ..Script::default()
        };
        let state = Arc::new(Mutex::new(script));
        (
            Scripted {
                events,
                state,
                visited: Arc::new(watch::Sender::new(false)),
            },
            receiver,
        )
    }

    /// What was asked since this was last called.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    /// `web.1 v3`, of all that runs.
    pub fn running(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let mut running: Vec<String> = state.running.iter().map(shown).collect();
        running.sort();
        running
    }

    pub fn launched(&self, name: &str) -> Launch {
        let state = self.state.lock().unwrap();
        state
            .running
            .iter()
            .rfind(|launch| shown(launch) == name)
            .unwrap()
            .clone()
    }

    /// The dyno listens on its port.
    pub fn listen(&self, name: &str) {
        let dyno = self.launched(name).dyno;
        self.say(Event::Listening { dyno });
    }

    /// The dyno has not come to listen in time.
    pub fn time_out(&self, name: &str) {
        let dyno = self.launched(name).dyno;
        self.say(Event::BootTimeout { dyno });
    }

    pub fn say(&self, event: Event) {
        self.events.send(event).unwrap();
    }

    /// The dyno ends by itself.
    pub fn exit(&self, name: &str, status: i32) {
        let dyno = self.launched(name).dyno;
        self.state
            .lock()
            .unwrap()
            .running
            .retain(|launch| launch.dyno != dyno);
        self.events.send(Event::Exited { dyno, status }).unwrap();
    }

    /// From now on starts fail, or no longer do.
    pub fn fail(&self, fails: bool) {
        self.state.lock().unwrap().fails = fails;
    }

    /// This happens while the next dyno is being started.
    pub fn meanwhile(&self, deed: impl Future<Output = ()> + Send + 'static) {
        self.state.lock().unwrap().meanwhile = Some(deed.boxed());
    }

    /// How dynos that are stopped end from now on.
    pub fn end_with(&self, ending: Ended) {
        self.state.lock().unwrap().ending = ending;
    }

    /// From now on a dyno takes so many per cent of its memory.
    pub fn use_memory(&self, name: &str, percent: u64) {
        let mut state = self.state.lock().unwrap();
        state.used.insert(name.to_owned(), percent);
    }

    /// From now on no dyno is drained, or those that wait for it are.
    pub fn visit(&self, visited: bool) {
        self.visited.send_replace(visited);
    }

    fn note(&self, what: &str, dyno: Id) {
        let mut state = self.state.lock().unwrap();
        let found = state
            .running
            .iter()
            .find(|launch| launch.dyno == dyno)
            .map(shown);
        state
            .asked
            .push(format!("{what} {}", found.unwrap_or("nothing".into())));
    }
}

fn shown(launch: &Launch) -> String {
    format!("{} v{}", launch.name, launch.release_version)
}

impl Runtime for Scripted {
    fn free_port(&self, taken: &HashSet<u16>) -> Result<u16> {
        let mut state = self.state.lock().unwrap();
        state.ports += 1;
        assert!(!taken.contains(&state.ports));
        Ok(state.ports)
    }

    fn start(&self, launch: Launch) -> BoxFuture<'_, Result<Started>> {
        let mut state = self.state.lock().unwrap();
        state.asked.push(format!("start {}", shown(&launch)));
        let started = if state.fails {
            Err(Error::not_found("blob"))
        } else {
            let port = launch.port;
            state.running.push(launch);
            Ok(Started {
                address: None,
                pid: Some(4_000_000),
                port,
            })
        };
        let meanwhile = state.meanwhile.take();
        Box::pin(async move {
            if let Some(meanwhile) = meanwhile {
                meanwhile.await;
            }
            started
        })
    }

    fn hasten(&self, _: Id, _: Duration) {}

    fn stop(&self, dyno: Id, _: Duration) -> BoxFuture<'_, Ended> {
        self.note("stop", dyno);
        let mut state = self.state.lock().unwrap();
        let before = state.running.len();
        state.running.retain(|launch| launch.dyno != dyno);
        let found = state.running.len() < before;
        ready(if found {
            state.ending
        } else {
            Ended::default()
        })
        .boxed()
    }

    fn take_up<'a>(&'a self, known: &'a [Dyno]) -> BoxFuture<'a, Result<Vec<Taken>>> {
        let mut state = self.state.lock().unwrap();
        state.asked.push(format!("take up {}", known.len()));
        let taken: Vec<Launch> = std::mem::take(&mut state.running);
        let known = |launch: &Launch| known.iter().any(|dyno| dyno.id == launch.dyno);
        state.running = taken.into_iter().filter(known).collect();
        let taken = state.running.iter().map(|launch| Taken {
            dyno: launch.dyno,
            started: Started {
                address: None,
                pid: Some(4_000_000),
                port: launch.port,
            },
        });
        ready(Ok(taken.collect())).boxed()
    }

    fn release(&self, _: Id) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }

    fn over_quota(&self, quotas: Vec<(Id, u64)>) -> BoxFuture<'_, Vec<(Id, u64)>> {
        let state = self.state.lock().unwrap();
        let used = |(dyno, quota): (Id, u64)| {
            let launch = state.running.iter().find(|launch| launch.dyno == dyno)?;
            let percent = state.used.get(&shown(launch))?;
            Some((dyno, quota / 100 * percent))
        };
        ready(quotas.into_iter().filter_map(used).collect()).boxed()
    }

    fn last_words(&self, _: Id) -> LastWords {
        let output = ["one".to_owned(), "two".to_owned()].to_vec();
        LastWords {
            probe: Some("nobody listens on port 9".to_owned()),
            output,
        }
    }

    fn attach(&self, _: Id) -> Option<Attached> {
        None
    }
}

impl Drain for Scripted {
    fn drained(&self, dyno: Id) -> BoxFuture<'_, ()> {
        self.note("drain", dyno);
        let mut visited = self.visited.subscribe();
        Box::pin(async move {
            visited.wait_for(|visited| !visited).await.unwrap();
        })
    }
}
