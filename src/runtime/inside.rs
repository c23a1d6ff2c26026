//! Commands that are run inside a dyno that runs: in its sandbox, with its files, its network and its limits.
//!
//! Each is a dyno to everybody else, with a shim of its own. It must not know how a sandbox is entered.

use std::sync::Arc;

use super::isolation;
use super::note::Note;
use super::process::{Place, make_folder};
use super::{Inside, Launch, Started};
use crate::error::{Error, Result};
use crate::sandbox::Host;

impl Place {
    /// Starts a dyno inside another one. 422 when that has ended.
    pub async fn launch_inside(
        self: Arc<Place>,
        launch: &Launch,
        host: &Inside,
    ) -> Result<Started> {
        make_folder(&self.folder(launch.dyno))?;
        let held = self.running().get(&host.dyno).map(|running| Host {
            launcher: running.pid,
            shim: running.shim,
        });
        let held = held.ok_or_else(|| Error::invalid(format!("{} does not run.", host.name)))?;
        let around = self.folder(host.dyno);
        let home = isolation::home(&self.isolation, &around);
        let mut program = self.shell.program(launch, &home);
        let own = self.folder(launch.dyno);
        let (host, folders) = ((host, held), (around.as_path(), own.as_path()));
        isolation::enter(&self.isolation, &mut program, launch, host, folders);
        let note = Note {
            attached: true,
            ..Note::default()
        };
        self.hold(launch, program, &note, None).await
    }
}
