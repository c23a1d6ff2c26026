//! A connection to a dyno, and who drives it: whoever waits for an answer on it, or else a task of its own.
//!
//! What a dyno sends is read by the very task that passes it on, while it is in the processor's cache, and nobody has to be woken in
//! between. The task of its own is there for the rest: bodies that come while an answer goes, and connections that rest. It must not
//! know what is asked and answered.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tokio::task::coop::has_budget_remaining;

/// How often in a row a connection is driven that always has something more to do.
const TURNS: usize = 4;

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

    /// What comes of `ask`, once the connection has been driven as far as it takes. Whoever boarded asks so, and is woken when there is
    /// more.
    pub(super) fn ride<T>(
        &self,
        cx: &mut Context<'_>,
        mut ask: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        // What it asks is answered by the connection alone, which is not driven by anybody who would have to wake it.
        let unheard = &mut Context::from_waker(Waker::noop());
        self.bell.lock().is_attended = true;
        let mut polled = ask(unheard);
        let mut turns = 0;
        while polled.is_pending() && turns < TURNS && (turns == 0 || self.bell.has_rung()) {
            turns += 1;
            self.bell.lock().has_rung = false;
            if self.drive().is_ready() {
                // There is nobody left to drive, and the end of it an answer too.
                wake(&self.bell.lock().driver);
                polled = ask(cx);
                break;
            }
            polled = ask(unheard);
        }
        let mut listeners = self.bell.lock();
        listeners.is_attended = false;
        if polled.is_pending() {
            listeners.notes(cx.waker());
            // A task that has had its turn is told so by silence.
            if listeners.has_rung || !has_budget_remaining() {
                cx.waker().wake_by_ref();
            }
        }
        polled
    }

    fn drive(&self) -> Poll<()> {
        let mut connection = self.lock();
        let Some(driven) = connection.as_mut() else {
            return Poll::Ready(());
        };
        let polled = driven.as_mut().poll(&mut Context::from_waker(&self.ringer));
        if polled.is_ready() {
            *connection = None;
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

    fn has_rung(&self) -> bool {
        self.lock().has_rung
    }

    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listeners {
    fn notes(&mut self, rider: &Waker) {
        note(&mut self.rider, rider);
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

fn note(place: &mut Option<Waker>, waker: &Waker) {
    if !place.as_ref().is_some_and(|noted| noted.will_wake(waker)) {
        *place = Some(waker.clone());
    }
}

fn wake(waker: &Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
    use tokio::task::yield_now;
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
