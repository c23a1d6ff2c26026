//! What every part of the platform shares, and the few things that take more than one part of it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use rusqlite::Connection;
use tokio::sync::watch;

use crate::api::Witness;
use crate::api::health::Health;
use crate::blob::signed::{Method, SignedUrls};
use crate::blob::{Blobs, Digest};
use crate::build::Registry;
use crate::caches::Caches;
use crate::config::Config;
use crate::data_dir::{DATABASE, DataDir};
use crate::drains;
use crate::error::{Error, Result};
use crate::git::Git;
use crate::log::{self, Logs};
use crate::metrics::Metrics;
use crate::name::Id;
use crate::outbound::Outbound;
use crate::output::{Outputs, Over};
use crate::sandbox::Level;
use crate::store::{AfterCommit, Store, Table, apps, builds, releases, sources};
use crate::time::{Clock, Timestamp};
use crate::urls::Urls;

/// For at least so long the URL of a build's output is good, and for at most twice as long. Each look at the build shows one anew,
/// and within so long the same one, so that what is shown of a build does not change while the build does not.
const OUTPUT_LIFE: Duration = Duration::from_secs(12 * 60 * 60);

/// The state, the files and the settings. One of it a server.
pub struct Platform {
    pub config: Config,
    pub urls: Urls,
    pub clock: Clock,
    pub store: Store,
    pub blobs: Blobs,
    pub logs: Logs,
    pub outputs: Outputs,
    pub caches: Caches,
    /// Buildpacks that are kept here by their names.
    pub buildpacks: Registry,
    pub git: Git,
    pub outbound: Outbound,
    pub signed_urls: SignedUrls,
    /// That of the server's own authority, in PEM. Empty where none was made.
    pub ca_certificate: String,
    pub metrics: Metrics,
    pub health: Health,
    /// How the drains do.
    pub drains: Arc<drains::Figures>,
    /// How well dynos are kept apart.
    pub isolation: Level,
    /// Tells what this run of the server has claimed from what an earlier one had.
    pub boot: Id,
    /// True once the server is to stop: what only shows how something goes on ends then, while requests are still served.
    pub leaving: watch::Sender<bool>,
    /// True once the server is stopping: answers that go on and on end then, since it waits for those under way.
    pub stopping: watch::Sender<bool>,
}

impl Platform {
    /// Opens everything in the data directory, which the caller has locked. Nothing is promised of isolation before
    /// [`Platform::at`].
    pub fn open(
        config: Config,
        urls: Urls,
        clock: Clock,
        data: &DataDir,
        after_commit: Option<AfterCommit>,
    ) -> Result<Platform> {
        let store = Store::open_observed(&data.path(DATABASE), data.sealing_key()?, after_commit)?;
        Ok(Platform {
            store,
            blobs: Blobs::open(data.root())?,
            logs: Logs::open(&data.path("logs"), clock.clone(), log::Limits::default())?,
            outputs: Outputs::open(&data.path("outputs"))?,
            caches: Caches::open(&data.path("caches"))?,
            buildpacks: Registry::new(data.path("buildpacks")),
            git: Git::open(data.path("git"))?,
            outbound: Outbound::new(config.may_fetch_privately(&urls)),
            signed_urls: SignedUrls::new(data.signing_key()?),
            ca_certificate: String::new(),
            metrics: Metrics::new()?,
            health: Health::default(),
            drains: Arc::default(),
            isolation: Level::None,
            boot: Id::new(),
            leaving: watch::Sender::new(false),
            stopping: watch::Sender::new(false),
            config,
            urls,
            clock,
        })
    }

    /// With dynos that are isolated at a level that was tried, for everybody to share. From here on webhooks are told what happens.
    pub fn at(mut self, level: Level) -> Arc<Platform> {
        self.isolation = level;
        let platform = Arc::new(self);
        let witness = Arc::new(Witness::new(&platform));
        platform.store.tell_by(witness);
        platform
    }

    /// The names and addresses under which clients may know this server.
    pub fn names(&self) -> Vec<String> {
        let mut names = ["localhost", "127.0.0.1", "::1"]
            .map(str::to_owned)
            .to_vec();
        let listening = [self.config.listen, self.config.rendezvous_listen];
        let addresses = listening.iter().map(|address| address.ip());
        let known = addresses.filter(|address| !address.is_unspecified());
        names.extend(known.map(|address| address.to_string()));
        names.push(self.urls.api_host().trim_matches(['[', ']']).to_owned());
        names.sort();
        names.dedup();
        names
    }

    /// Notes how large an app's repository is by now, if that is not known already.
    pub async fn note_repo_size(&self, app: Id) -> Result<()> {
        let Some(bytes) = self.git.size(app).await? else {
            return Ok(());
        };
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let known = self
            .store
            .read(|connection| Ok(apps::by_id(connection, app)?.repo_size))?;
        if known == Some(bytes) {
            return Ok(());
        }
        let write = move |connection: &Connection| apps::set_repo_size(connection, app, bytes);
        self.store.write(write).await
    }

    /// A URL with which whoever holds it may do one thing at `path` until it expires.
    pub fn signed_url(&self, method: Method, path: &str, expires: Timestamp) -> String {
        format!(
            "{}{path}?{}",
            self.urls.api,
            self.signed_urls.make(method, path, expires)
        )
    }

