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
    Stream(Box<(Incoming, Progress, Silence)>),
}

/// How far an upload has come, for whoever waits for the answer to it. All clones tell of the same.
#[derive(Clone)]
pub(super) struct Progress {
    begun: Instant,
    /// `None` where there is nothing to upload, as for most requests.
    course: Option<Arc<Course>>,
}

struct Course {
    /// After it began.
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
    /// The body of a request that began then.
    pub(super) fn new(body: Incoming, idle: Duration, begun: Instant) -> (Upload, Progress) {
        if body.is_end_stream() {
            let nothing = Progress {
                begun,
                course: None,
            };
            return (Upload::Empty, nothing);
        }
        let course = Course {
            moved_ms: AtomicU64::new(0),
            awaits_visitor: AtomicBool::new(false),
            complete: AtomicBool::new(false),
            failure: AtomicU8::new(SOUND),
        };
        let progress = Progress {
            begun,
            course: Some(Arc::new(course)),
        };
        let upload = Upload::Stream(Box::new((body, progress.clone(), Silence::new(idle))));
        (upload, progress)
    }
}

impl Progress {
    /// When the dyno last took something, or the request began.
    pub(super) fn moved(&self) -> Instant {
        let moved_ms = |course: &Arc<Course>| course.moved_ms.load(Ordering::Relaxed);
        self.begun + Duration::from_millis(self.course.as_ref().map_or(0, moved_ms))
    }

    pub(super) fn awaits_visitor(&self) -> bool {
        let awaits = |course: &Arc<Course>| course.awaits_visitor.load(Ordering::Relaxed);
        self.course.as_ref().is_some_and(awaits)
    }

    pub(super) fn complete(&self) -> bool {
        let complete = |course: &Arc<Course>| course.complete.load(Ordering::Relaxed);
        self.course.as_ref().is_none_or(complete)
    }

    /// What the visitor did wrong, with the cause for the log line.
    pub(super) fn failure(&self) -> Option<(&'static Code, Option<&'static str>)> {
        match self.course.as_ref()?.failure.load(Ordering::Relaxed) {
            BROKEN => Some((&code::H26, Some("bad chunk"))),
            GONE => Some((&code::H27, None)),
            SILENT => Some((&code::H28, None)),
            _ => None,
        }
    }

    fn waits_for_visitor(&self) {
        if let Some(course) = &self.course {
            course.awaits_visitor.store(true, Ordering::Relaxed);
        }
    }

    /// The dyno takes something, and perhaps the last of it.
    fn move_on(&self, is_last: bool) {
        let Some(course) = &self.course else {
            return;
        };
        let elapsed = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        course.moved_ms.store(elapsed, Ordering::Relaxed);
        course.awaits_visitor.store(false, Ordering::Relaxed);
        if is_last {
            course.complete.store(true, Ordering::Relaxed);
        }
    }

    fn fail(&self, failure: u8) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(course) = &self.course {
            course.failure.store(failure, Ordering::Relaxed);
        }
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
        let Upload::Stream(stream) = &mut *self else {
            return Poll::Ready(None);
        };
        let (body, progress, silence) = &mut **stream;
        match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                silence.broken();
                // Of a body of known length, nobody asks for more once all of it is there.
                progress.move_on(body.is_end_stream());
                Poll::Ready(Some(Ok(frame)))
            }
            // Trailers are not passed on: they could carry what was stripped from the head.
            Poll::Ready(None | Some(Ok(_))) => {
                progress.move_on(true);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => progress.fail(fault(&error)),
            Poll::Pending => {
                progress.waits_for_visitor();
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
            Upload::Stream(stream) => stream.0.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Upload::Empty => SizeHint::with_exact(0),
            Upload::Stream(stream) => stream.0.size_hint(),
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
