//! What is to be done so that the dynos there are become the dynos that are wanted.
//!
//! A pure function of a snapshot and the time: no I/O, no async, nothing remembered. Whoever carries the actions out may be
//! interrupted after any of them, since the next plan starts from what is there then.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::slot::{Slot, dismiss, is_fresh};
use crate::catalog::ECO;
use crate::name::Id;
use crate::store::dynos::{Dyno, Snapshot, State, Wanted};
use crate::store::one_offs::OneOff;
use crate::time::Timestamp;

/// The process type that gets a port and visitors, and whose dynos are swapped rather than stopped first.
pub const WEB: &str = "web";

/// How patient the platform is with dynos.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long to wait after the first crash in a row, the second, and so on. The last one is for all that follow.
    pub backoff: Vec<Duration>,
    /// A dyno that was up for this long was no failure: its next crash counts as the first.
    pub steady: Duration,
    /// From the start of a web dyno's process until it must listen on its port.
    pub boot: Duration,
    /// How long a web dyno that is being replaced may go on answering the requests it has.
    pub drain: Duration,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
}

impl Default for Policy {
    /// Heroku's boot and exit limits. Its waits between crashes go up to hours; ours stay short, since whoever runs the server
    /// is also the one who waits.
    fn default() -> Policy {
        Policy {
            backoff: [0, 1, 2, 4, 8, 16, 30, 60]
                .map(Duration::from_secs)
                .to_vec(),
            steady: Duration::from_secs(60),
            boot: Duration::from_secs(60),
            drain: Duration::from_secs(30),
            grace: Duration::from_secs(30),
        }
    }
}

impl Policy {
    /// How long to wait before the start that follows so many crashes in a row.
    pub fn delay(&self, crashes: i64) -> Duration {
        let step = usize::try_from(crashes.saturating_sub(1)).unwrap_or(0);
        let last = self.backoff.last().copied().unwrap_or_default();
        self.backoff.get(step).copied().unwrap_or(last)
    }

    /// How many crashes in a row it makes when this dyno has ended by itself just now.
    pub fn crashes(&self, dyno: &Dyno, now: Timestamp) -> i64 {
        let steady = dyno.state == State::Up && now.since(dyno.updated_at) >= self.steady;
        if steady { 1 } else { dyno.crashes + 1 }
    }

    /// When a crashed dyno may be started again, or `None` if it may at once. A moment further away than any wait of ours was written
    /// before the clock went back, and would hold the dyno up for as long as that.
    pub(super) fn held_until(&self, dyno: &Dyno, now: Timestamp) -> Option<Timestamp> {
        let longest = self.backoff.iter().max().copied().unwrap_or_default();
        dyno.start_at
            .filter(|at| *at > now && at.since(now) <= longest)
    }
}

/// One small step, safe to do twice.
#[derive(Clone, Debug)]
pub enum Action {
    /// Write a row and start a process.
    Start(Box<Start>),
    /// Note that a one-off dyno is launched, and start its process.
    Launch { dyno: Id, start: Box<Start> },
    /// Take a dyno that is starting or up out of service. It ends after that.
    Retire { dyno: Id, why: Why },
    /// Delete the row of a dyno of which nothing runs: a crashed or an idle one, or a one-off that is not to be launched any more.
    Remove { dyno: Id, why: Why },
    /// See a dyno that is down to its end: stop what is left of its process, and delete its row.
    End { dyno: Id },
}

/// A dyno to be started.
#[derive(Clone, Debug)]
pub struct Start {
    pub wanted: Wanted,
    /// 1 for `web.1`.
    pub ordinal: i64,
    /// The crashed or idle dyno in whose place it comes, and whose row goes.
    pub replaces: Option<Id>,
    /// Crashes in a row before this start.
    pub crashes: i64,
    /// A dyno of the same release has been up in this place.
    pub served: bool,
    /// What a person saw in this place until now, for the log.
    pub before: Option<State>,
}

/// Why a dyno is retired, which decides what the log says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its place is already taken by a newer one.
    Superseded,
    /// Its place is to be taken by a newer one, once it has ended.
    Restart,
    /// Its place is no more.
    Surplus,
    /// A one-off dyno that nobody wants any more.
    Stopped,
    /// A one-off dyno that has run for as long as it may.
    Expired,
}

