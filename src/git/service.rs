//! The pack protocol: what a client sends goes to a git process, and what that answers goes back, as it comes.

use std::process::Stdio;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{Stream, StreamExt};
use rustix::process::{Pid, Resource, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::repository::spawn_failed;
use super::{Announced, Git, PUSH, Push, run};
use crate::error::{Error, Result};
use crate::name::Id;

/// Bytes that are passed on at once at most.
const CHUNK: usize = 64 * 1024;
/// Bytes that are kept of what a git process complains of.
const COMPLAINT: usize = 8 * 1024;
/// A push or a clone that takes longer is given up. A build takes 15 minutes at most, and may have to wait for others; a release
/// command that is shown then takes an hour.
const LONGEST: Duration = Duration::from_secs(2 * 60 * 60);
/// Bytes of memory that a git process may map, packs included.
const MEMORY: u64 = 2 << 30;

/// Which half of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// `git push`.
    ReceivePack,
    /// `git clone` and `git fetch`.
    UploadPack,
}

impl Service {
    pub fn parse(name: &str) -> Option<Service> {
        [Service::ReceivePack, Service::UploadPack]
            .into_iter()
            .find(|service| service.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Service::ReceivePack => "git-receive-pack",
            Service::UploadPack => "git-upload-pack",
        }
    }

    fn command(self) -> &'static str {
        match self {
            Service::ReceivePack => "receive-pack",
            Service::UploadPack => "upload-pack",
        }
    }
}

/// One request of a client: its part of the protocol, and which version of that it speaks.
pub struct Conversation {
    pub service: Service,
    pub app: Id,
    /// Who asks.
    pub account: Id,
    /// `version=2`, as the client's `Git-Protocol` says it.
    pub version: Option<u8>,
}

impl Git {
    /// The refs of an app's repository, as the first request of a client asks for them.
    pub async fn refs(&self, asked: &Conversation) -> Result<Bytes> {
        let _permit = self.permit(asked.account).await?;
        let repository = self.made(asked.app).await?;
        let mut command = self.command();
        protocol(&mut command, asked);
        let output = command
            .args([
                asked.service.command(),
                "--stateless-rpc",
                "--advertise-refs",
            ])
            .arg(repository)
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(spawn_failed)?;
        if !output.status.success() {
            return Err(failed(&output.stderr));
        }
        let mut body = BytesMut::new();
        if asked.version != Some(2) {
            let line = format!("# service={}\n", asked.service.name());
            body.extend_from_slice(format!("{:04x}{line}0000", line.len() + 4).as_bytes());
        }
        body.extend_from_slice(&output.stdout);
        Ok(body.freeze())
    }

    /// Lets git answer a client. What it answers comes from the stream; it goes on to its end though the client may be gone, since
    /// a push that was received is built.
    pub async fn answer(
        &self,
        asked: Conversation,
        push: Option<Push>,
        body: impl Stream<Item = Result<Bytes>> + 'static,
    ) -> Result<mpsc::Receiver<Result<Bytes>>> {
        let permit = self.permit(asked.account).await?;
        let repository = self.made(asked.app).await?;
        if asked.service == Service::ReceivePack {
            self.check_hook()?;
        }
        let (announced, permit) = match push {
            Some(push) => (Some(self.announce(push, permit)?), None),
            None => (None, Some(permit)),
        };
        let mut child = self.spawn(&asked, &repository, announced.as_ref())?;
        let (answer, receiver) = mpsc::channel(16);
        confine(&child)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (stderr, git) = (child.stderr.take(), self.clone());
        let feeding = async move {
            if let Some(stdin) = stdin {
                feed(body, stdin).await;
            }
        };
        tokio::task::spawn_local(async move {
            let passing = async {
                if let Some(stdout) = stdout {
                    pass_on(stdout, answer).await;
                }
            };
            let complaining = async {
                match stderr {
                    Some(stderr) => last_of(stderr).await,
                    None => Vec::new(),
                }
            };
            // All at once: git answers while it is still being told, and must never wait for what it says beside that.
            let talking = futures_util::future::join3(feeding, passing, complaining);
            let pushed = announced.is_some();
            match timeout(LONGEST, talking).await {
                Ok(((), (), said)) => see_out(&mut child, &said).await,
                Err(_) => end(&mut child).await,
            }
            drop(announced);
            if pushed && let Err(error) = git.point_head(&repository).await {
                tracing::warn!(%error, "a repository's HEAD was not looked after");
            }
            drop(permit);
        });
        Ok(receiver)
    }

