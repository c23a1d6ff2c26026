//! The level that a server says it has: tried while it starts, before it serves anybody.

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use penstock::sandbox::{self, Level};
use penstock::shim::processes::{self, Process};
use rusqlite::Connection;

use super::levels::plain;
use super::{Bed, PLAIN, Way, root};
use crate::binary::{Place, Server, TIED, in_time};

/// A folder in which an ordinary user can start servers.
fn place() -> Place {
    let place = Place::new();
    if root() {
        chown(place.path("."), Some(PLAIN), Some(PLAIN)).unwrap();
    }
    place
}

/// A server of an ordinary user's, where user namespaces are off.
fn caged(place: &Place, arguments: &[&str]) -> Command {
    let server = place.command(arguments);
    let mut command = plain(true);
    let environment = server.get_envs();
    command.env_clear();
    command.envs(environment.filter_map(|(name, value)| Some((name, value?))));
    command.arg(server.get_program()).args(server.get_args());
    command.arg(TIED);
    command
}

/// What a server says that does not start, with its status.
fn refusal(place: &Place, arguments: &[&str]) -> (Option<i32>, String) {
    let log = place.path("refused.log");
    let ended = Server::try_start(caged(place, arguments), &log);
    let status = ended.err().expect("it started");
    (status.code(), std::fs::read_to_string(log).unwrap())
}

fn version(database: &Path) -> i64 {
    let connection = Connection::open(database).unwrap();
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0));
    version.unwrap()
}

#[test]
fn a_server_says_the_level_that_was_reached_and_no_better_one() {
    let place = place();
    let server = Server::start(caged(&place, &[]), &place.log());
    assert_eq!(server.ready.isolation, Some(Level::Landlock));
    let log = std::fs::read_to_string(place.log()).unwrap();
    assert!(log.contains("dynos are isolated: level landlock"), "{log}");
}

#[test]
fn a_server_does_not_start_without_the_level_that_was_named() {
    let place = place();
    let (status, said) = refusal(&place, &["--isolation=userns"]);
    assert_eq!(status, Some(5), "{said}");
    let words = "--isolation=userns cannot be had here";
    assert!(said.contains(words), "{said}");
    assert!(said.contains("user.max_user_namespaces"), "{said}");
    assert!(!said.contains("dynos are isolated"), "{said}");
    for name in ["server.json", "penstock.db", "api_key"] {
        assert!(!place.data().join(name).exists(), "{name}");
    }
}

/// Its operator may go back to the version that wrote it, which opens nothing that a newer one has changed.
#[test]
fn a_server_that_does_not_start_leaves_the_database_of_an_older_one_as_it_was() {
    let place = place();
    drop(Server::start(caged(&place, &[]), &place.log()));
    let database = place.data().join("penstock.db");
    let ours = version(&database);
    let connection = Connection::open(&database).unwrap();
    connection
        .pragma_update(None, "user_version", ours - 1)
        .unwrap();
    drop(connection);
    let (_, said) = refusal(&place, &["--isolation=userns"]);
    assert!(said.contains("cannot be had here"), "{said}");
    assert_eq!(version(&database), ours - 1);
    drop(Server::start(caged(&place, &[]), &place.log()));
    assert_eq!(version(&database), ours);
}

#[test]
fn what_is_tried_is_out_of_the_way_when_the_server_is_ready_and_gone_when_it_has_stopped() {
    let place = Place::new();
    for _ in 0..3 {
        let server = place.start();
        let trials = processes::descendants(&processes::all(), server.pid());
        for entry in std::fs::read_dir(server.data()).unwrap() {
            let name = entry.unwrap().file_name();
            assert!(!name.to_string_lossy().starts_with("probe-"), "{name:?}");
        }
        server.stop();
        for trial in trials {
            let now = Process::read(trial.pid);
            let runs = now.is_some_and(|now| now.started == trial.started && !now.ended);
            assert!(!runs, "{trial:?}");
        }
    }
}

/// It may be killed at any moment, while the kernel still removes what was tried.
#[test]
fn what_is_tried_ends_by_itself_when_the_server_is_killed() {
    let place = Place::new();
    let server = place.start();
    let trials = processes::descendants(&processes::all(), server.pid());
    server.kill();
    in_time(move || {
        for trial in trials {
            while Process::read(trial.pid)
                .is_some_and(|now| now.started == trial.started && !now.ended)
            {
                std::thread::yield_now();
            }
        }
    });
}

#[test]
fn a_command_runs_only_once_a_folder_of_its_app_is_replaced() {
    for way in Way::all() {
        let mut bed = Bed::new(way, "ls old; echo ran");
        let old = bed.spec.app.join("old");
        std::fs::create_dir(&old).unwrap();
        let file = bed.file("app/old/before", "");
        let owner = bed.spec.ids.map_or(bed.server(), |ids| ids.uid);
        for path in [&old, &file] {
            bed.own(path, owner);
        }
        bed.spec.replaces = Some("missing".into());
        let outcome = bed.run();
        assert_eq!(outcome.status, sandbox::FAILED, "{way:?}: {}", outcome.said);
        assert!(
            outcome.said.contains("replace a folder"),
            "{}",
            outcome.said
        );
        assert!(!outcome.said.contains("ran"), "{way:?}");
        bed.spec.replaces = Some("old".into());
        let outcome = bed.run();
        assert_eq!(
            (outcome.status, outcome.said.as_str()),
            (0, "file\nran\n"),
            "{way:?}"
        );
        // The layers of a tree of its own leave the app's files as they are.
        assert_eq!(file.exists(), way.level.has_own_tree(), "{way:?}");
    }
}
