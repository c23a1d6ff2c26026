//! The plan of the reconciler: a table of situations, and worlds that must converge.

mod worlds;

use std::time::Duration;

use penstock::name::Id;
use penstock::runtime::plan::{Action, Policy, next_moment, plan};
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

/// `web.1@2:up`, with `:restart`, `:3crashes`, `:in5s` or `:large` after it; `:once` is a one-off dyno, `:waiting` one that was
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

/// The actions in words, sorted, since their order among each other is of no importance.
fn planned(wanted: &str, dynos: &str) -> String {
    let dynos = read_dynos(dynos);
    let snapshot = Snapshot {
        wanted: read_wanted(wanted),
        one_offs: wanted_one_offs(&dynos),
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
                format!("start:{}.{}{crashes}", start.wanted.r#type, start.ordinal)
            }
            Action::Launch { dyno, .. } => format!("launch:{}", shown(dyno)),
            Action::Retire { dyno, why } => format!("{why:?}:{}", shown(dyno)).to_lowercase(),
            Action::Remove { dyno } => format!("remove:{}", shown(dyno)),
            Action::End { dyno } => format!("end:{}", shown(dyno)),
        })
        .collect();
    words.sort();
    words.join(" ")
}

#[test]
fn each_situation_has_its_plan() {
    let table = [
        // What is wanted, what is there, what is to be done.
        ("", "", ""),
        (
            "web=2 worker=1",
            "",
            "start:web.1 start:web.2 start:worker.1",
        ),
        ("web=1", "web.1@2:up", ""),
        ("web=1", "web.1@2:starting", ""),
        // A new release: new web dynos come up beside the old ones, which go together when all of the new are there.
        ("web=2", "web.1@1:up web.2@1:up", "start:web.1 start:web.2"),
        (
            "web=2",
            "web.1@1:up web.2@1:up web.1@2:up web.2@2:starting",
            "",
        ),
        (
            "web=2",
            "web.1@1:up web.2@1:up web.1@2:up web.2@2:up",
            "superseded:web.1@1 superseded:web.2@1",
        ),
        // It never comes up: the old one serves on.
        ("web=1", "web.1@1:up web.1@2:crashed:in5s", ""),
        (
            "web=1",
            "web.1@1:up web.1@2:crashed:3crashes",
            "start:web.1/3",
        ),
        // A stale one that serves nobody goes at once.
        (
            "web=1",
            "web.1@1:starting",
            "start:web.1 superseded:web.1@1",
        ),
        (
            "web=1",
            "web.1@1:crashed:in5s",
            "remove:web.1@1 start:web.1",
        ),
        // A worker must not run twice at once.
        ("worker=1", "worker.1@1:up", "restart:worker.1@1"),
        ("worker=1", "worker.1@1:starting", "restart:worker.1@1"),
        ("worker=1", "worker.1@1:down", "end:worker.1@1"),
        (
            "worker=1",
            "worker.1@1:crashed",
            "remove:worker.1@1 start:worker.1",
        ),
        // A restart is as a release; a resize too.
        ("web=1", "web.1@2:up:restart", "start:web.1"),
        (
            "web=2",
            "web.1@2:up:restart web.2@2:up web.1@2:up",
            "superseded:web.1@2",
        ),
        ("worker=1", "worker.1@2:up:restart", "restart:worker.1@2"),
        ("web=1", "web.1@2:up:large", "start:web.1"),
        // Scaled down, gone, deleted, or without a slug: it is no longer wanted.
        ("web=1", "web.1@2:up web.2@2:up", "surplus:web.2@2"),
        (
            "web=1",
            "web.1@1:up web.2@1:up",
            "start:web.1 surplus:web.2@1",
        ),
        (
            "",
            "web.1@2:up clock.1@2:crashed",
            "remove:clock.1@2 surplus:web.1@2",
        ),
        ("", "web.1@2:down", "end:web.1@2"),
        // A crash, and the wait that follows.
        ("web=1", "web.1@2:crashed:1crashes", "start:web.1/1"),
        ("web=1", "web.1@2:crashed:2crashes:in1s", ""),
        (
            "worker=1",
            "worker.1@2:crashed:1crashes worker.1@2:down",
            "end:worker.1@2",
        ),
        // The clock went back by a year: what was written before is no reason to wait for so long.
        (
            "web=1",
            "web.1@2:crashed:1crashes:in31536000s",
            "start:web.1/1",
        ),
        // A one-off dyno is launched once, and no release and no formation is its affair.
        ("", "run.1234@1:starting:waiting", "launch:run.1234@1"),
        ("", "run.1234@1:starting:once", ""),
        ("web=1", "web.1@2:up web.1234@1:up:once", ""),
        ("", "run.1234@2:up:once:restart", "stopped:run.1234@2"),
        ("", "run.1234@2:up:once:over", "expired:run.1234@2"),
        ("", "run.1234@2:down:once", "end:run.1234@2"),
        (
            "",
            "run.1234@2:starting:waiting:restart",
            "remove:run.1234@2",
        ),
        ("", "run.1234@2:starting:waiting:over", "remove:run.1234@2"),
        // An app sleeps while all of it does, and what was there goes.
        ("web=2:eco", "web.1@2:idle:eco web.2@2:idle:eco", ""),
        (
            "web=1:eco worker=1:eco",
            "web.1@2:idle:eco worker.1@2:idle:eco web.1@2:down:eco",
            "end:web.1@2",
        ),
        ("web=1:eco worker=1", "web.1@2:idle:eco worker.1@2:up", ""),
        (
            "web=1:eco",
            "web.1@2:idle:eco web.2@2:idle:eco",
            "remove:web.2@2",
        ),
        // It wakes up as a whole: when it is asked to, is released anew, scaled up or resized, or has no web dyno any more.
        (
            "web=1:eco worker=1:eco",
            "web.1@2:idle:eco:restart worker.1@2:idle:eco:restart",
            "remove:web.1@2 remove:worker.1@2 start:web.1 start:worker.1",
        ),
        (
            "web=1:eco worker=1:eco",
            "web.1@2:idle:eco:restart worker.1@2:idle:eco",
            "remove:web.1@2 start:web.1 start:worker.1/0",
        ),
        (
            "web=1:eco",
            "web.1@1:idle:eco",
            "remove:web.1@1 start:web.1",
        ),
        ("web=2:eco", "web.1@2:idle:eco", "start:web.1/0 start:web.2"),
        ("web=1", "web.1@2:idle:eco", "remove:web.1@2 start:web.1"),
        (
            "worker=1:eco",
            "web.1@2:idle:eco worker.1@2:idle:eco",
            "remove:web.1@2 start:worker.1/0",
        ),
        // A worker that is still on its way to bed must not run twice.
        (
            "web=1:eco worker=1:eco",
            "web.1@2:idle:eco:restart worker.1@2:idle:eco:restart worker.1@2:down:eco",
            "end:worker.1@2 remove:web.1@2 remove:worker.1@2 start:web.1",
        ),
        // One that is run inside another dyno ends with that, and is not begun without it.
        ("web=1", "web.1@2:up run.1234@2:up:once:inside", ""),
        (
            "web=1",
            "web.1@2:starting run.1234@2:starting:waiting:inside",
            "launch:run.1234@2",
        ),
        (
            "",
            "web.1@2:down run.1234@2:up:once:inside",
            "end:web.1@2 stopped:run.1234@2",
        ),
        (
            "web=1",
            "web.1@2:crashed:1crashes:in5s run.1234@2:starting:waiting:inside",
            "remove:run.1234@2",
        ),
        // Two in one place are one too many; the one that is up stays.
        ("web=1", "web.1@2:up web.1@2:starting", "surplus:web.1@2"),
    ];
    for (wanted, dynos, expected) in table {
        assert_eq!(
            planned(wanted, dynos),
            expected,
            "wanted {wanted}, there {dynos}"
        );
    }
}

#[test]
fn the_one_that_is_up_stays_when_two_are_in_one_place() {
    let snapshot = Snapshot {
        wanted: read_wanted("web=1"),
        one_offs: Vec::new(),
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
        dynos: read_dynos("web.1@2:crashed:in9s web.2@2:crashed:in4s web.3@2:up"),
    };
    let moment = next_moment(&snapshot, now(), &Policy::default());
    assert_eq!(moment, Some(now().plus(Duration::from_secs(4))));
    let later = now().plus(Duration::from_secs(9));
    assert_eq!(next_moment(&snapshot, later, &Policy::default()), None);
}
