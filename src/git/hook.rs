//! The `pre-receive` hook: run by git when a push has arrived, before any ref moves. What it prints is shown to whoever pushes,
//! each line after `remote:`, and whether it succeeds decides the push.
//!
//! It runs in git's quarantine, where the pushed objects can be read and nobody else sees them. So it is the hook that makes the
//! source's archive, and the server that builds it.

use std::io::{self, BufRead, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::frame::{self, Begin, Kind};
use super::{HOOK, PUSH, SOCKET};

/// The branches that are built. All others are kept, and that is all.
const BUILT: [&str; 2] = ["refs/heads/main", "refs/heads/master"];
/// Refs of one push at most.
const MAX_REFS: usize = 1_000;
/// Level 1: the archive is unpacked again at once, on the same machine.
const LEVEL: Compression = Compression::new(1);

/// One line of what git tells the hook: a ref, and where it shall point.
struct Update {
    new: String,
    name: String,
}

impl Update {
    fn parse(line: &str) -> Option<Update> {
        let mut words = line.splitn(3, ' ').skip(1).map(str::to_owned);
        Some(Update {
            new: words.next()?,
            name: words.next()?,
        })
    }

    fn deletes(&self) -> bool {
        self.new.bytes().all(|digit| digit == b'0')
    }
}

/// Runs the hook, if this process is one: git knows it by its name alone, and starts it in the repository without arguments.
pub fn run_if_asked() -> Option<ExitCode> {
    let name = std::env::args_os().next().map(PathBuf::from)?;
    (name.file_name()? == HOOK).then(run)
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
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn decide() -> io::Result<bool> {
    let mut updates = Vec::new();
    for line in io::stdin().lock().lines() {
        updates.extend(Update::parse(&line?));
        if updates.len() > MAX_REFS {
            say(&format!(
                " !     Push at most {MAX_REFS} branches and tags at once.\n"
            ));
            return Ok(false);
        }
    }
    let built = updates
        .iter()
        .find(|update| BUILT.contains(&update.name.as_str()) && !update.deletes());
    let Some(update) = built else {
        say("Pushed to non-main branch, skipping build.\n");
        return Ok(true);
    };
    // What is pushed may be a tag, or no commit at all.
    let Some(commit) = commit(&update.new)? else {
        say(&format!(
            " !     {} does not point at a commit, so there is nothing to build.\n",
            update.name
        ));
        return Ok(false);
    };
    build(&commit)
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
fn git(arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.args(arguments).env_remove(PUSH);
    command
}

fn build(commit: &str) -> io::Result<bool> {
    // The repository's folder stands beside the socket; the short path fits wherever the data directory may be.
    let mut server = UnixStream::connect(format!("../{SOCKET}"))?;
    let begin = Begin {
        key: std::env::var(PUSH).unwrap_or_default(),
        commit: commit.to_owned(),
    };
    frame::send(&mut server, Kind::Push, &serde_json::to_vec(&begin)?)?;
    match frame::receive(&mut server)? {
        (Kind::Continue, _) => {}
        (_, reason) => {
            say(&String::from_utf8_lossy(&reason));
            return Ok(false);
        }
    }
    warn_of_what_is_left_out(commit)?;
    say("Compressing source files... ");
    // The server may have refused it half-way, and says why.
    let sent = send_source(commit, &mut server);
    if sent.is_ok() {
        say("done.\nBuilding source:\n\n");
    }
    loop {
        let told = frame::receive(&mut server);
        match told.map_err(|cause| sent.as_ref().err().map_or(cause, copy))? {
            (Kind::Text, text) => say(&String::from_utf8_lossy(&text)),
            (Kind::Accepted, text) => {
                say(&String::from_utf8_lossy(&text));
                return Ok(true);
            }
            (_, reason) => {
                say(&String::from_utf8_lossy(&reason));
                return Ok(false);
            }
        }
    }
}

fn copy(cause: &io::Error) -> io::Error {
    io::Error::new(cause.kind(), cause.to_string())
}

/// Submodules are other repositories, and LFS keeps its files elsewhere: neither is in what was pushed.
fn warn_of_what_is_left_out(commit: &str) -> io::Result<()> {
    let mut listing = git(&["ls-tree", "-r", "--full-tree", commit])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut submodules = 0;
    if let Some(out) = listing.stdout.take() {
        for line in io::BufReader::new(out).split(b'\n') {
            submodules += usize::from(line?.starts_with(b"160000 "));
        }
    }
    ended(&mut listing)?;
    if submodules > 0 {
        say(&format!(
            " !     Warning: {submodules} git submodules are not part of the push, and their folders are empty in the build.\n \
             !     Add their files to this repository to have them built.\n"
        ));
    }
    let attributes = git(&["cat-file", "-p", &format!("{commit}:.gitattributes")])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()?;
    if String::from_utf8_lossy(&attributes.stdout).contains("filter=lfs") {
        say(
            " !     Warning: Git LFS is not served here: the files that it tracks are built as the small pointers that git stores.\n",
        );
    }
    Ok(())
}

fn send_source(commit: &str, server: &mut UnixStream) -> io::Result<()> {
    let mut archive = git(&["archive", "--format=tar", commit])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut tar = archive.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut gzip = GzEncoder::new(Source(server), LEVEL);
    let mut buffer = vec![0; frame::MAX];
    loop {
        let length = tar.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        gzip.write_all(&buffer[..length])?;
    }
    let source = gzip.finish()?;
    // An archive that broke off must not pass for a whole one.
    ended(&mut archive)?;
    frame::send(source.0, Kind::Source, &[])
}

fn ended(child: &mut Child) -> io::Result<()> {
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
