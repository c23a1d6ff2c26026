//! The `heroku` that `penstock env` puts before the official CLI on the `PATH`, so that whoever starts `heroku`, from a terminal, a
//! script, `make` or `xargs`, starts the CLI with what it needs, and no other program gets that.
//!
//! Some of the CLI's commands ask hosts that no variable names. For these the server, or the forward to it, is made the CLI's proxy,
//! which answers in the place of those hosts: they work, and Heroku never sees the token. The CLI also has to believe the server's
//! authority, for `heroku run`. And a few commands lead nowhere, whatever a server answers: these are not started at all.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use sha2::{Digest, Sha256};

use super::believed;
use super::connect::netrc;
use crate::data_dir::DataDir;
use crate::error::{Error, Result};

/// The subcommand. It is no part of the command line that a person sees.
const SUBCOMMAND: &str = "heroku-cli";
const NAME: &str = "heroku";
pub(super) const FOLDER: &str = "cli";
/// What the file begins with, and no other `heroku` does.
const HEAD: &str = "#!/bin/sh\n# Made by `penstock env`.";
/// The file of authorities that the CLI shall believe beside those of Node.js.
pub const CA_FILE: &str = "PENSTOCK_CA_FILE";
/// Whom `penstock env` has pointed this shell at.
pub const URL: &str = "PENSTOCK_URL";
/// The file of authorities that Node.js believes beside its own.
pub const NODE_CERTIFICATES: &str = "NODE_EXTRA_CA_CERTS";

/// Where it stands, it is the login, and none that is kept.
pub const API_KEY: &str = "HEROKU_API_KEY";
/// By which the token that `penstock env` has set is known again.
pub const KEY_DIGEST: &str = "PENSTOCK_API_KEY_DIGEST";

/// What a shell says of a command that is not there, and of one that cannot be started.
const NOT_THERE: u8 = 127;
const NOT_STARTED: u8 = 126;
const REFUSED: u8 = 1;

/// The commands whose hosts are written into the CLI, and those that run any other. A `*` at the end stands for whatever follows.
const FIXED_HOSTS: [&str; 14] = [
    "apps:errors",
    "apps:favorites*",
    "ci",
    "ci:*",
    "dashboard",
    "mcp:start",
    "notifications",
    "pipelines:connect",
    "pipelines:diff",
    "pipelines:setup",
    "ps:autoscale:*",
    "repl",
    "reviewapps:disable",
    "reviewapps:enable",
];

/// What there is instead of what Heroku CI does to the source.
const NO_CI: &str = "Penstock runs no CI tests, so nothing was sent. A CI of your own reports what it found as a status of the release, which a \
                     promotion can require: see /docs/pipelines.";
/// And of a connection to GitHub.
const NO_GITHUB: &str = "This server is not connected to GitHub, so nothing was made: the source of a pipeline's apps is what is pushed to them \
                         with git. `heroku pipelines:create` and `heroku pipelines:add` make a pipeline of apps that are there.";

/// The commands that are not started, and what there is instead: those that only open a page of Heroku's in a browser, and those that would
/// have sent something, or have asked for much, before they fail.
const INSTEAD: [(&str, &str); 9] = [
    (
        "addons:docs",
        "Heroku's pages tell of Heroku's add-ons. Those of this server are their providers' own: `heroku addons:info ADDON` names the \
         service, and `heroku addons:open ADDON` leads to its provider.",
    ),
    ("ci:debug", NO_CI),
    (
        "ci:open",
        "Penstock runs no CI tests. `heroku pipelines:info PIPELINE` shows the pipeline.",
    ),
    ("ci:rerun", NO_CI),
    ("ci:run", NO_CI),
    (
        "orgs:open",
        "Penstock has no page for a team. `heroku members --team TEAM` and `heroku apps --team TEAM` show who and what is in it.",
    ),
    ("pipelines:connect", NO_GITHUB),
    (
        "pipelines:open",
        "Penstock has no page for a pipeline. `heroku pipelines:info PIPELINE` shows its apps.",
    ),
    ("pipelines:setup", NO_GITHUB),
];

