//! Memory over the quota: told now and then, and ended when it is far over.
//!
//! It must not know how memory is measured.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::act::Acts;
use crate::catalog;
use crate::error::Result;
use crate::log::platform;
use crate::name::Id;
use crate::store::dynos::{self, Dyno, State};
use crate::time::Timestamp;

/// Between two looks.
pub const EVERY: Duration = Duration::from_secs(5);
/// Between two lines that tell of one dyno, as on Heroku.
const TOLD_EVERY: Duration = Duration::from_secs(20);
/// So many times its quota is more than a dyno may take, as on Heroku.
const FAR_OVER: u64 = 2;

/// When which dyno was told of last.
#[derive(Default)]
pub struct Quotas {
    told: Mutex<HashMap<Id, Timestamp>>,
}

impl Quotas {
    /// Looks at all that run, and does what is to be done.
    pub async fn check(&self, acts: &Arc<Acts>) -> Result<()> {
        let rows = acts.read(dynos::all).await?;
        let running: HashMap<Id, &Dyno> = rows
            .iter()
            .filter(|dyno| matches!(dyno.state, State::Starting | State::Up))
            .map(|dyno| (dyno.id, dyno))
            .collect();
        let quotas = running
            .values()
            .filter_map(|dyno| Some((dyno.id, quota(dyno)?)));
        let over = acts.runtime.over_quota(quotas.collect()).await;
        let now = acts.clock.now();
        for (id, used) in &over {
            if let Some(dyno) = running.get(id)
                && let Some(quota) = quota(dyno)
            {
                self.tell(acts, dyno, *used, quota, now);
            }
        }
        let over: HashMap<Id, u64> = over.into_iter().collect();
        self.told().retain(|dyno, _| over.contains_key(dyno));
        Ok(())
    }

    fn tell(&self, acts: &Arc<Acts>, dyno: &Dyno, used: u64, quota: u64, now: Timestamp) {
        let (logs, app, name) = (&acts.logs, dyno.app_id, dyno.name());
        if used >= quota.saturating_mul(FAR_OVER) {
            platform::memory_vastly_exceeded(logs, app, &name, used, quota);
            acts.kill(dyno.clone(), "used far more memory than it has");
            return;
        }
        let mut told = self.told();
        if told
            .get(&dyno.id)
            .is_none_or(|last| now.since(*last) >= TOLD_EVERY)
        {
            told.insert(dyno.id, now);
            platform::memory_exceeded(logs, app, &name, used, quota);
        }
    }

    fn told(&self) -> std::sync::MutexGuard<'_, HashMap<Id, Timestamp>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory that a dyno of this size has, in bytes.
pub(super) fn quota(dyno: &Dyno) -> Option<u64> {
    let gigabytes = catalog::dyno_size(&dyno.size)?.memory;
    Some((gigabytes * f64::from(1 << 30)) as u64)
}
