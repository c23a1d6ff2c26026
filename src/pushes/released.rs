//! What becomes of the release that a push has made: once the ref has moved, whoever pushed sees what its release command prints, and
//! whether it succeeded, in the words of Heroku.
//!
//! The push has succeeded by then, and nothing here changes the release: should nobody look any more, it goes on. So a server that is
//! to stop ends the showing, and does not wait for the command.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::time::sleep;

use super::{pass_on, send};
use crate::Platform;
use crate::error::Result;
use crate::git::frame::Kind;
use crate::name::Id;
use crate::store::builds;
use crate::store::release_phases::{self, MAX_SECONDS};
use crate::store::releases::{self, Release, Status};

/// As long as the command may take. Those of the releases before it may have to end first, for which nobody is made to wait.
const LONGEST: Duration = Duration::from_secs(MAX_SECONDS.unsigned_abs());

/// Shows the release of a build, if it has a command.
pub(super) async fn follow(
    platform: &Arc<Platform>,
    build: Option<Id>,
    to: &mut OwnedWriteHalf,
) -> Result<()> {
    let release = match build {
        Some(build) => declared(platform, build)?,
        None => None,
    };
    let Some(release) = release else {
        return send(to, Kind::Accepted, b"").await;
    };
    send(to, Kind::Text, b"Running release command...\n\n").await?;
    let output = platform.release_shown(release);
    // The end comes between two frames.
    pass_on(output.take_until(sleep(LONGEST)), to).await?;
    let (ended, runs) = platform.store.read(move |connection| {
        let ended = releases::by_id(connection, release)?;
        let current = match &ended {
            Some(ended) => releases::current(connection, ended.app_id)?,
            None => None,
        };
        Ok((ended, current.is_some_and(|now| now.slug_id.is_some())))
    })?;
    let verdict = verdict(ended.as_ref(), runs, *platform.leaving.borrow());
    send(to, Kind::Accepted, verdict.as_bytes()).await
}

/// The release of a build, if a command is to be run for it or was.
fn declared(platform: &Platform, build: Id) -> Result<Option<Id>> {
    platform.store.read(move |connection| {
        let build = builds::by_id(connection, build)?;
        let Some(release) = build.and_then(|build| build.release_id) else {
            return Ok(None);
        };
        let command = release_phases::command(connection, release)?;
        Ok(command.map(|_| release))
    })
}

/// `runs`: the app has a release that runs. `leaving`: the server is to stop.
fn verdict(release: Option<&Release>, runs: bool, leaving: bool) -> String {
    let Some(release) = release else {
        return "\n !     The app was deleted.\n".to_owned();
    };
    let version = release.version;
    match release.status {
        Status::Succeeded => "\nWaiting for release.... done.\n".to_owned(),
        Status::Pending if leaving => format!(
            "\nWaiting for release....\n !     The server is stopping. The push has succeeded, and v{version} goes on: heroku releases:output v{version} shows the rest.\n"
        ),
        Status::Pending => format!(
            "\nWaiting for release....\n !     v{version} has not ended, and goes on without this push: see heroku releases:output v{version}.\n"
        ),
        // The CLI retries no release of an app without a formation.
        Status::Failed | Status::Expired if !runs => format!(
            "\nWaiting for release.... failed.\n !     v{version} failed, and nothing of this app runs until a release of it succeeds. The build \
             succeeded and\n !     the push is kept: push a change.\n"
        ),
        Status::Failed | Status::Expired => format!(
            "\nWaiting for release.... failed.\n !     v{version} failed, so the app goes on with what it ran before. The build succeeded and the push is kept:\n \
             !     try the command again with heroku releases:retry, or push a change.\n"
        ),
    }
}
