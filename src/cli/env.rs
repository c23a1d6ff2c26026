//! `penstock env`: the lines that a shell evaluates to point its tools at the server.

use clap::Args;

use crate::config::DataDirArg;
use crate::data_dir::DataDir;
use crate::error::{Error, Result};
use crate::serve::Ready;

#[derive(Args)]
pub struct Env {
    #[command(flatten)]
    data_dir: DataDirArg,
}

impl Env {
    /// Reads what the running server wrote of itself, so that no port has to be named twice.
    pub fn run(&self) -> Result<()> {
        let data = DataDir::open(&self.data_dir.data_dir)?;
        let ready = Ready::read(&data)?.ok_or_else(|| {
            Error::conflict(format!(
                "No server has been started on {}. Start one with `penstock serve`, or name its --data-dir.",
                data.root().display()
            ))
        })?;
        for (name, value) in [
            ("HEROKU_HOST", &ready.api_url),
            ("HEROKU_API_KEY", &ready.api_key),
            ("HEROKU_PARTICLEBOARD_URL", &ready.api_url),
            ("HEROKU_STATUS_HOST", &ready.api_url),
            ("NODE_EXTRA_CA_CERTS", &ready.ca_file),
            ("PENSTOCK_URL", &ready.api_url),
            ("PENSTOCK_ROUTER_URL", &ready.router_url),
        ] {
            println!("export {name}={}", quoted(value));
        }
        // The CLI makes each git remote https.
        let host = ready.api_url.split_once("://").map_or("", |(_, host)| host);
        let port = host.rsplit(':').next().unwrap_or_default();
        let remotes = [host.to_owned(), format!("localhost:{port}")];
        println!("export GIT_CONFIG_COUNT={}", remotes.len());
        for (at, remote) in remotes.iter().enumerate() {
            let key = format!("http.https://{remote}/.sslCAInfo");
            println!("export GIT_CONFIG_KEY_{at}={}", quoted(&key));
            println!("export GIT_CONFIG_VALUE_{at}={}", quoted(&ready.ca_file));
        }
        // The CLI would otherwise call home at each command.
        for name in [
            "DISABLE_TELEMETRY",
            "HEROKU_DISABLE_AUTOUPDATE",
            "HEROKU_SKIP_NEW_VERSION_CHECK",
        ] {
            println!("export {name}=1");
        }
        Ok(())
    }
}

/// In single quotes, within which a shell takes everything as it stands.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}
