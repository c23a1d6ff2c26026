//! One build: its steps, and how it ends.
//!
//! The steps only make the slug's bytes. The end is one transaction, written when nothing is left to do: until then a build that
//! is cut off leaves nothing that another attempt would trip over.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::watch;

use crate::caches::Staged;
use crate::error::{Error, ErrorId, Result};
use crate::log::platform;
use crate::name::Id;
use crate::output::Writer;
use crate::store::builds::{self, Build, Status};
use crate::store::formation;
use crate::store::releases::{self, Release};
use crate::store::slugs::NewSlug;
use crate::store::{Table, once_committed};

use super::halt::Halt;
use super::make::blocking;
use super::{Parts, Settings};

/// Between two tries to write how a build ended.
const RETRY: Duration = Duration::from_secs(5);

pub(super) struct Work {
    pub(super) parts: Parts,
    pub(super) settings: Settings,
    /// The server is stopping: builds stop where they are, and are left for the next one to begin again.
    stopping: watch::Sender<bool>,
}

impl Work {
    pub(super) fn new(parts: Parts, settings: Settings) -> Work {
        Work {
            parts,
            settings,
            stopping: watch::Sender::new(false),
        }
    }

    pub(super) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    async fn stopped(&self) {
        let mut stopping = self.stopping.subscribe();
        // The sender is ours, so this cannot fail.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }

    /// Sees a claimed build through to its end.
    pub(super) async fn run(&self, build: Build) {
        let output = match self.parts.outputs.writer(build.id) {
            Ok(output) => output,
            Err(error) => return self.fail(&build, None, error).await,
        };
        let begun = Instant::now();
        let halt = Halt::after(self.settings.limits.time());
        let stopped = halt.on_drop();
        let making = AssertUnwindSafe(self.make(&build, &output, &halt)).catch_unwind();
        let mut making = std::pin::pin!(making);
        let made = tokio::select! {
            made = &mut making => made,
            () = self.unwanted(build.id) => {
                // It cleans up behind itself before anybody else may build this app.
                halt.stop();
                drop(making.await);
                return self.abandon(&build, &output);
            }
            () = self.stopped() => {
                halt.stop();
                drop(making.await);
                return;
            }
        };
        drop(stopped);
        let ended = match made {
            Ok(Ok((slug, cache))) => self.succeed(&build, &output, slug, cache).await,
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::internal(
                "a build panicked; the panic is in the log above",
            )),
        };
        let status = if ended.is_ok() { "succeeded" } else { "failed" };
        self.parts.metrics.build(status, begun.elapsed());
        if let Err(error) = ended {
            self.fail(&build, Some(&output), error).await;
        }
    }

    /// Tells the app's log, before anything is done, that its build was taken up; once, however often it begins.
    pub fn tell_begun(&self, build: &Build) {
        if build.attempts == 1 {
            platform::build_started(&self.parts.logs, build.app_id, &build.account_email);
        }
    }

    /// Slug, release and build end in one transaction; then the world is told.
    async fn succeed(
        &self,
        build: &Build,
        output: &Writer,
        slug: NewSlug,
        cache: Option<Staged>,
    ) -> Result<()> {
        output.step("Launching...");
        let (id, app, now) = (build.id, build.app_id, self.parts.clock.now());
        let (logs, user) = (self.parts.logs.clone(), build.account_email.clone());
        let released = self.parts.store.write(move |connection| {
            let Some(release) = builds::succeed(connection, id, &slug, now)? else {
                return Ok(None);
            };
            let scaled = if releases::is_first_deploy(connection, &release)? {
                formation::all(connection, app)?
            } else {
                Vec::new()
            };
            let (description, version) = (release.description.clone(), release.version);
            once_committed(move || {
                platform::released(&logs, app, &description, version, &user);
                if scaled.iter().any(|process| process.quantity > 0) {
                    platform::scaled(&logs, app, &formation::text(&scaled), &user);
                }
                platform::build_succeeded(&logs, app);
            });
            Ok(Some(release))
        });
        match released.await? {
            Some(release) => {
                self.announce(output, &release);
                // The next build of this app begins when this one is over.
                keep(cache).await;
            }
            None => self.abandon(build, output),
        }
        Ok(())
    }

    /// Tells whoever reads the build's output.
    fn announce(&self, output: &Writer, release: &Release) {
        let pending = release.status == releases::Status::Pending;
        if pending {
            output.warning(awaited(release));
        }
        output.detail(&format!("Released v{}", release.version));
        if pending {
            return;
        }
        output.detail(&format!(
            "{} deployed",
            (self.parts.links.app)(&release.app_name)
        ));
    }

    /// Ends a build that came to nothing. Its row must be ended, since it would hold up the app's next builds: should the disk
    /// refuse, it is tried until it works or the server stops.
    async fn fail(&self, build: &Build, output: Option<&Writer>, error: Error) {
        let Parts {
            store,
            logs,
            links,
            clock,
            ..
        } = &self.parts;
        tracing::info!(build = %build.id, %error, "a build failed");
        if let Some(output) = output {
            output.last(&reason(build, &error));
        }
        let (id, now) = (build.id, clock.now());
        loop {
            match store
                .write(move |connection| builds::fail(connection, id, now))
                .await
            {
                Ok(true) => {
                    return platform::build_failed(logs, build.app_id, &(links.output)(build.id));
                }
                Ok(false) => return output.map_or((), |output| self.abandon(build, output)),
                Err(error) => {
                    tracing::error!(build = %build.id, %error, "a build's end could not be written; it is tried again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Leaves a build that somebody else ended: its app was deleted, and then its output goes too, or it was cancelled.
    fn abandon(&self, build: &Build, output: &Writer) {
        let id = build.id;
        match self
            .parts
            .store
            .read(|connection| builds::by_id(connection, id))
        {
            Ok(Some(_)) => output.last(builds::CANCELLED),
            Ok(None) => {
                if let Err(error) = self.parts.outputs.remove(id) {
                    tracing::warn!(build = %id, %error, "the output of a deleted build could not be removed");
                }
            }
            Err(error) => {
                tracing::warn!(build = %id, %error, "a build was left that could not be looked at")
            }
        }
    }

    /// Resolves when the build waits for nobody any more.
    async fn unwanted(&self, id: Id) {
        let mut changes = self.parts.store.changes(&[Table::Build, Table::App]);
        loop {
            let found = self
                .parts
                .store
                .read(|connection| builds::by_id(connection, id));
            if matches!(&found, Ok(build) if build.as_ref().is_none_or(|build| build.status != Status::Pending))
            {
                return;
            }
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

/// Why a build failed, for its owner. What is our own fault has its reason in the server's log.
fn reason(build: &Build, error: &Error) -> String {
    match error.id {
        ErrorId::Internal => format!(
            "Penstock failed to build this, through no fault of the source. Try again; the server's log has the reason under build {}.",
            build.id
        ),
        _ => error.message.to_string(),
    }
}

/// What a release waits for, as Heroku says it.
fn awaited(release: &Release) -> &'static str {
    match release.has_output {
        true => {
            "Release command declared: this new release will not be available until the command succeeds."
        }
        false => {
            "The release before has not ended: this new release will not be available until it has."
        }
    }
}

/// The next build begins with what this one has left. It can do without.
async fn keep(cache: Option<Staged>) {
    let Some(cache) = cache else {
        return;
    };
    if let Err(error) = blocking(move || cache.commit()).await {
        tracing::warn!(%error, "a build's cache was not kept");
    }
}