    fn spawn(
        &self,
        asked: &Conversation,
        repository: &std::path::Path,
        announced: Option<&Announced>,
    ) -> Result<Child> {
        let mut command = self.command();
        protocol(&mut command, asked);
        if let Some(announced) = announced {
            command.env(PUSH, &announced.key);
        }
        command
            .args([asked.service.command(), "--stateless-rpc"])
            .arg(repository)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A terminal's signal to the server is not for a push.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(spawn_failed)
    }
}

/// Only fetching has a second version.
fn protocol(command: &mut tokio::process::Command, asked: &Conversation) {
    if let (Some(version), Service::UploadPack) = (asked.version, asked.service) {
        command.env("GIT_PROTOCOL", format!("version={version}"));
    }
}

/// What a client sends ends where it breaks off, and git says what is missing.
async fn feed(body: impl Stream<Item = Result<Bytes>>, mut stdin: ChildStdin) {
    let mut body = std::pin::pin!(body);
    while let Some(Ok(chunk)) = body.next().await {
        // Git may have refused before it has heard everything; the rest is read, so that the client hears of it.
        let _ = stdin.write_all(&chunk).await;
    }
}

async fn pass_on(mut stdout: ChildStdout, answer: mpsc::Sender<Result<Bytes>>) {
    loop {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        match stdout.read_buf(&mut chunk).await {
            Ok(0) => return,
            // A client that has gone hears nothing more, and git goes on.
            Ok(_) => drop(answer.send(Ok(chunk.freeze())).await),
            Err(cause) => return drop(answer.send(Err(cause.into())).await),
        }
    }
}

/// What a process said last, read to its end so that it never waits for a reader.
async fn last_of(mut stderr: ChildStderr) -> Vec<u8> {
    let mut said = Vec::new();
    let mut chunk = vec![0; COMPLAINT];
    while let Ok(length @ 1..) = stderr.read(&mut chunk).await {
        said.extend_from_slice(&chunk[..length]);
        let old = said.len().saturating_sub(COMPLAINT);
        said.drain(..old);
    }
    said
}

/// Before it is fed anything: what it makes of a few bytes must take neither the machine's memory nor its processors. What it starts,
/// its hook among it, is as it is.
fn confine(child: &Child) -> Result<()> {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    if let Some(pid) = pid.and_then(Pid::from_raw) {
        run::limit(pid, Resource::As, MEMORY)?;
        run::give_way(pid);
    }
    Ok(())
}

/// Ends a git that takes too long, with all that it has started.
async fn end(child: &mut Child) {
    tracing::warn!("a git process took too long and was ended");
    let group = child.id().and_then(|pid| i32::try_from(pid).ok());
    if let Some(group) = group.and_then(Pid::from_raw) {
        // It may have ended just now.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait().await;
}

async fn see_out(child: &mut Child, said: &[u8]) {
    match child.wait().await {
        Ok(status) if !status.success() => {
            tracing::info!(%status, said = %String::from_utf8_lossy(said).trim(), "git refused");
        }
        Ok(_) => {}
        Err(cause) => tracing::warn!(%cause, "a git process was lost sight of"),
    }
}

fn failed(said: &[u8]) -> Error {
    Error::internal(format!("git: {}", String::from_utf8_lossy(said).trim()))
}