/// What to do now. Empty when there is nothing left to do but wait.
pub fn plan(snapshot: &Snapshot, now: Timestamp, policy: &Policy) -> Vec<Action> {
    let mut present: BTreeMap<(Id, &str), Vec<&Dyno>> = BTreeMap::new();
    let mut actions = Vec::new();
    for dyno in &snapshot.dynos {
        if dyno.state == State::Down {
            actions.push(Action::End { dyno: dyno.id });
        }
        if dyno.one_off {
            let wanted = snapshot.one_offs.iter().find(|one| one.dyno == dyno.id);
            // With its host it has lost what it runs in.
            let wanted = wanted.filter(|_| dyno.inside.is_none_or(|host| runs(snapshot, host)));
            actions.extend(plan_one_off(dyno, wanted, now));
            continue;
        }
        let place = (dyno.app_id, dyno.r#type.as_str());
        present.entry(place).or_default().push(dyno);
    }
    let asleep = asleep(snapshot);
    for wanted in &snapshot.wanted {
        let dynos = present
            .remove(&(wanted.app_id, wanted.r#type.as_str()))
            .unwrap_or_default();
        let sleeps = wanted.size == ECO && asleep.contains(&wanted.app_id);
        let place = (wanted, &dynos[..], sleeps);
        plan_type(place, &snapshot.served, (now, policy), &mut actions);
    }
    let unwanted = present.into_values().flatten();
    actions.extend(unwanted.filter_map(|dyno| dismiss(dyno, Why::Surplus)));
    actions
}

/// When the plan will be another one, though nothing has changed but the time.
pub fn next_moment(snapshot: &Snapshot, now: Timestamp, policy: &Policy) -> Option<Timestamp> {
    let dynos = snapshot.dynos.iter();
    dynos
        .filter_map(|dyno| match dyno.state {
            State::Crashed => policy.held_until(dyno, now),
            State::Starting | State::Up => {
                let by = dyno.attach.and_then(|attach| attach.by);
                let ends = [dyno.expires_at, by].into_iter().flatten();
                ends.filter(|at| *at > now).min()
            }
            State::Idle | State::Down => None,
        })
        .min()
}

/// A one-off dyno is launched once, and goes when it is not wanted or its time is over. It is never started again.
fn plan_one_off(dyno: &Dyno, wanted: Option<&OneOff>, now: Timestamp) -> Option<Action> {
    let expired = dyno.expires_at.is_some_and(|at| at <= now);
    match (dyno.state, wanted) {
        (State::Down, _) => None,
        (State::Crashed | State::Idle, _) => Some(Action::Remove {
            dyno: dyno.id,
            why: Why::Stopped,
        }),
        // Nobody has come to sit in front of it yet.
        (State::Starting, Some(_)) if !dyno.launched && awaits_client(dyno, now) => None,
        (State::Starting, Some(one)) if !dyno.launched && !expired && !unattended(dyno) => {
            Some(Action::Launch {
                dyno: dyno.id,
                start: Box::new(Start {
                    wanted: one.wanted.clone(),
                    ordinal: dyno.ordinal,
                    replaces: None,
                    crashes: 0,
                    served: false,
                    before: None,
                }),
            })
        }
        (State::Starting, _) if !dyno.launched => Some(Action::Remove {
            dyno: dyno.id,
            why: Why::Stopped,
        }),
        (_, None) => Some(Action::Retire {
            dyno: dyno.id,
            why: Why::Stopped,
        }),
        (_, Some(_)) => expired.then_some(Action::Retire {
            dyno: dyno.id,
            why: Why::Expired,
        }),
    }
}

fn runs(snapshot: &Snapshot, id: Id) -> bool {
    let mut dynos = snapshot.dynos.iter();
    dynos.any(|dyno| dyno.id == id && dyno.runs())
}

fn unattended(dyno: &Dyno) -> bool {
    dyno.attach.is_some_and(|attach| attach.by.is_some())
}

fn awaits_client(dyno: &Dyno, now: Timestamp) -> bool {
    let by = dyno.attach.and_then(|attach| attach.by);
    by.is_some_and(|by| by > now)
}

fn plan_type(
    (wanted, dynos, sleeps): (&Wanted, &[&Dyno], bool),
    served: &[(Id, Wanted)],
    (now, policy): (Timestamp, &Policy),
    actions: &mut Vec<Action>,
) {
    let serving = serving(dynos);
    let slots: Vec<Slot> = (1..=wanted.quantity)
        .map(|ordinal| Slot::new(wanted, ordinal, dynos, serving))
        .collect();
    // Visitors go from the old release to the new one as a whole, and only once all of the new one is there for them.
    let swap = wanted.r#type != WEB || sleeps || slots.iter().all(Slot::is_served);
    for slot in &slots {
        actions.extend(slot.dismissals(swap));
        if !swap {
            actions.extend(slot.start_again(served, now, policy));
        }
        if !sleeps {
            actions.extend(slot.start(now, policy));
        }
    }
    let surplus = dynos
        .iter()
        .filter(|dyno| !(1..=wanted.quantity).contains(&dyno.ordinal));
    actions.extend(surplus.filter_map(|dyno| dismiss(dyno, Why::Surplus)));
}

/// The version that visitors see, of a web that has been up: those that came before it went when it took over.
fn serving(dynos: &[&Dyno]) -> Option<i64> {
    let present = dynos
        .iter()
        .filter(|dyno| dyno.served && dyno.state != State::Down);
    present.map(|dyno| dyno.release_version).min()
}

/// The apps that sleep: there is a web dyno to wake, and every dyno that can be idle is. An app that lacks one is awake, whatever
/// has become of it: a release, a change of its formation, or somebody who asks for one dyno to be restarted.
fn asleep(snapshot: &Snapshot) -> HashSet<Id> {
    let idle = snapshot.dynos.iter();
    let idle: HashMap<(Id, &str, i64), &Dyno> = idle
        .filter(|dyno| dyno.state == State::Idle)
        .map(|dyno| ((dyno.app_id, dyno.r#type.as_str(), dyno.ordinal), dyno))
        .collect();
    let mut asleep: HashSet<Id> = idle.keys().map(|(app, ..)| *app).collect();
    let mut web = HashSet::new();
    for wanted in snapshot.wanted.iter().filter(|wanted| wanted.size == ECO) {
        if !asleep.contains(&wanted.app_id) {
            continue;
        }
        if wanted.r#type == WEB {
            web.insert(wanted.app_id);
        }
        let is_idle = |ordinal: i64| {
            let place = (wanted.app_id, wanted.r#type.as_str(), ordinal);
            idle.get(&place).is_some_and(|dyno| is_fresh(wanted, dyno))
        };
        if !(1..=wanted.quantity).all(is_idle) {
            asleep.remove(&wanted.app_id);
        }
    }
    asleep.retain(|app| web.contains(app));
    asleep
}
