//! The settings of a server: each an argument, with an environment twin and a default that works.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};

use crate::acm;
use crate::build;
use crate::certificates;
use crate::sandbox::Settings;
use crate::urls::Urls;

/// Short, since whoever runs the server is also the one who waits. Heroku's own would be 0s,20m,40m,1h,3h,320m.
pub const DEFAULT_BACKOFF: &str = "0s,1s,2s,4s,8s,16s,30s,60s";
/// Heroku's.
pub const DEFAULT_ECO_IDLE: &str = "30m";
const MAX_WAITS: usize = 100;
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// Where everything is kept.
#[derive(Args, Clone, Debug)]
pub struct DataDirArg {
    /// Where everything is kept
    #[arg(long, env = "PENSTOCK_DATA_DIR", default_value_os_t = default_data_dir(), value_name = "DIR")]
    pub data_dir: PathBuf,
}

/// `penstock` in the user's own folder for data, so that every command finds the same one from anywhere.
pub fn default_data_dir() -> PathBuf {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .unwrap_or_default()
        .join("penstock")
}

#[derive(Args, Clone, Debug)]
pub struct Config {
    #[command(flatten)]
    pub data_dir: DataDirArg,

    /// Where the API listens; port 0 takes a free one
    #[arg(
        long,
        env = "PENSTOCK_LISTEN",
        default_value = "127.0.0.1:5000",
        value_name = "ADDRESS"
    )]
    pub listen: SocketAddr,

    /// Where visitors of the apps are served; port 0 takes a free one
    #[arg(
        long,
        env = "PENSTOCK_ROUTER_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS"
    )]
    pub router_listen: SocketAddr,

    /// Where visitors come by https://, such as 0.0.0.0:443; without, they come by the router's other port, which takes both
    #[arg(long, env = "PENSTOCK_ROUTER_TLS_LISTEN", value_name = "ADDRESS")]
    pub router_tls_listen: Option<SocketAddr>,

    /// Where clients meet the one-off dynos that they run a command in, by TLS; port 0 takes a free one
    #[arg(
        long,
        env = "PENSTOCK_RENDEZVOUS_LISTEN",
        default_value = "127.0.0.1:0",
        value_name = "ADDRESS"
    )]
    pub rendezvous_listen: SocketAddr,

    /// Apps are served as hosts under this domain
    #[arg(long, env = "PENSTOCK_BASE_DOMAIN", default_value = "localhost", value_name = "DOMAIN", value_parser = domain)]
    pub base_domain: String,

    /// The URL under which clients reach the API, when it is not the address it listens on
    #[arg(long, env = "PENSTOCK_API_URL", value_name = "URL", value_parser = base_url)]
    pub api_url: Option<String>,

    /// E-mail address of the account that the first start makes
    #[arg(
        long,
        env = "PENSTOCK_OWNER",
        default_value = "owner@localhost",
        value_name = "EMAIL"
    )]
    pub owner: String,

    /// Builds that may run at once
    #[arg(long, env = "PENSTOCK_BUILDS", default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub builds: u16,

    #[command(flatten)]
    pub build: build::Limits,

    #[command(flatten)]
    pub buildpacks: build::Shelves,

    /// Whether what is fetched or sent for others may lead to this machine and private networks [default: only where the API listens on loopback, and --api-url names no other host]
    #[arg(long, env = "PENSTOCK_ALLOW_PRIVATE_FETCH", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub allow_private_fetch: Option<bool>,

    /// Promote to the next stage only, as Akkeris does; Heroku promotes to any
    #[arg(long, env = "PENSTOCK_STRICT_STAGES")]
    pub strict_stages: bool,

    /// How long a dyno waits after the first crash in a row, the second, ...: 0s,1s,2m,3h; the last one is for all that follow
    #[arg(long, env = "PENSTOCK_CRASH_BACKOFF", value_name = "WAITS", default_value = DEFAULT_BACKOFF, value_parser = waits)]
    pub crash_backoff: Waits,

    /// How long nobody may visit an app of Eco dynos until it goes to sleep, such as 90s, 30m or 2h; off keeps it awake
    #[arg(long, env = "PENSTOCK_ECO_IDLE", value_name = "TIME", default_value = DEFAULT_ECO_IDLE, value_parser = eco_idle)]
    pub eco_idle: EcoIdle,

    /// Dynos end with the server, however it ends; else they outlive all but Ctrl-C, and the next server takes them up
    #[arg(long, env = "PENSTOCK_DYNOS_END_WITH_SERVER")]
    pub dynos_end_with_server: bool,

    #[command(flatten)]
    pub isolation: Settings,

    #[command(flatten)]
    pub certificates: certificates::Settings,

    #[command(flatten)]
    pub acme: acm::Settings,

    /// Whether an account is held to Heroku's 4,500 requests an hour
    #[arg(long, env = "PENSTOCK_RATE_LIMIT", value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub rate_limit: bool,
}

