//! Two commits: how the one stands to the other, and what it has that the other has not.
//!
//! It must not know who asks, nor which apps belong together.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::Git;
use super::run::Run;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::time::Timestamp;

/// Commits that are told of at most, as on GitHub.
const MOST_COMMITS: usize = 250;
/// Bytes that are read of what git says: a message may be of any length.
const MOST_SAID: u64 = 1 << 20;
/// For all repositories together. Each run of git has the limits of memory and processor of what is fetched, too.
const PATIENCE: Duration = Duration::from_secs(30);
/// Name, author, date and message, which hold no NUL; another one ends each commit.
const FORMAT: &str = "--format=%H%x00%an%x00%at%x00%B";
const FIELDS: usize = 4;
/// What `git merge-base` ends with where two commits have none.
const NONE_IN_COMMON: i32 = 1;

/// The whole name of a commit. Git could take it for no option, no branch, and not for more than one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitId(String);

impl CommitId {
    /// `None` for what is no such name: hex digits, 40 by SHA-1 and 64 by SHA-256.
    pub fn parse(text: &str) -> Option<CommitId> {
        let whole = matches!(text.len(), 40 | 64);
        let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        (whole && hex).then(|| CommitId(text.to_ascii_lowercase()))
    }
}

/// How one commit, the head, stands to another, the base.
#[derive(Debug)]
pub struct Comparison {
    /// Commits that only the head has in its history.
    pub ahead: usize,
    /// And those that only the base has.
    pub behind: usize,
    /// Those of the head alone, the newest last. Of too many these are the newest.
    pub commits: Vec<Commit>,
}

#[derive(Debug)]
pub struct Commit {
    pub id: String,
    pub author: String,
    pub date: Timestamp,
    pub message: String,
}

/// What came of a run of git.
enum Said {
    Text(Vec<u8>),
    /// It has refused, with this code.
    Nothing(i32),
}

impl Said {
    fn text(self) -> Option<Vec<u8>> {
        match self {
            Said::Text(text) => Some(text),
            Said::Nothing(_) => None,
        }
    }
}

impl Git {
    /// How `head` stands to `base`, by the first of these apps' repositories that knows. `None` when none has both commits with a history
    /// in common: what was pushed without its history says nothing of how far apart they are. It counts among the account's processes.
    pub async fn compare(
        &self,
        account: Id,
        apps: &[Id],
        base: &CommitId,
        head: &CommitId,
    ) -> Result<Option<Comparison>> {
        let _permit = self.permit(account).await?;
        let comparing = async {
            for app in apps {
                let repository = self.repository(*app);
                if tokio::fs::try_exists(&repository).await?
                    && self.are_related(&repository, base, head).await?
                {
                    return self.compared(&repository, base, head).await.map(Some);
                }
            }
            Ok(None)
        };
        let compared = tokio::time::timeout(PATIENCE, comparing).await;
        compared.map_err(|_| too_much())?
    }

    async fn are_related(
        &self,
        repository: &Path,
        base: &CommitId,
        head: &CommitId,
    ) -> Result<bool> {
        for commit in [base, head] {
            let commit = format!("{}^{{commit}}", commit.0);
            let asking = ["cat-file", "-e", &commit];
            if let Said::Nothing(_) = self.said(repository, &asking).await? {
                return Ok(false);
            }
        }
        let asking = ["merge-base", &base.0, &head.0];
        match self.said(repository, &asking).await? {
            Said::Text(_) => Ok(true),
            Said::Nothing(NONE_IN_COMMON) => Ok(false),
            // It has both, and comes to no end with them.
            Said::Nothing(_) => Err(too_much()),
        }
    }

