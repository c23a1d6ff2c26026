//! The builder, over a real store: from a source to a slug, a release and an output.

pub mod builtin;
mod claiming;
mod classic;
mod failing;
mod fetching;
mod hostile;
pub mod server;

use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::io::Read;
use std::sync::Arc;

use futures_util::StreamExt;
use penstock::archive::{Limits, Strip, inspect};
use penstock::blob::{Blobs, Digest};
use penstock::build::{Builder, Links, Parts, Settings};
use penstock::caches::Caches;
use penstock::log::{self, Filter, Logs};
use penstock::name::{AppName, Id};
use penstock::outbound::Outbound;
use penstock::output::Outputs;
use penstock::store::accounts::{self, Account};
use penstock::store::apps::{self, App};
use penstock::store::builds::{self, Build, NewBuild, Status};
use penstock::store::slugs::Slug;
use penstock::store::{Store, formation, releases, slugs};
use penstock::time::{Clock, Timestamp};

use crate::archive::raw::Tar;

/// A data directory with an app in it, and what a builder needs.
struct Site {
    dir: tempfile::TempDir,
    parts: Parts,
    settings: Settings,
    ann: Account,
    app: App,
}

impl Site {
    fn new() -> Site {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::held(Timestamp::parse("2026-01-31T12:00:00Z").unwrap());
        let store = Store::open(
            &dir.path().join("penstock.db"),
            crate::harness::sealing_key(),
        )
        .unwrap();
        let logs = Logs::open(
            &dir.path().join("logs"),
            clock.clone(),
            log::Limits::default(),
        );
        let now = clock.now();
        let ann = store
            .write_blocking(move |connection| accounts::create(connection, "ann@example.com", now))
            .unwrap();
        let caches = Caches::open(&dir.path().join("caches")).unwrap();
        let bench = crate::harness::bench(dir.path(), caches);
        let parts = Parts {
            bench,
            store,
            blobs: Blobs::open(dir.path()).unwrap(),
            logs: logs.unwrap(),
            metrics: penstock::metrics::Metrics::new().unwrap(),
            outputs: Outputs::open(&dir.path().join("outputs")).unwrap(),
            clock,
            outbound: Outbound::new(true),
            links: Links {
                app: Arc::new(|app| format!("http://{app}.example.com/")),
                output: Arc::new(|id| format!("http://api.example.com/{id}")),
            },
        };
        let settings = Settings::new(dir.path().join("builds"));
        let app = app(&parts.store, &ann, "shop", now);
        Site {
            dir,
            parts,
            settings,
            ann,
            app,
        }
    }

    fn app(&self, name: &str) -> App {
        app(&self.parts.store, &self.ann, name, self.parts.clock.now())
    }

    fn builder(&self) -> Builder {
        Builder::open(self.parts.clone(), self.settings.clone(), Id::new()).unwrap()
    }

    /// A build of an upload, waiting.
    fn upload(&self, archive: &[u8]) -> Build {
        let digest = self.blob(archive);
        self.queue(NewBuild {
            source_digest: Some(digest.to_string()),
            ..new("http://api.example.com/source")
        })
    }

    fn blob(&self, bytes: &[u8]) -> Digest {
        let mut writer = self.parts.blobs.writer(1 << 30).unwrap();
        std::io::Write::write_all(&mut writer, bytes).unwrap();
        writer.finish().unwrap().digest
    }

    fn queue(&self, new: NewBuild) -> Build {
        self.queue_for(self.app.id, new)
    }

    fn queue_for(&self, app: Id, new: NewBuild) -> Build {
        let (ann, now) = (self.ann.clone(), self.parts.clock.now());
        let create = move |connection: &_| builds::create(connection, app, &ann, &new, now);
        self.parts.store.write_blocking(create).unwrap()
    }

    /// Builds all that waits, one after another if need be.
    async fn build(&self) {
        let builder = self.builder();
        while builder.tick().await.unwrap() > 0 {
            builder.idle().await;
        }
    }

    fn row(&self, build: &Build) -> Build {
        let read = |connection: &_| builds::by_id(connection, build.id);
        self.parts.store.read(read).unwrap().unwrap()
    }

    fn slug(&self, build: &Build) -> Slug {
        let id = self.row(build).slug_id.unwrap();
        let read = |connection: &_| slugs::by_id(connection, id);
        self.parts.store.read(read).unwrap().unwrap()
    }

    async fn output(&self, build: &Build) -> String {
        text(&self.parts.outputs, build, ready(())).await
    }

    /// The messages of the app's log, with who spoke.
    fn log(&self) -> Vec<String> {
        let lines = self
            .parts
            .logs
            .read(self.app.id, &Filter::default(), 100)
            .unwrap();
        lines
            .into_iter()
            .map(|line| line.split_once(' ').unwrap().1.to_owned())
            .collect()
    }

    /// Nothing is left of what a build worked with.
    fn assert_clean(&self) {
        assert_eq!(
            std::fs::read_dir(&self.settings.dir).unwrap().count(),
            0,
            "a workspace is left"
        );
        let unfinished = self.dir.path().join("blobs/tmp");
        assert_eq!(
            std::fs::read_dir(unfinished).unwrap().count(),
            0,
            "an unfinished blob is left"
        );
    }
}

fn app(store: &Store, owner: &Account, name: &str, now: Timestamp) -> App {
    let (owner, name) = (owner.clone(), AppName::parse(name).unwrap());
    store
        .write_blocking(move |connection| apps::create(connection, &name, &owner, now))
        .unwrap()
}

fn new(url: &str) -> NewBuild {
    NewBuild {
        source_url: url.to_owned(),
        source_digest: None,
        checksum: None,
        version: Some("385e5950c0ffee".to_owned()),
        version_description: None,
        buildpacks: None,
    }
}

