//! How a server stops: who is waited for, for how long, and what is cut short for whoever has no more patience.
//!
//! It must not know how a server is started, nor by which signals it is told to stop.

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_server::ServerHandle;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Server;
use crate::Platform;
use crate::data_dir::Lock;
use crate::error::Result;
use crate::listener::Clients;
use crate::router::{Router, UnderWay};
use crate::runtime::{Haste, Parting};
use crate::store::{apps, dynos};

/// How long a server that stops waits for what is under way.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For so long one that makes room for the next one goes on serving until it has ended.
    pub room: Duration,
    /// For so long when nobody is let in any more.
    pub grace: Duration,
}

impl Default for Patience {
    /// A request that has just come is answered within the time that its dyno has for it, or is told so (H12).
    fn default() -> Patience {
        Patience {
            room: Duration::from_secs(32),
            grace: Duration::from_secs(10),
        }
    }
}

/// For so long nobody asks what a server waits for.
const UNASKED: Duration = Duration::from_secs(1);
/// So many dynos are named, and the others are counted.
const NAMED: usize = 4;

impl Server {
    /// Ends what is under way, parts from the dynos, and lets go of the data directory. Where another server is to follow, it goes on
    /// as ever while requests are under way that take long: those who come meanwhile find somebody, and wait only for the short ones.
    pub async fn stop(self, parting: Parting) {
        drop(self.stop_in_haste(parting, pending()).await);
    }

    /// The same, and says what it waits for. When `haste` resolves, that is ended at once: what was acknowledged is on disk all the
    /// same, and the dynos are parted from as they would have been. The data directory stays this process's until the lock is dropped.
    pub async fn stop_in_haste(self, parting: Parting, haste: impl Future<Output = ()>) -> Lock {
        let parting = if self.tied { Parting::End } else { parting };
        let awaited = Awaited::of(&self, parting);
        let hurried = match parting {
            Parting::End => vec![self.haste.clone(), self.dynos_haste.clone()],
            Parting::Leave => vec![self.haste.clone()],
        };
        let hastening = async {
            let mut haste = pin!(haste);
            if timeout(UNASKED, &mut haste).await.is_err() {
                awaited.tell();
                haste.await;
            }
            tracing::info!("what is under way is ended now");
            hurried.iter().for_each(Haste::call_for);
            pending().await
        };
        let lock = tokio::select! {
            biased;
            lock = self.stop_in_turn(parting) => lock,
            lock = hastening => lock,
        };
        match parting {
            Parting::End => tracing::info!("stopped"),
            Parting::Leave => {
                tracing::info!("stopped; dynos that run go on, and the next start takes them up");
            }
        }
        lock
    }

    async fn stop_in_turn(mut self, parting: Parting) -> Lock {
        let (haste, grace) = (self.haste.clone(), self.patience.grace);
        self.platform.take_leave();
        match parting {
            Parting::Leave => tokio::select! {
                () = self.make_room() => {}
                () = haste.is_called_for() => {}
            },
            Parting::End => self.router.hurry(),
        }
        // The API waits for the answers under way, and a build's output ends only when nobody writes to it any more.
        self.platform.end_streams();
        self.loops.shutdown().await;
        if haste.within(grace, &mut self.builds).await.is_none() {
            tracing::error!("a build did not end; the next start removes what is left of it");
        }
        // Both at once, since nobody is let in meanwhile.
        tokio::join!(
            stop_router(self.router.clone(), grace, &haste),
            stop_api(&self.api, &mut self.api_task, grace, &haste)
        );
        // Not sooner: until then visitors come, some of them to apps that have to be woken.
        self.visiting.shutdown().await;
        let _ = self.part_from_dynos.send(parting);
        if self.dynos.await.is_err() {
            tracing::error!(
                "the dynos may not have been stopped; the next start takes up what is left"
            );
        }
        self.platform.logs.flush();
        self.lock
    }

    /// Serves on, but lets those who are here come to an end: their connections, as far as they ask for something, and their requests.
    async fn make_room(&self) {
        tokio::join!(self.router.take_leave(), self.clients.take_leave());
        let under_way = under_way(&self.router, &self.clients);
        UnderWay::settle(&under_way, self.patience.room).await;
    }
}

