//! Getting the buildpacks of a build: from this machine's registry, from where its operator lets files be taken, or from a URL.
//!
//! Each becomes a folder in the build's workspace. It must not know what a buildpack does.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::archive::{self, Strip};
use crate::builders::Kind;
use crate::error::{Error, Result};
use crate::git;
use crate::output::Writer;
use crate::sandbox::folders;
use crate::store::buildpacks::Buildpack;
use crate::store::builds::Build;

use super::Settings;
use super::fetch::{SourceOf, fetch};
use super::halt::{Halt, Halting};
use super::make::{behind, is_file};
use super::registry::{self, limits};
use super::steps::Work;
use super::workspace::Workspace;

/// For one to arrive, as on Heroku.
const PATIENCE: Duration = Duration::from_secs(90);
/// Bytes of one, compressed.
const LARGEST: u64 = 256 << 20;

/// Where buildpacks may come from, beside URLs: part of the server's settings.
#[derive(Args, Clone, Debug, Default)]
pub struct Shelves {
    /// A folder in which apps may name buildpacks as file:///...; may be given several times
    #[arg(
        long = "buildpack-files",
        env = "PENSTOCK_BUILDPACK_FILES",
        value_name = "DIR",
        value_delimiter = ':'
    )]
    pub files: Vec<PathBuf>,

    /// Where names of buildpacks that are not kept here are looked for: URL/heroku/nodejs.tgz [default: nowhere]
    #[arg(
        long = "buildpack-registry",
        env = "PENSTOCK_BUILDPACK_REGISTRY",
        value_name = "URL"
    )]
    pub registry: Option<String>,
}

/// One in a folder of the workspace.
pub(super) struct Fetched {
    /// As its user names it.
    pub(super) shown: String,
    pub(super) folder: PathBuf,
}

/// Where one is.
enum From<'a> {
    Name(&'a str),
    File(&'a Path),
    Tarball(String),
    Git {
        url: &'a str,
        reference: Option<&'a str>,
    },
}

impl From<'_> {
    fn of(buildpack: &Buildpack) -> From<'_> {
        let url = buildpack.url.as_str();
        if url != buildpack.name {
            return From::Name(&buildpack.name);
        }
        if let Some(path) = url.strip_prefix("file://") {
            return From::File(Path::new(path));
        }
        let (whole, reference) = match url.split_once('#') {
            Some((whole, reference)) => (whole, Some(reference).filter(|text| !text.is_empty())),
            None => (url, None),
        };
        let path = whole.split('?').next().unwrap_or_default();
        match path.ends_with(".tgz") || path.ends_with(".tar.gz") {
            true => From::Tarball(whole.to_owned()),
            false => From::Git {
                url: whole,
                reference,
            },
        }
    }
}

impl Work {
    /// All of them that no built-in builder stands in for, in order.
    pub(super) async fn fetch_buildpacks(
        &self,
        build: &Build,
        stand_ins: &[Option<Kind>],
        workspace: &Arc<Workspace>,
        output: &Writer,
        halt: &Halt,
    ) -> Result<Vec<Fetched>> {
        match build.buildpacks.as_slice() {
            [one] => output.step(&format!("Using buildpack: {}", one.name)),
            several => {
                output.step("Using buildpacks:");
                for (at, buildpack) in several.iter().enumerate() {
                    output.detail(&format!("{}. {}", at + 1, buildpack.name));
                }
            }
        }
        let mut fetched = Vec::new();
        for (at, buildpack) in build.buildpacks.iter().enumerate() {
            if stand_ins.get(at).is_some_and(Option::is_some) {
                continue;
            }
            let folder = workspace.path().join(format!("buildpack-{at}"));
            let ground = Ground {
                workspace,
                folder,
                halt,
            };
            let folder = self.get(buildpack, ground).await.map_err(|error| {
                Error::new(
                    error.id,
                    format!(
                        "The buildpack {} cannot be used. {}",
                        buildpack.name, error.message
                    ),
                )
            })?;
            if is_file(&folder.join(".gitmodules")) {
                output.warning(&format!(
                    "The buildpack {} has git submodules, which are not fetched: what it expects there is missing. Should it need \
                     them, give it as an archive that has them.",
                    buildpack.name
                ));
            }
            fetched.push(Fetched {
                shown: buildpack.name.clone(),
                folder,
            });
        }
        Ok(fetched)
    }

