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
/// Messages that are sent together at most: about as many as there are until the system is asked what else has come. With fewer, more
/// are woken in between, and who was late gets later.
const MOST: usize = 256;
/// Bytes of room for messages that a quiet thread keeps.
const ROOM: usize = 64 * 1024;

/// One a thread.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    some: Notify,
}

#[derive(Default)]
struct Waiting {
    text: Vec<u8>,
    to_dynos: Vec<Message>,
    to_visitors: Vec<Message>,
}

/// By which way which part of the text goes.
type Message = (Arc<Way>, Range<usize>);

/// To whom messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    Dyno,
    Visitor,
}

/// Where messages go from an outbox.
pub(super) struct Way {
    to: Whom,
    state: Mutex<State>,
}

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
            let messages = match way.to {
                Whom::Dyno => &mut waiting.to_dynos,
                Whom::Visitor => &mut waiting.to_visitors,
            };
            messages.push((way.clone(), place));
            waiting.count()
        };
        match count {
            1 => self.some.notify_one(),
            MOST.. => self.send(),
            _ => {}
        }
    }

    /// Sends what waits, in the order in which it came, but to dynos first: they have more to do with it than visitors, and whoever is
    /// woken together with others has his work done at a stroke.
    pub(super) fn send(&self) {
        let mut waiting = self.waiting();
        if waiting.count() == 0 {
            return;
        }
        let mut sent = std::mem::take(&mut *waiting);
        drop(waiting);
        for (way, place) in sent.to_dynos.drain(..).chain(sent.to_visitors.drain(..)) {
            way.send(sent.text.get(place).unwrap_or_default());
        }
        let is_quiet = sent.text.len() <= ROOM;
        sent.text.clear();
        if is_quiet {
            sent.text.shrink_to(ROOM);
        }
        let mut waiting = self.waiting();
        if waiting.count() == 0 {
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

impl Waiting {
    fn count(&self) -> usize {
        self.to_dynos.len() + self.to_visitors.len()
    }
}

impl Way {
    /// To a socket that stays this until it is [closed](Way::close).
    pub(super) fn new(socket: RawFd, to: Whom) -> Way {
        let state = State {
            socket: Some(socket),
            waiting: 0,
            rest: Vec::new(),
            failed: None,
            writer: None,
            is_left: false,
        };
        Way {
            to,
            state: Mutex::new(state),
        }
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn dynos_come_before_visitors_and_otherwise_who_was_first() -> io::Result<()> {
        let (here, mut there) = UnixStream::pair()?;
        let outbox = Outbox::default();
        let to = |whom| Arc::new(Way::new(here.as_raw_fd(), whom));
        let (visitor, dyno) = (to(Whom::Visitor), to(Whom::Dyno));
        for (way, message) in [(&visitor, "3"), (&dyno, "1"), (&visitor, "4"), (&dyno, "2")] {
            assert!(way.is_open(Waker::noop()));
            outbox.put(way, &[IoSlice::new(message.as_bytes())]);
        }
        outbox.send();
        drop(here);
        let mut arrived = String::new();
        there.read_to_string(&mut arrived)?;
        assert_eq!(arrived, "1234");
        Ok(())
    }
}
