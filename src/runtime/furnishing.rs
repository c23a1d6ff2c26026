//! What a dyno needs before it can run: its folder, its app's files, and the program with what it is enclosed in.
//!
//! The slug lies under what the dyno writes, or is copied where there are no layers. It must not know who holds the dyno once it runs.

use std::path::{Path, PathBuf};

use super::note::Note;
use super::process::{Place, make_folder};
use super::{Launch, isolation, trees};
use crate::blob::Digest;
use crate::error::Result;
use crate::health_checks::{self, HealthCheck};
use crate::log::platform;
use crate::sandbox::folders;
use crate::shim::{Program, Streams};
use crate::store::config_vars::ConfigVars;

impl Place {
    /// Makes the dyno's folder, and says where the app's files are: in a tree that many dynos share, or in a copy of its own. What
    /// an attempt before left is replaced.
    pub fn furnish(&self, launch: &Launch) -> Result<PathBuf> {
        let folder = self.folder(launch.dyno);
        folders::remove(&folder)?;
        make_folder(&isolation::scratch(&folder))?;
        match self.isolation.has_own_tree() {
            true => {
                let (slug, owner) = (&launch.slug, launch.uid);
                self.trees.lay_under(&folder, &self.blobs, slug, owner)
            }
            false => self.unpack(&folder, &launch.slug),
        }
    }

    fn unpack(&self, folder: &Path, slug: &Digest) -> Result<PathBuf> {
        let home = isolation::home(&self.isolation, folder);
        make_folder(&home)?;
        trees::unpack(&self.blobs, slug, &home)?;
        Ok(home)
    }

    /// What is run of it, and what the next server has to know.
    pub fn enclose(&self, launch: &Launch, app: PathBuf) -> Result<(Program, Note)> {
        let folder = self.folder(launch.dyno);
        let checks = match launch.port {
            Some(_) => self.health_checks(launch, &app),
            None => Vec::new(),
        };
        let home = isolation::home(&self.isolation, &folder);
        let mut program = self.shell.program(launch, &home);
        let address = isolation::enclose(&self.isolation, &mut program, launch, &folder, app)?;
        let note = Note {
            boot_ms: u64::try_from(launch.boot.as_millis()).unwrap_or(u64::MAX),
            attached: launch.streams != Streams::Output,
            address,
            output: launch.output,
            hidden: match launch.output {
                Some(_) => launch.config_vars.clone(),
                None => ConfigVars::default(),
            },
            checks,
        };
        Ok((program, note))
    }

    /// What the slug's `app.json` asks of its web dynos. What cannot be read is told, and the port alone counts.
    fn health_checks(&self, launch: &Launch, app: &Path) -> Vec<HealthCheck> {
        health_checks::of_folder(app).unwrap_or_else(|fault| {
            platform::checks_ignored(&self.logs, launch.app, &launch.name, &fault);
            Vec::new()
        })
    }
}
