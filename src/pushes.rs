//! What is pushed with git becomes a source and a build, the same rows that the API makes; whoever pushes sees the build's output
//! as it comes, and the push succeeds when the build does. Then the release command's output is shown, if there is one.
//!
//! The conversation is with our own hook, over a socket that only this server's user can open, and about a push that the API let
//! in. The build is the app's: should the hook, git or the client go away, it goes on.

mod released;

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt, unfold};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

use crate::Platform;
use crate::blob::Digest;
use crate::blob::signed::Method;
use crate::error::{Error, Result};
use crate::git::frame::{self, Begin, Kind};
use crate::git::{Push, SOCKET};
use crate::name::{Id, Identity};
use crate::store::access::Permission;
use crate::store::accounts::Account;
use crate::store::audit_trail::{self, Deed};
use crate::store::builds::{self, Build, NewBuild, Status};
use crate::store::{apps, oauth_tokens, sources};
use crate::time::Timestamp;

/// Heroku's limit for a checkout, in bytes.
const MAX_SOURCE: u64 = 1 << 30;
/// A hook that says nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// After an accept that failed, as it does when there are no descriptors left.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Listens to the hooks until it is dropped.
pub async fn run(platform: Arc<Platform>) {
    let listener = match listen(platform.git.root()) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "git push is not served");
            return;
        }
    };
    let pushing = Arc::new(Pushing::default());
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (platform, pushing) = (platform.clone(), pushing.clone());
                tokio::spawn(async move {
                    if let Err(error) = converse(&platform, &pushing, stream).await {
                        tracing::warn!(%error, "a push was not seen through");
                    }
                });
            }
            Err(cause) => {
                tracing::warn!(%cause, "a hook was not heard");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
}

/// The socket's path may be longer than a socket's address can be, so it is named by way of its folder's descriptor.
fn listen(root: &Path) -> Result<UnixListener> {
    match std::fs::remove_file(root.join(SOCKET)) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(cause.into()),
        _ => {}
    }
    let folder = std::fs::File::open(root)?;
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&folder);
    Ok(UnixListener::bind(format!(
        "/proc/self/fd/{descriptor}/{SOCKET}"
    ))?)
}

/// The apps that are being pushed to: one push at a time each.
#[derive(Default)]
struct Pushing(Mutex<HashSet<Id>>);

struct Turn<'a>(&'a Pushing, Id);

impl Pushing {
    fn turn(&self, app: Id) -> Option<Turn<'_>> {
        let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        apps.insert(app).then(|| Turn(self, app))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut apps = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        apps.remove(&self.1);
    }
}

async fn converse(platform: &Arc<Platform>, pushing: &Pushing, stream: UnixStream) -> Result<()> {
    let (mut from, mut to) = stream.into_split();
    let (kind, begin) = receive(&mut from).await?;
    let begin: Begin = serde_json::from_slice(&begin).map_err(Error::internal)?;
    let push = match platform.git.push(&begin.key) {
        Some(push) if kind == Kind::Push => push,
        Some(push) if kind == Kind::Moved => {
            // The push has succeeded all the same, and the next sweep notes it.
            if let Err(error) = platform.note_repo_size(push.app).await {
                tracing::warn!(%error, app = %push.app, "a repository's size was not noted");
            }
            return released::follow(platform, platform.git.made_of(&begin.key), &mut to).await;
        }
        _ => return refuse(&mut to, "This push is not one of this server's.").await,
    };
    let Some(commit) = begin.commit else {
        // Nothing is built; who pushes may have lost the app meanwhile all the same.
        let may = platform
            .store
            .read(|connection| may_push(connection, push, platform.clock.now()));
        return match may {
            Ok(_) => send(&mut to, Kind::Continue, b"").await,
            Err(error) => refuse(&mut to, &error.message).await,
        };
    };
    let Some(_turn) = pushing.turn(push.app) else {
        return refuse(
            &mut to,
            "Push rejected, another build is in progress. Push again when it has ended.",
        )
        .await;
    };
    send(&mut to, Kind::Continue, b"").await?;
    let build = match build(platform, push, commit, from).await {
        Ok(build) => {
            platform.git.received(&begin.key, build.id);
            build
        }
        Err(error) => return refuse(&mut to, &error.message).await,
    };
    follow(platform, &build, &mut to).await
}

/// Who pushes to which app, if he still may: a push takes its time, and a token may be revoked or an app be lost meanwhile.
fn may_push(
    connection: &rusqlite::Connection,
    push: Push,
    now: Timestamp,
) -> Result<(Account, Id)> {
    let account = oauth_tokens::opens(connection, push.token, now)?.ok_or_else(|| {
        Error::forbidden(
            "The API key that this push came with is not good any more. Push again with another.",
        )
    })?;
    let app = Identity::Id(push.app);
    let app = apps::find_id(connection, &account, &app, Permission::Deploy)?;
    Ok((account, app))
}

