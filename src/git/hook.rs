//! The `pre-receive` hook: run by git when a push has arrived, before any ref moves. What it prints is shown to whoever pushes,
//! each line after `remote:`, and whether it succeeds decides the push.
//!
//! It runs in git's quarantine, where the pushed objects can be read and nobody else sees them. So it is the hook that makes the
//! source's archive, and the server that builds it.

use std::io::{self, BufRead, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::frame::{self, Begin, Kind};
use super::left_out::LeftOut;
use super::{AFTER, HOOK, PUSH, SOCKET, moved, size};

/// The branches that are built. All others are kept, and that is all.
const BUILT: [&str; 2] = ["refs/heads/main", "refs/heads/master"];
/// Refs of one push at most.
const MAX_REFS: usize = 1_000;
/// Level 1: the archive is unpacked again at once, on the same machine.
const LEVEL: Compression = Compression::new(1);

/// Refs of one repository at most: each request of a client lists them all.
const MAX_ALL_REFS: usize = 10_000;
/// Files and folders of a commit at most, and bytes of its archive before it is compressed: no build would unpack more.
pub(super) const MAX_FILES: usize = 200_000;
const MAX_BYTES: u64 = 2 << 30;
/// Bytes of a repository at most, what is pushed included.
const MAX_REPOSITORY: u64 = 4 << 30;

/// One line of what git tells the hook: a ref, where it points, and where it shall.
pub(super) struct Update {
    old: String,
    new: String,
    name: String,
}

impl Update {
    pub(super) fn parse(line: &str) -> Option<Update> {
        let mut words = line.splitn(3, ' ').map(str::to_owned);
        Some(Update {
            old: words.next()?,
            new: words.next()?,
            name: words.next()?,
        })
    }

    fn deletes(&self) -> bool {
        is_nothing(&self.new)
    }

    fn makes(&self) -> bool {
        is_nothing(&self.old) && !self.deletes()
    }

    pub(super) fn is_built(&self) -> bool {
        BUILT.contains(&self.name.as_str()) && !self.deletes()
    }

    /// Why no repository of ours takes it; `None` if one does.
    fn refused(&self) -> Option<&'static str> {
        let kept = ["refs/heads/", "refs/tags/"];
        if !kept.iter().any(|kept| self.name.starts_with(kept)) {
            return Some("Only branches and tags are kept here.");
        }
        // Git could not make the branch beside it.
        let beneath = |built: &str| self.name.strip_prefix(built)?.strip_prefix('/');
        let beneath = BUILT.into_iter().any(|built| beneath(built).is_some());
        (beneath && !self.deletes())
            .then_some("No branch may be named after main or master with a slash.")
    }
}

/// As git writes where a ref that is not there points.
fn is_nothing(object: &str) -> bool {
    object.bytes().all(|digit| digit == b'0')
}

/// Runs a hook, if this process is one: it is known by its name alone, and is started in the repository without arguments.
pub fn run_if_asked() -> Option<ExitCode> {
    let name = std::env::args_os().next().map(PathBuf::from)?;
    match name.file_name()?.to_str()? {
        HOOK => Some(run()),
        AFTER => Some(moved::run()),
        _ => None,
    }
}

fn run() -> ExitCode {
    match decide() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(cause) => {
            say(&format!(
                " !     The push was cut off: {cause}.\n !     If its build had begun, it goes on: see the app's builds. Push again otherwise.\n"
            ));
            ExitCode::FAILURE
        }
    }
}

/// Whoever pushes may be gone; the build goes on all the same.
pub(super) fn say(text: &str) {
    pass_on(text.as_bytes());
}

pub(super) fn pass_on(text: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text).and_then(|()| out.flush());
}

fn refuse(reason: &str) -> io::Result<bool> {
    say(&format!(" !     {reason}\n"));
    Ok(false)
}

fn decide() -> io::Result<bool> {
    let mut updates = Vec::new();
    for line in io::stdin().lock().lines() {
        updates.extend(Update::parse(&line?));
        if updates.len() > MAX_REFS {
            return refuse(&format!(
                "Push at most {MAX_REFS} branches and tags at once."
            ));
        }
    }
    if let Some(reason) = updates.iter().find_map(Update::refused) {
        return refuse(reason);
    }
    let made = updates.iter().filter(|update| update.makes()).count();
    if made > 0 && refs()? + made > MAX_ALL_REFS {
        return refuse(&format!(
            "The repository would have more than {MAX_ALL_REFS} branches and tags. Delete some: git push REMOTE :NAME."
        ));
    }
    let only_deletes = updates.iter().all(Update::deletes);
    if !only_deletes && size::of(Path::new("objects"))? > MAX_REPOSITORY {
        return refuse(
            "The app's repository would be larger than 4 GiB. Push without what made it large, such as history, to a new app.",
        );
    }
    let mut built = updates.iter().filter(|update| update.is_built());
    match (built.next(), built.next()) {
        (None, _) => keep(only_deletes),
        (Some(update), None) => build_at(update),
        (Some(_), Some(_)) => {
            refuse("Push main or master, not both at once: one of them is what the app runs.")
        }
    }
}

