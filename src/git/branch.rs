//! Reading what was pushed: where a branch points, and the source that is there.

use std::process::Stdio;

use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use tokio::io::AsyncReadExt;

use super::Git;
use super::repository::spawn_failed;
use super::run::Run;
use crate::error::{Error, Result};
use crate::name::Id;

/// Bytes that are passed on at once.
const CHUNK: usize = 64 * 1024;

/// Bytes that are read of a list of one name.
const MOST_LISTED: u64 = 1024;

/// Bytes of a branch's name.
const LONGEST_NAME: usize = 1_000;

impl Git {
    /// The commit that a branch of an app points at; `None` when nobody has pushed it.
    pub async fn branch(&self, app: Id, branch: &str) -> Result<Option<String>> {
        let repository = self.repository(app);
        // No ref has such a name, and no program such an argument.
        if branch.len() > LONGEST_NAME || branch.contains('\0') {
            return Ok(None);
        }
        if !tokio::fs::try_exists(&repository).await? {
            return Ok(None);
        }
        // It takes the ref's name as it stands, and nothing like `main~1`.
        let shown = self
            .command()
            .args(["show-ref", "--verify", "--hash", "--"])
            .arg(format!("refs/heads/{branch}"))
            .current_dir(&repository)
            .stderr(Stdio::null())
            .output()
            .await
            .map_err(spawn_failed)?;
        let commit = String::from_utf8_lossy(&shown.stdout).trim().to_owned();
        Ok((shown.status.success() && !commit.is_empty()).then_some(commit))
    }

    /// Whether there is a file or folder of this name at the root of a commit of an app's. It counts among the account's processes.
    pub async fn has(&self, account: Id, app: Id, commit: &str, name: &str) -> Result<bool> {
        let _permit = self.permit(account).await?;
        let mut command = self.command();
        command
            .args(["ls-tree", "--name-only", commit, "--", name])
            .current_dir(self.repository(app))
            .stderr(Stdio::null());
        let mut git = Run::begin(&mut command)?;
        let mut listed = Vec::new();
        let out = git.stdout()?;
        out.take(MOST_LISTED).read_to_end(&mut listed).await?;
        match git.wait().await?.success() {
            true => Ok(!listed.is_empty()),
            false => Err(too_much()),
        }
    }

    /// The source at a commit, as a tar.gz, made within the limits of memory and processor of what is fetched: a few bytes can stand
    /// for a tree without end. It counts among the account's processes, and ends with an error if git does.
    pub async fn archive(
        &self,
        account: Id,
        app: Id,
        commit: &str,
    ) -> Result<impl Stream<Item = Result<Bytes>>> {
        let permit = self.permit(account).await?;
        let mut command = self.command();
        command
            // As in a push, by their names all is at the root.
            .args(["archive", "--format=tar.gz", "-1", "--prefix=./", commit])
            .current_dir(self.repository(app))
            .stderr(Stdio::null());
        let mut git = Run::begin(&mut command)?;
        let out = git.stdout()?;
        let archiving = (git, out, permit);
        Ok(unfold(Some(archiving), |archiving| async {
            let (mut git, mut out, permit) = archiving?;
            let mut chunk = Vec::with_capacity(CHUNK);
            match out.read_buf(&mut chunk).await {
                Ok(0) => match git.wait().await {
                    Ok(status) if status.success() => None,
                    _ => Some((Err(too_much()), None)),
                },
                Ok(_) => Some((Ok(chunk.into()), Some((git, out, permit)))),
                Err(cause) => Some((Err(cause.into()), None)),
            }
        }))
    }
}

fn too_much() -> Error {
    Error::invalid("git could not pack the branch's source within its limits. Push less to it.")
}
