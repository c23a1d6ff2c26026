//! `penstock env`: the lines that a shell evaluates to point its tools at a server, on this machine or by way of `penstock connect`.

mod git;
mod reach;

use std::env;
use std::path::Path;

use clap::Args;

use super::believed;
use super::connect::{self, Connection};
use super::official_cli::{self, API_KEY, CA_FILE, KEY_DIGEST, NODE_CERTIFICATES, URL};
use super::print::{self, Json};
use crate::config::DataDirArg;
use crate::data_dir::DataDir;
use crate::error::{Error, ErrorId, Result};
use crate::serve::Ready;

#[derive(Args)]
#[command(after_help = "Examples:
  eval \"$(penstock env)\"
  eval \"$(penstock env --data-dir /srv/penstock)\"; heroku apps
  eval \"$(penstock env https://paas.example.com)\"     # while `penstock connect` runs
  eval \"$(penstock env --unset)\"                      # leave the server

`heroku login` wants no HEROKU_API_KEY: unset it to log in as somebody else.")]
pub struct Env {
    /// A server that `penstock connect` leads to [default: the one on this machine, or else the only connection]
    url: Option<String>,

    /// Take back what an earlier `penstock env` has set in this shell
    #[arg(long, conflicts_with_all = ["url", "json"])]
    unset: bool,

    #[command(flatten)]
    form: Json,

    #[command(flatten)]
    data_dir: DataDirArg,
}

/// A variable, or its absence.
type Variable = (String, Option<String>);

const PATH: &str = "PATH";

impl Env {
    /// Reads what the running server, or the connection, wrote of itself, so that no port has to be named twice.
    pub fn run(&self) -> Result<()> {
        if self.unset {
            return print::line(&taken_back().iter().map(line).collect::<String>());
        }
        let variables = self.variables().inspect_err(|_| {
            // What a shell evaluates fails then, too, instead of leaving its tools pointed at Heroku.
            let told = if self.form.json {
                Ok(())
            } else {
                print::line("false\n")
            };
            drop(told);
        })?;
        if self.form.json {
            let set = variables
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)));
            return print::json(&set.collect::<std::collections::BTreeMap<_, _>>());
        }
        let here = variables
            .iter()
            .any(|(name, value)| name == API_KEY && value.is_some());
        // A server elsewhere is trusted by the CLI alone, and not by every program of this shell that is made with Node.js.
        let variables = variables.into_iter().filter_map(|(name, value)| {
            if here || name != NODE_CERTIFICATES {
                return Some((name, value));
            }
            // There, it is what was set for a server that was here.
            env::var_os(&name).map(|_| (name, None))
        });
        print::line(&variables.map(|one| line(&one)).collect::<String>())
    }

    fn variables(&self) -> Result<Vec<Variable>> {
        let folder = &self.data_dir.data_dir;
        // Asking makes none.
        if !folder.exists() {
            return Err(nothing_in(folder));
        }
        let data = DataDir::open(folder)?;
        let connections = connect::running(&data)?;
        if let Some(url) = &self.url {
            let url = url.trim_end_matches('/');
            let asked = |one: &&Connection| one.url == url || one.git_host == url;
            let found = connections.iter().find(asked);
            let found = found.ok_or_else(|| {
                Error::new(
                    ErrorId::NotFound,
                    format!("Nothing leads to {url}. Start `penstock connect {url}` in another terminal, and leave it running."),
                )
            })?;
            return of_connection(found);
        }
        let here = match Ready::read(&data)? {
            Some(ready) => reach::host(&ready).and_then(|host| of_server(&ready, &host, &data)),
            None => Err(nothing_in(data.root())),
        };
        match (here, &connections[..]) {
            (Ok(variables), _) => Ok(variables),
            (Err(_), [only]) => of_connection(only),
            (Err(error), []) => Err(error),
            (Err(_), several) => {
                let urls: Vec<&str> = several.iter().map(|one| one.url.as_str()).collect();
                Err(Error::invalid(format!(
                    "There are several connections. Name one: penstock env {}",
                    urls.join(" | ")
                )))
            }
        }
    }
}

