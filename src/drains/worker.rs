//! One drain: reads the app's log, sends what it reads, and goes back to where it was when that came to nothing.
//!
//! It must not know how lines are sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until};

use super::carrier::{Carrier, Fault, Outcome};
use super::unsure::{Unsure, Verdict};
use super::{Common, Target};
use crate::log::{Batch, Cursor, Line, Lost, Mark, Session, losses};
use crate::outbound::Failure;
use crate::time::Timestamp;

pub struct Worker {
    common: Arc<Common>,
    target: Target,
    carrier: Carrier,
    session: Session,
    /// What its owner may have on the way.
    share: Arc<Semaphore>,
    /// What was written and may still be lost.
    unsure: Unsure<Sent>,
    /// Attempts that failed in a row.
    failures: u32,
    /// Lines that were lost and that the app's log has not told of. It is kept with the place that was reached without them.
    lost: Option<Lost>,
    /// Lines that were refused, of which the drain is told with the next ones. It is kept there, too.
    owed: Option<Lost>,
    /// That place.
    done: Option<Timestamp>,
    told: Told,
    /// When the oldest line that waits was said, for others to see.
    since: Arc<AtomicI64>,
}

/// Lines that were taken.
struct Sent {
    from: Mark,
    /// When the first was said, and the last.
    said: Timestamp,
    last: Timestamp,
    lines: u64,
    /// Lines that were missing before these.
    lost: u64,
}

/// When the app's log was last told of something, so that it is not told too often.
#[derive(Default)]
struct Told {
    loss: Option<Instant>,
    failure: Option<Instant>,
}

impl Worker {
    pub fn new(common: Arc<Common>, target: Target, since: Arc<AtomicI64>) -> Worker {
        let (outbound, way) = (common.outbound.clone(), target.way.clone());
        let (logs, limits) = (&common.logs, common.limits);
        let cursor = logs.cursor(target.app, target.id);
        Worker {
            carrier: Carrier::new(outbound, limits, way),
            share: common.share(target.owner),
            session: logs.drain(target.app, target.id, target.created_at),
            lost: cursor.and_then(|cursor| cursor.lost),
            common,
            target,
            unsure: Unsure::new(limits.settle, limits.attempt),
            failures: 0,
            owed: cursor.and_then(|cursor| cursor.owed),
            done: cursor.map(|cursor| cursor.last),
            told: Told::default(),
            since,
        }
    }

    /// Until the app is gone, or the server stops.
    pub async fn run(mut self) {
        self.forget_told().await;
        loop {
            self.tell_loss();
            let (look_at, tell_at) = (self.unsure.due(), self.tell_loss_at());
            tokio::select! {
                biased;
                () = self.carrier.broken() => self.broke(Failure::Unreadable).await,
                () = until(look_at) => self.look().await,
                () = until(tell_at) => {}
                () = self.session.ready(), if !self.unsure.is_stuck() => {
                    if !self.forward().await {
                        return;
                    }
                }
            }
        }
    }

    /// Who was killed just after telling of a loss has told of it.
    async fn forget_told(&mut self) {
        let Some(lost) = self.lost else {
            return;
        };
        let (logs, app, name) = (
            self.common.logs.clone(),
            self.target.app,
            self.target.name.clone(),
        );
        let looking = tokio::task::spawn_blocking(move || losses::is_told(&logs, app, &name, lost));
        if looking.await.unwrap_or(false) {
            self.lost = None;
        }
    }

    /// Sends what is there. False when nothing more will be.
    async fn forward(&mut self) -> bool {
        let (common, share) = (self.common.clone(), self.share.clone());
        // In this order, so that whoever waits for their own share takes nothing from others. Neither is ever closed.
        let Ok(own) = share.acquire().await else {
            return false;
        };
        let Ok(room) = common.frames.acquire().await else {
            return false;
        };
        let from = self.session.mark().await;
        let Some(batch) = self.session.next().await else {
            return false;
        };
        let sent = self.sent(from, &batch);
        let text = self.text(&sent.from, &batch);
        if text.is_empty() {
            return true;
        }
        self.note_waiting(Some(sent.said));
        let outcome = self.carrier.send(&text).await;
        drop((room, own));
        match outcome {
            Outcome::Taken if self.carrier.is_unsure() => {
                self.unsure.push(sent, least(&text), Instant::now());
            }
            Outcome::Taken => self.delivered(sent),
            Outcome::Refused(status) => {
                self.refused(&sent, &batch, status);
                self.rest().await;
            }
            Outcome::Failed(fault) => {
                self.look_back();
                self.failed(fault);
                self.go_back(Some(sent.from));
                self.rest().await;
            }
        }
        true
    }

    fn sent(&self, from: Mark, batch: &Batch) -> Sent {
        let lines = String::from_utf8_lossy(&batch.text);
        let said = lines.lines().find_map(Line::parse);
        let said = said.and_then(|line| line.timestamp());
        Sent {
            from,
            said: said.unwrap_or_else(|| self.common.clock.now()),
            last: batch.last,
            lines: lines.lines().count() as u64,
            lost: batch.lost,
        }
    }

    /// What is sent of some lines, and before them. None of it where they are but about this drain's own loss.
    fn text(&self, from: &Mark, batch: &Batch) -> String {
        let at = from.last().plus(Duration::from_micros(1));
        let owed = self.owed.map(|owed| losses::of_drain(at, owed));
        let lines = String::from_utf8_lossy(&batch.text);
        owed.unwrap_or_default() + &losses::without_own(&lines, &self.target.name)
    }

