//! One place in a formation, such as `web.1`: who is in it, who goes, and who comes.
//!
//! Pure, as the plan that it is a part of.

use std::cmp::Reverse;

use super::plan::{Action, Policy, Start, WEB, Why};
use crate::name::Id;
use crate::store::dynos::{Dyno, State, Wanted};
use crate::time::Timestamp;

/// How a dyno is got rid of, if it isn't on its way out already.
pub fn dismiss(dyno: &Dyno, why: Why) -> Option<Action> {
    match dyno.state {
        State::Starting | State::Up => Some(Action::Retire { dyno: dyno.id, why }),
        State::Crashed | State::Idle => Some(Action::Remove { dyno: dyno.id, why }),
        State::Down => None,
    }
}

/// One place in a formation, such as `web.1`, and who is in it.
pub struct Slot<'a> {
    wanted: &'a Wanted,
    ordinal: i64,
    /// Of the current release, the best first; more than one would be a mistake of ours, to be put right.
    fresh: Vec<&'a Dyno>,
    /// Of another release or size, or asked to restart; the best first.
    stale: Vec<&'a Dyno>,
    /// The version that visitors of the web see, if any of it has been up.
    serving: Option<i64>,
    /// Somebody is still on the way out.
    vacating: bool,
}

impl<'a> Slot<'a> {
    pub fn new(
        wanted: &'a Wanted,
        ordinal: i64,
        dynos: &[&'a Dyno],
        serving: Option<i64>,
    ) -> Slot<'a> {
        let here = || {
            dynos
                .iter()
                .copied()
                .filter(move |dyno| dyno.ordinal == ordinal)
        };
        let mut present: Vec<&Dyno> = here().filter(|dyno| dyno.state != State::Down).collect();
        present.sort_by_key(|dyno| Reverse((rank(dyno.state), dyno.id)));
        let (fresh, stale) = present.into_iter().partition(|dyno| is_fresh(wanted, dyno));
        Slot {
            wanted,
            ordinal,
            fresh,
            stale,
            serving,
            vacating: here().any(|dyno| dyno.state == State::Down),
        }
    }

    pub fn is_served(&self) -> bool {
        self.fresh
            .first()
            .is_some_and(|dyno| dyno.state == State::Up)
    }

    fn is_web(&self) -> bool {
        self.wanted.r#type == WEB
    }

    pub fn dismissals(&self, swap: bool) -> impl Iterator<Item = Action> {
        let why = if self.is_web() {
            Why::Superseded
        } else {
            Why::Restart
        };
        let stale = self
            .stale
            .iter()
            .filter(move |dyno| swap || !self.is_needed(dyno))
            .filter_map(move |dyno| dismiss(dyno, why));
        let doubles = self
            .fresh
            .iter()
            .skip(1)
            .filter_map(|dyno| dismiss(dyno, Why::Surplus));
        stale.chain(doubles)
    }

    pub fn start(&self, now: Timestamp, policy: &Policy) -> Option<Action> {
        let before = match self.fresh.first() {
            Some(dyno) if dyno.has_process() => return None,
            first => first.copied(),
        };
        if before.is_some_and(|dyno| policy.held_until(dyno, now).is_some()) || self.must_wait() {
            return None;
        }
        Some(Action::Start(Box::new(Start {
            wanted: self.wanted.clone(),
            ordinal: self.ordinal,
            replaces: before.map(|dyno| dyno.id),
            crashes: before.map_or(0, |dyno| dyno.crashes),
            served: self.has_served(),
            before: before.or(self.stale.first().copied()).and_then(seen),
        })))
    }

    /// The wanted release has been up here.
    fn has_served(&self) -> bool {
        let mut here = self.fresh.iter().chain(&self.stale);
        here.any(|dyno| dyno.served && dyno.release_id == self.wanted.release_id)
    }

    /// Whether visitors need a stale dyno until its successors are there. One that isn't up serves nobody, so there is nothing to
    /// wait for, unless it belongs to the release that serves in place of the wanted one. Nor does one that is up serve anybody
    /// beside that release: it is of one in between, which never took over.
    fn is_needed(&self, dyno: &Dyno) -> bool {
        let is_serving = |dyno: &Dyno| self.serving == Some(dyno.release_version);
        let is_up = |other: &&Dyno| other.state == State::Up && is_serving(other);
        match dyno.state {
            State::Up => is_serving(dyno) || !self.stale.iter().any(is_up),
            _ => self.serves_instead(dyno),
        }
    }

    /// The wanted release has not come up yet, and this one is of the release that is there for its visitors meanwhile.
    fn serves_instead(&self, dyno: &Dyno) -> bool {
        dyno.served
            && dyno.release_id != self.wanted.release_id
            && self.serving == Some(dyno.release_version)
    }

    /// A dyno that serves while the wanted release does not come up is started again like any other, whatever has ended it.
    pub fn start_again(
        &self,
        served: &[(Id, Wanted)],
        now: Timestamp,
        policy: &Policy,
    ) -> Option<Action> {
        let mut serving = self.stale.iter().filter(|dyno| self.serves_instead(dyno));
        let dyno = serving.next().filter(|dyno| dyno.state == State::Crashed)?;
        let (_, wanted) = served.iter().find(|(id, _)| *id == dyno.id)?;
        if policy.held_until(dyno, now).is_some() {
            return None;
        }
        Some(Action::Start(Box::new(Start {
            wanted: wanted.clone(),
            ordinal: self.ordinal,
            replaces: Some(dyno.id),
            crashes: dyno.crashes,
            served: true,
            before: seen(dyno),
        })))
    }

    /// A worker must not run twice at once: its predecessor ends first.
    fn must_wait(&self) -> bool {
        !self.is_web() && (self.vacating || self.stale.iter().any(|dyno| dyno.has_process()))
    }
}

/// What a person has seen last of a dyno. Of one that went with the machine nobody was told.
fn seen(dyno: &Dyno) -> Option<State> {
    (!dyno.is_lost()).then_some(dyno.state)
}

/// Of the current release and size, and not asked to restart.
pub fn is_fresh(wanted: &Wanted, dyno: &Dyno) -> bool {
    dyno.release_id == wanted.release_id && dyno.size == wanted.size && !dyno.restart
}

fn rank(state: State) -> u8 {
    match state {
        State::Up => 4,
        State::Starting => 3,
        State::Crashed => 2,
        State::Idle => 1,
        State::Down => 0,
    }
}
