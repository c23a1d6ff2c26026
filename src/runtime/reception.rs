//! Where whoever wants to sit in front of a dyno waits for it: the reconciler starts the dyno, and its streams are handed over here
//! before anything else is done with it, so that none of its output is missed.
//!
//! It must not know who waits.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot::{self, Sender};

use super::Attached;
use crate::error::{Error, Result};
use crate::name::Id;

type Waiting = HashMap<Id, Sender<Result<Attached>>>;

/// Those who wait, by the dyno. Cheap to clone; clones are the same.
#[derive(Clone, Default)]
pub struct Reception(Arc<Mutex<Waiting>>);

impl Reception {
    /// To be called before the dyno may start. Resolves with its streams, or with why it was not started. `None` when somebody else
    /// waits for it already.
    pub fn wait_for(&self, dyno: Id) -> Option<Expected> {
        let (sender, receiver) = oneshot::channel();
        match self.waiting().entry(dyno) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(place) => place.insert(sender),
        };
        Some(Expected {
            reception: self.clone(),
            dyno,
            receiver,
        })
    }

    /// Hands over what was waited for. Where nobody waits any more it is dropped: what the dyno prints goes nowhere.
    pub fn present(&self, dyno: Id, outcome: Result<Attached>) {
        if let Some(sender) = self.waiting().remove(&dyno) {
            let _ = sender.send(outcome);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody's place in a [`Reception`].
pub struct Expected {
    reception: Reception,
    dyno: Id,
    receiver: oneshot::Receiver<Result<Attached>>,
}

impl Expected {
    pub async fn arrives(&mut self) -> Result<Attached> {
        let gone = |_| Error::internal("the dyno was never presented");
        (&mut self.receiver).await.map_err(gone)?
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.receiver.close();
        // What it waited for may have come, and its place be somebody else's by now.
        let mut waiting = self.reception.waiting();
        if waiting.get(&self.dyno).is_some_and(Sender::is_closed) {
            waiting.remove(&self.dyno);
        }
    }
}
