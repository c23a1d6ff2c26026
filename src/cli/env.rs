//! `penstock env`: the lines that a shell evaluates to point its tools at a server, on this machine or by way of `penstock connect`.

use std::path::Path;

use clap::Args;
use rustix::process::{Pid, test_kill_process};

use super::connect::{self, Connection};
use super::print::{self, Json};
use crate::config::DataDirArg;
use crate::data_dir::DataDir;
use crate::error::{Error, ErrorId, Result};
use crate::serve::Ready;

/// The commands whose hosts are written into the CLI, as a shell's pattern.
const FIXED_HOSTS: &str = "apps:errors | apps:favorites* | ci:* | dashboard | notifications | pipelines:connect \
                           | pipelines:diff | pipelines:setup | ps:autoscale:*";

#[derive(Args)]
#[command(after_help = "Examples:
  eval \"$(penstock env)\"
  eval \"$(penstock env --data-dir /srv/penstock)\"; heroku apps
  eval \"$(penstock env https://paas.example.com)\"     # while `penstock connect` runs

`heroku login` wants no HEROKU_API_KEY: unset it to log in as somebody else.")]
pub struct Env {
    /// A server that `penstock connect` leads to [default: the one on this machine, or else the only connection]
    url: Option<String>,

    #[command(flatten)]
    form: Json,

    #[command(flatten)]
    data_dir: DataDirArg,
}

/// The file of authorities that Node.js believes beside its own.
const NODE_CERTIFICATES: &str = "NODE_EXTRA_CA_CERTS";

/// Nobody has more settings for git in the environment.
const MANY_SETTINGS: usize = 1_000;

/// A variable, or its absence.
type Variable = (String, Option<String>);

impl Env {
    /// Reads what the running server, or the connection, wrote of itself, so that no port has to be named twice.
    pub fn run(&self) -> Result<()> {
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
        // A connection passes on what is asked of its server, and is nobody's proxy.
        let proxy = variables.iter().find_map(|(name, value)| match value {
            Some(url) if name == "HEROKU_HOST" => Some(url.clone()),
            _ => None,
        });
        let here = variables
            .iter()
            .any(|(name, value)| name == "HEROKU_API_KEY" && value.is_some());
        // A server elsewhere is trusted by the CLI alone, and not by every program of this shell that is made with Node.js.
        let (trusted, variables): (Vec<_>, Vec<_>) = variables
            .into_iter()
            .partition(|(name, _)| name == NODE_CERTIFICATES && !here);
        for (name, value) in variables {
            print::line(&match value {
                Some(value) => format!("export {name}={}\n", quoted(&value)),
                None => format!("unset {name}\n"),
            })?;
        }
        if let Some((_, Some(file))) = trusted.first() {
            return print::line(&trusting(file));
        }
        match proxy.filter(|_| here) {
            Some(url) => print::line(&function(&url)),
            None => Ok(()),
        }
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
            return found.map(of_connection).ok_or_else(|| {
                Error::new(
                    ErrorId::NotFound,
                    format!("Nothing leads to {url}. Start `penstock connect {url}` in another terminal, and leave it running."),
                )
            });
        }
        let ready = Ready::read(&data)?;
        match (ready, &connections[..]) {
            (Some(ready), _) if is_there(ready.pid) => Ok(of_server(&ready)),
            (_, [only]) => Ok(of_connection(only)),
            (Some(ready), _) => Ok(of_server(&ready)),
            (None, []) => Err(nothing_in(data.root())),
            (None, several) => {
                let urls: Vec<&str> = several.iter().map(|one| one.url.as_str()).collect();
                Err(Error::invalid(format!(
                    "There are several connections. Name one: penstock env {}",
                    urls.join(" | ")
                )))
            }
        }
    }
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

fn of_server(ready: &Ready) -> Vec<Variable> {
    let set = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    let mut variables = vec![
        set("HEROKU_HOST", &ready.api_url),
        set("HEROKU_API_KEY", &ready.api_key),
        set(NODE_CERTIFICATES, &ready.ca_file),
        set("PENSTOCK_URL", &ready.api_url),
        set("PENSTOCK_ROUTER_URL", &ready.router_url),
    ];
    variables.extend(of_both(&ready.api_url));
    // The CLI makes each git remote https.
    let host = ready.api_url.split_once("://").map_or("", |(_, host)| host);
    let port = host.rsplit(':').next().unwrap_or_default();
    let remotes = [host.to_owned(), format!("localhost:{port}")];
    variables.extend(git(&remotes, &ready.ca_file));
    variables
}

