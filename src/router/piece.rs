//! A piece of an answer, and what has become of all pieces of an answer by HTTP/2.
//!
//! What carries HTTP/2 takes a piece in before its visitor has made room for it, and says neither when it has sent it nor when it throws
//! it away. So such a piece tells that itself. It must not know what an answer is, nor who waits for its end.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::{Buf, Bytes};
use tokio::sync::Notify;

use super::idle::Activity;

/// Bytes on their way to a visitor.
pub(super) struct Piece {
    bytes: Bytes,
    of: Option<Arc<Sending>>,
}

/// How far an answer has come that is sent in pieces.
pub(super) struct Sending {
    /// Bytes that were taken in and not sent yet.
    left: AtomicUsize,
    /// Some of them never will be.
    is_lost: AtomicBool,
    /// Nobody waits for that any longer.
    is_given_up: AtomicBool,
    over: Notify,
    /// When some of it was last sent: only what the visitor has made room for ever is.
    pub moved: Activity,
}

impl Sending {
    pub(super) fn new() -> Sending {
        Sending {
            left: AtomicUsize::new(0),
            is_lost: AtomicBool::new(false),
            is_given_up: AtomicBool::new(false),
            over: Notify::new(),
            moved: Activity::new(),
        }
    }

    /// The next piece of it.
    pub(super) fn piece(self: &Arc<Sending>, bytes: Bytes) -> Piece {
        self.left.fetch_add(bytes.len(), Ordering::SeqCst);
        Piece {
            bytes,
            of: Some(self.clone()),
        }
    }

    /// Bytes on their way.
    pub(super) fn left(&self) -> usize {
        self.left.load(Ordering::SeqCst)
    }

    /// What of it was not taken in yet is to be thrown away.
    pub(super) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::SeqCst)
    }

    fn sent(&self, bytes: usize) {
        self.moved.stamp();
        if self.left.fetch_sub(bytes, Ordering::SeqCst) == bytes {
            self.over.notify_waiters();
        }
    }

    fn lost(&self) {
        self.is_lost.store(true, Ordering::SeqCst);
        self.over.notify_waiters();
    }

    /// Resolves when nothing of it is on its way any more: whether all pieces that there were have been sent.
    pub(super) async fn over(&self) -> bool {
        loop {
            let mut over = pin!(self.over.notified());
            over.as_mut().enable();
            if self.is_lost.load(Ordering::SeqCst) {
                return false;
            }
            if self.left.load(Ordering::SeqCst) == 0 {
                return true;
            }
            over.await;
        }
    }
}

/// Of an answer that nobody follows.
impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Piece {
        Piece { bytes, of: None }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(sending) = &self.of {
            sending.sent(count);
        }
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        let copied = self.bytes.copy_to_bytes(count);
        if let Some(sending) = &self.of {
            sending.sent(count);
        }
        copied
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(sending) = self.of.as_ref().filter(|_| self.bytes.has_remaining()) {
            sending.lost();
        }
    }
}
