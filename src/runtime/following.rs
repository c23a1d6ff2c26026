//! One dyno that runs, seen through its shim: its output goes to the log or to whoever is attached, and its end is noted.
//!
//! It must not know why a dyno is ended, nor what becomes of its files.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::timeout;

use super::attach::{self, Attached, Ends};
use super::family::Family;
use super::{Ended, LastWords};
use crate::log::{Lines, Logs, Lost, Source, losses, platform};
use crate::name::Id;
use crate::output::Writer;
use crate::shim::client::{FromShim, Hearing, Shim, Speaking, ToShim};
use crate::time::Timestamp;

/// A shim goes as soon as it is released.
const GOING: Duration = Duration::from_secs(10);
/// Of what a dyno has printed, kept for whoever wants to know why it does not come up.
const LAST_BYTES: usize = 1_024;
const LAST_LINES: usize = 5;
/// The first process of a dyno is killed when its shim is.
const KILLED: i32 = 137;

/// A dyno with a process.
pub struct Running {
    /// The leader of its process group.
    pub pid: i32,
    /// The process that holds it.
    pub shim: i32,
    speaking: Speaking,
    /// Somebody stops it, and learns of its end from that.
    stopping: Mutex<bool>,
    /// Set once nothing of it is left and its output is in the log.
    ended: watch::Sender<Option<Ended>>,
    /// The shim has gone.
    gone: watch::Sender<bool>,
    attached: Mutex<Option<Attached>>,
    last: Mutex<Last>,
}

/// The last that is known of a dyno.
#[derive(Default)]
struct Last {
    /// What came of the last look at whether it is up.
    probe: Option<String>,
    /// The end of its output: at most [`LAST_BYTES`], which may begin in the middle of a line.
    output: Vec<u8>,
}

/// What a dyno's task works with.
pub struct Following {
    dyno: Id,
    app: Id,
    name: String,
    logs: Logs,
    hearing: Hearing,
    speaking: Speaking,
    output: Output,
    folder: PathBuf,
}

/// Where output goes.
enum Output {
    Log(Box<Lines>),
    Attached(Ends),
    /// All of it has come.
    Over,
}

/// Which dyno it is.
pub struct Who {
    pub dyno: Id,
    pub app: Id,
    /// `web.1`.
    pub name: String,
    pub folder: PathBuf,
    /// Its streams are not the log's.
    pub attached: bool,
    /// Gets what goes to the log, too.
    pub copy: Option<Writer>,
}

impl Running {
    /// Takes hold of a dyno by its shim.
    pub fn new(shim: Shim, who: Who, logs: &Logs) -> (Running, Following) {
        let ended = watch::Sender::new(None);
        let pair = || attach::pair(shim.speaking.clone(), ended.subscribe());
        let (attached, ends) = who.attached.then(pair).unzip();
        let output = match ends {
            Some(ends) => Output::Attached(ends),
            None => {
                let mut lines = logs.lines(who.app, Source::App, &who.name);
                who.copy.into_iter().for_each(|copy| lines.copy_to(copy));
                Output::Log(Box::new(lines))
            }
        };
        let running = Running {
            pid: shim.hello.pid,
            shim: shim.hello.shim,
            last: Mutex::default(),
            speaking: shim.speaking.clone(),
            stopping: Mutex::new(false),
            ended,
            gone: watch::Sender::new(false),
            attached: Mutex::new(attached),
        };
        let following = Following {
            dyno: who.dyno,
            app: who.app,
            name: who.name,
            logs: logs.clone(),
            hearing: shim.hearing,
            speaking: shim.speaking,
            output,
            folder: who.folder,
        };
        (running, following)
    }

    /// The one hold on its streams, if it has any and nobody has it yet.
    pub fn attach(&self) -> Option<Attached> {
        lock(&self.attached).take()
    }

    pub fn note_probe(&self, found: String) {
        lock(&self.last).probe = Some(found);
    }

    pub fn last_words(&self) -> LastWords {
        let last = lock(&self.last);
        let text = String::from_utf8_lossy(&last.output);
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(LAST_LINES);
        LastWords {
            probe: last.probe.clone(),
            output: lines[from..]
                .iter()
                .map(|line| (*line).to_owned())
                .collect(),
        }
    }

    fn note_output(&self, bytes: &[u8]) {
        let output = &mut lock(&self.last).output;
        let new = &bytes[bytes.len().saturating_sub(LAST_BYTES)..];
        let surplus = (output.len() + new.len()).saturating_sub(LAST_BYTES);
        output.drain(..surplus);
        output.extend_from_slice(new);
    }

