//! A server's end of a shim: starting one, finding one again, and talking to it.
//!
//! It must not know what a dyno is run for.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;

use super::wire::Frames;
pub use super::wire::{FromShim, ToShim};
use super::{Hello, SOCKET, SUBCOMMAND, Spec};
use crate::error::{Error, Result};

/// A shim that has a dyno and does not answer within this time is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// And one that is to start a dyno, which answers when the command runs: before that the sandbox is built, and for some of that it
/// waits for all others that are built on this machine.
const STARTING: Duration = Duration::from_secs(60);
/// Read at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// A shim that a server is connected with.
pub struct Shim {
    pub hello: Hello,
    pub hearing: Hearing,
    pub speaking: Speaking,
}

/// What a shim says, in order.
pub struct Hearing {
    stream: Arc<UnixStream>,
    frames: Frames,
}

/// Says things to a shim. Cheap to clone. What is said to one that has gone is lost.
#[derive(Clone)]
pub struct Speaking {
    stream: Arc<UnixStream>,
    unsent: Arc<Mutex<Vec<u8>>>,
}

/// Starts a shim for a dyno, and with it the dyno. `program` is this binary; `folder` is the dyno's own, and is there. `kept` stays open
/// for as long as the shim runs. 422 when the dyno's command cannot be started.
pub async fn start(program: &Path, folder: &Path, spec: Spec, kept: Option<File>) -> Result<Shim> {
    let (own, other) = StdStream::pair()?;
    let listener = listen(folder)?;
    let mut command = tokio::process::Command::new(program);
    command
        .arg0("penstock")
        .arg(SUBCOMMAND)
        .arg(folder)
        .env_clear()
        .stdin(OwnedFd::from(listener))
        .stdout(OwnedFd::from(other))
        .stderr(kept.map_or_else(Stdio::null, Stdio::from));
    // Not waited for once it has been met: whichever of shim and server ends first, the other is not held up.
    let mut process = command.spawn()?;
    // With it go this process's ends of what the shim has.
    drop(command);
    own.set_nonblocking(true)?;
    let (hearing, speaking) = talk(UnixStream::from_std(own)?);
    speaking.say(&ToShim::Launch(Box::new(spec)));
    let met = meet(hearing, speaking, STARTING).await;
    if met.is_err() {
        // For a moment after its start `/proc` shows nothing by which anybody else could find it. It may have ended by itself.
        let _ = process.start_kill();
    }
    met
}

/// The shim that holds the dyno of this folder. `None` when there is none.
pub async fn find(folder: &Path) -> Result<Option<Shim>> {
    let within = Within::open(folder);
    let connected = match within {
        Ok(within) => UnixStream::connect(within.path()).await,
        Err(cause) => Err(cause),
    };
    let stream = match connected {
        Ok(stream) => stream,
        Err(cause)
            if matches!(
                cause.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(cause) => return Err(cause.into()),
    };
    let (hearing, speaking) = talk(stream);
    match meet(hearing, speaking, PATIENCE).await {
        Ok(shim) => Ok(Some(shim)),
        // It ended, or was started and never told what to run, just when it was found.
        Err(error) => find_nobody(folder, error).await,
    }
}

/// None if nobody holds the socket any more; else the error that there was.
async fn find_nobody(folder: &Path, error: Error) -> Result<Option<Shim>> {
    let within = Within::open(folder)?;
    match UnixStream::connect(within.path()).await {
        Ok(_) => Err(error),
        Err(_) => Ok(None),
    }
}

async fn meet(mut hearing: Hearing, speaking: Speaking, patience: Duration) -> Result<Shim> {
    let first = timeout(patience, hearing.next()).await;
    match first.map_err(|_| Error::internal("a dyno's shim does not answer"))?? {
        Some(FromShim::Hello(hello)) => Ok(Shim {
            hello,
            hearing,
            speaking,
        }),
        Some(FromShim::Failed(message)) => Err(Error::invalid(message)),
        _ => Err(Error::internal("a dyno's shim has ended at its start")),
    }
}

fn talk(stream: UnixStream) -> (Hearing, Speaking) {
    let stream = Arc::new(stream);
    let hearing = Hearing {
        stream: stream.clone(),
        frames: Frames::default(),
    };
    let unsent = Arc::default();
    (hearing, Speaking { stream, unsent })
}

impl Hearing {
    /// The next thing that the shim says; `None` when it has gone. May be dropped halfway: nothing is lost.
    pub async fn next(&mut self) -> Result<Option<FromShim>> {
        // Given back while there is nothing to read: a thousand silent dynos should cost nothing.
        let mut chunk = Vec::new();
        loop {
            if let Some(frame) = self.frames.next_from_shim()? {
                return Ok(Some(frame));
            }
            self.stream.readable().await?;
            chunk.resize(CHUNK, 0);
            match self.stream.try_read(&mut chunk) {
                Ok(0) => return Ok(None),
                Ok(count) => self.frames.feed(&chunk[..count]),
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => chunk = Vec::new(),
                Err(cause) if cause.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(cause) => return Err(cause.into()),
            }
        }
    }
}

impl Speaking {
    /// It is on its way when this returns, unless the shim has not taken what was said before: then it follows that.
    pub fn say(&self, frame: &ToShim) {
        let bytes = match frame.encode() {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(%error, "a dyno's shim could not be told something");
                return;
            }
        };
        let mut unsent = lock(&self.unsent);
        let waits = !unsent.is_empty();
        unsent.extend_from_slice(&bytes);
        if !waits && !self.send(&mut unsent) {
            tokio::spawn(self.clone().send_rest());
        }
    }

    /// Whether nothing is left to be sent. What is said to a shim that has gone is lost, and whoever listens to it will know.
    fn send(&self, unsent: &mut Vec<u8>) -> bool {
        while !unsent.is_empty() {
            match self.stream.try_write(unsent) {
                Ok(count) => drop(unsent.drain(..count)),
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => break,
            }
        }
        *unsent = Vec::new();
        true
    }

    async fn send_rest(self) {
        loop {
            let gone = self.stream.writable().await.is_err();
            let mut unsent = lock(&self.unsent);
            if gone || self.send(&mut unsent) {
                return;
            }
        }
    }
}

fn lock(unsent: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    unsent.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A listening socket in a dyno's folder. What an earlier one left there is replaced.
fn listen(folder: &Path) -> Result<UnixListener> {
    let within = Within::open(folder)?;
    match std::fs::remove_file(within.path()) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause.into()),
        _ => {}
    }
    Ok(UnixListener::bind(within.path())?)
}

/// The socket by way of its open folder, since the path of a socket may be no longer than 107 bytes.
struct Within(File);

impl Within {
    fn open(folder: &Path) -> io::Result<Within> {
        File::open(folder).map(Within)
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd())).join(SOCKET)
    }
}
