//! The units that `penstock install` writes, as their operator and as systemd read them.

use std::path::Path;
use std::process::{Command, Output};

use crate::binary::Place;

#[test]
fn the_units_of_systemd_are_written_and_what_to_do_next_is_said() {
    let place = Place::new();
    let units = place.path("units");
    std::fs::create_dir(&units).unwrap();
    let mut command = crate::binary::penstock(&["install", "--units"]);
    command.arg(&units);
    command.args([
        "--listen",
        "127.0.0.1:5050",
        "--",
        "--base-domain",
        "apps.example.com",
    ]);
    command.args(["--owner", "50% \"Ann\"@example.com"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    // The tests' own program is one that cargo has built, and would not stay.
    let warned = String::from_utf8(output.stderr).unwrap();
    let program = env!("CARGO_BIN_EXE_penstock");
    let better = format!("    install -m 755 {program} /usr/local/bin/penstock\n");
    assert!(warned.contains(&better), "{warned}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("systemctl enable --now penstock-api.socket"),
        "{said}"
    );
    let unit = |name: &str| std::fs::read_to_string(units.join(name)).unwrap();
    let api = unit("penstock-api.socket");
    assert!(
        api.contains("ListenStream=127.0.0.1:5050\nFileDescriptorName=api\n"),
        "{api}"
    );
    // The router has the ports of every address, of both families.
    for (name, port) in [("router", 80), ("router-tls", 443)] {
        let router = unit(&format!("penstock-{name}.socket"));
        let both = format!("ListenStream={port}\nBindIPv6Only=both\n");
        assert!(router.contains(&both), "{router}");
    }
    let service = unit("penstock.service");
    let command = format!(
        "ExecStart={} serve --data-dir /var/lib/penstock --base-domain apps.example.com --owner \"50%% \\\"Ann\\\"@example.com\"\n",
        env!("CARGO_BIN_EXE_penstock")
    );
    assert!(service.contains(&command), "{service}");
    assert!(service.contains("\nKillMode=process\n"), "{service}");
    for socket in ["api", "router", "router-tls", "rendezvous"] {
        assert!(
            service.contains(&format!(" penstock-{socket}.socket"))
                || service.contains(&format!("=penstock-{socket}.socket"))
        );
        assert!(units.join(format!("penstock-{socket}.socket")).is_file());
    }
    // systemd finds nothing there, so first they have to come to where it looks.
    let copied = format!("cp {}/penstock* /etc/systemd/system/\n", units.display());
    assert!(said.contains(&copied), "{said}");
}

#[test]
fn a_program_that_cargo_does_not_remove_is_not_warned_of() {
    // Where another name of the program costs nothing.
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for (folder, is_warned) in [("release", false), ("target/release", true)] {
        let folder = place.path().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let program = folder.join("penstock");
        std::fs::hard_link(env!("CARGO_BIN_EXE_penstock"), &program).unwrap();
        let mut command = Command::new(&program);
        let output = command.args(["install", "--units"]).arg(&folder).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(0));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.contains("cargo clean"), is_warned, "{said}");
    }
}

#[test]
fn all_units_are_written_where_nobody_reads_what_is_said() {
    let place = Place::new();
    let units = place.path("units");
    std::fs::create_dir(&units).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = crate::binary::penstock(&["install", "--units"]);
    let output = command.arg(&units).stdout(writer).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(std::fs::read_dir(&units).unwrap().count(), 5);
}

#[test]
fn a_folder_for_units_that_is_not_there_is_to_be_made() {
    let mut elsewhere = crate::binary::penstock(&["install", "--units", "/nonexistent/folder"]);
    let refused = elsewhere.output().unwrap();
    assert_eq!(refused.status.code(), Some(3));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("mkdir -p /nonexistent/folder"), "{said}");
    assert!(!said.contains("root"), "{said}");
}