/// Times to wait, one after the other. At least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits(pub Vec<Duration>);

/// After how long without visitors an app of Eco dynos goes to sleep, if it ever does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EcoIdle(pub Option<Duration>);

impl Config {
    /// A server that only this machine can reach may fetch what this machine can reach. Where clients know it by another host, somebody
    /// leads them from elsewhere to where it listens: a proxy, a tunnel, or its own router.
    pub fn may_fetch_privately(&self, urls: &Urls) -> bool {
        let reached_from_here = || self.listen.ip().is_loopback() && urls.api_is_here();
        self.allow_private_fetch.unwrap_or_else(reached_from_here)
    }
}

fn waits(text: &str) -> Result<Waits, String> {
    let waits: Option<Vec<Duration>> = text.split(',').map(|wait| duration(wait.trim())).collect();
    waits
        .filter(|waits| waits.len() <= MAX_WAITS)
        .map(Waits)
        .ok_or_else(|| format!("waits are numbers with s, m or h between commas, such as {DEFAULT_BACKOFF}; none is longer than a day"))
}

fn eco_idle(text: &str) -> Result<EcoIdle, String> {
    let time = duration(text).filter(|time| !time.is_zero());
    match time {
        Some(time) => Ok(EcoIdle(Some(time))),
        None if text == "off" => Ok(EcoIdle(None)),
        None => Err(format!(
            "a time is a number with s, m or h, such as {DEFAULT_ECO_IDLE}, and a day at most; or off"
        )),
    }
}

/// `90`, `90s`, `15m`, `1h`: a day at most.
fn duration(text: &str) -> Option<Duration> {
    time(text).filter(|wait| *wait <= LONGEST_WAIT)
}

fn time(text: &str) -> Option<Duration> {
    match text.as_bytes().last()? {
        b's' => seconds(&text[..text.len() - 1], 1),
        b'm' => seconds(&text[..text.len() - 1], 60),
        b'h' => seconds(&text[..text.len() - 1], 3_600),
        _ => seconds(text, 1),
    }
}

/// So many of a unit of seconds. A number that is too long for any time is a long time.
fn seconds(number: &str, unit: u64) -> Option<Duration> {
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.then(|| number.parse().unwrap_or(u64::MAX))?;
    Some(Duration::from_secs(number.saturating_mul(unit)))
}

/// How long a token may be good.
const LONGEST_LIFE: Duration = Duration::from_secs(36_500 * 86_400);

/// As a wait, and in days too: a hundred years at most, as a token's.
pub fn lifetime(text: &str) -> Result<Duration, String> {
    let time = match text.strip_suffix('d') {
        Some(days) => seconds(days, 86_400),
        None => time(text),
    };
    let time = time.filter(|time| !time.is_zero());
    let time = time.ok_or("a time is a number with s, m, h or d, such as 12h or 90d")?;
    match time <= LONGEST_LIFE {
        true => Ok(time),
        false => Err("a token is good for a hundred years at most (36500d); without --expires-in, until it is revoked".to_owned()),
    }
}

fn domain(text: &str) -> Result<String, String> {
    let domain = text.trim_end_matches('.').to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if domain.len() <= 200 && domain.split('.').all(label) {
        Ok(domain)
    } else {
        Err(
            "a domain is letters, digits and dashes between dots, such as apps.example.com"
                .to_owned(),
        )
    }
}

fn base_url(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    if url.starts_with("https://") {
        // As clients write it. An http:// URL keeps its port, since git comes to the same one by https.
        Ok(url.strip_suffix(":443").unwrap_or(url).to_owned())
    } else if url.starts_with("http://") {
        Ok(url.to_owned())
    } else {
        Err("the URL begins with http:// or https://".to_owned())
    }
}