/// The login is in ~/.netrc, and one that stands in the environment would hide it.
fn of_connection(connection: &Connection) -> Vec<Variable> {
    let set = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    let ca_file = connection.ca_file.display().to_string();
    let mut variables = vec![
        set("HEROKU_HOST", &connection.forward_url),
        ("HEROKU_API_KEY".to_owned(), None),
        set("HEROKU_NETRC_WRITE", "true"),
        set("HEROKU_GIT_HOST", &connection.git_host),
        set(NODE_CERTIFICATES, &ca_file),
        set("PENSTOCK_URL", &connection.forward_url),
    ];
    variables.extend(of_both(&connection.forward_url));
    if connection.is_private {
        variables.extend(git(std::slice::from_ref(&connection.git_host), &ca_file));
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
    let here = |name: &&str| std::env::var(name).is_ok_and(|value| !value.is_empty());
    let proxies = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    let lower = ["http_proxy", "https_proxy", "all_proxy"];
    if !proxies.iter().chain(&lower).any(here) {
        return Vec::new();
    }
    let known = ["NO_PROXY", "no_proxy"]
        .iter()
        .find_map(|name| std::env::var(name).ok());
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

/// Overrides all of git's settings of that kind, those for single hosts too.
const GIT_CERTIFICATES: &str = "GIT_SSL_CAINFO";

/// What makes git believe our authority at these hosts, and at no others. What the shell tells git besides is kept.
fn git(hosts: &[String], ca_file: &str) -> Vec<Variable> {
    let here = |name: &str| std::env::var(name).ok();
    let count = here("GIT_CONFIG_COUNT").and_then(|count| count.parse::<usize>().ok());
    let told = (0..count.unwrap_or_default().min(MANY_SETTINGS)).filter_map(|at| {
        here(&format!("GIT_CONFIG_KEY_{at}")).zip(here(&format!("GIT_CONFIG_VALUE_{at}")))
    });
    let ours: Vec<String> = hosts
        .iter()
        .map(|host| format!("http.https://{host}/.sslCAInfo"))
        .collect();
    let mut settings: Vec<(String, String)> = told.filter(|(key, _)| !ours.contains(key)).collect();
    let everywhere = here(GIT_CERTIFICATES);
    let is_set = everywhere.is_some();
    settings.extend(everywhere.map(|file| ("http.sslCAInfo".to_owned(), file)));
    settings.extend(ours.into_iter().map(|key| (key, ca_file.to_owned())));
    let mut variables = vec![(
        "GIT_CONFIG_COUNT".to_owned(),
        Some(settings.len().to_string()),
    )];
    for (at, (key, value)) in settings.into_iter().enumerate() {
        variables.push((format!("GIT_CONFIG_KEY_{at}"), Some(key)));
        variables.push((format!("GIT_CONFIG_VALUE_{at}"), Some(value)));
    }
    if is_set {
        variables.push((GIT_CERTIFICATES.to_owned(), None));
    }
    variables
}

/// Some of the CLI's commands ask hosts that no variable names. For these alone the server is the proxy, which answers in the
/// place of those hosts. The CLI decides by the API's own host whether to use it, so that has to be asked by way of it too.
fn function(api_url: &str) -> String {
    let proxy = quoted(api_url);
    format!(
        "heroku() {{\n  case \"${{1-}}\" in\n    {FIXED_HOSTS})\n      \
         HTTP_PROXY={proxy} HTTPS_PROXY={proxy} NO_PROXY= no_proxy= command heroku \"$@\" ;;\n    \
         *) command heroku \"$@\" ;;\n  esac\n}}\n"
    )
}

/// The CLI believes the server's authority, which signs what `heroku run` meets its dyno by.
fn trusting(ca_file: &str) -> String {
    format!(
        "heroku() {{ {NODE_CERTIFICATES}={} command heroku \"$@\"; }}\n",
        quoted(ca_file)
    )
}

fn is_there(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid).is_ok())
}

/// In single quotes, within which a shell takes everything as it stands.
pub(super) fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}