/// What a shell evaluates. A `PATH` only grows, since that of who evaluates may not be ours (`sudo`).
fn line((name, value): &Variable) -> String {
    match value {
        Some(value) if name == PATH => match grown(value) {
            Some(folder) => format!("export PATH={}:\"$PATH\"\n", quoted(&folder)),
            None => format!("export PATH={}\n", quoted(value)),
        },
        Some(value) => format!("export {name}={}\n", quoted(value)),
        None => format!("unset {name}\n"),
    }
}

/// The folder that this `PATH` has before the one that there is now.
fn grown(path: &str) -> Option<String> {
    let (folder, rest) = path.split_once(':')?;
    (rest == env::var(PATH).ok()?).then(|| folder.to_owned())
}

fn nothing_in(folder: &Path) -> Error {
    Error::new(
        ErrorId::NotFound,
        format!(
            "No server has been started on {}. Start one with `penstock serve`, or name its --data-dir; `penstock connect URL` leads to one elsewhere.",
            folder.display()
        ),
    )
}

/// `host` is one that the CLI takes, and the server's own URL may be none.
fn of_server(ready: &Ready, host: &str, data: &DataDir) -> Result<Vec<Variable>> {
    let url = format!("http://{host}");
    let mut variables = vec![
        set("HEROKU_HOST", &url),
        set(API_KEY, &ready.api_key),
        set(
            KEY_DIGEST,
            &official_cli::key_digest(ready.api_key.as_bytes()),
        ),
        set("HEROKU_GIT_HOST", host),
        set(CA_FILE, &ready.ca_file),
        set(URL, &url),
        set("PENSTOCK_ROUTER_URL", &ready.router_url),
    ];
    variables.extend(node(&ready.ca_file));
    variables.extend(of_both(&url));
    // The CLI makes each git remote https.
    let port = host.rsplit(':').next().unwrap_or_default();
    let remotes = [host.to_owned(), format!("localhost:{port}")];
    variables.extend(git::believing(&remotes, &ready.ca_file));
    variables.extend(path(&official_cli::place(data)?));
    Ok(variables)
}

/// The login is in ~/.netrc, and one that stands in the environment would hide it.
fn of_connection(connection: &Connection) -> Result<Vec<Variable>> {
    let ca_file = connection.ca_file.display().to_string();
    let mut variables = vec![
        set("HEROKU_HOST", &connection.forward_url),
        (API_KEY.to_owned(), None),
        (KEY_DIGEST.to_owned(), None),
        set("HEROKU_NETRC_WRITE", "true"),
        set("HEROKU_GIT_HOST", &connection.git_host),
        set(CA_FILE, &connection.trusted.display().to_string()),
        set(URL, &connection.forward_url),
    ];
    variables.extend(node(&ca_file));
    variables.extend(of_both(&connection.forward_url));
    if connection.is_private {
        variables.extend(git::believing(
            std::slice::from_ref(&connection.git_host),
            &ca_file,
        ));
    }
    variables.extend(path(&official_cli::place(&connection.folder()?)?));
    Ok(variables)
}

/// Of such files Node.js reads one. The shell's own stays, and the `heroku` that is put before the CLI has it believe both.
fn node(ca_file: &str) -> Option<Variable> {
    let is_free = believed::own_certificates().is_none();
    is_free.then(|| set(NODE_CERTIFICATES, ca_file))
}

fn set(name: &str, value: &str) -> Variable {
    (name.to_owned(), Some(value.to_owned()))
}

/// The `PATH` with the CLI's own folder first, unless it is that already.
fn path(folder: &Path) -> Option<Variable> {
    let known = env::var_os(PATH).unwrap_or_default();
    if env::split_paths(&known).next().as_deref() == Some(folder) {
        return None;
    }
    let mut path = folder.as_os_str().to_owned();
    if !known.is_empty() {
        path.push(":");
        path.push(known);
    }
    Some((PATH.to_owned(), Some(path.to_string_lossy().into_owned())))
}

