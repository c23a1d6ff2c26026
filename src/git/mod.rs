//! git push and clone: a bare repository for each app, served by the machine's own `git`, which is spawned for the pack protocol.
//!
//! Stock git runs on both ends. What it receives waits in quarantine until our `pre-receive` hook (this binary under another
//! name) has handed the pushed commit to the server as a source and seen its build through: only then the ref moves. The hook
//! finds the server by a socket beside the repositories, and shows it the key of the push that it is a part of.
//!
//! It must not know HTTP, nor what a build is: the API brings requests here, and [`crate::pushes`] makes builds of what is pushed.

mod branch;
pub mod fetch;
pub mod frame;
pub mod hook;
mod left_out;
mod repository;
mod service;
pub mod version;

use std::collections::HashMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, ErrorId, Result};
use crate::name::Id;
use crate::secret;

pub use service::{Conversation, Service};

/// The name under which git runs the hook, and by which this binary knows that it is one.
pub const HOOK: &str = "pre-receive";
/// The socket on which the server listens to its hooks, beside the repositories.
pub const SOCKET: &str = "hook.sock";
/// The key of a push, in the environment of its hook.
const PUSH: &str = "PENSTOCK_PUSH";
/// Conversations with git at the same time, and of one account among them.
const AT_ONCE: usize = 32;
const OF_AN_ACCOUNT: usize = 8;
/// Of a git process: it makes way for whoever is served.
const NICENESS: i32 = 10;
/// How long one waits for others to end.
const WAIT: Duration = Duration::from_secs(15);

/// A push that is under way: to which app, and by whose token. Whether that still may is asked when the push has arrived.
#[derive(Clone, Copy, Debug)]
pub struct Push {
    pub app: Id,
    pub token: Id,
}

/// All repositories. Cheap to clone.
#[derive(Clone)]
pub struct Git {
    root: Arc<Path>,
    pushes: Arc<Mutex<HashMap<String, Underway>>>,
    processes: Arc<Semaphore>,
    /// What each account has left of its own.
    of_accounts: Arc<Mutex<HashMap<Id, Arc<Semaphore>>>>,
}

/// A push whose git has not ended, and until its source is here the right to that.
struct Underway {
    push: Push,
    permit: Option<Permit>,
}

/// The right to one conversation with git.
pub(super) struct Permit {
    _own: OwnedSemaphorePermit,
    _process: OwnedSemaphorePermit,
}

/// Removes the push from those under way when its git has ended.
pub struct Announced {
    git: Git,
    key: String,
}

impl Git {
    /// Keeps repositories in `root`, which is made if it is not there, for this user alone. The hook is this very program, so it
    /// is named anew at each start.
    pub fn open(root: PathBuf) -> Result<Git> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root.join("hooks"))?;
        let root = std::fs::canonicalize(root)?;
        repository::install_hook(&root.join("hooks"))?;
        repository::remove_unfinished(&root)?;
        Ok(Git {
            root: root.into(),
            pushes: Arc::default(),
            processes: Arc::new(Semaphore::new(AT_ONCE)),
            of_accounts: Arc::default(),
        })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The push that a hook shows the key of.
    pub fn push(&self, key: &str) -> Option<Push> {
        self.pushes().get(key).map(|underway| underway.push)
    }

    /// The push waits for its build now, of which an app has one at a time: it is in nobody's way any more.
    pub fn received(&self, key: &str) {
        let permit = self
            .pushes()
            .get_mut(key)
            .and_then(|underway| underway.permit.take());
        drop(permit);
    }

    /// Waits a little for its turn. 503 when many are before it, of its own account or of others.
    async fn permit(&self, account: Id) -> Result<Permit> {
        let own = {
            let mut all = lock(&self.of_accounts);
            // Each permit has a share in its semaphore, so those that nobody else has are idle.
            all.retain(|_, own| Arc::strong_count(own) > 1);
            let new = || Arc::new(Semaphore::new(OF_AN_ACCOUNT));
            all.entry(account).or_insert_with(new).clone()
        };
        let waiting = async {
            Ok::<_, tokio::sync::AcquireError>(Permit {
                _own: own.acquire_owned().await?,
                _process: self.processes.clone().acquire_owned().await?,
            })
        };
        let permit = tokio::time::timeout(WAIT, waiting).await;
        permit.map_err(|_| busy())?.map_err(Error::internal)
    }

    fn announce(&self, push: Push, permit: Permit) -> Result<Announced> {
        let key = hex::encode(secret::random::<16>()?);
        let underway = Underway {
            push,
            permit: Some(permit),
        };
        self.pushes().insert(key.clone(), underway);
        Ok(Announced {
            git: self.clone(),
            key,
        })
    }

    fn pushes(&self) -> MutexGuard<'_, HashMap<String, Underway>> {
        lock(&self.pushes)
    }

    fn repository(&self, app: Id) -> PathBuf {
        self.root.join(format!("{app}.git"))
    }

    /// The apps that have repositories.
    pub fn stored(&self) -> Result<Vec<Id>> {
        let mut stored = Vec::new();
        for entry in std::fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".git"));
            stored.extend(id.and_then(Id::parse));
        }
        Ok(stored)
    }

    /// Deletes an app's repository, if there is one.
    pub fn remove(&self, app: Id) -> Result<()> {
        match std::fs::remove_dir_all(self.repository(app)) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => Err(cause.into()),
            _ => Ok(()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Announced {
    fn drop(&mut self) {
        let underway = self.git.pushes().remove(&self.key);
        drop(underway);
    }
}

fn busy() -> Error {
    Error::new(
        ErrorId::Unavailable,
        "The server is busy with other pushes and clones. Try again in a moment.",
    )
}

fn no_git() -> Error {
    Error::new(
        ErrorId::Unavailable,
        "This server has no git program, so nothing can be pushed. Install git on it, or send the source as a tar.gz: \
         POST /apps/{app}/sources, then POST /apps/{app}/builds.",
    )
}
