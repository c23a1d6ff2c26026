//! What dynos use, told in the logs of the apps that ask for it, as Heroku's `log-runtime-metrics` does.
//!
//! It must not know how anything is measured.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::act::Acts;
use super::quota;
use crate::catalog::RUNTIME_METRICS;
use crate::error::Result;
use crate::log::platform::{self, Load};
use crate::name::Id;
use crate::store::dynos::{self, Dyno, State};
use crate::store::features;
use crate::time::Timestamp;

/// Between two samples of a dyno that are told, as on Heroku.
const TOLD_EVERY: Duration = Duration::from_secs(20);
/// What the averages of the load go back to, in seconds.
const MINUTES: [f64; 3] = [60.0, 300.0, 900.0];

/// Dynos that are sampled.
#[derive(Default)]
pub struct Samples {
    known: Mutex<HashMap<Id, Known>>,
}

struct Known {
    load: [f64; 3],
    seen: Timestamp,
    told: Option<Timestamp>,
}

impl Samples {
    /// Looks at the dynos of the apps that ask for it, and tells what is due. To be called every few seconds.
    pub async fn take(&self, acts: &Arc<Acts>) -> Result<()> {
        let asked = acts
            .read(|connection| features::apps_with(connection, RUNTIME_METRICS.name))
            .await?;
        if asked.is_empty() {
            self.known().clear();
            return Ok(());
        }
        let rows = acts.read(dynos::all).await?;
        let running: HashMap<Id, &Dyno> = rows
            .iter()
            .filter(|dyno| matches!(dyno.state, State::Starting | State::Up))
            .filter(|dyno| asked.contains(&dyno.app_id))
            .map(|dyno| (dyno.id, dyno))
            .collect();
        let used = acts.runtime.usage(running.keys().copied().collect()).await;
        let now = acts.clock.now();
        let mut known = self.known();
        let there: HashSet<Id> = used.iter().map(|(dyno, _)| *dyno).collect();
        known.retain(|dyno, _| there.contains(dyno));
        for (id, usage) in used {
            let Some(dyno) = running.get(&id) else {
                continue;
            };
            let sample = known.entry(id).or_insert(Known {
                load: [0.0; 3],
                seen: now,
                told: None,
            });
            sample.add(usage.runnable as f64, now);
            if sample.is_due(now) {
                let quota = quota::quota(dyno).unwrap_or_default();
                let load = Load(sample.load);
                platform::runtime_metrics(&acts.logs, dyno, load, usage, quota);
            }
        }
        Ok(())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Id, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// An average in which what was seen long ago fades away, as the kernel's own.
    fn add(&mut self, runnable: f64, now: Timestamp) {
        let passed = now.since(self.seen).as_secs_f64();
        self.seen = now;
        for (load, span) in self.load.iter_mut().zip(MINUTES) {
            let kept = (-passed / span).exp();
            *load = *load * kept + runnable * (1.0 - kept);
        }
    }

    fn is_due(&mut self, now: Timestamp) -> bool {
        let due = self.told.is_none_or(|told| now.since(told) >= TOLD_EVERY);
        if due {
            self.told = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_nears_what_runs_the_faster_the_shorter_its_span_is() {
        let begin = Timestamp::from_micros(0);
        let mut sample = Known {
            load: [0.0; 3],
            seen: begin,
            told: None,
        };
        for tick in 1..=12 {
            sample.add(2.0, begin.plus(Duration::from_secs(5 * tick)));
        }
        let [one, five, fifteen] = sample.load;
        assert!((one - 2.0 * (1.0 - (-1.0_f64).exp())).abs() < 1e-9);
        assert!(one > five && five > fifteen && fifteen > 0.0);
    }
}
