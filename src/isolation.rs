//! How well dynos are kept apart on this server: chosen once at its start, and told to whoever has to know.
//!
//! It must not know how a sandbox is built.

use std::path::Path;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::Platform;
use crate::data_dir::DataDir;
use crate::error::{Error, Result};
use crate::sandbox::probe::Ground;
use crate::sandbox::{Level, Settings, net};
use crate::store::accounts;

/// The level at which dynos are isolated, while it is being tried: the server opens meanwhile what does not depend on it.
pub struct Trial {
    told: oneshot::Receiver<Result<Level>>,
    seen: Option<Level>,
}

impl Trial {
    /// Tries it on a thread of its own, which goes on until nothing is left of that.
    pub fn begin(settings: &Settings, data: &DataDir, program: &Path) -> Trial {
        let (settings, root, program) =
            (settings.clone(), data.root().to_owned(), program.to_owned());
        let (tell, told) = oneshot::channel();
        spawn_blocking(move || {
            let ground = Ground {
                penstock: &program,
                data: &root,
                settings: &settings,
            };
            let (level, reached) = match ground.choose() {
                Ok(reached) => (Ok(reached.level), Some(reached)),
                Err(error) => (Err(error), None),
            };
            // Nobody listens where the server does not start for another reason.
            drop(tell.send(level));
            drop(reached);
        });
        Trial { told, seen: None }
    }

    /// The level that was reached, or why none was.
    pub async fn level(&mut self) -> Result<Level> {
        let level = match self.seen {
            Some(level) => level,
            None => (&mut self.told).await.map_err(Error::internal)??,
        };
        self.seen = Some(level);
        Ok(level)
    }
}

/// Has the kernel forward packets, if dynos at that level take it and the operator lets it.
pub fn open_the_way(level: Level, settings: &Settings) {
    if level == Level::Full && settings.dyno_forwarding && !net::forwards() {
        forward();
    }
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
