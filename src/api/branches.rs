//! The branches of a pipeline: what was pushed with git to its apps. A review app can be made of one by its name alone.

use std::time::Duration;

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::Serialize;

use super::call::{Call, Caller};
use super::reply::Reply;
use crate::app_json;
use crate::blob::Blob;
use crate::blob::signed::Method;
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::store::access::Permission;
use crate::store::builds::NewBuild;
use crate::store::{apps, couplings, sources};

/// What the official CLI sends for a source that the server shall look for.
pub const RESOLVE: &str = "resolve";
/// Heroku's limit for a checkout, in bytes.
const MAX_SOURCE: u64 = 1 << 30;
/// For all of it to be packed.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BranchCommit")]
pub struct Commit {
    sha: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Branch")]
pub struct View {
    name: String,
    commit: Commit,
}

/// What stands for a repository where Heroku has a connection to GitHub's.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Repository")]
pub struct Repository {
    full_name: String,
    name: String,
}

/// Where a branch is.
struct Branch {
    app: Id,
    commit: String,
}

/// The pipeline's apps whose source the caller may have, from the earliest stage on.
pub(super) fn sources_of(
    connection: &Connection,
    caller: &Caller,
    pipeline: Id,
) -> Result<Vec<Id>> {
    let mut apps = couplings::apps(connection, pipeline)?;
    apps.retain(|app| {
        let app = Identity::Id(*app);
        apps::find_id(connection, &caller.account, &app, Permission::Deploy).is_ok()
    });
    Ok(apps)
}

/// The first of them to which the branch was pushed.
async fn find(call: &Call, pipeline: Id, branch: &str) -> Result<Option<Branch>> {
    let apps = call.read(|connection, caller| sources_of(connection, caller, pipeline))?;
    for app in apps {
        if let Some(commit) = call.platform.git.branch(app, branch).await? {
            return Ok(Some(Branch { app, commit }));
        }
    }
    Ok(None)
}

pub async fn repository(call: Call) -> Result<Reply<Repository>> {
    let name = call.read(|connection, caller| Ok(caller.pipeline(connection)?.name))?;
    let full_name = name.clone();
    Reply::of(&Repository { full_name, name })
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let pipeline = call.read(|connection, caller| Ok(caller.pipeline(connection)?.id))?;
    let name = call.caller.params.text("branch").to_owned();
    let found = find(&call, pipeline, &name).await?;
    let commit = Commit {
        sha: found.ok_or_else(|| Error::not_found("branch"))?.commit,
    };
    Reply::of(&View { name, commit })
}

/// The source at a commit, kept as a blob.
async fn packed(call: &Call, app: Id, commit: &str) -> Result<Blob> {
    let platform = &call.platform;
    let archive = platform.git.archive(call.caller.account.id, app, commit);
    let archive = Box::pin(archive.await?);
    let stored = tokio::time::timeout(PATIENCE, platform.blobs.store(archive, MAX_SOURCE)).await;
    stored.map_err(|_| {
        Error::invalid("The branch's source could not be packed in two minutes. Push less to it.")
    })?
}

/// 422 where a commit has nothing at its root that an app could be set up by.
async fn check(call: &Call, app: Id, commit: &str, branch: &str) -> Result<()> {
    let (git, account) = (&call.platform.git, call.caller.account.id);
    if git.has(account, app, commit, app_json::NAME).await? {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "The branch {branch:?} has no app.json, by which a review app is set up. Add one at its root, be it just {{}}, commit it, and \
         push the branch again: `git push heroku {branch}`."
    )))
}

/// The source that a branch of the pipeline points at, kept like an upload. 422 when no app of it has such a branch, or the branch
/// nothing that an app could be set up by: what is made of it would be gone again before anybody could see why.
pub async fn source(call: &Call, pipeline: Id, branch: &str) -> Result<NewBuild> {
    let Branch { app, commit } = find(call, pipeline, branch).await?.ok_or_else(|| {
        Error::invalid(format!(
            "No app of this pipeline has a branch {branch:?}. Push it to one of them with `git push heroku {branch}`, or name the \
             source with source_blob.url."
        ))
    })?;
    let platform = call.platform.clone();
    check(call, app, &commit, branch).await?;
    let blob = packed(call, app, &commit).await?;
    let digest = blob.digest.to_string();
    let (written, size) = (digest.clone(), i64::try_from(blob.size).unwrap_or(i64::MAX));
    let source = call
        .write(move |connection, caller| {
            let source = sources::create(connection, &caller.account, caller.now)?;
            sources::uploaded(connection, source.id, &written, size)?;
            Ok(source)
        })
        .await?;
    let path = format!("/blobs/sources/{}", source.id);
    Ok(NewBuild {
        source_url: platform.signed_url(Method::Get, &path, source.expires_at),
        source_digest: Some(digest),
        checksum: Some(blob.digest.checksum()),
        version: Some(commit),
        version_description: None,
        buildpacks: None,
    })
}
