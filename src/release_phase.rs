//! The phase of a release before it counts: its slug's release command runs, and a loop ends the release by what became of that.
//!
//! What is next for a release follows from its row alone ([`next`]). It must not know how a dyno is run: it asks for one, and reads
//! how that ended. A command that was cut off because the server was stopped is begun again by the next server, a few times.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::Platform;
use crate::error::Result;
use crate::log::platform as lines;
use crate::store::Table;
use crate::store::formation;
use crate::store::release_phases::{self, Begun, Ending, MAX_ATTEMPTS, MAX_SECONDS, Settled, Turn};
use crate::store::releases::Release;

/// The longest between two ticks.
const EVERY: Duration = Duration::from_secs(10);

/// What is to be done for the release whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Run its command, if it has one.
    Begin,
    /// Run its command again: nobody knows how far it came.
    Again,
    /// The command runs.
    Wait,
    Succeed,
    /// With a sentence for a person.
    Fail(String),
}

/// A pure function of the row.
pub fn next(turn: &Turn) -> Step {
    let version = turn.version;
    let ending = match (turn.begun, turn.ended) {
        (false, _) => return Step::Begin,
        (true, None) => return Step::Wait,
        (true, Some(ending)) => ending,
    };
    match (ending, turn.exit_code) {
        (Ending::Exited, Some(0)) => Step::Succeed,
        (Ending::Exited, status) => Step::Fail(format!(
            "The release command of v{version} ended with exit status {}.",
            status.unwrap_or(-1)
        )),
        (Ending::Stopped, _) => {
            Step::Fail(format!("The release command of v{version} was stopped."))
        }
        (Ending::Expired, _) => Step::Fail(format!(
            "The release command of v{version} took longer than {} minutes, and was ended.",
            MAX_SECONDS / 60
        )),
        (Ending::Lost, _) if turn.attempts < MAX_ATTEMPTS => Step::Again,
        (Ending::Lost, _) => Step::Fail(format!(
            "The release command of v{version} could not be started, or was cut off when the server stopped, {MAX_ATTEMPTS} times. \
             The app's log says more."
        )),
    }
}

/// What a person is left with when a release has failed.
fn after_failure(settled: &Settled) -> String {
    match settled.runs {
        Some(version) => format!("v{version} stays the current release."),
        None => "Nothing of this app runs until a release of it succeeds.".to_owned(),
    }
}

/// The loop.
pub struct ReleasePhases {
    platform: Arc<Platform>,
}

impl ReleasePhases {
    pub fn new(platform: Arc<Platform>) -> ReleasePhases {
        ReleasePhases { platform }
    }

    /// Takes every release whose turn it is a step further, and returns how many those were. One that cannot go on holds up no
    /// other app's; it is tried again with the next tick.
    pub async fn tick(&self) -> Result<usize> {
        let mut done = 0;
        for turn in self.platform.store.read(release_phases::turns)? {
            let release = turn.release;
            match self.step(turn).await {
                Ok(stepped) => done += usize::from(stepped),
                Err(error) => {
                    tracing::error!(%error, %release, "a release is pending and could not go on; it is tried again in a while");
                }
            }
        }
        Ok(done)
    }

    async fn step(&self, turn: Turn) -> Result<bool> {
        match next(&turn) {
            Step::Wait => Ok(false),
            Step::Begin => self.begin(turn, false).await,
            Step::Again => self.begin(turn, true).await,
            Step::Succeed => self.conclude(turn, None).await,
            Step::Fail(reason) => self.conclude(turn, Some(reason)).await,
        }
    }

    async fn begin(&self, turn: Turn, again: bool) -> Result<bool> {
        let (id, now) = (turn.release, self.platform.clock.now());
        let begun = self
            .platform
            .store
            .write(move |connection| release_phases::begin(connection, &turn, now));
        match begun.await? {
            None => return Ok(false),
            Some(Begun::Runs(release)) if again => {
                let output = self.platform.outputs.writer(id)?;
                output.warning(&format!(
                    "The release command of v{} was cut off, and now begins again.",
                    release.version
                ));
            }
            Some(Begun::Runs(release)) => self.tell_begun(&release),
            Some(Begun::Settled(settled)) => self.tell_settled(&settled, None),
        }
        Ok(true)
    }

    async fn conclude(&self, turn: Turn, fault: Option<String>) -> Result<bool> {
        // Held until the last line is written, so that no reader goes before it.
        let output = self.platform.outputs.writer(turn.release)?;
        let (reason, now) = (fault.clone(), self.platform.clock.now());
        let settled = self.platform.store.write(move |connection| {
            release_phases::conclude(connection, &turn, reason.as_deref(), now)
        });
        let Some(settled) = settled.await? else {
            return Ok(false);
        };
        if let Some(fault) = &fault {
            output.last(&format!("{fault} {}", after_failure(&settled)));
        }
        self.tell_settled(&settled, fault.as_deref());
        Ok(true)
    }

    fn tell_begun(&self, release: &Release) {
        let (logs, user) = (&self.platform.logs, &release.account_email);
        lines::release_command(logs, release.app_id, release.version, user);
    }

    fn tell_settled(&self, settled: &Settled, fault: Option<&str>) {
        let (logs, release) = (&self.platform.logs, &settled.release);
        if let Some(fault) = fault {
            let url = self.platform.release_output_url(release.id);
            let then = after_failure(settled);
            lines::release_failed(logs, release.app_id, fault, &url, &then);
        }
        if !settled.formation.is_empty() {
            let text = formation::text(&settled.formation);
            lines::scaled(logs, release.app_id, &text, &release.account_email);
        }
    }

    /// Ticks after each change, and now and then for the sake of a tick that failed, until the store is no more.
    pub async fn run(&self) {
        let mut changes = self.platform.store.changes(&[Table::ReleasePhase]);
        loop {
            changes.mark_unchanged();
            if let Err(error) = self.tick().await {
                tracing::error!(%error, "releases are pending and could not go on; they are tried again in a while");
            }
            if let Ok(Err(_)) = timeout(EVERY, changes.changed()).await {
                return;
            }
        }
    }
}