async fn stop_router(router: Router, grace: Duration, haste: &Haste) {
    let stopping = router.clone();
    let mut stopping = tokio::task::spawn_blocking(move || stopping.stop(grace));
    let stopped = tokio::select! {
        biased;
        stopped = &mut stopping => stopped,
        () = haste.is_called_for() => {
            router.cut();
            stopping.await
        }
    };
    if stopped.is_err() {
        tracing::error!("the router did not stop cleanly");
    }
}

/// It keeps to the same grace by itself, and does not know of haste.
async fn stop_api(
    api: &ServerHandle,
    task: &mut JoinHandle<std::io::Result<()>>,
    grace: Duration,
    haste: &Haste,
) {
    let stopping = async {
        api.stop(true).await;
        (&mut *task).await
    };
    match haste.within(2 * grace, stopping).await {
        Some(Ok(Err(error))) => tracing::error!(%error, "the API ended with an error"),
        Some(_) => {}
        None => task.abort(),
    }
}

fn under_way(router: &Router, clients: &Clients) -> Vec<Arc<UnderWay>> {
    let mut all = router.under_way().to_vec();
    all.push(clients.asked.clone());
    all
}

/// What a server that stops waits for.
struct Awaited {
    requests: Vec<Arc<UnderWay>>,
    platform: Arc<Platform>,
    parting: Parting,
}

impl Awaited {
    fn of(server: &Server, parting: Parting) -> Awaited {
        Awaited {
            requests: under_way(&server.router, &server.clients),
            platform: server.platform.clone(),
            parting,
        }
    }

    /// Says so, if there is anything.
    fn tell(&self) {
        let requests: usize = self.requests.iter().map(|some| some.requests()).sum();
        let pushes = self.platform.git.pushing();
        // A push is a request as well.
        let requests = requests.saturating_sub(pushes);
        let counted = [
            (requests, "request", "requests"),
            (pushes, "push", "pushes"),
        ];
        let mut words: Vec<String> = counted
            .into_iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, one, many)| counted_as(count, one, many))
            .collect();
        // Where they cannot be looked up, that is no reason to say nothing of the others.
        words.extend(listed(self.dynos().unwrap_or_default()));
        if !words.is_empty() {
            tracing::info!(
                "waiting for {}; press Ctrl-C again, or send a second signal, to end them now",
                words.join(", ")
            );
        }
    }

    /// The apps and names of those that are to end, too.
    fn dynos(&self) -> Result<Vec<(String, String)>> {
        if self.parting == Parting::Leave {
            return Ok(Vec::new());
        }
        self.platform.store.read(|connection| {
            let all = dynos::all(connection)?;
            let ending = all.iter().filter(|dyno| dyno.has_process());
            ending
                .map(|dyno| {
                    let app = apps::name(connection, dyno.app_id)?;
                    Ok((app.unwrap_or_default(), dyno.name()))
                })
                .collect()
        })
    }
}

fn counted_as(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// `web.1 of harbour`, each once though there may be its successor, too; a few of them.
fn listed(mut dynos: Vec<(String, String)>) -> Vec<String> {
    dynos.sort();
    dynos.dedup();
    let more = dynos.len().saturating_sub(NAMED);
    dynos.truncate(NAMED);
    let named = dynos.iter().map(|(app, dyno)| format!("{dyno} of {app}"));
    let others = (more > 0).then(|| counted_as(more, "more dyno", "more dynos"));
    named.chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_dynos_are_named_each_once_and_the_others_are_counted() {
        let dynos = |names: &[(&str, &str)]| {
            let named = names
                .iter()
                .map(|(app, dyno)| ((*app).to_owned(), (*dyno).to_owned()));
            listed(named.collect()).join(", ")
        };
        let ends = [
            ("harbour", "web.1"),
            ("buoy", "worker.1"),
            ("harbour", "web.1"),
        ];
        assert_eq!(dynos(&ends), "worker.1 of buoy, web.1 of harbour");
        let many = ["web.1", "web.2", "web.3", "web.4", "web.5"].map(|dyno| ("harbour", dyno));
        let four = "web.1 of harbour, web.2 of harbour, web.3 of harbour, web.4 of harbour";
        assert_eq!(dynos(&many[..4]), four);
        assert_eq!(dynos(&many), format!("{four}, 1 more dyno"));
    }
}
