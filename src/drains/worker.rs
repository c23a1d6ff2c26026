//! One drain: reads the app's log, sends what it reads, and goes back to where it was when that came to nothing.
//!
//! It must not know how lines are sent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until};

use super::carrier::{Carrier, Fault, Outcome};
use super::{Common, Target};
use crate::log::{Batch, Cursor, Line, Lost, Mark, Session, Source, platform};
use crate::outbound::Failure;
use crate::time::Timestamp;

pub struct Worker {
    common: Arc<Common>,
    target: Target,
    carrier: Carrier,
    session: Session,
    /// What its owner may have on the way.
    share: Arc<Semaphore>,
    /// What was written and may still be lost, the oldest first.
    unsure: VecDeque<Sent>,
    /// Attempts that failed in a row.
    failures: u32,
    /// Lines that were lost and that the app's log has not told of. It is kept with the place that was reached without them.
    lost: Option<Lost>,
    /// That place.
    done: Option<Timestamp>,
    told: Told,
    /// When the oldest line that waits was said, for others to see.
    since: Arc<AtomicI64>,
}

struct Sent {
    at: Instant,
    from: Mark,
    last: Timestamp,
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
        let cursor = common.logs.cursor(target.app, target.id);
        Worker {
            carrier: Carrier::new(outbound, common.limits, way),
            share: common.share(target.owner),
            session: common.logs.drain(target.app, target.id, target.created_at),
            common,
            target,
            unsure: VecDeque::new(),
            failures: 0,
            lost: cursor.and_then(|cursor| cursor.lost),
            done: cursor.map(|cursor| cursor.last),
            told: Told::default(),
            since,
        }
    }

    /// Until the app is gone, or the server stops.
    pub async fn run(mut self) {
        loop {
            self.tell_loss();
            let sure_at = self
                .unsure
                .front()
                .map(|sent| sent.at + self.common.limits.settle);
            let tell_at = self.tell_loss_at();
            tokio::select! {
                biased;
                () = self.carrier.broken() => {
                    self.go_back(None);
                    self.rest().await;
                }
                () = until(sure_at) => self.confirm(),
                () = until(tell_at) => {}
                () = self.session.ready() => {
                    if !self.forward().await {
                        return;
                    }
                }
            }
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
        let text = String::from_utf8_lossy(&batch.text);
        self.note_waiting(&text);
        let outcome = self.carrier.send(&text).await;
        drop((room, own));
        match outcome {
            Outcome::Taken => self.taken(from, &batch, &text),
            Outcome::Refused(status) => {
                self.refused(&from, &batch, &text, status);
                self.rest().await;
            }
            Outcome::Failed(fault) => {
                self.failed(fault);
                self.go_back(Some(&from));
                self.rest().await;
            }
        }
        true
    }

    fn taken(&mut self, from: Mark, batch: &Batch, text: &str) {
        self.failures = 0;
        self.told.failure = None;
        self.since.store(0, Ordering::Relaxed);
        let lines = text.lines().count() as u64;
        self.common
            .figures
            .delivered
            .fetch_add(lines, Ordering::Relaxed);
        self.note_lost(batch.lost, from.last());
        let last = batch.last;
        match self.carrier.is_unsure() {
            true => self.unsure.push_back(Sent {
                at: Instant::now(),
                from,
                last,
            }),
            false => self.done_with(last),
        }
    }

    /// These lines nobody wants. The next ones may be another matter.
    fn refused(&mut self, from: &Mark, batch: &Batch, text: &str, status: u16) {
        self.failures = self.failures.saturating_add(1);
        self.since.store(0, Ordering::Relaxed);
        self.common.figures.failed.fetch_add(1, Ordering::Relaxed);
        // That lines were lost is told in the log, and so would lead to the next loss, and so on.
        let told = |line: &Line<'_>| line.source == Source::Heroku && line.process == "logplex";
        let lines = text.lines().filter_map(Line::parse);
        let lines = lines.filter(|line| !told(line)).count() as u64;
        self.note_lost(batch.lost + lines, from.last());
        tracing::debug!(drain = %self.target.id, status, lines, "a drain refused lines, which are dropped");
        self.done_with(batch.last);
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
                platform::drain_untrusted(logs, app, name, error, &self.carrier.origin());
            }
            Fault::Broken(failure) => platform::drain_fails(logs, app, name, failure.class()),
            Fault::Status(status) => {
                platform::drain_fails(logs, app, name, &format!("status {status}"));
            }
        }
    }

    /// The lines since `from` are sent again, and before them those that may not have come.
    fn go_back(&mut self, from: Option<&Mark>) {
        let unsure = self.unsure.front().map(|sent| sent.from.clone());
        self.unsure.clear();
        if let Some(from) = unsure.as_ref().or(from) {
            self.session.repeat(from);
        }
    }

    /// What was written long enough ago is delivered.
    fn confirm(&mut self) {
        let settle = self.common.limits.settle;
        let mut last = None;
        while let Some(sent) = self.unsure.front()
            && sent.at.elapsed() >= settle
        {
            last = Some(sent.last);
            self.unsure.pop_front();
        }
        if let Some(last) = last {
            self.done_with(last);
        }
    }

    /// Keeps how far the drain has come, together with what was lost before.
    fn done_with(&mut self, last: Timestamp) {
        self.done = Some(last);
        let cursor = Cursor {
            last,
            lost: self.lost,
        };
        let (logs, target) = (&self.common.logs, &self.target);
        logs.delivered(target.app, target.id, &cursor);
    }

    async fn rest(&self) {
        let limits = &self.common.limits;
        let doublings = self.failures.saturating_sub(1).min(16);
        let wait = limits.first_wait.saturating_mul(1 << doublings);
        sleep(wait.min(limits.longest_wait)).await;
    }

    fn note_waiting(&self, text: &str) {
        let first = text.lines().find_map(Line::parse);
        let said = first.and_then(|line| line.timestamp());
        let now = self.common.clock.now();
        self.since
            .store(said.unwrap_or(now).micros(), Ordering::Relaxed);
    }

    fn note_lost(&mut self, lines: u64, since: Timestamp) {
        if lines == 0 {
            return;
        }
        self.common.figures.lost.fetch_add(lines, Ordering::Relaxed);
        let lost = self.lost.get_or_insert(Lost { lines: 0, since });
        lost.lines += lines;
    }

    fn tell_loss(&mut self) {
        if !self.is_due(self.told.loss) {
            return;
        }
        if let Some(Lost { lines, since }) = self.lost.take() {
            self.told.loss = Some(Instant::now());
            let (logs, name) = (&self.common.logs, &self.target.name);
            platform::drain_overflow(logs, self.target.app, name, lines, since);
            // Who is killed before this tells of it twice.
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
