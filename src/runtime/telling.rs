//! What is said of dynos in the logs of their apps.
//!
//! It must not know what is done about any of it.

use super::LastWords;
use super::act::Acts;
use super::plan::{WEB, Why};
use crate::log::platform::{self, HeldBack};
use crate::store::dynos::{self, Dyno, State};

impl Acts {
    /// Says that a one-off dyno has ended, however it did.
    pub fn tell_complete(&self, dyno: &Dyno) {
        let from = match dyno.state {
            State::Starting => State::Starting,
            _ => State::Up,
        };
        platform::state_changed(
            &self.logs,
            dyno.app_id,
            &dyno.name(),
            from.as_str(),
            "complete",
        );
    }

    /// Says why a one-off dyno is not launched, where that needs saying.
    pub fn tell_removed(&self, dyno: &Dyno) {
        let unattended = dyno.attach.is_some_and(|attach| attach.by.is_some());
        if unattended && !dyno.restart && dyno.state == State::Starting {
            platform::attach_error(&self.logs, dyno.app_id, &dyno.name());
        }
    }

    /// Says why a dyno goes, to whoever reads the app's log.
    pub fn tell_retired(&self, dyno: &Dyno, why: Why) {
        match why {
            Why::Restart => self.tell_restart(dyno, dyno.state),
            Why::Surplus => self.tell_change(dyno, dyno.state, State::Down),
            // Its successor has said so when it was started.
            Why::Superseded => {}
            // It says so when it has ended.
            Why::Stopped => {}
            Why::Expired => platform::expired(&self.logs, dyno.app_id, &dyno.name()),
        }
    }

    pub fn tell_restart(&self, dyno: &Dyno, state: State) {
        platform::restarting(&self.logs, dyno.app_id, &dyno.name());
        if state != State::Starting {
            self.tell_change(dyno, state, State::Starting);
        }
    }

    pub fn tell_change(&self, dyno: &Dyno, from: State, to: State) {
        let (from, to) = (from.as_str(), to.as_str());
        platform::state_changed(&self.logs, dyno.app_id, &dyno.name(), from, to);
    }

    /// Says that a release does not come up, when the one before goes on serving: once, with the first dyno that fails.
    pub fn tell_held_back(&self, before: &Dyno, how: &str, words: LastWords) {
        if before.state != State::Starting || before.r#type != WEB || before.crashes > 0 {
            return;
        }
        let serving = self
            .store
            .read(|connection| dynos::serving_instead(connection, before));
        let Ok(Some(serving)) = serving else {
            return;
        };
        let name = before.name();
        let why = match words.probe {
            Some(probe) => format!("{name} {how}. Last probe: {probe}"),
            None => format!("{name} {how}"),
        };
        let held = HeldBack {
            version: before.release_version,
            serving,
            why: &why,
            output: &words.output,
        };
        platform::held_back(&self.logs, before.app_id, &name, &held);
    }

    pub fn tell_exited(&self, dyno: &Dyno, status: Option<i32>) {
        if let Some(status) = status {
            platform::exited(&self.logs, dyno.app_id, &dyno.name(), status);
        }
    }
}
