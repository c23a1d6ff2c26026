//! One commit of a stranger's repository, as a folder.
//!
//! Our own client finds out where the repository is and at which addresses, by the rules that hold for all fetching; git is then
//! told to connect there and nowhere else, and to follow no redirect. What it brings is never checked out: it becomes an archive,
//! which is unpacked by the policy for archives.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::run::Run;
use crate::archive::{self, Limits, Strip};
use crate::error::{Error, Result};
use crate::outbound::{Found, Outbound};

/// For all of it to arrive, and then to be unpacked. Heroku's for a buildpack.
const PATIENCE: Duration = Duration::from_secs(90);
/// The first git that can be told at which addresses a host is. An older one would pass over that in silence, and ask for itself.
pub const OLDEST: (u32, u32) = (2, 37);
/// Nothing is left out or altered.
const ATTRIBUTES: &str =
    "* -export-ignore -export-subst -text -eol -ident -filter -working-tree-encoding\n";
/// Names that mean something in every repository, and so in ours.
const OWN: &[&str] = &["HEAD", "@", "FETCH_HEAD"];
/// Characters that are shown of what git complains of.
const COMPLAINT: usize = 300;
/// Bytes that are kept of what it says.
const MOST_SAID: u64 = 64 * 1024;

/// Puts a commit's files into the empty folder `into`; `scratch` is an empty one too, for git. `reference` is a branch, a tag or
/// a commit, else it is what the repository's HEAD is. Says which commit it is. When `halted` comes first, nothing of it is left
/// running, and nobody writes to the folders any more.
pub async fn fetch(
    url: &str,
    reference: Option<&str>,
    outbound: &Outbound,
    (scratch, into): (&Path, &Path),
    limits: &Limits,
    halted: impl Future<Output = Error>,
) -> Result<String> {
    if let Some(reference) = reference.filter(|reference| !is_reference(reference)) {
        return Err(Error::invalid(format!(
            "{reference:?} is no branch, tag or commit. Put one of them behind the #."
        )));
    }
    // Of either name our own repository has one too, which is not meant.
    let reference = reference.filter(|reference| !OWN.contains(reference));
    let mut halted = pin!(halted);
    let fetching = async {
        check_version().await?;
        let asked = format!("{}/info/refs?service=git-upload-pack", bare(url));
        let found = outbound.find(&asked).await?;
        let remote = Remote::new(&found, scratch)?;
        remote.bring(reference).await
    };
    let commit = tokio::select! {
        commit = fetching => commit?,
        why = &mut halted => return Err(why),
        () = tokio::time::sleep(PATIENCE) => return Err(too_slow("arrive")),
    };
    let ended = async {
        tokio::select! {
            why = &mut halted => why,
            () = tokio::time::sleep(PATIENCE) => too_slow("unpack"),
        }
    };
    unpack((scratch, &commit), into, limits, ended).await?;
    Ok(commit)
}

fn too_slow(what: &str) -> Error {
    Error::invalid(format!(
        "The repository did not {what} in {} seconds.",
        PATIENCE.as_secs()
    ))
}