    /// Where a build's output is streamed from, for whoever looks at the build now.
    pub fn build_output_url(&self, build: Id) -> String {
        self.output_url(&format!("/streams/builds/{build}"))
    }

    /// Where the output of a release's command is streamed from, for as long.
    pub fn release_output_url(&self, release: Id) -> String {
        self.output_url(&format!("/streams/releases/{release}"))
    }

    fn output_url(&self, path: &str) -> String {
        let life = OUTPUT_LIFE.as_micros() as i64;
        let begun = self.clock.now().micros().div_euclid(life) * life;
        let expires = Timestamp::from_micros(begun).plus(OUTPUT_LIFE * 2);
        self.signed_url(Method::Get, path, expires)
    }

    /// Lets end what nobody has to be shown by this server.
    pub fn take_leave(&self) {
        self.leaving.send_replace(true);
    }

    /// Lets every stream of a log or of an output end. Lines that come later are stored all the same.
    pub fn end_streams(&self) {
        self.take_leave();
        self.stopping.send_replace(true);
        self.logs.close();
    }

    /// A build's output from an offset in bytes, until the build has ended or the server stops.
    pub fn build_output(
        &self,
        id: Id,
        from: u64,
    ) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        // It ends with the server, and says so.
        let stop = is_true(&self.stopping, Over::Deed);
        self.output((id, from), Table::Build, stop, move |connection| {
            is_building(connection, id)
        })
    }

    /// Where a build's output ends, in bytes, once the build has.
    pub fn build_output_end(&self, id: Id) -> Result<Option<u64>> {
        self.output_end(id, |connection| is_building(connection, id))
    }

    /// What a release's command prints, from an offset in bytes, until the release has ended or the server stops.
    pub fn release_output(
        &self,
        id: Id,
        from: u64,
    ) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        let stop = is_true(&self.stopping, Over::Reading);
        self.output((id, from), Table::Release, stop, move |connection| {
            is_releasing(connection, id)
        })
    }

    /// The same from its start, until the server is to stop: for whoever can see the rest elsewhere.
    pub fn release_shown(&self, id: Id) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        let stop = is_true(&self.leaving, Over::Reading);
        self.output((id, 0), Table::Release, stop, move |connection| {
            is_releasing(connection, id)
        })
    }

    /// Where the output of a release's command ends, likewise.
    pub fn release_output_end(&self, id: Id) -> Result<Option<u64>> {
        self.output_end(id, |connection| is_releasing(connection, id))
    }

    fn output_end(
        &self,
        id: Id,
        goes_on: impl Fn(&Connection) -> Result<bool>,
    ) -> Result<Option<u64>> {
        match self.store.read(goes_on)? {
            true => Ok(None),
            false => self.outputs.length(id),
        }
    }

    /// An output from an offset, for as long as the deed `goes_on`, which a row in `table` says, or until `stop`.
    fn output(
        &self,
        (id, from): (Id, u64),
        table: Table,
        stop: impl Future<Output = Over> + Send + 'static,
        goes_on: impl Fn(&Connection) -> Result<bool> + Send + 'static,
    ) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        let store = self.store.clone();
        let ended = async move {
            let mut stop = pin!(stop);
            let mut changes = store.changes(&[table]);
            loop {
                changes.mark_unchanged();
                if !store.read(&goes_on).unwrap_or(false) {
                    return Over::Deed;
                }
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return Over::Deed },
                    over = &mut stop => return over,
                }
            }
        };
        self.outputs.read_from(id, from, ended)
    }

    /// What was uploaded under a source's own get_url; `None` for a URL that is not one of ours. 422 when the link is not good
    /// any more, or nothing was uploaded.
    pub fn uploaded_source(&self, url: &str, now: Timestamp) -> Result<Option<Digest>> {
        let Some(path) = url
            .strip_prefix(&self.urls.api)
            .filter(|path| path.starts_with("/blobs/sources/"))
        else {
            return Ok(None);
        };
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        self.signed_urls
            .verify(Method::Get, path, query, now)
            .map_err(|error| {
                Error::invalid(format!(
                    "The url of source_blob cannot be used. {}",
                    error.message
                ))
            })?;
        let id = path
            .rsplit('/')
            .next()
            .and_then(Id::parse)
            .ok_or_else(|| Error::not_found("source"))?;
        let source = self
            .store
            .read(|connection| sources::by_id(connection, id))?;
        let digest = source.digest.as_deref().and_then(Digest::parse);
        digest.map(Some).ok_or_else(|| {
            Error::invalid(
                "Nothing was uploaded to this source yet. PUT the tar.gz to its put_url first.",
            )
        })
    }
}

/// Resolves to this when that becomes true.
fn is_true(sender: &watch::Sender<bool>, over: Over) -> impl Future<Output = Over> + Send + use<> {
    let mut receiver = sender.subscribe();
    async move {
        // Without a sender there is no server any more.
        let _ = receiver.wait_for(|is_so| *is_so).await;
        over
    }
}

fn is_building(connection: &Connection, id: Id) -> Result<bool> {
    let build = builds::by_id(connection, id)?;
    Ok(build.is_some_and(|build| build.status == builds::Status::Pending))
}

fn is_releasing(connection: &Connection, id: Id) -> Result<bool> {
    let release = releases::by_id(connection, id)?;
    Ok(release.is_some_and(|release| release.status == releases::Status::Pending))
}
