//! `penstock serve`: runs the server until it is told to stop.

use std::io::IsTerminal;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::Config;
use crate::error::Result;
use crate::runtime::Parting;
use crate::serve::{Options, serve};

#[derive(Args)]
pub struct Serve {
    #[command(flatten)]
    config: Config,
}

impl Serve {
    /// The one line on standard output says where the server is and how to get in; everything else goes to standard error.
    pub fn run(self) -> Result<()> {
        log_to_stderr();
        serve(
            self.config,
            Options::default(),
            |ready| println!("{}", ready.to_json()),
            terminated(),
        )
    }
}

/// The server's own log. The HTTP server below us tells of every worker that it starts, which is nobody's news.
fn log_to_stderr() {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let levels = Targets::new()
        .with_default(Level::INFO)
        .with_target("actix_server", Level::WARN);
    tracing_subscriber::registry()
        .with(lines.with_filter(levels))
        .init();
}

/// Resolves at SIGTERM, by which a server makes room for the next one, or at SIGINT, by which a person at a terminal has had
/// enough of it all.
async fn terminated() -> Parting {
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("signals cannot be listened for; the server runs until it is killed");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => Parting::Leave,
        _ = int.recv() => Parting::End,
    }
}