async fn check_version() -> Result<()> {
    let version = tokio::task::spawn_blocking(super::version::find);
    let version = version.await.map_err(Error::internal)??;
    match version.number {
        Some(number) if number < OLDEST => Err(Error::invalid(format!(
            "This server's git is {}, which cannot be told to reach public addresses only: 2.37 is the first that can. Whoever runs \
             the server has to bring a newer one. Until then give the buildpack as an archive, such as https://github.com/OWNER/NAME/archive/main.tar.gz.",
            version.text
        ))),
        _ => Ok(()),
    }
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

    async fn bring(&self, reference: Option<&str>) -> Result<String> {
        self.git(&["init", "--quiet", "--bare", "--template=", "."])
            .await?;
        let wanted = reference.unwrap_or("HEAD");
        // Servers of plain files know nothing shallow.
        if self.take("--depth=1", &[wanted]).await.is_ok() {
            return self.commit("FETCH_HEAD", wanted).await;
        }
        let complaint = match self.take("--no-tags", &[wanted]).await {
            Ok(()) => return self.commit("FETCH_HEAD", wanted).await,
            Err(complaint) => complaint,
        };
        let is_unknown = says_unknown(&complaint.message, wanted);
        let Some(reference) = reference else {
            return Err(if is_unknown { no_head() } else { complaint });
        };
        // And some give away only what has a name; then a commit is looked for in all that they have.
        let all = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
        self.take("--no-tags", &all).await?;
        let found = self.commit(reference, reference).await;
        found.map_err(|missing| match is_unknown {
            true => missing,
            // It may be there all the same.
            false => Error::invalid(format!("{} {}", missing.message, complaint.message)),
        })
    }

    async fn take(&self, how: &str, what: &[&str]) -> Result<()> {
        let arguments = ["fetch", "--quiet", how, "--", &self.url];
        self.git(&[&arguments[..], what].concat()).await.map(drop)
    }

    /// The commit that this name stands for here, where `wanted` was asked for.
    async fn commit(&self, name: &str, wanted: &str) -> Result<String> {
        let named = format!("{name}^{{commit}}");
        let said = self
            .git(&["rev-parse", "--verify", "--quiet", &named])
            .await
            .map_err(|_| Error::invalid(format!("The repository has no commit {wanted}.")))?;
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
        let mut run = Run::begin(command.args(arguments).stderr(Stdio::piped()))?;
        let (out, complaints) = (run.stdout()?, run.stderr());
        let (out, complaints, status) =
            tokio::try_join!(first_of(Some(out)), first_of(complaints), run.wait())?;
        if status.success() {
            return Ok(String::from_utf8_lossy(&out).into_owned());
        }
        let said = String::from_utf8_lossy(&complaints);
        let said: String = said.trim().chars().take(COMPLAINT).collect();
        Err(Error::invalid(format!("git could not fetch it: {said}")))
    }
}

/// Whether git complains of nothing but that the other side has no such thing, in the words of either side and of any protocol.
fn says_unknown(complaint: &str, wanted: &str) -> bool {
    let not_found = format!("Unable to find {wanted} under ");
    let words = [
        "couldn't find remote ref",
        "not our ref",
        "unadvertised object",
        &not_found,
    ];
    words.iter().any(|words| complaint.contains(words))
}

fn no_head() -> Error {
    Error::invalid(
        "The repository's HEAD leads to no commit. Put a branch, a tag or a commit behind the #.",
    )
}

/// The beginning of what git says, all of which is read: part of it is the other side's, who may never come to an end.
async fn first_of(pipe: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>> {
    let mut beginning = Vec::new();
    if let Some(mut pipe) = pipe {
        (&mut pipe)
            .take(MOST_SAID)
            .read_to_end(&mut beginning)
            .await?;
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    }
    Ok(beginning)
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

/// Unpacks a commit, or stops when `ended` comes.
async fn unpack(
    (repository, commit): (&Path, &str),
    into: &Path,
    limits: &Limits,
    ended: impl Future<Output = Error>,
) -> Result<()> {
    tokio::fs::create_dir_all(repository.join("info")).await?;
    tokio::fs::write(repository.join("info/attributes"), ATTRIBUTES).await?;
    let mut command = alone(repository);
    command
        .args(["archive", "--format=tar.gz", "-1", commit])
        .env("GIT_CONFIG_COUNT", "2")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        // Larger files go through as a stream, and not whole through memory.
        .env("GIT_CONFIG_KEY_1", "core.bigFileThreshold")
        .env("GIT_CONFIG_VALUE_1", "32m")
        .stderr(Stdio::null());
    let mut run = Run::begin(&mut command)?;
    let (archive, into, limits) = (
        File::from(run.stdout()?.into_owned_fd()?),
        into.to_owned(),
        limits.clone(),
    );
    let unpacking = move || archive::unpack(archive, &into, &limits, Strip::Nothing);
    let mut unpacking = pin!(tokio::task::spawn_blocking(unpacking));
    tokio::select! {
        unpacked = &mut unpacking => unpacked.map_err(Error::internal)??,
        why = ended => {
            // Its end is that of what it writes, and so the other thread's.
            run.end();
            let _ = unpacking.await;
            return Err(why);
        }
    };
    match run.wait().await?.success() {
        true => Ok(()),
        false => Err(Error::internal("git archive failed")),
    }
}
