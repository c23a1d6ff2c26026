//! Which level there is: the best that works, the one that is named, or none with the reason.

use std::os::unix::fs::chown;
use std::process::Command;

use penstock::sandbox::{Level, Pool, Uids};
use serde_json::Value;
use tempfile::TempDir;

use super::{PLAIN, root};

/// A command of an ordinary user's; with `caged`, where user namespaces are off.
pub fn plain(caged: bool) -> Command {
    let mut command = match root() {
        true => {
            let mut command = Command::new("setpriv");
            let plain = PLAIN.to_string();
            command.args(["--reuid", &plain, "--regid", &plain, "--clear-groups"]);
            command
        }
        false => Command::new("env"),
    };
    if caged {
        let off = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
        command.args([
            "unshare",
            "-U",
            "--map-current-user",
            "--keep-caps",
            "sh",
            "-c",
            off,
            "sh",
        ]);
    }
    command
}

/// `penstock doctor` as an ordinary user; with `caged`, where user namespaces are off.
fn doctor(arguments: &[&str], caged: bool) -> (bool, String, String) {
    let data = data();
    let mut command = plain(caged);
    command.args([env!("CARGO_BIN_EXE_penstock"), "doctor", "--data-dir"]);
    command.arg(data.path()).args(arguments);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    assert_eq!(
        std::fs::read_dir(data.path()).unwrap().count(),
        0,
        "it left something"
    );
    (
        output.status.success(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn data() -> TempDir {
    let data = tempfile::tempdir().unwrap();
    if root() {
        chown(data.path(), Some(PLAIN), Some(PLAIN)).unwrap();
    }
    data
}

fn report(caged: bool) -> Value {
    let (_, text, errors) = doctor(&["--json"], caged);
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{errors}"))
}

#[test]
fn levels_are_in_order_and_have_names() {
    assert!(Level::Full > Level::Userns && Level::Userns > Level::Landlock);
    assert!(Level::Landlock > Level::None);
    for level in Level::ALL {
        assert_eq!(level.to_string().parse(), Ok(level));
    }
    assert!("best".parse::<Level>().is_err());
}

#[test]
fn an_ordinary_user_has_the_level_userns() {
    let report = report(false);
    assert_eq!(report["isolation"], "userns");
    let full = &report["levels"][0];
    assert_eq!(
        (&full["level"], &full["available"]),
        (&"full".into(), &false.into())
    );
    assert!(full["remedy"].as_str().unwrap().contains("as root"));
}

#[test]
fn where_user_namespaces_are_off_landlock_is_left() {
    let report = report(true);
    assert_eq!(report["isolation"], "landlock", "{report}");
    let userns = &report["levels"][1];
    assert_eq!(userns["available"], false);
    assert!(
        userns["remedy"]
            .as_str()
            .unwrap()
            .contains("user.max_user_namespaces")
    );
}

#[test]
fn a_level_that_is_named_is_had_or_refused_and_never_lowered() {
    let (had, _, errors) = doctor(&["--isolation=userns"], true);
    assert!(!had);
    assert!(
        errors.contains("--isolation=userns cannot be had here"),
        "{errors}"
    );
    let (had, said, _) = doctor(&["--isolation=none"], true);
    assert!(had && said.starts_with("isolation: none\n"), "{said}");
    let (had, _, errors) = doctor(&["--isolation=full"], false);
    assert!(!had && errors.contains("it takes root"), "{errors}");
}

#[test]
fn ids_and_addresses_for_dynos_are_checked() {
    assert!("20000-29999".parse::<Uids>().is_ok());
    for wrong in ["0-10", "10-9", "x", "1-4294967295"] {
        assert!(wrong.parse::<Uids>().is_err(), "{wrong}");
    }
    let pool: Pool = "10.209.0.0/28".parse().unwrap();
    assert_eq!(pool.gateway().to_string(), "10.209.0.1");
    let all: Vec<String> = (0..pool.size())
        .map(|number| pool.address(number).to_string())
        .collect();
    assert_eq!(
        (all[0].as_str(), all[12].as_str(), all.len()),
        ("10.209.0.2", "10.209.0.14", 13)
    );
    assert_eq!(pool.address(13), pool.address(0));
    for wrong in [
        "10.209.0.0",
        "10.209.0.1/28",
        "8.8.8.0/24",
        "10.0.0.0/7",
        "10.209.0.0/30",
    ] {
        assert!(wrong.parse::<Pool>().is_err(), "{wrong}");
    }
}
