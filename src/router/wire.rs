//! A connection to a dyno, and who drives it: whoever waits for an answer on it, or else a task of its own.
//!
//! What a dyno sends is read by the very task that passes it on, while it is in the processor's cache, and nobody has to be woken in
//! between. The task of its own is there for the rest: bodies that come while an answer goes, and connections that rest. It must not
//! know what is asked and answered.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tokio::task::coop::has_budget_remaining;
use tokio::task::yield_now;

use super::outbox::note;

/// How often in a row a connection is driven that always has something more to do.
const TURNS: usize = 4;
/// How much is got without having had to wait for it, before others have their turn: an answer may come as fast as it is passed on.
const IN_A_ROW: usize = 4;

/// The connection.
pub(super) struct Wire {
    /// `None` once it has ended.
    connection: Mutex<Option<Driven>>,
    bell: Arc<Bell>,
    /// Rings the bell. It is the same for as long as the connection lives, so whatever that waits for need not be told anew for whom.
    ringer: Waker,
}

type Driven = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the connection rings when there is something to do.
#[derive(Default)]
struct Bell(Mutex<Listeners>);

#[derive(Default)]
struct Listeners {
    /// The task of its own.
    driver: Option<Waker>,
    /// Whoever waits for an answer, once it is known that there is one who does.
    rider: Option<Waker>,
    is_ridden: bool,
    /// The rider is just here, and will see for itself that the bell has rung.
    is_attended: bool,
    has_rung: bool,
    /// How much was got without having had to wait.
    got: usize,
}

impl Wire {
    pub(super) fn new(connection: impl Future<Output = ()> + Send + 'static) -> Arc<Wire> {
        let bell = Arc::<Bell>::default();
        Arc::new(Wire {
            connection: Mutex::new(Some(Box::pin(connection))),
            ringer: bell.clone().into(),
            bell,
        })
    }

