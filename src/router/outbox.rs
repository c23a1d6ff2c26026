//! Short messages of a thread, which are sent together once all that was ready has had its turn.
//!
//! Whoever sleeps when a message comes has to be woken, and that costs its sender several microseconds; whoever gets the next one while at
//! the last is awake already. So what is short is not sent between one piece of work and another, but behind all of it, one message right
//! after the other. It must not know what is said.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker, ready};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, send};
use tokio::sync::Notify;

/// Bytes of the longest message that is put here. What is longer costs more to copy than it saves.
pub(super) const SHORT: usize = 4 * 1024;
/// Messages that are sent together at most, so that the first does not wait for long.
const MOST: usize = 32;

/// One a thread.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    some: Notify,
}

#[derive(Default)]
struct Waiting {
    text: Vec<u8>,
    /// By which way which part of the text goes.
    of: Vec<(Arc<Way>, Range<usize>)>,
}

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
            waiting.of.push((way.clone(), place));
            waiting.of.len()
        };
        match count {
            1 => self.some.notify_one(),
            MOST.. => self.send(),
            _ => {}
        }
    }

    /// Sends what waits, in the order in which it came.
    pub(super) fn send(&self) {
        let mut waiting = self.waiting();
        if waiting.of.is_empty() {
            return;
        }
        let mut sent = std::mem::take(&mut *waiting);
        drop(waiting);
        for (way, place) in sent.of.drain(..) {
            way.send(sent.text.get(place).unwrap_or_default());
        }
        sent.text.clear();
        let mut waiting = self.waiting();
        if waiting.of.is_empty() {
            *waiting = sent;
        }
    }

    /// Sends whatever comes, for as long as the thread runs.
    pub(super) async fn run(self: Arc<Outbox>) {
        loop {
            self.some.notified().await;
            self.send();
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