/// What was set, from what there is. A shell that was pointed nowhere is left as it is.
fn taken_back() -> Vec<Variable> {
    let here = |name: &str| env::var(name).ok();
    if here(URL).is_none() {
        return Vec::new();
    }
    let own = [
        "HEROKU_HOST",
        API_KEY,
        KEY_DIGEST,
        "HEROKU_NETRC_WRITE",
        "HEROKU_GIT_HOST",
        "PENSTOCK_ROUTER_URL",
    ];
    let mut names: Vec<String> = own.map(str::to_owned).to_vec();
    names.extend(of_both("").into_iter().map(|(name, _)| name));
    names.retain(|name| !name.eq_ignore_ascii_case("NO_PROXY"));
    let ca_file = here(CA_FILE).unwrap_or_default();
    if here(NODE_CERTIFICATES).as_deref() == Some(ca_file.as_str()) {
        names.push(NODE_CERTIFICATES.to_owned());
    }
    names.extend([CA_FILE, URL].map(str::to_owned));
    let mut variables: Vec<Variable> = names.into_iter().map(|name| (name, None)).collect();
    variables.extend(git::without(&ca_file));
    let path = env::var_os(PATH).unwrap_or_default();
    let others = env::split_paths(&path).filter(|folder| !official_cli::is_ours(folder));
    if let Ok(path) = env::join_paths(others) {
        variables.push((PATH.to_owned(), Some(path.to_string_lossy().into_owned())));
    }
    variables
}

fn of_both(api_url: &str) -> Vec<Variable> {
    let hosts = [
        "HEROKU_LOGIN_HOST",
        "HEROKU_PARTICLEBOARD_URL",
        "HEROKU_STATUS_HOST",
        "HEROKU_BUILDPACK_REGISTRY_URL",
    ];
    // What has no place here is asked of this server too, which says so, and never of Heroku, with this server's token.
    let host = api_url.split_once("://").map_or("", |(_, host)| host);
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let names = [
        "HEROKU_DATA_HOST",
        "HEROKU_POSTGRESQL_HOST",
        "HEROKU_REDIS_HOST",
    ];
    let names = names.map(|variable| (variable.to_owned(), Some(name.to_owned())));
    let exec = (
        "HEROKU_EXEC_URL".to_owned(),
        Some(format!("https://{host}/")),
    );
    // The CLI would otherwise call home at each command, with the token. Of the first it knows no other spelling.
    let quiet = [
        "DISABLE_TELEMETRY",
        "HEROKU_DISABLE_AUTOUPDATE",
        "HEROKU_SKIP_NEW_VERSION_CHECK",
    ];
    let hosts = hosts.map(|name| (name.to_owned(), Some(api_url.to_owned())));
    let quiet = quiet.map(|name| (name.to_owned(), Some("true".to_owned())));
    let hosts = hosts.into_iter().chain(names);
    hosts.chain([exec]).chain(quiet).chain(direct()).collect()
}

/// Where the shell names a proxy, that is not for this machine's own ports: it would be sent the token, and lead nowhere.
fn direct() -> Vec<Variable> {
    let here = |name: &&str| env::var(name).is_ok_and(|value| !value.is_empty());
    let proxies = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    let lower = ["http_proxy", "https_proxy", "all_proxy"];
    if !proxies.iter().chain(&lower).any(here) {
        return Vec::new();
    }
    let known = ["NO_PROXY", "no_proxy"]
        .iter()
        .find_map(|name| env::var(name).ok());
    let mut hosts: Vec<String> = known
        .unwrap_or_default()
        .split(',')
        .map(|host| host.trim().to_owned())
        .filter(|host| !host.is_empty())
        .collect();
    for own in ["127.0.0.1", "localhost"] {
        if !hosts.iter().any(|host| host == own) {
            hosts.push(own.to_owned());
        }
    }
    let hosts = hosts.join(",");
    ["NO_PROXY", "no_proxy"]
        .map(|name| (name.to_owned(), Some(hosts.clone())))
        .to_vec()
}

/// In single quotes, within which a shell takes everything as it stands.
pub(super) fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}
