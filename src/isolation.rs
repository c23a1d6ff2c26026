//! How well dynos are kept apart on this server: chosen once at its start, and told to whoever has to know.
//!
//! It must not know how a sandbox is built.

use std::path::Path;

use crate::Platform;
use crate::data_dir::DataDir;
use crate::error::{Error, Result};
use crate::sandbox::probe::Ground;
use crate::sandbox::{Level, Settings, net};
use crate::store::accounts;

/// The level at which dynos are isolated, tried once. The kernel is told to forward packets where that takes it.
pub async fn choose(settings: &Settings, data: &DataDir, program: &Path) -> Result<Level> {
    let (settings, root, program) = (settings.clone(), data.root().to_owned(), program.to_owned());
    let choosing = move || {
        let ground = Ground {
            penstock: &program,
            data: &root,
            settings: &settings,
        };
        let level = ground.choose()?;
        if level == Level::Full && settings.dyno_forwarding && !net::forwards() {
            forward();
        }
        Ok(level)
    };
    tokio::task::spawn_blocking(choosing)
        .await
        .map_err(Error::internal)?
}

/// Says how dynos are isolated: to whoever started the server, and where that falls short to whoever makes an app, in its log.
pub fn tell(platform: &Platform) -> Result<()> {
    let level = platform.isolation;
    let Some(shortfall) = level.shortfall() else {
        tracing::info!("dynos are isolated: level {level}");
        return Ok(());
    };
    tracing::warn!(
        "dynos are isolated: level {level}. {shortfall} `penstock doctor` says what is missing."
    );
    platform.logs.note_with_first_releases(format!(
        "Isolation of dynos is at level {level}. {shortfall}"
    ));
    if !level.keeps_people_apart() && platform.store.read(accounts::count)? > 1 {
        tracing::warn!(
            "several people have accounts on this server, and what one of them runs can read what the others have"
        );
    }
    Ok(())
}

fn forward() {
    match net::forward() {
        Ok(()) => tracing::info!(
            "this machine forwards packets from now on, so that dynos reach out: net.ipv4.ip_forward=1"
        ),
        Err(error) => {
            tracing::warn!(%error, "this machine does not forward packets, so dynos reach nothing but the router")
        }
    }
}