    /// One, somewhere in the ground's folder, which is made.
    async fn get(&self, buildpack: &Buildpack, ground: Ground<'_>) -> Result<PathBuf> {
        let (tree, scratch) = (ground.folder.join("tree"), ground.folder.join("git"));
        let made = [ground.folder.clone(), tree.clone(), scratch.clone()];
        let making = move |_: Halt| {
            let mut made = made.iter();
            made.try_for_each(|folder| DirBuilder::new().mode(0o755).create(folder))?;
            Ok(())
        };
        ground.work(making).await?;
        match From::of(buildpack) {
            From::Name(name) => self.named(name, &tree, &ground).await?,
            From::File(path) => {
                let (path, settings, tree) = (path.to_owned(), self.settings.clone(), tree.clone());
                let taking = move |halt| take_file(&path, &settings, &tree, halt);
                ground.work(taking).await?;
            }
            From::Tarball(url) => self.tarball(&url, &tree, &ground).await?,
            From::Git { url, reference } => {
                let outbound = &self.parts.outbound;
                let (limits, halted) = (limits(), ground.halt.called());
                let places = (scratch.as_path(), tree.as_path());
                git::fetch::fetch(url, reference, outbound, places, &limits, halted).await?;
            }
        }
        ground.work(move |_| registry::root(&tree)).await
    }

    async fn named(&self, name: &str, tree: &Path, ground: &Ground<'_>) -> Result<()> {
        let (registry, known, into) = (
            self.settings.registry.clone(),
            name.to_owned(),
            tree.to_owned(),
        );
        let unpacking = move |halt| registry.unpack(&known, &into, halt);
        if ground.work(unpacking).await? {
            return Ok(());
        }
        match &self.settings.shelves.registry {
            Some(base) => {
                let url = format!("{}/{name}.tgz", base.trim_end_matches('/'));
                self.tarball(&url, tree, ground).await
            }
            None => Err(Error::invalid(format!(
                "It is not kept on this server. Whoever runs the server can change that: penstock buildpack import {name} PATH. Or give \
                 its URL in place of its name, or none at all (heroku buildpacks:clear), so that a built-in builder builds the app."
            ))),
        }
    }

    async fn tarball(&self, url: &str, tree: &Path, ground: &Ground<'_>) -> Result<()> {
        let settings = Settings {
            fetch_limit: PATIENCE,
            max_source: LARGEST,
            ..self.settings.clone()
        };
        let wanted = SourceOf {
            url,
            digest: None,
            checksum: None,
        };
        let blobs = self.parts.blobs.clone();
        let fetching = fetch(&wanted, &blobs, &self.parts.outbound, &settings);
        let blob = ground.halt.within(fetching).await?;
        let tree = tree.to_owned();
        let unpacking = move |halt| {
            let inner = blobs.open_checked(&blob.digest)?;
            let archive = Halting { inner, halt };
            archive::unpack(archive, &tree, &limits(), Strip::Nothing).map(drop)
        };
        ground.work(unpacking).await
    }
}

/// Where one is brought to.
struct Ground<'a> {
    workspace: &'a Arc<Workspace>,
    /// In the workspace.
    folder: PathBuf,
    halt: &'a Halt,
}

impl Ground<'_> {
    /// Does what blocks. It finds out by itself when the build must stop, and until it has, the workspace stays.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(Halt) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (workspace, halt) = (self.workspace.clone(), self.halt.clone());
        halt.check()?;
        behind(move || {
            let _kept = workspace;
            work(halt)
        })
        .await
    }
}

/// From a folder that the operator has named, and never from the server's own. What is elsewhere and what is not there are told
/// apart for nobody.
fn take_file(path: &Path, settings: &Settings, tree: &Path, halt: Halt) -> Result<()> {
    let allowed = settings.shelves.files.iter();
    let mut allowed = allowed.filter_map(|folder| fs::canonicalize(folder).ok());
    let own = settings
        .dir
        .parent()
        .and_then(|data| fs::canonicalize(data).ok());
    let found = fs::canonicalize(path).ok().filter(|found| {
        allowed.any(|folder| found.starts_with(folder))
            && own.is_none_or(|own| !found.starts_with(&own) && !own.starts_with(found))
    });
    let Some(found) = found else {
        return Err(Error::invalid(
            "It is in no folder of this server from which buildpacks may be taken: whoever runs the server names those with \
             --buildpack-files.",
        ));
    };
    if folders::is_folder(&found) {
        let limits = limits();
        let most = folders::Size {
            bytes: limits.total_bytes,
            files: limits.entries,
        };
        return Ok(folders::copy(&found, tree, most, || halt.go_on())?);
    }
    let inner = fs::File::open(&found)?;
    archive::unpack(Halting { inner, halt }, tree, &limits(), Strip::Nothing).map(drop)
}