/// Nothing of the push is built; the server is asked all the same, since who pushes may have lost the app meanwhile.
fn keep(only_deletes: bool) -> io::Result<bool> {
    let may = allowed(&mut begin(Kind::Push, None)?)?;
    if may && only_deletes {
        say("Nothing is built of what is deleted: the app goes on with what it runs.\n");
    } else if may {
        say("Pushed to non-main branch, skipping build.\n");
    }
    Ok(may)
}

fn build_at(update: &Update) -> io::Result<bool> {
    // Git would find that out after the build.
    if now_at(&update.name)? != update.old {
        return refuse("Somebody else has pushed meanwhile. Fetch what they did, and push again.");
    }
    // What is pushed may be a tag, or no commit at all.
    match commit(&update.new)? {
        Some(commit) => build(&commit),
        None => refuse(&format!(
            "{} does not point at a commit, so there is nothing to build.",
            update.name
        )),
    }
}

/// How many refs the repository has, as far as it matters.
fn refs() -> io::Result<usize> {
    let count = format!("--count={}", MAX_ALL_REFS + 1);
    let listed = git(&["for-each-ref", "--format=x", &count])
        .stdin(Stdio::null())
        .output()?;
    Ok(listed.stdout.iter().filter(|byte| **byte == b'\n').count())
}

/// Where a ref points, as git tells its hooks: zeros where there is none.
fn now_at(name: &str) -> io::Result<String> {
    let parsed = git(&["rev-parse", "--verify", "--quiet", name])
        .stdin(Stdio::null())
        .output()?;
    let at = String::from_utf8_lossy(&parsed.stdout).trim().to_owned();
    Ok(if at.is_empty() { "0".repeat(40) } else { at })
}

fn commit(object: &str) -> io::Result<Option<String>> {
    let parsed = git(&[
        "rev-parse",
        "--verify",
        "--quiet",
        &format!("{object}^{{commit}}"),
    ])
    .stdin(Stdio::null())
    .output()?;
    let commit = String::from_utf8_lossy(&parsed.stdout).trim().to_owned();
    Ok((parsed.status.success() && !commit.is_empty()).then_some(commit))
}

/// Git as the hook was started with it: what it has quarantined is found by the environment.
pub(super) fn git(arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.args(arguments).env_remove(PUSH);
    command
}

/// Tells the server of the push.
pub(super) fn begin(kind: Kind, commit: Option<&str>) -> io::Result<UnixStream> {
    // The repository's folder stands beside the socket; the short path fits wherever the data directory may be.
    let mut server = UnixStream::connect(format!("../{SOCKET}"))?;
    let begin = Begin {
        key: std::env::var(PUSH).unwrap_or_default(),
        commit: commit.map(str::to_owned),
    };
    frame::send(&mut server, kind, &serde_json::to_vec(&begin)?)?;
    Ok(server)
}

/// Whether the push may go on. The server says why not.
fn allowed(server: &mut UnixStream) -> io::Result<bool> {
    let (kind, reason) = frame::receive(server)?;
    pass_on(&reason);
    Ok(kind == Kind::Continue)
}

fn build(commit: &str) -> io::Result<bool> {
    let mut server = begin(Kind::Push, Some(commit))?;
    if !allowed(&mut server)? {
        return Ok(false);
    }
    let Some(left_out) = LeftOut::of(commit)? else {
        return refuse(&format!(
            "The commit has more than {MAX_FILES} files and folders, which is more than a build unpacks."
        ));
    };
    say(&left_out.warning());
    say("Compressing source files... ");
    // The server may have refused it half-way, and says why.
    let sent = send_source(commit, &mut server);
    if sent.is_ok() {
        say("done.\nBuilding source:\n\n");
    }
    loop {
        let told = frame::receive(&mut server);
        match told.map_err(|cause| sent.as_ref().err().map_or(cause, copy))? {
            (Kind::Text, text) => pass_on(&text),
            (kind, text) => {
                pass_on(&text);
                return Ok(kind == Kind::Accepted);
            }
        }
    }
}

fn copy(cause: &io::Error) -> io::Error {
    io::Error::new(cause.kind(), cause.to_string())
}

fn send_source(commit: &str, server: &mut UnixStream) -> io::Result<()> {
    // By their names, all is at the root: of an archive that does not say so, a sole folder might be taken for the app itself.
    let mut archive = git(&["archive", "--format=tar", "--prefix=./", commit])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut tar = archive.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut gzip = GzEncoder::new(Source(server), LEVEL);
    let mut buffer = vec![0; frame::MAX];
    let mut total = 0;
    loop {
        let length = tar.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        total += length as u64;
        if total > MAX_BYTES {
            archive.kill()?;
            archive.wait()?;
            return Err(io::Error::other("the commit has more than 2 GiB of files"));
        }
        gzip.write_all(&buffer[..length])?;
    }
    let source = gzip.finish()?;
    // An archive that broke off must not pass for a whole one.
    ended(&mut archive)?;
    frame::send(source.0, Kind::Source, &[])
}

pub(super) fn ended(child: &mut Child) -> io::Result<()> {
    match child.wait()? {
        status if status.success() => Ok(()),
        status => Err(io::Error::other(format!("git ended with {status}"))),
    }
}

/// Sends what is written as frames.
struct Source<'a>(&'a mut UnixStream);

impl Write for Source<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(frame::MAX);
        if length > 0 {
            frame::send(self.0, Kind::Source, &bytes[..length])?;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
