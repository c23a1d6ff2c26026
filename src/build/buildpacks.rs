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
use crate::error::{Error, Result};
use crate::git;
use crate::output::Writer;
use crate::sandbox::folders;
use crate::store::buildpacks::Buildpack;
use crate::store::builds::Build;

use super::Settings;
use super::fetch::{SourceOf, fetch};
use super::halt::Halt;
use super::make::blocking;
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
    /// All of them, in order.
    pub(super) async fn fetch_buildpacks(
        &self,
        build: &Build,
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
            let folder = workspace.path().join(format!("buildpack-{at}"));
            let getting = self.get(buildpack, folder);
            let folder = halt.within(getting).await.map_err(|error| {
                Error::new(
                    error.id,
                    format!(
                        "The buildpack {} cannot be used. {}",
                        buildpack.name, error.message
                    ),
                )
            })?;
            fetched.push(Fetched {
                shown: buildpack.name.clone(),
                folder,
            });
        }
        Ok(fetched)
    }

    /// One, somewhere in `folder`, which is made.
    async fn get(&self, buildpack: &Buildpack, folder: PathBuf) -> Result<PathBuf> {
        let (tree, scratch) = (folder.join("tree"), folder.join("git"));
        let (made, git) = (tree.clone(), scratch.clone());
        blocking(move || {
            for folder in [&folder, &made, &git] {
                DirBuilder::new().mode(0o755).create(folder)?;
            }
            Ok(())
        })
        .await?;
        match From::of(buildpack) {
            From::Name(name) => self.named(name, &tree).await?,
            From::File(path) => {
                let (path, settings, tree) = (path.to_owned(), self.settings.clone(), tree.clone());
                blocking(move || take_file(&path, &settings, &tree)).await?;
            }
            From::Tarball(url) => self.tarball(&url, &tree).await?,
            From::Git { url, reference } => {
                let outbound = &self.parts.outbound;
                git::fetch::fetch(url, reference, outbound, &scratch, &tree, &limits()).await?;
            }
        }
        blocking(move || registry::root(&tree)).await
    }

    async fn named(&self, name: &str, tree: &Path) -> Result<()> {
        let (registry, known, into) = (
            self.settings.registry.clone(),
            name.to_owned(),
            tree.to_owned(),
        );
        if blocking(move || registry.unpack(&known, &into)).await? {
            return Ok(());
        }
        match &self.settings.shelves.registry {
            Some(base) => {
                let url = format!("{}/{name}.tgz", base.trim_end_matches('/'));
                self.tarball(&url, tree).await
            }
            None => Err(Error::invalid(format!(
                "It is not kept on this server. Whoever runs the server can change that: penstock buildpack import {name} PATH. Or give \
                 its URL in place of its name, or none at all (heroku buildpacks:clear), so that a built-in builder builds the app."
            ))),
        }
    }

    async fn tarball(&self, url: &str, tree: &Path) -> Result<()> {
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
        let blob = fetch(&wanted, &blobs, &self.parts.outbound, &settings).await?;
        let tree = tree.to_owned();
        blocking(move || {
            let archive = blobs.open_checked(&blob.digest)?;
            archive::unpack(archive, &tree, &limits(), Strip::Nothing).map(drop)
        })
        .await
    }
}

/// From a folder that the operator has named, and never from the server's own. What is elsewhere and what is not there are told
/// apart for nobody.
fn take_file(path: &Path, settings: &Settings, tree: &Path) -> Result<()> {
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
        return Ok(folders::copy(&found, tree)?);
    }
    let archive = fs::File::open(&found)?;
    archive::unpack(archive, tree, &limits(), Strip::Nothing).map(drop)
}
