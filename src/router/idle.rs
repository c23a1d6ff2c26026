//! Timers for silence that cost next to nothing while there is none.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::rt;
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep};

/// A timer that is used again and again, and is moved only when it goes off too early: so what is over before its time never
/// touches the runtime's timers. None exists before the first wait.
#[derive(Default)]
pub(super) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whom it wakes.
    sleeper: Option<Waker>,
}

impl Alarm {
    /// Ready when it is so late.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        let is_early = due < sleep.deadline();
        let wakes = |sleeper: &Waker| sleeper.will_wake(cx.waker());
        if !is_early && !sleep.is_elapsed() && self.sleeper.as_ref().is_some_and(wakes) {
            return Poll::Pending;
        }
        if is_early {
            sleep.as_mut().reset(due);
        }
        loop {
            // A task that has had its turn is not noted by what it polls then, only asked to come again.
            self.sleeper = has_budget_remaining().then(|| cx.waker().clone());
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
    }
}

/// The alarm of a connection by HTTP/1.1, for whatever is waited for there, since that is one thing at a time: a head, or an answer. hyper
/// measures heads by it, where it would make a timer for each.
#[derive(Clone, Default)]
pub(super) struct SharedAlarm(Arc<Mutex<Alarm>>);

struct HeadSleep {
    alarm: SharedAlarm,
    due: Instant,
}

impl SharedAlarm {
    /// Ready when it is so late.
    pub(super) fn poll(&self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        let mut alarm = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        alarm.poll(cx, due)
    }

    /// Nobody waits any more. It lets go of whoever did last.
    pub(super) fn rest(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Alarm::default();
    }
}

impl rt::Timer for SharedAlarm {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        self.sleep_until((Instant::now() + duration).into())
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(HeadSleep {
            alarm: self.clone(),
            due: deadline.into(),
        })
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into()
    }
}

impl rt::Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.alarm.poll(cx, self.due)
    }
}

/// Measures how long something has been waited for without a pause.
pub(super) struct Silence {
    limit: Duration,
    since: Option<Instant>,
    alarm: Alarm,
}

impl Silence {
    pub(super) fn new(limit: Duration) -> Silence {
        Silence {
            limit,
            since: None,
            alarm: Alarm::default(),
        }
    }

    /// Something moved.
    pub(super) fn broken(&mut self) {
        self.since = None;
    }

    /// Ready when nothing has moved for the limit, counted from the first of these calls after the last movement or from
    /// `elsewhere`, a later movement that the caller knows of.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, elsewhere: Option<Instant>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let due = elsewhere.map_or(since, |moved| moved.max(since)) + self.limit;
        self.alarm.poll(cx, due)
    }
}

/// Since when something goes on, if it does.
pub(super) struct Since {
    born: Instant,
    /// One more than there were, since 0 says that it does not.
    begun_ms: AtomicU64,
}

impl Since {
    pub(super) fn new() -> Since {
        Since {
            born: Instant::now(),
            begun_ms: AtomicU64::new(0),
        }
    }

    /// It goes on, from now on unless it did before.
    pub(super) fn begin(&self) {
        if self.begun_ms.load(Ordering::Relaxed) == 0 {
            let elapsed = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.begun_ms
                .store(elapsed.saturating_add(1), Ordering::Relaxed);
        }
    }

    pub(super) fn end(&self) {
        self.begun_ms.store(0, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Option<Instant> {
        let begun = self.begun_ms.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.born + Duration::from_millis(begun))
    }
}

/// When something last passed, in either direction, as all who share it know.
pub(super) struct Activity {
    born: Instant,
    last_ms: AtomicU64,
}

impl Activity {
    pub(super) fn new() -> Activity {
        Activity {
            born: Instant::now(),
            last_ms: AtomicU64::new(0),
        }
    }

    pub(super) fn stamp(&self) {
        let elapsed = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(elapsed, Ordering::Relaxed);
    }

    /// Whether nothing has passed for `limit`.
    pub(super) fn is_silent(&self, limit: Duration) -> bool {
        let last = Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
        self.born.elapsed() >= last + limit
    }

    /// Resolves when nothing has passed for `limit`.
    pub(super) async fn silence(&self, limit: Duration) {
        self.silence_since(None, limit).await;
    }

    /// The same, where silence counts from a later moment on.
    pub(super) async fn silence_since(&self, begin: Option<Instant>, limit: Duration) {
        loop {
            let last = self.born + Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
            let due = begin.map_or(last, |begin| last.max(begin)) + limit;
            if Instant::now() >= due {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io;
    use std::pin::pin;

    use tokio::task::coop::consume_budget;

    use super::*;

    const SOON: Duration = Duration::from_millis(10);
    const NEVER: Duration = Duration::from_secs(600);
    const PATIENCE: Duration = Duration::from_secs(20);

    fn goes_off(waiting: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build()?;
        runtime.block_on(async {
            // In a task of its own, since nobody counts the turns of what a runtime is there for.
            let task = tokio::spawn(tokio::time::timeout(PATIENCE, waiting));
            assert!(matches!(task.await, Ok(Ok(()))), "it did not go off");
        });
        Ok(())
    }

    #[test]
    fn an_alarm_goes_off_for_each_who_waits_and_when_it_is_due() -> io::Result<()> {
        goes_off(async {
            let alarm = SharedAlarm::default();
            let far = Instant::now() + NEVER;
            poll_fn(|cx| {
                assert!(alarm.poll(cx, far).is_pending());
                Poll::Ready(())
            })
            .await;
            for _ in 0..2 {
                let alarm = alarm.clone();
                // Another task, another waker.
                let waiting = tokio::spawn(async move {
                    for _ in 0..2 {
                        let due = Instant::now() + SOON;
                        poll_fn(|cx| alarm.poll(cx, due)).await;
                        assert!(Instant::now() >= due);
                    }
                });
                assert!(waiting.await.is_ok());
            }
        })
    }

    #[test]
    fn an_alarm_goes_off_for_a_task_that_had_no_turn_left_when_it_asked() -> io::Result<()> {
        goes_off(async {
            let mut alarm = Alarm::default();
            let due = Instant::now() + SOON;
            let mut is_spent = false;
            poll_fn(move |cx| {
                while !is_spent && has_budget_remaining() {
                    assert!(pin!(consume_budget()).poll(cx).is_ready());
                }
                is_spent = true;
                alarm.poll(cx, due)
            })
            .await;
        })
    }
}
