//! Short messages of a thread, which are sent together once nothing more comes.
//!
//! Whoever sleeps when a message comes has to be woken, and that costs its sender several microseconds; whoever gets the next one while at
//! the last is awake already. So what is short is not sent between one piece of work and another, but one message right after the other.
//! And not as soon as all that was ready has had its turn, but once the system has been asked what else has come, and nothing has: then
//! all who got something have until the next is there to answer, and their answers come together too. Of what is sent just before the
//! system is asked, some is answered in time and some is not, and who was late gets later each time. Where something always comes, nobody
//! waits for more than a few dozen others. It must not know what is said.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker, ready};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, send};
use tokio::sync::Notify;
use tokio::task::yield_now;

/// Bytes of the longest message that is put here. What is longer costs more to copy than it saves.
pub(super) const SHORT: usize = 4 * 1024;
/// Messages that are sent together at most, and how much of what comes a message waits for. With fewer there are often some left over,
/// with more many wait long: half as many and four times as many have both been measured to be slower.
const MOST: usize = 64;
/// Bytes of room for messages that a quiet thread keeps.
const ROOM: usize = 64 * 1024;

/// One a thread.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    some: Notify,
    /// How often something has come.
    heard: AtomicUsize,
}

#[derive(Default)]
struct Waiting {
    text: Vec<u8>,
    messages: Vec<Message>,
}

/// By which way which part of the text goes.
type Message = (Arc<Way>, Range<usize>);

/// Where messages go from an outbox.
pub(super) struct Way(Mutex<State>);

struct State {
    /// `None` once the connection is no more: the number may be another's then.
    socket: Option<RawFd>,
    /// Messages that wait in the outbox.
    waiting: usize,
    /// What the system had no room for.
    rest: Vec<u8>,
    failed: Option<Errno>,
    /// Whoever has to know of either.
    writer: Option<Waker>,
    /// Nothing goes by an outbox any more.
    is_left: bool,
}

