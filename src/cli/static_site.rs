//! `penstock static`: serves a folder of files, as the web process of a static site does.

use std::path::PathBuf;

use clap::Args;

use crate::error::Result;
use crate::static_site::{self, Options};

/// None of those that a server beside it listens on.
const PORT: u16 = 8_081;
/// Set in every dyno, and reached from elsewhere there alone: who types this in a folder of his shows it to nobody else.
const DYNO: &str = "DYNO";

#[derive(Args)]
pub struct StaticSite {
    /// The site's folder; else what static.json says, else the first of ., public_html, public and dist with an index.html
    #[arg(long, value_name = "DIR")]
    root: Option<String>,

    /// The file that says how to serve it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The port to listen on, in a dyno its $PORT; 0 takes a free one
    #[arg(long, env = "PORT", default_value_t = PORT)]
    port: u16,

    /// What visitors have to give where static.json says basic_auth
    #[arg(long, env = "BASIC_AUTH_USERNAME", hide = true)]
    username: Option<String>,

    #[arg(long, env = "BASIC_AUTH_PASSWORD", hide = true, hide_env_values = true)]
    password: Option<String>,
}

impl StaticSite {
    /// Until the process is told to end.
    pub fn run(self) -> Result<()> {
        static_site::serve(Options {
            home: std::env::current_dir()?,
            root: self.root,
            config: self.config,
            port: self.port,
            everywhere: std::env::var_os(DYNO).is_some(),
            credentials: self
                .username
                .zip(self.password)
                .map(|(name, password)| format!("{name}:{password}")),
        })
    }
}