    /// Asks for the end. False if it had ended by itself and that was reported, or is about to be.
    pub fn stop(&self, grace: Duration) -> bool {
        let mut stopping = lock(&self.stopping);
        if self.ended.borrow().is_some() && !*stopping {
            return false;
        }
        *stopping = true;
        self.speaking.say(&ToShim::Stop(grace));
        true
    }

    /// Whoever stops the dyno has less patience than was said.
    pub fn hasten(&self, grace: Duration) {
        if *lock(&self.stopping) {
            self.speaking.say(&ToShim::Stop(grace));
        }
    }

    /// Whether whoever stops the dyno learns of its end. Else it is to be reported.
    pub fn end(&self, ended: Ended) -> bool {
        let stopping = lock(&self.stopping);
        self.ended.send_replace(Some(ended));
        *stopping
    }

    /// Resolves when nothing of it is left.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.ended.subscribe();
        let ended = ended.wait_for(Option::is_some).await;
        ended.ok().and_then(|ended| *ended).unwrap_or_default()
    }

    /// Lets the shim go, and resolves when it has.
    pub async fn release(&self) {
        self.speaking.say(&ToShim::Release);
        let mut gone = self.gone.subscribe();
        if timeout(GOING, gone.wait_for(|gone| *gone)).await.is_err() {
            tracing::error!(pid = self.pid, "a dyno's shim does not go");
        }
    }

    pub fn note_gone(&self) {
        self.gone.send_replace(true);
    }
}

impl Following {
    /// Takes in what the dyno prints until nothing of it is left.
    pub async fn see_end(&mut self, running: &Running) -> Ended {
        let pid = running.pid;
        loop {
            match self.hearing.next().await {
                Ok(Some(FromShim::Output {
                    offset,
                    time,
                    bytes,
                })) => {
                    running.note_output(&bytes);
                    self.take(offset, time, bytes).await;
                }
                Ok(Some(FromShim::Dropped {
                    until,
                    lines,
                    since,
                })) => {
                    let since = Timestamp::from_micros(since);
                    losses::output_dropped(&self.logs, self.app, Lost { lines, since });
                    self.speaking.say(&ToShim::Ack(until));
                }
                Ok(Some(FromShim::Taken(bytes))) => {
                    if let Output::Attached(ends) = &self.output {
                        ends.taken.send_replace(bytes);
                    }
                }
                Ok(Some(FromShim::Exited { status, killed })) => {
                    self.finish();
                    let status = Some(status);
                    return Ended { status, killed };
                }
                Ok(Some(FromShim::Hello(_) | FromShim::Failed(_))) => {}
                Ok(None) => return self.lost(pid, "it was killed").await,
                Err(error) => return self.lost(pid, &error.to_string()).await,
            }
        }
    }

    /// Waits until the shim has gone.
    pub async fn see_gone(&mut self) {
        while let Ok(Some(_)) = self.hearing.next().await {}
    }

    async fn take(&mut self, offset: u64, time: i64, bytes: Vec<u8>) {
        let end = offset + bytes.len() as u64;
        let kept = match &mut self.output {
            Output::Log(lines) => {
                lines.feed_at(&bytes, Timestamp::from_micros(time));
                // What has no end yet stays with the shim, since a server that is killed takes it along.
                end - lines.unfinished() as u64
            }
            Output::Attached(ends) => {
                // Whoever was attached may have gone.
                let _ = ends.output.send(Bytes::from(bytes)).await;
                end
            }
            Output::Over => end,
        };
        self.speaking.say(&ToShim::Ack(kept));
    }

    fn finish(&mut self) {
        // Whoever is attached is told by the end of the stream.
        if let Output::Log(mut lines) = std::mem::replace(&mut self.output, Output::Over) {
            lines.finish();
            self.speaking.say(&ToShim::Ack(u64::MAX));
        }
    }

    /// The shim has gone before the dyno. Without it nobody learns how that ends, so it is ended.
    async fn lost(&mut self, pid: i32, why: &str) -> Ended {
        tracing::error!(dyno = %self.dyno, why, "a dyno lost its shim, and is ended");
        let reason = "The process that kept watch over the dyno is gone.";
        platform::platform_error(&self.logs, self.app, &self.name, reason);
        let mut family = Family::default();
        family.add_earlier(self.dyno, Some(pid), self.folder.clone());
        family.end(Duration::ZERO).await;
        self.finish();
        let status = Some(KILLED);
        Ended {
            status,
            killed: false,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
