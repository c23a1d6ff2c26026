//! A page that is tried beside a server which is there already: in an empty directory of an empty home, with the program on the PATH.

use std::path::Path;
use std::process::{Command, Stdio};

use super::heroku::Heroku;
use super::programs;
use super::script::Script;
use crate::binary::{Place, Server, TIED};

/// In seconds: only a hang takes so long. A page has some thirty commands of the official CLI, and a busy machine takes its time.
pub const HANG: &str = "900";

pub fn run(script: &Script, cli: Option<&Path>) {
    let place = Place::new();
    let server = Server::start(place.command(&arguments(script)), &place.log());
    let home = place.path("home");
    let work = home.join("work");
    std::fs::create_dir_all(&work).unwrap();
    let heroku = (script.page == "moving").then(|| Heroku::start(cli.unwrap()));
    // Where the readers of most pages have it.
    let programs = home.join("penstock/target/release");
    let penstock = Path::new(env!("CARGO_BIN_EXE_penstock"));
    programs::link(penstock, &programs, "penstock");
    if let Some(cli) = heroku.as_ref().map(Heroku::cli).or(cli) {
        programs::link(cli, &programs, "heroku");
    }
    let path = std::env::var("PATH").unwrap();
    let mut typist = Command::new("timeout");
    typist
        .args([HANG, "bash", "-euo", "pipefail", "-c"])
        .arg(with_ports(&script.typed(), &server))
        .current_dir(&work)
        .env_clear()
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("HOME", &home)
        .env("PENSTOCK_DATA_DIR", server.data())
        .stdin(Stdio::null());
    if let Some(heroku) = &heroku {
        typist.envs(heroku.variables());
    }
    let ran = typist.output().unwrap();
    script.check(&ran, |text| with_ports(text, &server));
}

fn arguments(script: &Script) -> Vec<&str> {
    let mut arguments = vec![TIED];
    if script.types("heroku certs:auto") {
        // Nobody is there: what is asked for is kept, and asked of it again later.
        let nowhere = "https://127.0.0.1:1/directory";
        arguments.extend([
            "--acme-contact",
            "you@example.com",
            "--acme-directory",
            nowhere,
        ]);
    }
    for folder in &script.readable {
        arguments.extend(["--dyno-readable", folder.to_str().unwrap()]);
    }
    arguments
}

/// Tests are run side by side, so no server has the usual ports.
fn with_ports(text: &str, server: &Server) -> String {
    let (_, api) = server.ready.api_url.rsplit_once(':').unwrap();
    text.replace(
        "localhost:8080",
        &format!("localhost:{}", server.router_port()),
    )
    .replace("127.0.0.1:5000", &format!("127.0.0.1:{api}"))
    .replace("localhost:5000", &format!("localhost:{api}"))
}
