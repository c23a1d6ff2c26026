//! `penstock serve`: runs the server until it is told to stop.

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::error::Result;
use crate::serve::{Options, serve};

#[derive(Args)]
pub struct Serve {
    #[command(flatten)]
    config: Config,
}

impl Serve {
    /// The one line on standard output says where the server is and how to get in; everything else goes to standard error.
    pub fn run(self) -> Result<()> {
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_target(false)
            .init();
        serve(
            self.config,
            Options::default(),
            |ready| println!("{}", ready.to_json()),
            terminated(),
        )
    }
}

/// Resolves at SIGTERM or SIGINT.
async fn terminated() {
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("signals cannot be listened for; the server runs until it is killed");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