/// Makes the folder that goes first on the `PATH`; only this user can use it. 409 where it cannot be written.
pub fn place(data: &DataDir) -> Result<PathBuf> {
    let folder = DataDir::open(&data.path(FOLDER))?;
    let penstock = env::current_exe()?;
    let penstock = penstock.to_str().ok_or_else(|| {
        Error::conflict("The path to this program is no UTF-8. Put it in another folder.")
    })?;
    let text = format!(
        "{HEAD} It has the heroku CLI, which stands further on the PATH, reach Penstock and nobody else.\nexec {} {SUBCOMMAND} \"$@\"\n",
        super::env::quoted(penstock)
    );
    put(&folder, NAME, text.as_bytes(), 0o700)?;
    Ok(folder.root().to_owned())
}

/// A file with these bytes, whole at any moment: it may be running, or being read.
pub(super) fn put(folder: &DataDir, name: &str, bytes: &[u8], mode: u32) -> Result<()> {
    let place = folder.path(name);
    if fs::read(&place).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let part = folder.path(&format!("{name}.{}.part", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&part)?;
    file.write_all(bytes)?;
    drop(file);
    Ok(fs::rename(part, place)?)
}

/// Whether this folder of a `PATH` is one of ours.
pub fn is_ours(folder: &Path) -> bool {
    let mut head = Vec::new();
    let file = fs::File::open(folder.join(NAME));
    let read = file.and_then(|file| file.take(HEAD.len() as u64).read_to_end(&mut head));
    read.is_ok() && head == HEAD.as_bytes()
}

/// Becomes the official CLI, if that is what this process was started for.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    (arguments.next()? == SUBCOMMAND).then(|| {
        let code = run(&arguments.collect::<Vec<_>>());
        ExitCode::from(code)
    })
}

/// Only what failed comes back.
fn run(arguments: &[OsString]) -> u8 {
    let Some(program) = find() else {
        eprintln!(
            "penstock: The heroku CLI is not on the PATH. Install it: sudo npm install --global heroku, or without sudo where npm is in \
             your home"
        );
        return NOT_THERE;
    };
    let mut command = Command::new(&program);
    command.args(arguments);
    if let Some(url) = set(URL) {
        let Some(host) = set("HEROKU_HOST") else {
            eprintln!(
                "penstock: HEROKU_HOST is not set any more, so this would go to Heroku, with what else `penstock env` has set. Leave the \
                 server altogether: eval \"$(penstock env --unset)\""
            );
            return REFUSED;
        };
        if is_same_server(&host, &url) {
            if let Some(sentence) = instead(arguments) {
                eprintln!("penstock: {sentence}");
                return REFUSED;
            }
            point(&mut command, arguments, &url);
            if matches!(name(arguments), "auth:logout" | "logout") && set(API_KEY).is_none() {
                return log_out(command, &url);
            }
        } else {
            withhold_key(&mut command);
        }
    }
    let cause = command.exec();
    eprintln!(
        "penstock: {} cannot be started: {cause}.",
        program.display()
    );
    NOT_STARTED
}

/// Whether both lead to the same port of this machine, however it is named there.
fn is_same_server(host: &OsStr, url: &OsStr) -> bool {
    match (own_port(host), own_port(url)) {
        (Some(one), Some(other)) => one == other,
        _ => host == url,
    }
}

/// The port that is asked, if it is one of this machine.
fn own_port(url: &OsStr) -> Option<u16> {
    let url = url.to_str()?.to_ascii_lowercase();
    let host = url.split_once("://").map_or(url.as_str(), |(_, host)| host);
    let (name, port) = host.trim_end_matches('/').rsplit_once(':')?;
    let port = port.parse().ok()?;
    matches!(name, "127.0.0.1" | "localhost").then_some(port)
}

/// Somebody means another server, which must not see the token of this one. One that was set for the other stays.
fn withhold_key(command: &mut Command) {
    let digest = set(API_KEY).map(|key| key_digest(key.as_bytes()));
    let known = set(KEY_DIGEST);
    if digest.is_some_and(|digest| known.is_some_and(|known| known == digest.as_str())) {
        command.env_remove(API_KEY);
    }
}

