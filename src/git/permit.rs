//! How many may do something at the same time: all together, and of one account among them.
//!
//! It must not know what they do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::lock;
use crate::error::{Error, ErrorId, Result};
use crate::name::Id;

/// How long one waits for others to end.
const WAIT: Duration = Duration::from_secs(15);

/// Cheap to clone: all clones have the same to give.
#[derive(Clone)]
pub(super) struct Permits {
    all: Arc<Semaphore>,
    of_an_account: usize,
    /// What each account has left of its own.
    of_accounts: Arc<Mutex<HashMap<Id, Arc<Semaphore>>>>,
}

/// The right to it, until it is dropped.
pub(super) struct Permit {
    pub account: Id,
    _own: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Permits {
    /// For so many at the same time, and so many of one account.
    pub fn new((all, of_an_account): (usize, usize)) -> Permits {
        Permits {
            all: Arc::new(Semaphore::new(all)),
            of_an_account,
            of_accounts: Arc::default(),
        }
    }

    /// Waits a little for its turn. 503 when many are before it, of its own account or of others.
    pub async fn in_turn(&self, account: Id) -> Result<Permit> {
        let own = self.of_account(account);
        let waiting = async {
            Ok::<_, AcquireError>(Permit {
                account,
                _own: own.acquire_owned().await?,
                _of_all: self.all.clone().acquire_owned().await?,
            })
        };
        let permit = tokio::time::timeout(WAIT, waiting).await;
        permit.map_err(|_| busy())?.map_err(Error::internal)
    }

    /// Only if nobody has to be waited for.
    pub fn at_once(&self, account: Id) -> Option<Permit> {
        Some(Permit {
            account,
            _own: self.of_account(account).try_acquire_owned().ok()?,
            _of_all: self.all.clone().try_acquire_owned().ok()?,
        })
    }

    fn of_account(&self, account: Id) -> Arc<Semaphore> {
        let mut all = lock(&self.of_accounts);
        // Each permit has a share in its semaphore, so those that nobody else has are idle.
        all.retain(|_, own| Arc::strong_count(own) > 1);
        let new = || Arc::new(Semaphore::new(self.of_an_account));
        all.entry(account).or_insert_with(new).clone()
    }
}

fn busy() -> Error {
    Error::new(
        ErrorId::Unavailable,
        "The server is busy with other pushes and clones. Try again in a moment.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_more_than_his_own_and_all_no_more_than_there_are() {
        let permits = Permits::new((3, 2));
        let (ann, bob) = (Id::new(), Id::new());
        let first = permits.at_once(ann);
        let second = permits.at_once(ann);
        assert!(first.is_some() && second.is_some());
        assert!(permits.at_once(ann).is_none());
        let third = permits.at_once(bob);
        assert!(third.is_some());
        assert!(permits.at_once(bob).is_none());
        drop(first);
        assert!(permits.at_once(ann).is_some());
    }
}
