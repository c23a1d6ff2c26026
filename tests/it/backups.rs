//! `penstock backup` and `penstock restore`, by the binary, beside servers that go on with their work.

mod broken;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::binary::sample::PERL;
use crate::binary::{Place, penstock};

/// The status and what was said.
type Said = (Option<i32>, String);

fn said(output: &Output) -> Said {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), text)
}

/// Backs a place up into a file of its own.
fn backup(place: &Place, name: &str, arguments: &[&str]) -> (PathBuf, Said) {
    let file = place.path(name);
    let mut command = penstock(&["backup"]);
    command
        .args(arguments)
        .arg("--data-dir")
        .arg(place.data())
        .arg(&file);
    (file.clone(), said(&command.output().unwrap()))
}

fn restore(file: &Path, place: &Place, arguments: &[&str]) -> Said {
    let mut command = penstock(&["restore"]);
    command
        .args(arguments)
        .arg("--data-dir")
        .arg(place.data())
        .arg(file);
    said(&command.output().unwrap())
}

fn done((status, said): Said) {
    assert_eq!(status, Some(0), "{said}");
}

/// The blobs that are in a data directory, each as good as its name.
fn blobs(data: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in std::fs::read_dir(data.join("blobs")).unwrap() {
        for blob in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let blob = blob.unwrap();
            let name = blob.file_name().to_str().unwrap().to_owned();
            let digest = hex::encode(Sha256::digest(std::fs::read(blob.path()).unwrap()));
            assert_eq!(name, digest);
            found.insert(name);
        }
    }
    found
}

/// The blobs that its database names, and how many builds are in it.
fn named(data: &Path) -> (BTreeSet<String>, i64) {
    let database = rusqlite::Connection::open(data.join("penstock.db")).unwrap();
    let mut names = database
        .prepare("SELECT digest FROM slug WHERE digest IS NOT NULL UNION SELECT digest FROM source WHERE digest IS NOT NULL")
        .unwrap();
    let names = names.query_map([], |row| row.get(0)).unwrap();
    let names = names.collect::<Result<_, _>>().unwrap();
    let builds = database.query_row("SELECT count(*) FROM build", [], |row| row.get(0));
    (names, builds.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_taken_amid_deploys_is_one_moment_and_its_restored_server_runs_the_same_apps() {
    let place = Place::new();
    let server = place.start();
    let client = server.client();
    for app in ["harbour", "marina"] {
        client.create_app(app).await;
        client
            .deploy(app, PERL.tarball(&format!("the page of {app}")))
            .await;
    }
    let vars = json!({"GREETING": "kept and sealed"});
    client
        .patch("/apps/harbour/config-vars", vars)
        .await
        .expect(200);
    let deploying = client.clone();
    let deploys = tokio::spawn(async move {
        for round in 0.. {
            let app = format!("app-{round}");
            deploying.create_app(&app).await;
            deploying.deploy(&app, PERL.tarball(&app)).await;
        }
    });
    let mut seen = 0;
    let mut last = Place::new();
    for round in 0..3 {
        // At another moment of another deploy each time.
        client.visit_until(&format!("app-{round}"), 200, "").await;
        let (file, made) = backup(&place, &format!("{round}.tar"), &[]);
        done(made);
        last = Place::new();
        done(restore(&file, &last, &[]));
        let (wanted, builds) = named(&last.data());
        assert!(wanted.is_subset(&blobs(&last.data())), "a blob is missing");
        assert!(builds > seen, "{builds} builds, and {seen} before");
        seen = builds;
    }
    deploys.abort();
    let key = server.ready.api_key.clone();
    drop(server);
    let restored = last.start();
    assert_eq!(restored.ready.api_key, key);
    let client = restored.client();
    for app in ["harbour", "marina"] {
        client
            .visit_until(app, 200, &format!("the page of {app}"))
            .await;
    }
    let vars = client.get("/apps/harbour/config-vars").await.expect(200);
    assert_eq!(vars["GREETING"], "kept and sealed");
    client
        .deploy("harbour", PERL.tarball("deployed since"))
        .await;
    client.visit_until("harbour", 200, "deployed since").await;
}

#[tokio::test]
async fn without_its_key_a_backup_has_no_secret_and_the_key_opens_it() {
    let place = Place::new();
    let server = place.start();
    let client = server.client();
    client.create_app("harbour").await;
    let secret = "a-secret-that-nobody-may-read";
    let vars = json!({ "SECRET": secret });
    client
        .patch("/apps/harbour/config-vars", vars)
        .await
        .expect(200);
    let (file, made) = backup(&place, "apart.tar", &["--without-key"]);
    assert!(made.1.contains("sealing_key"), "{}", made.1);
    done(made);
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let bytes = std::fs::read(&file).unwrap();
    let of = |name: &str| std::fs::read_to_string(place.data().join(name)).unwrap();
    let ca = of("ca_key.pem");
    let ca = ca.lines().nth(1).unwrap();
    for kept in [
        secret,
        &server.ready.api_key,
        of("sealing_key").trim(),
        of("signing_key").trim(),
        ca,
    ] {
        let found = bytes
            .windows(kept.len())
            .any(|window| window == kept.as_bytes());
        assert!(!found, "a secret can be read in the backup");
    }
    let other = Place::new();
    let (status, said) = restore(&file, &other, &[]);
    assert_eq!(status, Some(2));
    assert!(said.contains("--key"), "{said}");
    let wrong = place.path("wrong");
    std::fs::write(&wrong, "00".repeat(32)).unwrap();
    let (status, said) = restore(&file, &other, &["--key", wrong.to_str().unwrap()]);
    assert_eq!(status, Some(2));
    assert!(said.contains("not made with this key"), "{said}");
    assert!(!other.data().exists());
    let key = place.data().join("sealing_key");
    done(restore(&file, &other, &["--key", key.to_str().unwrap()]));
    for name in [
        "sealing_key",
        "signing_key",
        "api_key",
        "ca_key.pem",
        "ca.pem",
    ] {
        let restored = std::fs::read_to_string(other.data().join(name)).unwrap();
        assert_eq!(of(name).trim(), restored.trim(), "{name}");
    }
    let restored = other.start();
    let vars = restored.client().get("/apps/harbour/config-vars").await;
    assert_eq!(vars.expect(200)["SECRET"], secret);
}

#[tokio::test]
async fn a_backup_says_what_it_has_and_tar_can_list_it() {
    let place = Place::new();
    let server = place.start();
    server.client().create_app("harbour").await;
    let mut command = penstock(&["backup", "--json", "--data-dir"]);
    let file = place.path("said.tar");
    let output = command.arg(place.data()).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(made["size"], file.metadata().unwrap().len());
    assert_eq!(made["has_key"], true);
    let listed = std::process::Command::new("tar")
        .arg("tf")
        .arg(&file)
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let listed: Vec<&str> = listed.lines().collect();
    assert_eq!(listed.first(), Some(&"format"));
    assert_eq!(
        listed[listed.len() - 2..],
        ["manifest.json", "manifest.hmac"]
    );
    for left in std::fs::read_dir(place.path("")).unwrap() {
        let name = left.unwrap().file_name();
        assert!(
            !name.to_str().unwrap().ends_with(".part"),
            "{name:?} is left"
        );
    }
}

#[test]
fn where_no_server_has_run_there_is_nothing_to_back_up() {
    let place = Place::new();
    let (file, (status, said)) = backup(&place, "none.tar", &[]);
    assert_eq!(status, Some(3));
    assert!(said.contains("--data-dir"), "{said}");
    assert!(!file.exists() && !place.data().exists());
}