#[test]
fn the_sockets_are_where_the_server_is_told_to_listen() {
    let place = Place::new();
    let units = installed(
        &place,
        &[
            "--",
            "--listen",
            "0.0.0.0:5050",
            "--router-tls-listen",
            "[::]:8443",
        ],
    );
    let unit = |name: &str| std::fs::read_to_string(units.join(name)).unwrap();
    for (socket, address) in [
        ("api", "5050"),
        ("router", "80"),
        ("router-tls", "8443"),
        ("rendezvous", "5001"),
    ] {
        let text = unit(&format!("penstock-{socket}.socket"));
        assert!(
            text.contains(&format!("ListenStream={address}\n")),
            "{text}"
        );
    }
}

#[test]
fn a_service_that_could_not_start_is_not_written() {
    let place = Place::new();
    let units = place.path("units");
    std::fs::create_dir(&units).unwrap();
    let refused: [(&[&str], &str); 5] = [
        (&["--", "--nosuch-flag"], "--nosuch-flag"),
        (&["--", "--base-domain", "bad domain"], "bad domain"),
        (&["--", "--listen", "nowhere"], "nowhere"),
        (&["--", "--data-dir", "/elsewhere"], "give it before `--`"),
        (
            &["--listen", "127.0.0.1:1", "--", "--listen", "127.0.0.1:2"],
            "--listen is given twice",
        ),
    ];
    for (arguments, words) in refused {
        let mut command = crate::binary::penstock(&["install", "--units"]);
        let output = command.arg(&units).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(std::fs::read_dir(&units).unwrap().count(), 0);
}

/// What systemd's own reader says, where it is installed.
fn systemd(arguments: &[&str], units: &Path) -> Option<Output> {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).env("SYSTEMD_COLORS", "0");
    let mut units: Vec<_> = std::fs::read_dir(units)
        .unwrap()
        .map(|unit| unit.unwrap().path())
        .collect();
    units.sort();
    if arguments[0] == "security" {
        units.retain(|unit| unit.ends_with("penstock.service"));
    }
    match command.args(units).output() {
        Ok(output) => Some(output),
        Err(_) => {
            eprintln!("skipped: install Debian's package systemd, and it reads the units");
            None
        }
    }
}

fn installed(place: &Place, arguments: &[&str]) -> std::path::PathBuf {
    let units = place.path("units");
    std::fs::create_dir_all(&units).unwrap();
    let mut command = crate::binary::penstock(&["install", "--units"]);
    command.arg(&units).args(arguments);
    assert_eq!(command.output().unwrap().status.code(), Some(0));
    units
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let place = Place::new();
    let units = installed(&place, &["--", "--owner", "50% \"Ann\" $HOME@example.com"]);
    let Some(verified) = systemd(&["verify", "--man=no"], &units) else {
        return;
    };
    let said = String::from_utf8_lossy(&verified.stderr);
    // Of the machine's own units it may say what it likes.
    let ours: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("penstock"))
        .collect();
    assert!(ours.is_empty(), "{ours:#?}");
    assert!(verified.status.success(), "{said}");
    // It gives whatever runs dynos as root, with namespaces and mounts, more than 5 of 10.
    let judged = systemd(&["security", "--offline=true", "--threshold=65"], &units).unwrap();
    let said = String::from_utf8_lossy(&judged.stdout);
    assert!(judged.status.success(), "{said}");
}

#[test]
fn a_server_whose_files_lie_at_home_is_not_kept_from_them() {
    let place = Place::new();
    let service = |arguments: &[&str]| {
        let units = installed(&place, arguments);
        std::fs::read_to_string(units.join("penstock.service")).unwrap()
    };
    let at_home = env!("CARGO_BIN_EXE_penstock").starts_with("/home/")
        || env!("CARGO_BIN_EXE_penstock").starts_with("/root/");
    assert_eq!(service(&[]).contains("\nProtectHome=yes\n"), !at_home);
    for arguments in [
        ["--data-dir", "/root/penstock"],
        ["--", "--acme-ca-file=/home/ann/ca.pem"],
    ] {
        assert!(!service(&arguments).contains("ProtectHome"));
    }
}
