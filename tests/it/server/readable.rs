//! Programs in a folder that the operator lets builds read: they are found without more being said.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;
use tempfile::TempDir;

use crate::binary::sample::tarball;
use crate::binary::{Place, Server, TIED, penstock, program};

/// A toolchain in somebody's home: a `make` that says who it is, and what rustup has. Not below /tmp, of which each build has its own.
fn home() -> TempDir {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let bin = home.path().join("own/bin");
    fs::create_dir_all(&bin).unwrap();
    fs::create_dir_all(home.path().join(".rustup/toolchains")).unwrap();
    let make = "#!/bin/sh\ncase $1 in --version) echo GNU Make 9.9 ;; *) echo made at home with $RUSTUP_HOME ;; esac\n";
    program::script(&bin.join("make"), make);
    for usual in ["head", "bash", "git"] {
        symlink(format!("/usr/bin/{usual}"), bin.join(usual)).unwrap();
    }
    home
}

#[tokio::test]
async fn a_program_in_a_folder_that_is_shown_is_found_by_builds() {
    let place = Place::new();
    let home = home();
    let (own, rustup) = (home.path().join("own"), home.path().join(".rustup"));
    let shown = [own.to_str().unwrap(), rustup.to_str().unwrap()];
    let mut command = place.command(&[
        TIED,
        "--dyno-readable",
        shown[0],
        "--dyno-readable",
        shown[1],
    ]);
    // No other make is found.
    command.env("PATH", "/usr/sbin");
    let server = Server::start(command, &place.log());
    let client = server.client();
    client.create_app("app").await;
    let app = tarball(&[
        ("Makefile", "build:\n\ttrue\n"),
        ("Procfile", "worker: true\n"),
    ]);
    let (build, output) = client.build("app", app, Some("application/gzip")).await;
    assert_eq!(build["status"], "succeeded", "{output}");
    let told = format!("made at home with {}", shown[1]);
    assert!(output.contains(&told), "{output}");
}

#[test]
fn the_doctor_says_what_a_program_needs_that_builds_do_not_see() {
    let place = Place::new();
    let home = home();
    let bin = home.path().join("own/bin");
    let asked = |more: &[&str]| -> Value {
        let mut command = penstock(&["doctor", "--json", "--data-dir"]);
        let path = format!("/usr/sbin:{}", bin.display());
        command.arg(place.data()).args(more).env("PATH", path);
        serde_json::from_slice(&command.output().unwrap().stdout).unwrap()
    };
    let report = asked(&[]);
    let flag = format!("--dyno-readable {}", home.path().join("own").display());
    let missing = report["missing"].to_string();
    assert!(missing.contains("where builds do not see it"), "{missing}");
    assert!(missing.contains(&flag), "{missing}");
    let own = home.path().join("own");
    let report = asked(&["--dyno-readable", own.to_str().unwrap()]);
    let missing = report["missing"].to_string();
    assert!(!missing.contains("make, for"), "{missing}");
}