/// What may be known of a token by whoever reads the variables.
pub fn key_digest(key: &[u8]) -> String {
    hex::encode(Sha256::digest(key))
}

/// The CLI forgets the login of its own two hosts. Those of git and curl, which open nothing any more, are forgotten after it.
fn log_out(mut command: Command, url: &OsStr) -> u8 {
    let host = url.to_string_lossy();
    let host = host.split_once("://").map_or("", |(_, host)| host);
    let netrc = netrc::path();
    let kept = netrc.as_ref().map(|path| netrc::find(path, host));
    let status = match command.status() {
        Ok(status) => status,
        Err(cause) => {
            eprintln!("penstock: heroku cannot be started: {cause}.");
            return NOT_STARTED;
        }
    };
    if let (Ok(path), Ok(Ok(Some(login))), true) = (&netrc, kept, status.success())
        && let Err(error) = netrc::forget(path, &login.password)
    {
        eprintln!("penstock: {error}");
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.unwrap_or(REFUSED)
}

/// The CLI decides by the API's own host whether to use a proxy, so that has to be asked by way of it too.
fn point(command: &mut Command, arguments: &[OsString], url: &OsStr) {
    // The login is kept for this one of its names, and the proxy leads to no other.
    command.env("HEROKU_HOST", url);
    if let Some(file) = set(CA_FILE) {
        command.env(NODE_CERTIFICATES, believed::by_cli(file));
    }
    if asks_fixed_hosts(name(arguments)) {
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env(name, url);
        }
        for name in ["NO_PROXY", "no_proxy"] {
            command.env(name, "");
        }
    }
}

fn asks_fixed_hosts(name: &str) -> bool {
    FIXED_HOSTS
        .iter()
        .any(|known| match known.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => name == *known,
        })
}

/// The command's name, which the CLI takes to be its first argument.
fn name(arguments: &[OsString]) -> &str {
    let first = arguments.first().and_then(|first| first.to_str());
    first.unwrap_or_default()
}

/// Help is the CLI's.
fn instead(arguments: &[OsString]) -> Option<&'static str> {
    if arguments
        .iter()
        .any(|argument| argument == "--help" || argument == "-h")
    {
        return None;
    }
    let name = name(arguments);
    let known = INSTEAD.iter().find(|(known, _)| *known == name);
    known.map(|(_, sentence)| *sentence)
}

/// A variable that says something.
pub(super) fn set(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// The first `heroku` on the `PATH` that is none of ours.
fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut folders =
        env::split_paths(&path).filter(|folder| !folder.as_os_str().as_bytes().is_empty());
    folders.find_map(|folder| {
        let program = folder.join(NAME);
        let file = program.metadata().ok()?;
        let runs = file.is_file() && file.permissions().mode() & 0o111 != 0;
        (runs && !is_ours(&folder)).then_some(program)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_this_machine_is_the_same_by_each_of_its_names() {
        let url = OsStr::new("http://127.0.0.1:7811");
        for host in [
            "http://127.0.0.1:7811",
            "http://localhost:7811",
            "http://LOCALHOST:7811/",
            "https://127.0.0.1:7811",
            "localhost:7811",
        ] {
            assert!(is_same_server(OsStr::new(host), url), "{host}");
        }
        for host in [
            "heroku.com",
            "http://localhost:7812",
            "http://127.0.0.2:7811",
            "http://localhost.example.com:7811",
            "http://localhost",
            "http://x@localhost:7811",
        ] {
            assert!(!is_same_server(OsStr::new(host), url), "{host}");
        }
    }

    #[test]
    fn the_commands_with_hosts_of_their_own_are_known_by_name() {
        for name in [
            "apps:favorites",
            "apps:favorites:add",
            "ci",
            "ci:run",
            "ps:autoscale:enable",
        ] {
            assert!(asks_fixed_hosts(name), "{name}");
        }
        for name in ["apps", "ps", "run", "local", "git:clone", "", "clients"] {
            assert!(!asks_fixed_hosts(name), "{name}");
        }
    }
}
