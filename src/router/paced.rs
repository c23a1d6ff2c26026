//! An answer on its way by HTTP/2, where a visitor may take nothing of one answer and go on using the connection.
//!
//! What carries HTTP/2 does not ask for more of a body before its visitor has made room, and keeps what it has taken in for as long, so
//! the body itself would never find out that nobody takes it. A task reads it instead, hands on a piece at a time, sees the last one
//! sent, and gives up what takes too long: what was not taken in by then never is, and what was may still arrive, without an end. The
//! dyno's place it gives back sooner, once that has answered, where little is left.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::answer::Download;
use super::piece::{Piece, Sending};
use super::queue::Place;
use super::visitor::Visitor;

/// So long a visitor may take over the end of an answer before somebody else may have the dyno's place.
const SHORTLY: Duration = Duration::from_millis(100);
/// No more bytes are kept of an answer whose dyno has others to answer, and no more such answers of a thread.
const LITTLE: usize = 16 * 1024;
const MOST: usize = 1024;

/// A frame, or why there are no more; nothing at the end of a whole body.
type Item = Option<io::Result<Frame<Piece>>>;

/// An item, and whether no other follows.
type Next = (Item, bool);

/// The body as the connection to the visitor reads it.
pub(super) struct Paced {
    items: mpsc::Receiver<Next>,
    sending: Arc<Sending>,
    over: bool,
}

impl Paced {
    /// Reads the dyno's body in a task that must be given time to end. The visitor may take nothing of it for `idle`, or less once
    /// the router takes its leave.
    pub(super) fn new(download: Download, idle: Duration, visitor: &Arc<Visitor>) -> Paced {
        let (sender, items) = mpsc::channel(1);
        let sending = Arc::new(Sending::new());
        let course = Course {
            items: sender,
            sending: sending.clone(),
            idle,
            visitor: visitor.clone(),
        };
        let seeing = course.see_through(download.followed());
        visitor.open.spawn_answer(seeing);
        Paced {
            items,
            sending,
            over: false,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Piece>>>> {
        if self.over {
            return Poll::Ready(None);
        }
        self.items.poll_recv(cx).map(|next| {
            let broken_off = || (Some(Err(io::ErrorKind::ConnectionAborted.into())), true);
            let next = next.filter(|_| !self.sending.is_given_up());
            let (item, is_last) = next.unwrap_or_else(broken_off);
            self.over = is_last;
            item
        })
    }
}

/// The way of an answer from a dyno to the visitor.
struct Course {
    items: mpsc::Sender<Next>,
    sending: Arc<Sending>,
    idle: Duration,
    visitor: Arc<Visitor>,
}

/// What becomes of an answer.
enum End {
    Sent,
    /// The visitor has left, or its connection has.
    Lost,
    /// The visitor takes nothing of it.
    Stalled,
}

impl Course {
    async fn see_through(self, mut download: Download) {
        let end = match self.hand_on(&mut download).await {
            Ok(last) => self.see_end(last, &mut download).await,
            Err(end) => end,
        };
        match end {
            End::Sent => download.sent(),
            End::Lost => self.sending.give_up(),
            End::Stalled => {
                self.sending.give_up();
                download.stalled();
            }
        }
    }

    /// Hands on all but the last, which it returns.
    async fn hand_on(&self, download: &mut Download) -> Result<Item, End> {
        let mut closed = pin!(self.visitor.open.closed().fuse());
        let mut cut = pin!(self.visitor.open.cut().fuse());
        loop {
            let next = poll_fn(|cx| Pin::new(&mut *download).poll_frame(cx));
            let item = tokio::select! {
                biased;
                item = next => item,
                () = self.items.closed() => return Err(End::Lost),
                // It may have to end for that, and knows when it is asked again.
                () = closed.as_mut() => continue,
                () = cut.as_mut() => continue,
            };
            let is_last = !matches!(item, Some(Ok(_))) || download.is_end_stream();
            let piece = |bytes| self.sending.piece(bytes);
            let item = item.map(|frame| frame.map(|frame| frame.map_data(piece)));
            if is_last {
                return Ok(item);
            }
            tokio::select! {
                biased;
                handed_on = self.items.send((item, false)) => handed_on.map_err(|_| End::Lost)?,
                () = self.stalls() => return Err(End::Stalled),
            }
        }
    }

    /// Hands the last on, and sees all of it sent.
    async fn see_end(&self, last: Item, download: &mut Download) -> End {
        let ending = async {
            let is_piece = matches!(last, Some(Ok(_)));
            // Nobody is there who could be asked, so whoever has left is known by what is thrown away.
            let _ = self.items.send((last, !is_piece)).await;
            if !self.sending.over().await {
                return End::Lost;
            }
            // Only now: an answer of which this was said could not be given up any more.
            if is_piece {
                let _ = self.items.send((None, true)).await;
            }
            End::Sent
        };
        let (mut ending, mut stalls) = (pin!(ending), pin!(self.stalls()));
        tokio::select! {
            biased;
            end = &mut ending => return end,
            () = sleep(SHORTLY) => {}
        }
        let is_little = self.sending.left() <= LITTLE;
        let parted = Place::take(&self.visitor.open.parted, MOST).filter(|_| is_little);
        if parted.is_some() {
            download.leave_dyno();
        }
        tokio::select! {
            biased;
            end = &mut ending => end,
            () = &mut stalls => End::Stalled,
            // The log says so of what is not sent by then.
            () = self.visitor.open.cut() => End::Lost,
        }
    }

    /// Resolves when the visitor has taken nothing of it for too long.
    async fn stalls(&self) {
        let moved = &self.sending.moved;
        tokio::select! {
            () = moved.silence_since(Some(Instant::now()), self.idle) => {}
            () = self.visitor.leaves_it(moved) => {}
        }
    }
}
