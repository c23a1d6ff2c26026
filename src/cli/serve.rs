//! `penstock serve`: runs the server until it is told to stop.

use std::future::Future;
use std::io::{IsTerminal, stdout};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use clap::{Args, ValueEnum};
use rustix::fs::fstat;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::env::quoted;
use crate::config::{Config, default_data_dir};
use crate::error::Result;
use crate::runtime::Parting;
use crate::serve::{Options, Ready, serve};

/// Signals that come so soon after the first are the same wish: a session that ends sends SIGHUP right after SIGTERM, and a program
/// that has started the server may pass a Ctrl-C on to it that it has had from the terminal as well.
const ECHO: Duration = Duration::from_millis(300);

#[derive(Args)]
#[command(after_help = "Examples:
  penstock serve
  penstock serve --listen 127.0.0.1:5050 --router-listen 127.0.0.1:8181
  penstock serve --data-dir $(mktemp -d) --listen 127.0.0.1:0 --router-listen 127.0.0.1:0 \\
      --dynos-end-with-server                                    # for a test
  penstock serve --base-domain apps.example.com --api-url https://paas.example.com:5000 \\
      --listen 0.0.0.0:5000 --rendezvous-listen 0.0.0.0:5001 \\
      --router-listen 0.0.0.0:80 --router-tls-listen 0.0.0.0:443")]
pub struct Serve {
    #[command(flatten)]
    config: Config,

    /// How the server's own log is written to standard error; json has a line for each request of the API, too
    #[arg(
        long,
        env = "PENSTOCK_LOG_FORMAT",
        value_enum,
        default_value = "text",
        value_name = "FORMAT"
    )]
    log_format: LogFormat,
}

// Its variants have no words of their own: with them clap would lay out the whole help otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl Serve {
    /// The one line on standard output says where the server is and how to get in; everything else goes to standard error. A person
    /// at a terminal is told what to do next instead. The journal is told nothing: more people read it than may get in.
    pub fn run(self) -> Result<()> {
        log_to_stderr(self.log_format);
        serve(
            self.config,
            Options::default(),
            |ready| {
                if stdout().is_terminal() {
                    eprintln!("{}", welcome(ready));
                } else if !is_journal(stdout()) {
                    println!("{}", ready.to_json());
                }
                tell_systemd(NotifyState::Ready);
            },
            terminated(),
        )
    }
}

/// Whether systemd has it go to its journal, of which it says device and inode (systemd.exec(5), `JOURNAL_STREAM`).
fn is_journal(stream: impl AsFd) -> bool {
    let said = std::env::var("JOURNAL_STREAM").ok();
    let is = fstat(stream).map(|is| format!("{}:{}", is.st_dev, is.st_ino));
    said.is_some() && said == is.ok()
}

/// What a person needs to know first.
fn welcome(ready: &Ready) -> String {
    let apps = ready.router_url.replacen("://", "://APP.", 1);
    // In another terminal nobody knows where this one was, nor what it was told.
    let program = std::env::current_exe().unwrap_or_else(|_| "penstock".into());
    let place = match Path::new(&ready.data_dir) == default_data_dir() {
        true => String::new(),
        false => format!(" --data-dir {}", quoted(&ready.data_dir)),
    };
    format!(
        "Penstock serves the API at {api}, apps at {apps} and its documentation at {api}/docs.\n\
         In another terminal:\n\n    eval \"$({program} env{place})\"\n    heroku create\n\n\
         Ctrl-C stops it, and the dynos with it.",
        api = ready.api_url,
        program = quoted(&program.display().to_string()),
    )
}

/// The server's own log. The HTTP server below us tells of every worker that it starts, which is nobody's news.
fn log_to_stderr(format: LogFormat) {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false);
    let levels = Targets::new()
        .with_default(Level::INFO)
        .with_target("actix_server", Level::WARN);
    let (lines, levels) = match format {
        LogFormat::Text => {
            let lines = lines.with_ansi(colours());
            (lines.boxed(), levels)
        }
        LogFormat::Json => (
            lines
                .json()
                .flatten_event(true)
                .with_span_list(false)
                .boxed(),
            levels.with_target("penstock::requests", Level::DEBUG),
        ),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(levels))
        .init();
}

/// On a terminal, unless it is asked not to (no-color.org).
fn colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !refused
}

/// Resolves with the first signal, to what resolves with the next one: whoever sends that does not want to wait any more.
async fn terminated() -> (Parting, impl Future<Output = ()>) {
    let Ok(mut signals) = Signals::listened_for() else {
        tracing::error!("signals cannot be listened for; the server runs until it is killed");
        return std::future::pending().await;
    };
    let parting = signals.next().await;
    tell_systemd(NotifyState::Stopping);
    let again = async move {
        signals.ignore(ECHO).await;
        signals.next().await;
    };
    (parting, again)
}

/// The signals by which a server is told to stop.
struct Signals {
    term: Signal,
    int: Signal,
    hup: Option<Signal>,
}

impl Signals {
    fn listened_for() -> std::io::Result<Signals> {
        Ok(Signals {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: hung_up()?,
        })
    }

    /// What becomes of the dynos by the next one. By SIGTERM a server makes room for the next one; by SIGINT or SIGHUP a person at a
    /// terminal has had enough of it all, or has closed it.
    async fn next(&mut self) -> Parting {
        let hup = async {
            match &mut self.hup {
                Some(hup) => drop(hup.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.term.recv() => Parting::Leave,
            _ = self.int.recv() => Parting::End,
            () = hup => Parting::End,
        }
    }

    /// Hears none for so long.
    async fn ignore(&mut self, time: Duration) {
        let all = async {
            loop {
                self.next().await;
            }
        };
        // It has no end of its own.
        let _ = tokio::time::timeout(time, all).await;
    }
}

/// Without systemd nobody listens, and nothing is told.
fn tell_systemd(state: NotifyState<'_>) {
    if let Err(cause) = sd_notify::notify(&[state]) {
        tracing::warn!(%cause, "systemd could not be told");
    }
}

/// None under `nohup`, by which a person says that the server is to outlive its terminal.
fn hung_up() -> std::io::Result<Option<Signal>> {
    match ignores_hangup(&std::fs::read_to_string("/proc/self/status")?) {
        true => Ok(None),
        false => signal(SignalKind::hangup()).map(Some),
    }
}

/// Bit 0 of the ignored signals is SIGHUP's (proc_pid_status(5)).
fn ignores_hangup(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    ignored.is_some_and(|bits| bits & 1 == 1)
}
