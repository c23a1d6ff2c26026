//! A visitor's body on its way to a dyno, never held in memory.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Instant;

use super::code::{self, Code};
use super::idle::Silence;

/// The body as the connection to the dyno reads it.
pub(super) enum Upload {
    Empty,
    Stream(Incoming, Arc<Progress>, Silence),
}

/// How far an upload has come, for whoever waits for the answer to it.
pub(super) struct Progress {
    born: Instant,
    moved_ms: AtomicU64,
    /// The dyno would take more, and the visitor has not sent it.
    awaits_visitor: AtomicBool,
    complete: AtomicBool,
    failure: AtomicU8,
}

const SOUND: u8 = 0;
const BROKEN: u8 = 1;
const GONE: u8 = 2;
const SILENT: u8 = 3;

impl Upload {
    pub(super) fn new(body: Incoming, idle: Duration) -> (Upload, Arc<Progress>) {
        let progress = Arc::new(Progress {
            born: Instant::now(),
            moved_ms: AtomicU64::new(0),
            awaits_visitor: AtomicBool::new(false),
            complete: AtomicBool::new(body.is_end_stream()),
            failure: AtomicU8::new(SOUND),
        });
        if body.is_end_stream() {
            return (Upload::Empty, progress);
        }
        let upload = Upload::Stream(body, progress.clone(), Silence::new(idle));
        (upload, progress)
    }
}

impl Progress {
    /// When the dyno last took something, or the request began.
    pub(super) fn moved(&self) -> Instant {
        self.born + Duration::from_millis(self.moved_ms.load(Ordering::Relaxed))
    }

    pub(super) fn awaits_visitor(&self) -> bool {
        self.awaits_visitor.load(Ordering::Relaxed)
    }

    pub(super) fn complete(&self) -> bool {
        self.complete.load(Ordering::Relaxed)
    }

    /// What the visitor did wrong, with the cause for the log line.
    pub(super) fn failure(&self) -> Option<(&'static Code, Option<&'static str>)> {
        match self.failure.load(Ordering::Relaxed) {
            BROKEN => Some((&code::H26, Some("bad chunk"))),
            GONE => Some((&code::H27, None)),
            SILENT => Some((&code::H28, None)),
            _ => None,
        }
    }

    fn move_on(&self) {
        let elapsed = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(elapsed, Ordering::Relaxed);
        self.awaits_visitor.store(false, Ordering::Relaxed);
    }

    fn fail(&self, failure: u8) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.failure.store(failure, Ordering::Relaxed);
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Upload::Stream(body, progress, silence) = &mut *self else {
            return Poll::Ready(None);
        };
        match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                silence.broken();
                progress.move_on();
                // Of a body of known length, nobody asks for more once all of it is there.
                if body.is_end_stream() {
                    progress.complete.store(true, Ordering::Relaxed);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            // Trailers are not passed on: they could carry what was stripped from the head.
            Poll::Ready(None | Some(Ok(_))) => {
                progress.move_on();
                progress.complete.store(true, Ordering::Relaxed);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => progress.fail(fault(&error)),
            Poll::Pending => {
                progress.awaits_visitor.store(true, Ordering::Relaxed);
                if silence.poll(cx, None).is_ready() {
                    return progress.fail(SILENT);
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Upload::Empty => true,
            Upload::Stream(body, ..) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Upload::Empty => SizeHint::with_exact(0),
            Upload::Stream(body, ..) => body.size_hint(),
        }
    }
}

/// Whether the body's framing was wrong, or it just ended too early.
fn fault(error: &hyper::Error) -> u8 {
    let cause =
        std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause.map(io::Error::kind) {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => BROKEN,
        _ => GONE,
    }
}
