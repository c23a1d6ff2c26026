//! git push and clone: a bare repository for each app, served by the machine's own `git`, which is spawned for the pack protocol.
//!
//! Stock git runs on both ends. What it receives waits in quarantine until our `pre-receive` hook (this binary under another
//! name) has handed the pushed commit to the server as a source and seen its build through: only then the ref moves. Then the
//! `post-receive` hook shows what becomes of it. The hooks find the server by a socket beside the repositories, and show it the key
//! of the push that they are a part of.
//!
//! It must not know HTTP, nor what a build is: the API brings requests here, and [`crate::pushes`] makes builds of what is pushed.

mod branch;
mod compare;
pub mod fetch;
pub mod frame;
pub mod hook;
mod left_out;
mod moved;
mod permit;
mod repository;
mod run;
mod service;
mod size;
pub mod version;

use std::collections::HashMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, ErrorId, Result};
use crate::name::Id;
use crate::secret;

use self::permit::{Permit, Permits};

pub use compare::{CommitId, Comparison};
pub use service::{Conversation, Service};

/// The name under which git runs the hook, and by which this binary knows that it is one.
pub const HOOK: &str = "pre-receive";
/// The name of the hook that comes after it, when the refs have moved.
const AFTER: &str = "post-receive";
/// The socket on which the server listens to its hooks, beside the repositories.
pub const SOCKET: &str = "hook.sock";
/// The key of a push, in the environment of its hook.
const PUSH: &str = "PENSTOCK_PUSH";
/// Conversations with git at the same time, and of one account among them.
const TALKING: (usize, usize) = (32, 8);
/// Pushes that wait for their builds and releases, likewise: each is two processes that do nothing.
const WAITING: (usize, usize) = (256, 32);
/// Of a git process: it makes way for whoever is served.
const NICENESS: i32 = 10;

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
    talking: Permits,
    waiting: Permits,
}

/// A push whose git has not ended, and the right to that.
struct Underway {
    push: Push,
    permit: Permit,
    /// By what the server knows that which it makes of the push.
    made: Option<Id>,
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
        repository::install_hooks(&root.join("hooks"))?;
        repository::remove_unfinished(&root)?;
        Ok(Git {
            root: root.into(),
            pushes: Arc::default(),
            talking: Permits::new(TALKING),
            waiting: Permits::new(WAITING),
        })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// How many pushes are under way.
    pub fn pushing(&self) -> usize {
        self.pushes().len()
    }

    /// The push that a hook shows the key of.
    pub fn push(&self, key: &str) -> Option<Push> {
        self.pushes().get(key).map(|underway| underway.push)
    }

    /// The push waits now for what is `made` of it: it is in nobody's way any more, unless too many wait already.
    pub fn received(&self, key: &str, made: Id) {
        let mut pushes = self.pushes();
        let Some(underway) = pushes.get_mut(key) else {
            return;
        };
        underway.made = Some(made);
        if let Some(waiting) = self.waiting.at_once(underway.permit.account) {
            underway.permit = waiting;
        }
    }

    /// What is made of a push; `None` as long as it was not received, and where nothing is made of it.
    pub fn made_of(&self, key: &str) -> Option<Id> {
        self.pushes().get(key)?.made
    }

    /// The right to a conversation with git. 503 as [`Permits::in_turn`].
    async fn permit(&self, account: Id) -> Result<Permit> {
        self.talking.in_turn(account).await
    }

    fn announce(&self, push: Push, permit: Permit) -> Result<Announced> {
        let key = hex::encode(secret::random::<16>()?);
        let underway = Underway {
            push,
            permit,
            made: None,
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

fn no_git() -> Error {
    Error::new(
        ErrorId::Unavailable,
        "This server has no git program, so nothing can be pushed. Install git on it, or send the source as a tar.gz: \
         POST /apps/{app}/sources, then POST /apps/{app}/builds.",
    )
}