    /// Drives the connection to its end, whenever nobody rides.
    pub(super) async fn run(self: Arc<Wire>) {
        poll_fn(|cx| match self.bell.is_answered_by(cx.waker()) {
            true => self.drive(),
            // Whoever rides may have come to its end.
            false if self.lock().is_none() => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    /// From here on nobody drives the connection but who [rides](Wire::ride).
    pub(super) fn board(&self) {
        let mut listeners = self.bell.lock();
        listeners.is_ridden = true;
        listeners.has_rung = false;
        listeners.got = 0;
    }

    /// Nobody rides any more. What has not been seen to is left to the connection's own task.
    pub(super) fn alight(&self) {
        let mut listeners = self.bell.lock();
        listeners.is_ridden = false;
        listeners.rider = None;
        if listeners.has_rung {
            wake(&listeners.driver);
        }
    }

    /// Whether who rides has got much already, and is to let others have their turn; then it is called again.
    pub(super) fn yields(&self, cx: &mut Context<'_>) -> bool {
        let mut listeners = self.bell.lock();
        let is_much = listeners.got >= IN_A_ROW;
        if is_much {
            listeners.got = 0;
            drop(listeners);
            let _: Poll<()> = yielded(cx);
        }
        is_much
    }

    /// What comes of `ask`, once the connection has been driven as far as it takes. Whoever boarded asks so, and is woken when there is
    /// more.
    pub(super) fn ride<T>(
        &self,
        cx: &mut Context<'_>,
        ask: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.bell.lock().is_attended = true;
        let polled = self.driven_for(cx, ask);
        let is_called = self.bell.is_left_by(cx.waker(), polled.is_ready());
        match polled {
            Poll::Ready(got) => Poll::Ready(got),
            // A task that has had its turn is told so by silence, there where nobody hears it, and has to come again.
            Poll::Pending if is_called || !has_budget_remaining() => yielded(cx),
            Poll::Pending => Poll::Pending,
        }
    }

    /// What comes of `ask` when the connection is driven until it rests, or has had its turns.
    fn driven_for<T>(
        &self,
        cx: &mut Context<'_>,
        mut ask: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        // What it asks is answered by the connection alone, which is not driven by anybody who would have to wake it.
        let unheard = &mut Context::from_waker(Waker::noop());
        let mut polled = ask(unheard);
        let mut turns = 0;
        while polled.is_pending() && turns < TURNS && (turns == 0 || self.bell.lock().has_rung) {
            turns += 1;
            self.bell.lock().has_rung = false;
            if self.drive().is_ready() {
                // There is nobody left to drive, and the end of it is an answer too.
                self.bell.is_done_with();
                return ask(cx);
            }
            polled = ask(unheard);
        }
        polled
    }

    fn drive(&self) -> Poll<()> {
        let mut connection = self.lock();
        // One that panics is not put back, and whoever waits for it learns that it is gone.
        let Some(mut driven) = connection.take() else {
            return Poll::Ready(());
        };
        let polled = driven.as_mut().poll(&mut Context::from_waker(&self.ringer));
        if polled.is_pending() {
            *connection = Some(driven);
        }
        polled
    }

    fn lock(&self) -> MutexGuard<'_, Option<Driven>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bell {
    /// Whether the task of its own is to drive, which is noted.
    fn is_answered_by(&self, driver: &Waker) -> bool {
        let mut listeners = self.lock();
        note(&mut listeners.driver, driver);
        !listeners.is_ridden
    }

    /// The rider goes, with what it wanted or until it is woken. Whether it has been called meanwhile.
    fn is_left_by(&self, rider: &Waker, has_got: bool) -> bool {
        let mut listeners = self.lock();
        listeners.is_attended = false;
        if has_got {
            listeners.got += 1;
        } else {
            listeners.got = 0;
            note(&mut listeners.rider, rider);
        }
        listeners.has_rung
    }

    /// The connection has ended, in the rider's hands.
    fn is_done_with(&self) {
        let mut listeners = self.lock();
        wake(&listeners.driver);
        listeners.rider = None;
    }

    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Bell>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Bell>) {
        let mut listeners = self.lock();
        listeners.has_rung = true;
        match listeners.is_ridden {
            true if listeners.is_attended => {}
            true => wake(&listeners.rider),
            false => wake(&listeners.driver),
        }
    }
}

/// Pending, until all others and the system have had their turn.
fn yielded<T>(cx: &mut Context<'_>) -> Poll<T> {
    // The first time, it always is.
    let _ = pin!(yield_now()).poll(cx);
    Poll::Pending
}

fn wake(waker: &Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
    use tokio::time::{Duration, timeout};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn runs(test: impl Future<Output = ()>) -> io::Result<()> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build()?;
        let in_time = runtime.block_on(async { timeout(PATIENCE, test).await });
        assert!(in_time.is_ok(), "nobody was woken");
        Ok(())
    }

    /// One that hands on what it gets, until there is no more.
    fn wire() -> (Arc<Wire>, UnboundedSender<u8>, UnboundedReceiver<u8>) {
        let (give, mut given) = mpsc::unbounded_channel();
        let (hand_on, get) = mpsc::unbounded_channel();
        let wire = Wire::new(async move {
            while let Some(byte) = given.recv().await {
                let _ = hand_on.send(byte);
            }
        });
        (wire, give, get)
    }

    async fn ridden(wire: &Wire, get: &mut UnboundedReceiver<u8>) -> Option<u8> {
        poll_fn(|cx| wire.ride(cx, |cx| get.poll_recv(cx))).await
    }

    #[test]
    fn who_rides_is_woken_for_what_comes() -> io::Result<()> {
        runs(async {
            let (wire, give, mut get) = wire();
            tokio::spawn(wire.clone().run());
            yield_now().await;
            wire.board();
            for byte in 0..3 {
                let give = give.clone();
                let giving = tokio::spawn(async move { give.send(byte) });
                assert_eq!(ridden(&wire, &mut get).await, Some(byte));
                assert!(giving.await.is_ok());
            }
        })
    }

    #[test]
    fn what_came_before_somebody_rides_and_after_is_driven_by_the_task() -> io::Result<()> {
        runs(async {
            let (wire, give, mut get) = wire();
            tokio::spawn(wire.clone().run());
            assert!(give.send(1).is_ok());
            assert_eq!(get.recv().await, Some(1));
            wire.board();
            let first_look = poll_fn(|cx| {
                let polled = wire.ride(cx, |cx| get.poll_recv(cx));
                Poll::Ready(polled.is_pending())
            });
            assert!(first_look.await);
            // This is for who rides, and nobody will any more.
            assert!(give.send(2).is_ok());
            wire.alight();
            assert_eq!(get.recv().await, Some(2));
            assert!(give.send(3).is_ok());
            assert_eq!(get.recv().await, Some(3));
        })
    }

    #[test]
    fn who_rides_gets_all_and_lets_others_have_their_turn_meanwhile() -> io::Result<()> {
        runs(async {
            const ALL: usize = 1000;
            let (wire, give, mut get) = wire();
            for number in 0..ALL {
                assert!(give.send(u8::try_from(number % 251).unwrap_or(0)).is_ok());
            }
            wire.board();
            let other_turns = Arc::new(AtomicUsize::new(0));
            let counted = other_turns.clone();
            let others = tokio::spawn(async move {
                loop {
                    counted.fetch_add(1, Ordering::Relaxed);
                    yield_now().await;
                }
            });
            for number in 0..ALL {
                poll_fn(|cx| match wire.yields(cx) {
                    true => Poll::Pending,
                    false => Poll::Ready(()),
                })
                .await;
                let got = ridden(&wire, &mut get).await;
                assert_eq!(got.map(usize::from), Some(number % 251));
            }
            assert!(other_turns.load(Ordering::Relaxed) > ALL / 10);
            others.abort();
        })
    }

    #[test]
    fn a_connection_that_panics_is_gone_for_who_rides() -> io::Result<()> {
        runs(async {
            let (hand_on, _get) = mpsc::unbounded_channel::<u8>();
            let wire = Wire::new(async move {
                yield_now().await;
                assert!(hand_on.is_closed(), "of this test's own");
            });
            wire.board();
            let riding = wire.clone();
            let panicking = tokio::spawn(async move {
                poll_fn(|cx| riding.ride(cx, |_| Poll::<()>::Pending)).await;
            });
            assert!(panicking.await.is_err_and(|error| error.is_panic()));
            // There is nothing left that could be driven.
            wire.alight();
            wire.run().await;
        })
    }

    #[test]
    fn the_end_of_a_connection_is_known_to_who_rides_and_to_its_task() -> io::Result<()> {
        runs(async {
            let (wire, give, mut get) = wire();
            let task = tokio::spawn(wire.clone().run());
            yield_now().await;
            wire.board();
            let giving = tokio::spawn(async move { drop(give) });
            assert_eq!(ridden(&wire, &mut get).await, None);
            assert!(giving.await.is_ok());
            assert!(task.await.is_ok());
        })
    }
}
