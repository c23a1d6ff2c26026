//! What is said of dynos in the logs of their apps.
//!
//! It must not know what is done about any of it.

use std::fmt::Write;
use std::sync::Arc;

use super::LastWords;
use super::act::Acts;
use super::plan::{WEB, Why};
use crate::log::platform::{self, HeldBack};
use crate::store::dynos::{Dyno, State};
use crate::store::{config_vars, held_back, releases};

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

    /// Says what becomes of a dyno of which nothing runs, where that needs saying: why a one-off is not launched, and that a place
    /// is no more.
    pub fn tell_removed(&self, dyno: &Dyno, why: Why) {
        // The end of one that went with the machine or the server is no news.
        if why == Why::Surplus && !dyno.is_lost() {
            self.tell_change(dyno, dyno.state, State::Down);
        }
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

    /// Says that a release does not come up, once, with the first dyno that fails: in its output, and in the app's log when the
    /// release before it goes on serving.
    pub fn tell_held_back(self: &Arc<Acts>, before: &Dyno, how: &str, words: LastWords) {
        let has_come_up = before.state != State::Starting || before.served;
        if has_come_up || before.one_off || before.r#type != WEB || before.crashes > 0 {
            return;
        }
        let serving = self
            .store
            .read(|connection| held_back::serving_instead(connection, before));
        let serving = serving.unwrap_or_default();
        let name = before.name();
        let why = match &words.probe {
            Some(probe) => format!("{name} {how}. Last probe: {probe}"),
            None => format!("{name} {how}"),
        };
        self.print(before, told(before, serving, &why, &words));
        let Some(serving) = serving else {
            return;
        };
        let held = HeldBack {
            version: before.release_version,
            serving,
            why: &why,
            output: &words.output,
        };
        platform::held_back(&self.logs, before.app_id, &name, &held);
    }

    /// Puts text into a release's output, if that was not done before.
    fn print(self: &Arc<Acts>, dyno: &Dyno, text: String) {
        let (acts, release, app) = (self.clone(), dyno.release_id, dyno.app_id);
        self.spawn(async move {
            let first = acts.record(move |connection| releases::note_told(connection, release));
            if !first.await {
                return;
            }
            let vars = acts
                .store
                .read(|connection| config_vars::get(connection, app));
            let output = vars.and_then(|vars| {
                let output = acts.outputs.writer(release)?;
                output.hide(&vars);
                Ok(output)
            });
            match output {
                Ok(output) => output.write(text.as_bytes()),
                Err(error) => tracing::error!(%error, "a release's output cannot be written"),
            }
        });
    }

    pub fn tell_exited(&self, dyno: &Dyno, status: Option<i32>) {
        if let Some(status) = status {
            platform::exited(&self.logs, dyno.app_id, &dyno.name(), status);
        }
    }
}

/// Why a release does not come up, in the manner of a build's output.
fn told(dyno: &Dyno, serving: Option<i64>, why: &str, words: &LastWords) -> String {
    let version = dyno.release_version;
    let mut text = format!(" !     Release v{version} does not come up: {why}\n");
    if !words.output.is_empty() {
        let _ = writeln!(text, " !     The last that {} has printed:", dyno.name());
    }
    for line in &words.output {
        let _ = writeln!(text, "       {line}");
    }
    let then = match serving {
        Some(serving) => format!("v{serving} goes on serving, and v{version} is tried again."),
        None => "It is tried again.".to_owned(),
    };
    let _ = writeln!(text, " !     {then}");
    text
}