/// Of a Procfile app.
fn archive() -> Vec<u8> {
    Tar::new()
        .file("shop-1/Procfile", "web: ./run\nworker: ./work\n")
        .file("shop-1/run", "#!/bin/sh\n")
        .file("shop-1/.git/config", "[core]\n")
        .gz()
}

async fn text(
    outputs: &Outputs,
    build: &Build,
    ended: impl Future<Output = ()> + Send + 'static,
) -> String {
    let chunks: Vec<_> = outputs
        .read(build.id, ended)
        .map(Result::unwrap)
        .collect()
        .await;
    String::from_utf8(chunks.concat()).unwrap()
}

#[tokio::test]
async fn a_first_deploy_is_built_released_scaled_and_told_of() {
    let site = Site::new();
    let build = site.upload(&archive());
    site.build().await;
    let slug = site.slug(&build);
    let size = slug.size.unwrap();
    assert_eq!(
        site.output(&build).await,
        format!(
            "-----> Fetching source\n       Done: {}B\n-----> Building what is in shop-1/\n       \
             It is all that the archive holds, so the app is taken to be in it. An archive that is made with\n       \
             `tar czf ../source.tgz .` is built as it is, and so is what is pushed with git.\n-----> Discovering process types\n       \
             Procfile declares types -> web, worker\n-----> Compressing...\n       Done: {size}B\n-----> Launching...\n       \
             Released v3\n       http://shop.example.com/ deployed\n",
            archive().len()
        )
    );
    assert_eq!(
        site.log(),
        [
            "app[api]: Build started by user ann@example.com",
            "app[api]: Deploy 385e5950 by user ann@example.com",
            "app[api]: Release v3 created by user ann@example.com",
            "app[api]: Scaled to web@1:Basic worker@0:Basic by user ann@example.com",
            "app[api]: Build succeeded",
        ]
    );
    site.assert_clean();
}

#[tokio::test]
async fn a_build_ends_with_its_slug_release_and_formation() {
    let site = Site::new();
    let build = site.upload(&archive());
    site.build().await;
    let (row, slug) = (site.row(&build), site.slug(&build));
    assert_eq!(row.status, Status::Succeeded);
    let digest = Digest::parse(&slug.digest.clone().unwrap()).unwrap();
    assert_eq!(slug.checksum, Some(digest.checksum()));
    assert_eq!(
        slug.size,
        Some(site.parts.blobs.size(&digest).unwrap() as i64)
    );
    assert_eq!(slug.commit.as_deref(), Some("385e5950c0ffee"));
    assert_eq!(
        slug.buildpack_provided_description.as_deref(),
        Some("Procfile")
    );
    let app = site.app.id;
    let (current, formation) = site
        .parts
        .store
        .read(|connection| {
            Ok((
                releases::current(connection, app)?,
                formation::all(connection, app)?,
            ))
        })
        .unwrap();
    assert_eq!(current.map(|release| release.id), row.release_id);
    let formation: Vec<_> = formation
        .iter()
        .map(|process| {
            (
                process.r#type.as_str(),
                process.quantity,
                process.command.as_str(),
            )
        })
        .collect();
    assert_eq!(formation, [("web", 1, "./run"), ("worker", 0, "./work")]);
}

#[tokio::test]
async fn a_slug_holds_the_source_under_app_and_no_history() {
    let site = Site::new();
    let build = site.upload(&archive());
    site.build().await;
    assert_eq!(
        members(&site, &site.slug(&build)),
        BTreeMap::from([
            (
                "./app/Procfile".to_owned(),
                "web: ./run\nworker: ./work\n".to_owned()
            ),
            ("./app/run".to_owned(), "#!/bin/sh\n".to_owned()),
        ])
    );
    let digest = Digest::parse(&site.slug(&build).digest.unwrap()).unwrap();
    let blob = site.parts.blobs.open_checked(&digest).unwrap();
    let listing = inspect(blob, &Limits::slug(), Strip::Prefix("app"), &["Procfile"]).unwrap();
    assert_eq!(listing.summary.files, 2);
}

/// The files of a slug, read by a stranger's library.
fn members(site: &Site, slug: &Slug) -> BTreeMap<String, String> {
    let digest = Digest::parse(slug.digest.as_ref().unwrap()).unwrap();
    let blob = site.parts.blobs.open_blob(&digest).unwrap();
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(blob));
    let mut found = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.header().entry_type().is_file() {
            let name = String::from_utf8(entry.path_bytes().to_vec()).unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            found.insert(name, String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    found
}

#[tokio::test]
async fn a_second_deploy_keeps_the_scale_and_the_same_tree_makes_the_same_slug() {
    let site = Site::new();
    let first = site.upload(&archive());
    let second = site.upload(&archive());
    site.build().await;
    assert_eq!(site.slug(&first).digest, site.slug(&second).digest);
    assert_ne!(site.slug(&first).id, site.slug(&second).id);
    assert!(site.output(&second).await.contains("Released v4\n"));
    let scaled = site
        .log()
        .iter()
        .filter(|line| line.contains("Scaled"))
        .count();
    assert_eq!(scaled, 1);
}

#[tokio::test]
async fn a_line_that_the_procfile_loses_is_pointed_out() {
    let site = Site::new();
    let build = site.upload(
        &Tar::new()
            .file("Procfile", "web: ./run\nworker:./work\n")
            .gz(),
    );
    site.build().await;
    let output = site.output(&build).await;
    assert!(
        output.contains(" !     Line 2 of the Procfile declares nothing"),
        "{output}"
    );
}