    fn delivered(&mut self, sent: Sent) {
        self.failures = 0;
        self.told.failure = None;
        self.owed = None;
        let delivered = &self.common.figures.delivered;
        delivered.fetch_add(sent.lines, Ordering::Relaxed);
        self.note_lost(sent.lost, sent.from.last());
        self.done_with(sent.last);
        self.note_waiting(None);
    }

    /// These lines nobody wants. The next ones may be another matter.
    fn refused(&mut self, sent: &Sent, batch: &Batch, status: u16) {
        self.failures = self.failures.saturating_add(1);
        self.common.figures.failed.fetch_add(1, Ordering::Relaxed);
        // That lines were lost is told in the log, and so would lead to the next loss, and so on.
        let text = String::from_utf8_lossy(&batch.text);
        let lines = text.lines().filter_map(Line::parse);
        let lines = lines.filter(|line| !losses::is_of_logplex(line)).count() as u64;
        let (lost, since) = (sent.lost + lines, sent.from.last());
        self.note_lost(lost, since);
        self.owed = Lost::and(self.owed, lost, since);
        tracing::debug!(drain = %self.target.id, status, lines, "a drain refused lines, which are dropped");
        self.done_with(sent.last);
        self.note_waiting(None);
    }

    fn failed(&mut self, fault: Fault) {
        self.failures = self.failures.saturating_add(1);
        self.common.figures.failed.fetch_add(1, Ordering::Relaxed);
        let (logs, app, name) = (&self.common.logs, self.target.app, &self.target.name);
        // Once may be an accident.
        if self.failures < 3 || !self.is_due(self.told.failure) {
            return;
        }
        self.told.failure = Some(Instant::now());
        match fault {
            Fault::Broken(Failure::Untrusted) => {
                let error = "the certificate is not trusted";
                losses::drain_untrusted(logs, app, error, &self.carrier.origin());
            }
            Fault::Broken(failure) => losses::drain_fails(logs, app, name, failure.class()),
            Fault::Status(status) => {
                losses::drain_fails(logs, app, name, &format!("status {status}"));
            }
        }
    }

    /// A connection is no more. Where nothing was under way on it, that is how an idle one ends.
    async fn broke(&mut self, failure: Failure) {
        if self.unsure.oldest().is_some() {
            self.failed(Fault::Broken(failure));
            self.go_back(None);
            self.rest().await;
        }
    }

    /// The lines since `from` are sent again, and before them those that may not have come.
    fn go_back(&mut self, from: Option<Mark>) {
        let unsure = self.unsure.give_up().map(|sent| sent.from);
        if let Some(from) = unsure.or(from) {
            self.session.repeat(&from);
        }
    }

    /// Looks at what was written a while ago.
    async fn look(&mut self) {
        let unacknowledged = self.carrier.unacknowledged();
        match self.unsure.look(unacknowledged, Instant::now()) {
            Verdict::Delivered(sent) => sent.into_iter().for_each(|sent| self.delivered(sent)),
            Verdict::Dead => {
                self.carrier.hang_up();
                self.broke(Failure::Silent).await;
            }
        }
    }

    /// A connection is given up. What was taken on it long enough ago is not sent again.
    fn look_back(&mut self) {
        let unacknowledged = self.carrier.unacknowledged();
        if let Verdict::Delivered(sent) = self.unsure.look(unacknowledged, Instant::now()) {
            sent.into_iter().for_each(|sent| self.delivered(sent));
        }
        self.carrier.hang_up();
    }

    /// Keeps how far the drain has come, together with what was lost before.
    fn done_with(&mut self, last: Timestamp) {
        self.done = Some(last);
        let cursor = Cursor {
            last,
            lost: self.lost,
            owed: self.owed,
        };
        let (logs, target) = (&self.common.logs, &self.target);
        logs.delivered(target.app, target.id, &cursor);
    }

    async fn rest(&self) {
        sleep(self.common.limits.wait(self.failures)).await;
    }

    /// Since when a line waits: the oldest that is under way, or else one that was said at this moment.
    fn note_waiting(&self, said: Option<Timestamp>) {
        let oldest = self.unsure.oldest().map(|sent| sent.said).or(said);
        let micros = oldest.map_or(0, Timestamp::micros);
        self.since.store(micros, Ordering::Relaxed);
    }

    fn note_lost(&mut self, lines: u64, since: Timestamp) {
        self.common.figures.lost.fetch_add(lines, Ordering::Relaxed);
        self.lost = Lost::and(self.lost, lines, since);
    }

    fn tell_loss(&mut self) {
        if !self.is_due(self.told.loss) {
            return;
        }
        if let Some(lost) = self.lost.take() {
            self.told.loss = Some(Instant::now());
            let (logs, name) = (&self.common.logs, &self.target.name);
            losses::drain_missed(logs, self.target.app, name, lost);
            // Who is killed before this finds that line.
            if let Some(done) = self.done {
                self.done_with(done);
            }
        }
    }

    /// When the app's log may be told of what is lost.
    fn tell_loss_at(&self) -> Option<Instant> {
        let told = self.told.loss.filter(|_| self.lost.is_some())?;
        Some(told + self.common.limits.telling)
    }

    fn is_due(&self, told: Option<Instant>) -> bool {
        told.is_none_or(|told| told.elapsed() >= self.common.limits.telling)
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// How many bytes are written at least for these lines: what is no line is left out, and each gets a longer head.
fn least(text: &str) -> usize {
    let lines = text.lines().filter(|line| Line::parse(line).is_some());
    lines.map(str::len).sum()
}
