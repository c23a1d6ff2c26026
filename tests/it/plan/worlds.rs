//! Worlds that are disturbed at random, in which the plan must come to what is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use penstock::name::Id;
use penstock::runtime::plan::{Action, Policy, WEB, next_moment, plan};
use penstock::store::dynos::{Dyno, Snapshot, State};
use penstock::time::Timestamp;

use super::{dyno, now, release, served, wanted};

/// A world that does what it is told, or now and then does not.
struct World {
    snapshot: Snapshot,
    now: Timestamp,
    version: i64,
    made: u128,
    random: u64,
}

impl World {
    fn new(seed: u64) -> World {
        World {
            snapshot: Snapshot::default(),
            now: now(),
            version: 1,
            made: 0,
            random: seed * 2 + 1,
        }
    }

    /// Xorshift: the same worlds in every run.
    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit
    }

    fn act(&mut self, action: Action) {
        let rows = &mut self.snapshot.dynos;
        match action {
            Action::Start(start) => {
                rows.retain(|dyno| Some(dyno.id) != start.replaces);
                self.made += 1;
                let id = Id::fixed(0x5000 + self.made);
                let kind = &start.wanted.r#type;
                let version = start.wanted.release_version;
                let mut row = dyno(id, kind, start.ordinal, version, State::Starting);
                row.crashes = start.crashes;
                row.served = start.served;
                row.updated_at = self.now;
                rows.push(row);
            }
            Action::Launch { dyno, .. } => {
                let row = rows.iter_mut().find(|row| row.id == dyno).unwrap();
                row.launched = true;
            }
            Action::Retire { dyno, .. } => {
                let row = rows.iter_mut().find(|row| row.id == dyno).unwrap();
                row.state = State::Down;
            }
            Action::Remove { dyno, .. } | Action::End { dyno } => rows.retain(|row| row.id != dyno),
        }
    }

    /// A person or an accident changes something.
    fn disturb(&mut self) {
        match self.below(7) {
            0 => self.deploy(),
            6 => self.reboot(),
            1 => {
                let kind = ["web", "worker", "clock"][usize::try_from(self.below(3)).unwrap()];
                let quantity = i64::try_from(self.below(4)).unwrap();
                let version = self.version;
                self.snapshot.wanted.retain(|wanted| wanted.r#type != kind);
                if quantity > 0 {
                    self.snapshot.wanted.push(wanted(kind, quantity, version));
                }
            }
            2 => self.with_some(|dyno, _| dyno.restart = dyno.state != State::Down),
            3 => self.with_some(|dyno, now| {
                if matches!(dyno.state, State::Starting | State::Up) {
                    dyno.crashes = Policy::default().crashes(dyno, now);
                    dyno.state = State::Crashed;
                    dyno.start_at = Some(now.plus(Policy::default().delay(dyno.crashes)));
                }
            }),
            _ => {
                self.come_up(1);
            }
        }
    }

    fn deploy(&mut self) {
        self.version += 1;
        for wanted in &mut self.snapshot.wanted {
            wanted.release_version = self.version;
            wanted.release_id = release(self.version);
        }
    }

    /// Every process is gone, and what the store keeps of them is what served.
    fn reboot(&mut self) {
        self.snapshot.dynos.retain_mut(|dyno| {
            let served = dyno.served && dyno.r#type == WEB && dyno.state != State::Down;
            if dyno.has_process() && served {
                (dyno.state, dyno.crashes, dyno.start_at) = (State::Crashed, 0, None);
                dyno.restart = false;
            }
            !dyno.has_process()
        });
    }

    fn with_some(&mut self, change: impl Fn(&mut Dyno, Timestamp)) {
        let count = self.snapshot.dynos.len() as u64;
        if count > 0 {
            let at = usize::try_from(self.below(count)).unwrap();
            change(&mut self.snapshot.dynos[at], self.now);
        }
    }

    fn come_up(&mut self, most: usize) -> usize {
        let starting = self.snapshot.dynos.iter_mut();
        let starting = starting.filter(|dyno| dyno.state == State::Starting);
        starting
            .take(most)
            .map(|dyno| (dyno.state, dyno.served) = (State::Up, true))
            .count()
    }

    /// The wanted places of the web in which somebody answers.
    fn serving(&self) -> BTreeSet<String> {
        let quantity = self
            .snapshot
            .wanted
            .iter()
            .find(|wanted| wanted.r#type == WEB);
        let quantity = quantity.map_or(0, |wanted| wanted.quantity);
        let web = self.snapshot.dynos.iter().filter(|dyno| dyno.r#type == WEB);
        web.filter(|dyno| dyno.state == State::Up && dyno.ordinal <= quantity)
            .map(Dyno::name)
            .collect()
    }

    /// One turn of the reconciler. Some actions are lost, as if the server had been killed in between.
    fn turn(&mut self, losses: bool) -> usize {
        self.snapshot.served = served(&self.snapshot.dynos);
        let actions = plan(&self.snapshot, self.now, &Policy::default());
        let count = actions.len();
        let before = self.serving();
        for action in actions {
            if !losses || self.below(4) > 0 {
                self.act(action);
            }
        }
        assert!(
            self.serving().is_superset(&before),
            "visitors lost a dyno that was wanted"
        );
        self.assert_no_worker_runs_twice();
        count
    }

    fn assert_no_worker_runs_twice(&self) {
        let mut places = BTreeMap::new();
        for dyno in &self.snapshot.dynos {
            if dyno.r#type != WEB && dyno.state != State::Crashed {
                *places.entry(dyno.name()).or_insert(0) += 1;
            }
        }
        assert!(places.values().all(|count| *count == 1), "{places:?}");
    }

    fn converge(&mut self) {
        for _ in 0..1_000 {
            let done = self.turn(false) + self.come_up(usize::MAX);
            let waiting = next_moment(&self.snapshot, self.now, &Policy::default());
            match (done, waiting) {
                (0, None) => return,
                (0, Some(moment)) => self.now = moment,
                _ => {}
            }
        }
        panic!("it never came to rest: {:?}", self.snapshot);
    }

    /// Exactly what is wanted, each one up and of the current release.
    fn assert_as_wanted(&self) {
        let mut expected = Vec::new();
        for wanted in &self.snapshot.wanted {
            for ordinal in 1..=wanted.quantity {
                let name = format!("{}.{ordinal}", wanted.r#type);
                expected.push((name, self.version, State::Up));
            }
        }
        let dynos = self.snapshot.dynos.iter();
        let mut there: Vec<_> = dynos
            .map(|d| (d.name(), d.release_version, d.state))
            .collect();
        expected.sort();
        there.sort();
        assert_eq!(there, expected);
    }
}

#[test]
fn every_world_comes_to_what_is_wanted_and_never_loses_visitors_on_the_way() {
    for seed in 1..400 {
        let mut world = World::new(seed);
        for _ in 0..60 {
            world.disturb();
            world.now = world.now.plus(Duration::from_millis(400));
            if world.below(3) > 0 {
                world.turn(true);
            }
        }
        world.converge();
        world.assert_as_wanted();
    }
}

#[test]
fn what_served_before_a_reboot_serves_after_it_until_the_newer_release_comes_up() {
    for seed in 1..100 {
        let mut world = World::new(seed);
        world.snapshot.wanted = vec![wanted("web", 2, world.version)];
        world.converge();
        // Either the machine is rebooted first, or the newer release is there.
        let reboot_first = world.below(2) == 0;
        if reboot_first {
            world.reboot();
            world.turn(true);
        }
        world.deploy();
        for _ in 0..world.below(5) {
            world.turn(true);
        }
        world.reboot();
        for _ in 0..world.below(5) {
            world.turn(true);
        }
        world.turn(false);
        // The old one comes up, and the new one does not.
        let old = |dyno: &&mut Dyno| dyno.release_version == 1;
        let dynos = world.snapshot.dynos.iter_mut().filter(old);
        let up = dynos.map(|dyno| dyno.state = State::Up).count();
        assert_eq!(up, 2, "{:?}", world.snapshot.dynos);
        for _ in 0..10 {
            world.turn(true);
            world.with_some(|dyno, now| {
                if dyno.release_version == 2 && dyno.state == State::Starting {
                    dyno.state = State::Crashed;
                    dyno.start_at = Some(now.plus(Policy::default().delay(3)));
                }
            });
        }
        assert_eq!(world.serving().len(), 2);
        world.converge();
        world.assert_as_wanted();
    }
}
