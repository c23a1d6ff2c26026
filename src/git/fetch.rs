//! One commit of a stranger's repository, as a folder.
//!
//! Our own client finds out where the repository is and at which addresses, by the rules that hold for all fetching; git is then
//! told to connect there and nowhere else, and to follow no redirect. What it brings is never checked out: it becomes an archive,
//! which is unpacked by the policy for archives.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use tokio::process::Command;

use super::repository::spawn_failed;
use crate::archive::{self, Limits, Strip};
use crate::error::{Error, Result};
use crate::outbound::{Found, Outbound};

/// For all of it. Heroku's for a buildpack.
const PATIENCE: Duration = Duration::from_secs(90);
/// Bytes of memory that git may map, and of a file that it may write.
const MEMORY: u64 = 2 << 30;
const LARGEST_FILE: u64 = 1 << 30;
/// Nothing is left out or altered.
const ATTRIBUTES: &str =
    "* -export-ignore -export-subst -text -eol -ident -filter -working-tree-encoding\n";
/// Characters that are shown of what git complains of.
const COMPLAINT: usize = 300;

/// Puts a commit's files into the empty folder `into`; `scratch` is an empty one too, for git. `reference` is a branch, a tag or
/// a commit, else it is what the repository's HEAD is. Says which commit it is.
pub async fn fetch(
    url: &str,
    reference: Option<&str>,
    outbound: &Outbound,
    scratch: &Path,
    into: &Path,
    limits: &Limits,
) -> Result<String> {
    let reference = reference.unwrap_or("HEAD");
    if !is_reference(reference) {
        return Err(Error::invalid(format!(
            "{reference:?} is no branch, tag or commit. Put one of them behind the #."
        )));
    }
    let fetching = async {
        let asked = format!("{}/info/refs?service=git-upload-pack", bare(url));
        let found = outbound.find(&asked).await?;
        let remote = Remote::new(&found, scratch)?;
        remote.bring(reference).await
    };
    let commit = tokio::time::timeout(PATIENCE, fetching)
        .await
        .unwrap_or_else(|_| {
            Err(Error::invalid(format!(
                "The repository did not arrive in {} seconds.",
                PATIENCE.as_secs()
            )))
        })?;
    let (scratch, into, limits) = (scratch.to_owned(), into.to_owned(), limits.clone());
    let named = commit.clone();
    let unpacking = move || unpack(&scratch, &named, &into, &limits);
    tokio::task::spawn_blocking(unpacking)
        .await
        .map_err(Error::internal)??;
    Ok(commit)
}

fn bare(url: &str) -> &str {
    url.split(['?', '#'])
        .next()
        .unwrap_or_default()
        .trim_end_matches('/')
}

/// Nothing that git could take for an option or for more than one.
fn is_reference(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 250
        && !text.starts_with('-')
        && !text.contains("..")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_./+@".contains(&byte))
}

struct Remote {
    url: String,
    /// For git's HTTP: which addresses a host has.
    resolved: String,
    scratch: PathBuf,
}

impl Remote {
    fn new(found: &Found, scratch: &Path) -> Result<Remote> {
        let end = found.url.find("/info/refs").ok_or_else(|| {
            Error::invalid("The repository's URL leads to something else. Give the one it is at.")
        })?;
        let addresses: Vec<String> = found
            .addresses
            .iter()
            .map(|address| match address {
                std::net::IpAddr::V6(address) => format!("[{address}]"),
                std::net::IpAddr::V4(address) => address.to_string(),
            })
            .collect();
        Ok(Remote {
            url: found.url[..end].to_owned(),
            resolved: format!("{}:{}:{}", found.host, found.port, addresses.join(",")),
            scratch: scratch.to_owned(),
        })
    }

    async fn bring(&self, reference: &str) -> Result<String> {
        self.git(&["init", "--quiet", "--bare", "--template=", "."])
            .await?;
        // Servers of plain files know nothing shallow.
        for depth in [["--quiet", "--depth=1"], ["--quiet", "--no-tags"]] {
            let [one, other] = depth;
            let arguments = ["fetch", one, other, "--", &self.url, reference];
            if self.git(&arguments).await.is_ok() {
                return self.commit("FETCH_HEAD").await;
            }
        }
        // And some give away only what has a name; then a commit is looked for in all that they have.
        let all = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
        self.git(&["fetch", "--quiet", "--", &self.url, all[0], all[1]])
            .await?;
        self.commit(reference).await
    }

    async fn commit(&self, name: &str) -> Result<String> {
        let named = format!("{name}^{{commit}}");
        let said = self
            .git(&["rev-parse", "--verify", "--quiet", &named])
            .await
            .map_err(|_| Error::invalid(format!("The repository has no commit {name}.")))?;
        Ok(said.trim().to_owned())
    }

    async fn git(&self, arguments: &[&str]) -> Result<String> {
        let settings = [
            ("protocol.allow", "never"),
            ("protocol.http.allow", "always"),
            ("protocol.https.allow", "always"),
            ("http.followRedirects", "false"),
            ("http.curloptResolve", &self.resolved),
            ("http.lowSpeedLimit", "100"),
            ("http.lowSpeedTime", "30"),
            ("fetch.fsckObjects", "false"),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
            ("safe.directory", "*"),
        ];
        let mut command = alone(&self.scratch);
        command.env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (at, (key, value)) in settings.into_iter().enumerate() {
            command
                .env(format!("GIT_CONFIG_KEY_{at}"), key)
                .env(format!("GIT_CONFIG_VALUE_{at}"), value);
        }
        let child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(spawn_failed)?;
        let group = child.id().and_then(|pid| i32::try_from(pid).ok());
        let _ended = Group(group.and_then(Pid::from_raw));
        confine(group)?;
        let output = child.wait_with_output().await?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said: String = said.trim().chars().take(COMPLAINT).collect();
        Err(Error::invalid(format!("git could not fetch it: {said}")))
    }
}

/// Git, which sees none of the settings of this machine or of whoever started the server.
fn alone(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("HOME", "/nonexistent")
        .env("LANG", "C.UTF-8")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ASKPASS", "/bin/true")
        .current_dir(folder);
    command
}

/// What git has started ends with this.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Nobody may be left of it.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// What it makes of a few bytes must not take the machine's memory or disk.
fn confine(pid: Option<i32>) -> Result<()> {
    let limit = |most| Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    if let Some(pid) = pid.and_then(Pid::from_raw) {
        for (resource, most) in [(Resource::As, MEMORY), (Resource::Fsize, LARGEST_FILE)] {
            prlimit(Some(pid), resource, limit(most)).map_err(std::io::Error::from)?;
        }
    }
    Ok(())
}

fn unpack(repository: &Path, commit: &str, into: &Path, limits: &Limits) -> Result<()> {
    std::fs::create_dir_all(repository.join("info"))?;
    std::fs::write(repository.join("info/attributes"), ATTRIBUTES)?;
    let mut command = alone(repository).into_std();
    let mut child = command
        .args(["archive", "--format=tar.gz", "-1", commit])
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(spawn_failed)?;
    let unpacked = match child.stdout.take() {
        Some(archive) => archive::unpack(archive, into, limits, Strip::Nothing).map(drop),
        None => Err(Error::internal("git archive without an output")),
    };
    if unpacked.is_err() {
        child.kill()?;
    }
    let status = child.wait()?;
    unpacked?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::internal("git archive failed")),
    }
}
