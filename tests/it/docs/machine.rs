//! A page that is about a whole machine, typed by its root into a terminal: nothing of Penstock is on it before the page puts it there.
//! A page for a plain user is shown what he would see.
//!
//! The machine is this one in namespaces of its own (`machine/enter`), with the usual ports and paths. What cannot be had there has a
//! stand-in, first on the PATH: systemd, which has to be the first process; the registries of packages, for there is no network; and
//! the compiler, which would take minutes. Each refuses whatever it does not know, so a page that types something else fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::beside::HANG;
use super::programs;
use super::script::Script;
use crate::binary::{Place, program};

const ENTER: (&str, &str) = ("enter", include_str!("machine/enter"));
const STAND_INS: [(&str, &str); 6] = [
    ("apt-get", include_str!("machine/apt-get")),
    ("cargo", include_str!("machine/cargo")),
    ("npm", include_str!("machine/npm")),
    ("sudo", include_str!("machine/sudo")),
    ("systemctl", include_str!("machine/systemctl")),
    ("terminal", include_str!("machine/terminal")),
];
/// Where the readers of most pages have cloned it.
const CLONE: &str = "git clone --quiet https://git.example.com/penstock.git ~/penstock\n";
/// What a server takes that a plain user starts, whose output these pages show.
const PLAIN: (&str, &str) = ("PENSTOCK_ISOLATION", "userns");
/// Ctrl-C in the other terminals, and a machine that is shut down in good order.
const END: &str = "\nprintf '\\n@@ block at the end\\n'\nterminal --end\n";
const SHUT_DOWN: &str = "systemctl stop penstock.service\n";

struct Machine {
    place: Place,
    path: String,
    is_for_root: bool,
}

/// Whether there is such a machine: it takes root, and namespaces.
pub fn run(script: &Script, cli: Option<&Path>) -> bool {
    let machine = Machine::furnish(script, cli);
    let tried = machine.enter(&["true"]).output().unwrap();
    if !tried.status.success() {
        let why = String::from_utf8_lossy(&tried.stderr);
        let required = std::env::var_os("PENSTOCK_REQUIRE_MACHINE").is_some();
        assert!(!required, "{} on a machine of its own: {why}", script.page);
        eprintln!("skipped: {} on a machine of its own: {why}", script.page);
        return false;
    }
    let installs = script.types("git clone ");
    let mut typed = if installs { "" } else { CLONE }.to_owned();
    typed.push_str(&script.typed());
    typed.push_str(END);
    if script.types("systemctl ") {
        typed.push_str(SHUT_DOWN);
    }
    let words = ["bash", "-euo", "pipefail", "-c", &typed];
    let ran = machine.enter(&words).output().unwrap();
    script.check(&ran, str::to_owned);
    true
}

impl Machine {
    /// The official CLI is on its PATH, unless the page has `npm` put it there.
    fn furnish(script: &Script, cli: Option<&Path>) -> Machine {
        let place = Place::new();
        for folder in ["home/work", "layers", "things/first", "things/cli"] {
            fs::create_dir_all(place.path(folder)).unwrap();
        }
        let things = place.path("things");
        program::script(&things.join(ENTER.0), ENTER.1);
        for (name, text) in STAND_INS {
            program::script(&things.join("first").join(name), text);
        }
        let penstock = Path::new(env!("CARGO_BIN_EXE_penstock"));
        programs::link(penstock, &things, "penstock");
        if let Some(cli) = cli {
            programs::link(cli, &things, "heroku");
        }
        if let Some(cli) = cli.filter(|_| !script.installs_the_cli()) {
            programs::link(cli, &things.join("cli"), "heroku");
        }
        let folders = [
            things.join("first"),
            "/usr/local/bin".into(),
            things.join("cli"),
        ];
        let folders = folders.map(|folder: PathBuf| folder.display().to_string());
        let path = format!("{}:{}", folders.join(":"), std::env::var("PATH").unwrap());
        Machine {
            place,
            path,
            is_for_root: script.types("systemctl "),
        }
    }

    /// Whatever is still there when the program ends, ends with it.
    fn enter(&self, program: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--signal=KILL", HANG, "unshare", "--kill-child"]);
        command.args(["--mount", "--net", "--pid", "--fork", "--mount-proc"]);
        command
            .arg(self.place.path("things/enter"))
            .arg(self.place.path("layers"))
            .arg(env!("CARGO_MANIFEST_DIR"))
            .args(program)
            .current_dir(self.place.path("home/work"))
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.place.path("home"))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        if !self.is_for_root {
            command.env(PLAIN.0, PLAIN.1);
        }
        command
    }
}
