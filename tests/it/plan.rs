//! The plan of the reconciler: a table of situations, and worlds that must converge.

mod situations;
mod worlds;

use std::time::Duration;

use penstock::name::Id;
use penstock::runtime::plan::{Action, Policy, WEB, next_moment, plan};
use penstock::store::dynos::{Dyno, Snapshot, State, Wanted};
use penstock::store::one_offs::OneOff;
use penstock::time::Timestamp;

const APP: Id = Id::fixed(1);
/// The release that is current in every situation of the table.
const CURRENT: i64 = 2;

fn now() -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000)
}

fn release(version: i64) -> Id {
    Id::fixed(0x1000 + u128::try_from(version).unwrap())
}

fn wanted(kind: &str, quantity: i64, version: i64) -> Wanted {
    Wanted {
        app_id: APP,
        app_name: "shop".into(),
        r#type: kind.into(),
        quantity,
        size: "Basic".into(),
        command: "./serve".into(),
        release_id: release(version),
        release_version: version,
        config_set_id: Id::fixed(2),
        digest: "0".repeat(64),
    }
}

fn dyno(id: Id, kind: &str, ordinal: i64, version: i64, state: State) -> Dyno {
    Dyno {
        id,
        app_id: APP,
        release_id: release(version),
        release_version: version,
        r#type: kind.into(),
        ordinal,
        size: "Basic".into(),
        command: "./serve".into(),
        state,
        port: None,
        pid: None,
        crashes: 0,
        start_at: None,
        restart: false,
        served: false,
        one_off: false,
        launched: true,
        inside: None,
        expires_at: None,
        attach: None,
        address: None,
        created_at: now(),
        updated_at: now(),
    }
}

/// `web=2 worker=1`, with `:eco` after it for that size.
fn read_wanted(text: &str) -> Vec<Wanted> {
    let one = |word: &str| {
        let (kind, quantity) = word.split_once('=').unwrap();
        let (quantity, size) = quantity.split_once(':').unwrap_or((quantity, ""));
        let mut wanted = wanted(kind, quantity.parse().unwrap(), CURRENT);
        if size == "eco" {
            wanted.size = "Eco".into();
        }
        wanted
    };
    text.split_whitespace().map(one).collect()
}