/// Takes the source in, and queues its build.
async fn build(
    platform: &Arc<Platform>,
    push: Push,
    commit: String,
    from: OwnedReadHalf,
) -> Result<Build> {
    let blob = platform.blobs.store(source(from), MAX_SOURCE).await?;
    let (now, platform_too) = (platform.clock.now(), platform.clone());
    let write = move |connection: &rusqlite::Connection| {
        let (account, app) = may_push(connection, push, now)?;
        crate::store::acting(&account);
        let act = || {
            let source = sources::create(connection, &account, now)?;
            let (digest, size) = (
                blob.digest.to_string(),
                i64::try_from(blob.size).unwrap_or(i64::MAX),
            );
            sources::uploaded(connection, source.id, &digest, size)?;
            let path = format!("/blobs/sources/{}", source.id);
            let new = NewBuild {
                source_url: platform_too.signed_url(Method::Get, &path, source.expires_at),
                source_digest: Some(digest),
                checksum: Some(Digest::checksum(&blob.digest)),
                version: Some(commit),
                version_description: None,
                buildpacks: None,
            };
            builds::create(connection, app, &account, &new, now)
        };
        Ok(audit_trail::noted(connection, deed(app), &account, now, act)?.0)
    };
    platform.store.write(write).await
}

/// A push, as the audit trail tells of it.
fn deed(app: Id) -> Deed {
    Deed {
        entity: "build".to_owned(),
        action: "create".to_owned(),
        app: Some(Identity::Id(app)),
        team: None,
        from: None,
        data: json!({ "operation": "git push" }),
    }
}

/// Passes the build's output on, then says how it ended.
async fn follow(platform: &Arc<Platform>, build: &Build, to: &mut OwnedWriteHalf) -> Result<()> {
    pass_on(platform.build_output(build.id, 0), to).await?;
    let id = build.id;
    let ended = platform
        .store
        .read(move |connection| builds::by_id(connection, id))?;
    match ended.map(|build| build.status) {
        Some(Status::Succeeded) => {
            send(to, Kind::Accepted, b"\nVerifying deploy... done.\n").await
        }
        Some(Status::Pending) => {
            refuse(
                to,
                "The server is stopping. The build goes on when it is back; push again if you do not see it in the app's releases.",
            )
            .await
        }
        Some(Status::Failed) => refuse(to, "Push failed").await,
        None => refuse(to, "The app was deleted.").await,
    }
}

async fn pass_on(output: impl Stream<Item = Result<Bytes>>, to: &mut OwnedWriteHalf) -> Result<()> {
    let mut output = std::pin::pin!(output);
    while let Some(chunk) = output.next().await {
        for part in chunk?.chunks(frame::MAX) {
            // Git itself tells the client that all is well while nothing is printed.
            if part != crate::output::HEARTBEAT {
                send(to, Kind::Text, part).await?;
            }
        }
    }
    Ok(())
}

async fn refuse(to: &mut OwnedWriteHalf, reason: &str) -> Result<()> {
    let text: String = reason
        .lines()
        .map(|line| format!(" !     {line}\n"))
        .collect();
    send(to, Kind::Rejected, format!("\n{text}").as_bytes()).await
}

async fn send(to: &mut OwnedWriteHalf, kind: Kind, bytes: &[u8]) -> Result<()> {
    let frame = frame::frame(kind, bytes);
    let sent = tokio::time::timeout(PATIENCE, to.write_all(&frame)).await;
    Ok(sent.map_err(|_| Error::internal("a hook heard nothing for too long"))??)
}

async fn receive(from: &mut OwnedReadHalf) -> Result<(Kind, Bytes)> {
    let receiving = async {
        let mut head = [0; 5];
        from.read_exact(&mut head).await?;
        let (kind, length) = frame::parse(head)?;
        let mut bytes = vec![0; length];
        from.read_exact(&mut bytes).await?;
        Ok::<_, std::io::Error>((kind, bytes.into()))
    };
    let received = tokio::time::timeout(PATIENCE, receiving).await;
    Ok(received.map_err(|_| Error::internal("a hook said nothing for too long"))??)
}

/// The source's bytes, up to the empty frame that ends them.
fn source(from: OwnedReadHalf) -> impl Stream<Item = Result<Bytes>> {
    unfold(Some(from), |from| async {
        let mut from = from?;
        match receive(&mut from).await {
            Ok((Kind::Source, bytes)) if bytes.is_empty() => None,
            Ok((Kind::Source, bytes)) => Some((Ok(bytes), Some(from))),
            Ok(_) => Some((Err(broken_off()), None)),
            Err(_) => Some((Err(broken_off()), None)),
        }
    })
}

fn broken_off() -> Error {
    Error::bad_request("The push broke off before all of its source was there. Push again.")
}
