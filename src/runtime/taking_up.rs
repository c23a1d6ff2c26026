//! What an earlier run of the server left running: taken up where there is a row for it, ended where there is none.
//!
//! It must not know what should run.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::timeout;

use super::family::Family;
use super::following::{Running, Who};
use super::note::Note;
use super::probe::Probe;
use super::process::Place;
use super::{Started, Taken};
use crate::error::{Error, Result};
use crate::name::Id;
use crate::sandbox::folders;
use crate::shim::client::{self, FromShim, Shim, ToShim};
use crate::store::dynos::{Dyno, State};

/// Shims that are spoken to at the same time.
const AT_ONCE: usize = 64;
/// How long the end of a dyno that ended while no server was there is waited for, until all it had printed is in its log.
const ENDS: Duration = Duration::from_secs(5);
/// For processes whose shims are gone. Nobody waits for what they still have to say.
const GRACE: Duration = Duration::from_secs(1);

impl Place {
    /// Goes on with the dynos of these rows, and ends all others. Those that it goes on with.
    pub async fn take_up(self: &Arc<Place>, known: &[Dyno]) -> Result<Vec<Taken>> {
        let rows: HashMap<Id, &Dyno> = known.iter().map(|dyno| (dyno.id, dyno)).collect();
        let folders = self.folders()?;
        let mut found = stream::iter(folders.clone())
            .map(|dyno| async move { (dyno, self.find(dyno).await) })
            .buffer_unordered(AT_ONCE);
        self.clone().guard().await;
        let (mut taken, mut ended, mut strays) = (Vec::new(), Vec::new(), Vec::new());
        while let Some((dyno, shim)) = found.next().await {
            let row = rows.get(&dyno).filter(|row| row.has_process());
            match (shim, row) {
                (Ok(Some(shim)), Some(row)) => {
                    let has_ended = shim.hello.ended;
                    let running = self.take(shim, row, &mut taken);
                    ended.extend(has_ended.then_some(running));
                }
                (Ok(Some(stray)), None) => strays.push(stray),
                (Ok(None), _) => {}
                (Err(error), _) => tracing::error!(%dyno, %error, "a dyno cannot be taken up"),
            }
        }
        // Their ends are news for the first tick, before any visitor is sent to one.
        stream::iter(ended).for_each_concurrent(None, see_end).await;
        stream::iter(strays).for_each_concurrent(None, end).await;
        let held = taken.iter().map(|taken| taken.dyno).collect();
        self.sweep(known, &folders, &held).await?;
        Ok(taken)
    }

    fn take(self: &Arc<Place>, shim: Shim, row: &Dyno, taken: &mut Vec<Taken>) -> Arc<Running> {
        let note: Note = serde_json::from_str(&shim.hello.note).unwrap_or_default();
        shim.speaking.say(&ToShim::Tie(self.shims.tied));
        let who = Who {
            dyno: row.id,
            app: row.app_id,
            name: row.name(),
            folder: self.folder(row.id),
            attached: note.attached,
            copy: self.copy(&note),
        };
        let left = Duration::from_millis(note.boot_ms.saturating_sub(shim.hello.age_ms));
        let waits = row.state == State::Starting && !shim.hello.ended;
        self.isolation.take_up(row.id, note.address);
        let probe = row.port.filter(|_| waits).map(|port| Probe {
            address: note.address,
            port,
            boot: left,
            checks: note.checks,
        });
        let running = self.clone().follow(shim, who, probe);
        let pid = Some(i64::from(running.pid));
        let started = Started {
            pid,
            port: row.port,
            address: note.address,
        };
        let dyno = row.id;
        taken.push(Taken { dyno, started });
        running
    }

    /// Puts right what others may have undone of the network of all dynos.
    pub async fn guard(self: Arc<Place>) {
        let guarding = move || self.isolation.guard();
        if let Ok(Err(cause)) = tokio::task::spawn_blocking(guarding).await {
            tracing::error!(%cause, "the network of dynos is not as safe as it should be");
        }
    }

    /// Who holds a dyno. One that says nothing is asked twice: what is not taken up is ended.
    async fn find(&self, dyno: Id) -> Result<Option<Shim>> {
        let folder = self.folder(dyno);
        match client::find(&folder).await {
            Err(_) => client::find(&folder).await,
            found => found,
        }
    }

    fn folders(&self) -> Result<Vec<Id>> {
        let mut folders = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            folders.extend(entry?.file_name().to_str().and_then(Id::parse));
        }
        Ok(folders)
    }

    /// Ends what runs without a shim, and removes the folders of which nothing is held.
    async fn sweep(
        self: &Arc<Place>,
        known: &[Dyno],
        folders: &[Id],
        held: &HashSet<Id>,
    ) -> Result<()> {
        let pids: HashMap<Id, Option<i64>> = known.iter().map(|dyno| (dyno.id, dyno.pid)).collect();
        let all: HashSet<Id> = pids.keys().chain(folders).copied().collect();
        let lost: Vec<Id> = all.difference(held).copied().collect();
        if lost.is_empty() {
            return self.sweep_rest(held).await;
        }
        let mut family = Family::default();
        for dyno in &lost {
            let pid = pids.get(dyno).copied().flatten();
            let leader = pid.and_then(|pid| i32::try_from(pid).ok());
            family.add_earlier(*dyno, leader, self.folder(*dyno));
        }
        family.end(GRACE).await;
        let folders: Vec<_> = lost.iter().map(|dyno| self.folder(*dyno)).collect();
        let removing = move || {
            for folder in folders {
                if let Err(cause) = folders::remove(&folder) {
                    tracing::warn!(path = %folder.display(), %cause, "a folder of an earlier dyno was not removed");
                }
            }
        };
        let removed = tokio::task::spawn_blocking(removing).await;
        removed.map_err(Error::internal)?;
        self.sweep_rest(held).await
    }

    /// What lost dynos left with the kernel, and trees that nobody has used for long.
    async fn sweep_rest(self: &Arc<Place>, held: &HashSet<Id>) -> Result<()> {
        let (place, held) = (self.clone(), held.clone());
        let sweeping = move || {
            place.isolation.sweep(&held);
            place.sweep_trees()
        };
        let swept = tokio::task::spawn_blocking(sweeping).await;
        swept.map_err(Error::internal)?
    }
}

async fn see_end(running: Arc<Running>) {
    if timeout(ENDS, running.ended()).await.is_err() {
        tracing::warn!(
            pid = running.pid,
            "a dyno that has ended has not said so yet"
        );
    }
}

/// Ends a dyno that no row stands for.
async fn end(mut shim: Shim) {
    shim.speaking.say(&ToShim::Stop(Duration::ZERO));
    let ending = async {
        while let Ok(Some(said)) = shim.hearing.next().await {
            match said {
                FromShim::Exited { .. } => shim.speaking.say(&ToShim::Release),
                FromShim::Dropped { until: kept, .. } => shim.speaking.say(&ToShim::Ack(kept)),
                FromShim::Output { .. } => shim.speaking.say(&ToShim::Ack(u64::MAX)),
                _ => {}
            }
        }
    };
    if timeout(ENDS, ending).await.is_err() {
        tracing::error!(pid = shim.hello.pid, "a dyno without a row does not end");
    }
}