impl Outbox {
    /// Takes a short message by a way that [is open](Way::is_open).
    pub(super) fn put(&self, way: &Arc<Way>, message: &[IoSlice<'_>]) {
        let count = {
            let mut waiting = self.waiting();
            let begin = waiting.text.len();
            for slice in message {
                waiting.text.extend_from_slice(slice);
            }
            let place = begin..waiting.text.len();
            waiting.messages.push((way.clone(), place));
            waiting.messages.len()
        };
        match count {
            1 => self.some.notify_one(),
            MOST.. => self.send(),
            _ => {}
        }
    }

    /// Something has come on one of the thread's connections.
    pub(super) fn hear(&self) {
        self.heard.fetch_add(1, Ordering::Relaxed);
    }

    /// Sends whatever is put here, for as long as the thread runs.
    pub(super) async fn run(self: Arc<Outbox>) {
        loop {
            self.some.notified().await;
            self.nothing_comes().await;
            self.send();
        }
    }

    /// Waits until the system has been asked what has come, and nothing had, or else for so much of it as one may have to wait for.
    async fn nothing_comes(&self) {
        let before = self.heard.load(Ordering::Relaxed);
        let mut heard = before;
        loop {
            // All that is ready has its turn, then the system is asked, and what has come then has its turn as well.
            yield_now().await;
            let last = std::mem::replace(&mut heard, self.heard.load(Ordering::Relaxed));
            if heard == last || heard.wrapping_sub(before) >= MOST {
                return;
            }
        }
    }

    /// Sends what waits, in the order in which it came.
    pub(super) fn send(&self) {
        let mut waiting = self.waiting();
        if waiting.messages.is_empty() {
            return;
        }
        let mut sent = std::mem::take(&mut *waiting);
        drop(waiting);
        for (way, place) in sent.messages.drain(..) {
            way.send(sent.text.get(place).unwrap_or_default());
        }
        let is_quiet = sent.text.len() <= ROOM;
        sent.text.clear();
        if is_quiet {
            sent.text.shrink_to(ROOM);
        }
        let mut waiting = self.waiting();
        if waiting.messages.is_empty() {
            *waiting = sent;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Way {
    /// To a socket that stays this until it is [closed](Way::close).
    pub(super) fn new(socket: RawFd) -> Way {
        Way(Mutex::new(State {
            socket: Some(socket),
            waiting: 0,
            rest: Vec::new(),
            failed: None,
            writer: None,
            is_left: false,
        }))
    }

    /// Whether a message may go by the outbox, and then it has to: not before what the system has refused, and not to where the last has
    /// failed. Who writes it is woken when either comes to be so.
    pub(super) fn is_open(&self, writer: &Waker) -> bool {
        let mut state = self.lock();
        let is_open = state.rest.is_empty() && state.failed.is_none() && !state.is_left;
        if is_open {
            state.waiting += 1;
            note(&mut state.writer, writer);
        }
        is_open
    }

    fn send(&self, message: &[u8]) {
        let mut state = self.lock();
        state.waiting -= 1;
        let Some(socket) = state.socket.filter(|_| state.failed.is_none()) else {
            return;
        };
        let taken = match state.rest.is_empty() {
            true => send(socket, message, MsgFlags::MSG_NOSIGNAL),
            false => Ok(0),
        };
        match taken {
            Ok(taken) if taken == message.len() => return,
            Ok(taken) => state
                .rest
                .extend_from_slice(message.get(taken..).unwrap_or_default()),
            Err(Errno::EAGAIN | Errno::EINTR) => state.rest.extend_from_slice(message),
            Err(error) => state.failed = Some(error),
        }
        if let Some(writer) = &state.writer {
            writer.wake_by_ref();
        }
    }

    /// From here on no message goes by the outbox, for one who does not ask again and again whether all was sent, as HTTP does. What
    /// was put there before goes ahead of the next message.
    pub(super) fn leave(&self) {
        let mut state = self.lock();
        state.is_left = true;
        state.writer = None;
    }

    /// Whether a message waits in the outbox.
    pub(super) fn has_waiting(&self) -> bool {
        self.lock().waiting > 0
    }

    /// Writes what the system has refused, if it has.
    pub(super) fn poll_rest(
        &self,
        mut write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        if let Some(failed) = state.failed {
            return Poll::Ready(Err(failed.into()));
        }
        while !state.rest.is_empty() {
            let taken = ready!(write(&state.rest))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            state.rest.drain(..taken);
        }
        Poll::Ready(Ok(()))
    }

    /// The socket is no more.
    pub(super) fn close(&self) {
        self.lock().socket = None;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes whom to wake, which mostly is whoever it was before.
pub(super) fn note(place: &mut Option<Waker>, waker: &Waker) {
    match place {
        Some(noted) => noted.clone_from(waker),
        None => *place = Some(waker.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// All that has arrived.
    fn arrived(there: &mut UnixStream) -> io::Result<String> {
        let mut text = vec![0; 2 * MOST];
        match there.read(&mut text) {
            Ok(count) => text.truncate(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => text.clear(),
            Err(error) => return Err(error),
        }
        String::from_utf8(text).map_err(io::Error::other)
    }

    fn put(outbox: &Outbox, way: &Arc<Way>, message: &str) {
        assert!(way.is_open(Waker::noop()));
        outbox.put(way, &[IoSlice::new(message.as_bytes())]);
    }

    fn runs(test: impl Future<Output = io::Result<()>>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(test)
    }

    /// What arrives first, in so many turns.
    async fn first_arrived(there: &mut UnixStream, turns: usize) -> io::Result<String> {
        for _ in 0..turns {
            let text = arrived(there)?;
            if !text.is_empty() {
                return Ok(text);
            }
            yield_now().await;
        }
        Ok(String::new())
    }

    #[test]
    fn messages_are_sent_together_and_in_order_once_nothing_more_comes() -> io::Result<()> {
        let (here, mut there) = UnixStream::pair()?;
        there.set_nonblocking(true)?;
        let outbox = Arc::<Outbox>::default();
        let ways = [(); 2].map(|()| Arc::new(Way::new(here.as_raw_fd())));
        runs(async {
            tokio::spawn(outbox.clone().run());
            for round in ["12345", "67"] {
                for (message, way) in round.split_inclusive(|_| true).zip(ways.iter().cycle()) {
                    put(&outbox, way, message);
                }
                for message in ["a", "b", "c"] {
                    outbox.hear();
                    put(&outbox, &ways[0], message);
                    yield_now().await;
                    assert_eq!(arrived(&mut there)?, "");
                }
                assert_eq!(first_arrived(&mut there, 20).await?, format!("{round}abc"));
            }
            Ok(())
        })
    }

    #[test]
    fn where_something_always_comes_nobody_waits_for_all_of_it() -> io::Result<()> {
        let (here, mut there) = UnixStream::pair()?;
        there.set_nonblocking(true)?;
        let outbox = Arc::<Outbox>::default();
        let way = Arc::new(Way::new(here.as_raw_fd()));
        runs(async {
            tokio::spawn(outbox.clone().run());
            let hearing = outbox.clone();
            tokio::spawn(async move {
                loop {
                    hearing.hear();
                    yield_now().await;
                }
            });
            put(&outbox, &way, "1");
            assert_eq!(first_arrived(&mut there, 2 * MOST).await?, "1");
            Ok(())
        })
    }

    #[test]
    fn no_more_messages_wait_than_are_sent_together() -> io::Result<()> {
        let (here, mut there) = UnixStream::pair()?;
        there.set_nonblocking(true)?;
        let outbox = Arc::<Outbox>::default();
        let way = Arc::new(Way::new(here.as_raw_fd()));
        for _ in 1..MOST {
            put(&outbox, &way, "1");
        }
        assert_eq!(arrived(&mut there)?, "");
        put(&outbox, &way, "2");
        assert_eq!(arrived(&mut there)?.len(), MOST);
        Ok(())
    }
}
