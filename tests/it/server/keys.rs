//! The key that everything secret is sealed with: a server without it, or with another, is none.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::binary::{Place, Server, TIED, penstock};

fn run(place: &Place, arguments: &[&str]) -> Output {
    let mut command = penstock(arguments);
    command.arg("--data-dir").arg(place.data());
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every command that opens the database, and the server itself, refuse it.
fn nothing_opens(place: &Place, key: &Path) {
    let words = format!("{} is missing, or is not this database's", key.display());
    let file = place.path("backup.tar");
    let commands: [&[&str]; 6] = [
        &["account", "list"],
        &["account", "create", "ann@example.com"],
        &["account", "token", "owner@localhost"],
        &["token", "list"],
        &["addon", "list"],
        &["backup", file.to_str().unwrap()],
    ];
    for command in commands {
        let output = run(place, command);
        assert_eq!(output.status.code(), Some(4), "{command:?}");
        assert!(output.stdout.is_empty(), "{command:?}");
        let said = said(&output);
        assert!(said.contains(&words), "{command:?}: {said}");
        assert!(said.contains("put the kept copy back"), "{said}");
    }
    assert!(!file.exists(), "a worthless backup was made");
    let log = place.path("refused.log");
    let ended = Server::try_start(place.command(&[TIED]), &log).err();
    assert_eq!(ended.and_then(|status| status.code()), Some(4));
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains(&words), "{log}");
}

#[tokio::test]
async fn a_database_without_its_key_is_not_opened_and_no_new_key_is_made() {
    let place = Place::new();
    let server = place.start();
    let token = server.ready.api_key.clone();
    drop(server);
    let key = place.data().join("sealing_key");
    let kept = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    nothing_opens(&place, &key);
    assert!(!key.exists(), "a key was made that opens nothing");
    for wrong in ["", "not a key", &"5a".repeat(32)] {
        fs::write(&key, wrong).unwrap();
        nothing_opens(&place, &key);
        assert_eq!(fs::read_to_string(&key).unwrap(), wrong);
    }
    fs::write(&key, kept).unwrap();
    let server = place.start();
    assert_eq!(server.ready.api_key, token);
    server.client().get("/account").await.expect(200);
}

#[test]
fn a_database_that_is_damaged_is_said_to_be_and_what_to_do() {
    let place = Place::new();
    drop(place.start());
    let database = place.data().join("penstock.db");
    for beside in ["penstock.db-wal", "penstock.db-shm"] {
        let _ = fs::remove_file(place.data().join(beside));
    }
    fs::write(
        &database,
        "this is no database, and longer than its head is. ".repeat(200),
    )
    .unwrap();
    for command in [["account", "list"], ["token", "list"]] {
        let output = run(&place, &command);
        assert_eq!(output.status.code(), Some(1));
        let said = said(&output);
        assert!(
            said.contains("is damaged") && said.contains("penstock restore"),
            "{said}"
        );
        assert!(!said.contains("Request-Id"), "{said}");
    }
    let log = place.path("refused.log");
    assert!(Server::try_start(place.command(&[TIED]), &log).is_err());
    let log = fs::read_to_string(log).unwrap();
    assert!(
        log.contains("is damaged") && !log.contains("Request-Id"),
        "{log}"
    );
}