    async fn compared(
        &self,
        repository: &Path,
        base: &CommitId,
        head: &CommitId,
    ) -> Result<Comparison> {
        let either = format!("{}...{}", base.0, head.0);
        let counting = ["rev-list", "--left-right", "--count", &either];
        let counted = self.said(repository, &counting).await?;
        let (behind, ahead) = counted
            .text()
            .as_deref()
            .and_then(counts)
            .ok_or_else(too_much)?;
        let (most, range) = (
            format!("--max-count={MOST_COMMITS}"),
            format!("{}..{}", base.0, head.0),
        );
        let listing = ["log", "-z", "--date-order", &most, FORMAT, &range];
        let listed = self.said(repository, &listing).await?;
        let commits = commits(&listed.text().ok_or_else(too_much)?);
        Ok(Comparison {
            ahead,
            behind,
            commits,
        })
    }

    /// The beginning of what git says of a repository.
    async fn said(&self, repository: &Path, arguments: &[&str]) -> Result<Said> {
        let mut command = self.command();
        command
            .args(arguments)
            .current_dir(repository)
            .stderr(Stdio::null());
        let mut git = Run::begin(&mut command)?;
        let mut said = Vec::new();
        let out = git.stdout()?;
        out.take(MOST_SAID).read_to_end(&mut said).await?;
        // Nobody reads the rest, which ends whoever would say it.
        let status = git.wait().await?;
        let is_cut = said.len() as u64 == MOST_SAID;
        match status.code() {
            Some(0) => Ok(Said::Text(said)),
            _ if is_cut => Ok(Said::Text(said)),
            Some(code) => Ok(Said::Nothing(code)),
            // It has come upon a limit.
            None => Err(too_much()),
        }
    }
}

/// `2\t3\n`.
fn counts(said: &[u8]) -> Option<(usize, usize)> {
    let said = std::str::from_utf8(said).ok()?;
    let (left, right) = said.trim().split_once('\t')?;
    Some((left.parse().ok()?, right.parse().ok()?))
}

/// From what git says, the newest first. The last message may have been cut off.
fn commits(said: &[u8]) -> Vec<Commit> {
    let fields: Vec<_> = said
        .split(|byte| *byte == 0)
        .map(String::from_utf8_lossy)
        .collect();
    let commit = |fields: &[std::borrow::Cow<'_, str>]| {
        let [id, author, date, message] = fields else {
            return None;
        };
        let seconds: i64 = date.parse().unwrap_or(0).max(0);
        Some(Commit {
            id: id.to_string(),
            author: author.to_string(),
            date: Timestamp::from_micros(seconds.saturating_mul(1_000_000)),
            message: message.trim_end().to_owned(),
        })
    };
    let mut commits: Vec<_> = fields.chunks_exact(FIELDS).filter_map(commit).collect();
    commits.reverse();
    commits
}

fn too_much() -> Error {
    Error::invalid(
        "git could not compare the two commits within its limits. Clone the app's repository, and compare them there: heroku git:clone.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_name_of_a_commit_is_one() {
        let name = "60883d9e8947a57e04dc9124f25df004866a2051";
        let known = Some(CommitId(name.to_owned()));
        assert_eq!(CommitId::parse(name), known);
        assert_eq!(CommitId::parse(&name.to_uppercase()), known);
        for other in ["", "60883d9", "main", "--upload-pack=x", &"-".repeat(40)] {
            assert!(CommitId::parse(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_message_that_is_cut_off_is_shown_as_far_as_it_is_there() {
        let said = b"b\x00Bob\x001700000001\x00Two\n\nlines\n\x00a\x00Ann\x001700000000\x00On";
        let found = commits(said);
        let shown: Vec<_> = found
            .iter()
            .map(|commit| (commit.id.as_str(), commit.message.as_str()))
            .collect();
        assert_eq!(shown, [("a", "On"), ("b", "Two\n\nlines")]);
        assert_eq!(
            commits(b"b\x00Bob\x001700000001\x00Two\x00a\x00Ann\x0017").len(),
            1
        );
        assert!(commits(b"").is_empty());
    }
}