/// The one-off dynos among these that nobody has asked to stop.
fn wanted_one_offs(dynos: &[Dyno]) -> Vec<OneOff> {
    let wanted_one = |dyno: &Dyno| OneOff {
        dyno: dyno.id,
        wanted: wanted(&dyno.r#type, 1, dyno.release_version),
    };
    let dynos = dynos.iter().filter(|dyno| dyno.one_off && !dyno.restart);
    dynos.map(wanted_one).collect()
}

/// `web.1@2:up`, with `:restart`, `:3crashes`, `:in5s`, `:large` or `:served` after it; `:once` is a one-off dyno, `:waiting` one that was
/// not launched, `:inside` one that is run inside the first of all, and `:over` one whose time is over.
fn read_dynos(text: &str) -> Vec<Dyno> {
    let one = |(at, word): (usize, &str)| {
        let mut parts = word.split(':');
        let (name, version) = parts.next().unwrap().split_once('@').unwrap();
        let (kind, ordinal) = name.split_once('.').unwrap();
        let state = State::parse(parts.next().unwrap()).unwrap();
        let id = Id::fixed(0x2000 + at as u128);
        let ordinal = ordinal.parse().unwrap();
        let mut dyno = dyno(id, kind, ordinal, version.parse().unwrap(), state);
        for flag in parts {
            if flag == "restart" {
                dyno.restart = true;
            } else if flag == "once" || flag == "waiting" {
                (dyno.one_off, dyno.launched) = (true, flag == "once");
            } else if flag == "served" {
                dyno.served = true;
            } else if flag == "inside" {
                dyno.inside = Some(Id::fixed(0x2000));
            } else if flag == "over" {
                dyno.expires_at = Some(now());
            } else if flag == "eco" {
                dyno.size = "Eco".into();
            } else if flag == "large" {
                dyno.size = "Large".into();
            } else if let Some(crashes) = flag.strip_suffix("crashes") {
                dyno.crashes = crashes.parse().unwrap();
            } else {
                let seconds = flag.strip_prefix("in").unwrap().strip_suffix('s').unwrap();
                let wait = Duration::from_secs(seconds.parse().unwrap());
                dyno.start_at = Some(now().plus(wait));
            }
        }
        dyno
    };
    text.split_whitespace().enumerate().map(one).collect()
}

/// What it takes to start those again that have crashed and had served.
fn served(dynos: &[Dyno]) -> Vec<(Id, Wanted)> {
    let crashed = dynos
        .iter()
        .filter(|dyno| dyno.state == State::Crashed && dyno.served && dyno.r#type == WEB);
    let again = |dyno: &Dyno| (dyno.id, wanted(&dyno.r#type, 1, dyno.release_version));
    crashed.map(again).collect()
}

/// The actions in words, sorted, since their order among each other is of no importance.
fn planned(wanted: &str, dynos: &str) -> String {
    let dynos = read_dynos(dynos);
    let snapshot = Snapshot {
        wanted: read_wanted(wanted),
        one_offs: wanted_one_offs(&dynos),
        served: served(&dynos),
        dynos,
    };
    let row = |id: Id| snapshot.dynos.iter().find(|dyno| dyno.id == id).unwrap();
    let shown = |id| format!("{}@{}", row(id).name(), row(id).release_version);
    let mut words: Vec<String> = plan(&snapshot, now(), &Policy::default())
        .into_iter()
        .map(|action| match action {
            Action::Start(start) => {
                let crashes = match start.replaces {
                    Some(_) => format!("/{}", start.crashes),
                    None => String::new(),
                };
                let version = match start.wanted.release_version {
                    CURRENT => String::new(),
                    version => format!("@{version}"),
                };
                let name = format!("{}.{}", start.wanted.r#type, start.ordinal);
                format!("start:{name}{version}{crashes}")
            }
            Action::Launch { dyno, .. } => format!("launch:{}", shown(dyno)),
            Action::Retire { dyno, why } => format!("{why:?}:{}", shown(dyno)).to_lowercase(),
            Action::Remove { dyno, .. } => format!("remove:{}", shown(dyno)),
            Action::End { dyno } => format!("end:{}", shown(dyno)),
        })
        .collect();
    words.sort();
    words.join(" ")
}

#[test]
fn the_one_that_is_up_stays_when_two_are_in_one_place() {
    let snapshot = Snapshot {
        wanted: read_wanted("web=1"),
        one_offs: Vec::new(),
        served: Vec::new(),
        dynos: read_dynos("web.1@2:up web.1@2:starting"),
    };
    let actions = plan(&snapshot, now(), &Policy::default());
    assert!(matches!(actions[..], [Action::Retire { dyno, .. }] if dyno == snapshot.dynos[1].id));
}

#[test]
fn waits_between_crashes_grow_to_a_limit() {
    let policy = Policy::default();
    let waits: Vec<u64> = (1..=10).map(|n| policy.delay(n).as_secs()).collect();
    assert_eq!(waits, [0, 1, 2, 4, 8, 16, 30, 60, 60, 60]);
}

#[test]
fn a_dyno_that_was_up_for_long_crashes_for_the_first_time_again() {
    let policy = Policy::default();
    let mut dyno = read_dynos("web.1@2:up:5crashes").remove(0);
    assert_eq!(
        policy.crashes(&dyno, now().plus(Duration::from_secs(59))),
        6
    );
    assert_eq!(
        policy.crashes(&dyno, now().plus(Duration::from_secs(60))),
        1
    );
    dyno.state = State::Starting;
    assert_eq!(
        policy.crashes(&dyno, now().plus(Duration::from_secs(60))),
        6
    );
}

#[test]
fn the_next_moment_is_that_of_the_earliest_restart() {
    let snapshot = Snapshot {
        wanted: read_wanted("web=3"),
        one_offs: Vec::new(),
        served: Vec::new(),
        dynos: read_dynos("web.1@2:crashed:in9s web.2@2:crashed:in4s web.3@2:up"),
    };
    let moment = next_moment(&snapshot, now(), &Policy::default());
    assert_eq!(moment, Some(now().plus(Duration::from_secs(4))));
    let later = now().plus(Duration::from_secs(9));
    assert_eq!(next_moment(&snapshot, later, &Policy::default()), None);
}
