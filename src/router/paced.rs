//! An answer on its way by HTTP/2, where a visitor may take nothing of one answer and go on using the connection.
//!
//! What carries HTTP/2 does not ask for more of a body before its visitor has made room, so the body itself would never find out
//! that nobody takes it. A task reads it instead, hands on a frame at a time, and gives the dyno's place back when that takes too
//! long.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::answer::Download;
use super::visitor::Visitor;

/// A frame, or why there are no more; nothing at the end of a whole body.
type Item = Option<io::Result<Frame<Bytes>>>;

/// The body as the connection to the visitor reads it.
pub(super) struct Paced {
    frames: mpsc::Receiver<Item>,
    over: bool,
}

impl Paced {
    /// Reads the dyno's body in a task that must be given time to end. The visitor may be slow by `idle` for each frame, or less once
    /// the router takes its leave.
    pub(super) fn new(download: Download, idle: Duration, visitor: &Arc<Visitor>) -> Paced {
        let (sender, frames) = mpsc::channel(1);
        let handing_on = hand_on(download, sender, idle, visitor.clone());
        visitor.open.spawn(handing_on);
        Paced {
            frames,
            over: false,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.over {
            return Poll::Ready(None);
        }
        self.frames.poll_recv(cx).map(|item| {
            let item = item.unwrap_or(Some(Err(io::ErrorKind::ConnectionAborted.into())));
            self.over = !matches!(item, Some(Ok(_)));
            item
        })
    }
}

async fn hand_on(
    mut download: Download,
    frames: mpsc::Sender<Item>,
    idle: Duration,
    visitor: Arc<Visitor>,
) {
    let mut closed = pin!(visitor.open.closed().fuse());
    let mut cut = pin!(visitor.open.cut().fuse());
    loop {
        let next = poll_fn(|cx| Pin::new(&mut download).poll_frame(cx));
        let item = tokio::select! {
            biased;
            item = next => item,
            // The visitor has left.
            () = frames.closed() => return,
            // It may have to end for that, and knows when it is asked again.
            () = closed.as_mut() => continue,
            () = cut.as_mut() => continue,
        };
        let is_last = !matches!(item, Some(Ok(_)));
        let sending = async {
            tokio::select! {
                biased;
                sent = frames.send(item) => Some(sent),
                () = visitor.leaves_it() => None,
            }
        };
        match timeout(idle, sending).await {
            Ok(Some(Ok(()))) if !is_last => {}
            Ok(Some(_)) => return,
            Ok(None) | Err(_) => return download.stalled(),
        }
    }
}
