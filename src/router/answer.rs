//! The body of an answer on its way to a visitor: a page of ours, or what a dyno sends, never held in memory.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use super::code::{self, Code};
use super::exchange::Exchange;
use super::idle::Silence;
use super::paced::Paced;
use super::piece::Piece;
use super::pool::Lease;
use super::upload::Progress;
use super::visitor::Visitor;

pub(super) enum Answer {
    Page(Option<Bytes>),
    Dyno(Box<Download>),
    /// The same, by HTTP/2.
    Paced(Paced),
}

/// A dyno's body. It holds the request's place at the dyno until it has ended.
pub(super) struct Download {
    body: Incoming,
    silence: Silence,
    /// How old an answer may be that others wait for when the router stops.
    longest: Duration,
    upload: Progress,
    visitor: Arc<Visitor>,
    /// Taken when the body has ended, in whichever way.
    lease: Option<Lease>,
    /// Taken when the answer has.
    exchange: Option<Box<Exchange>>,
    /// Whoever reads the body says when it was sent, which may be a while after its end.
    is_followed: bool,
}

impl From<Bytes> for Answer {
    fn from(page: Bytes) -> Answer {
        Answer::Page(Some(page))
    }
}

impl Download {
    pub(super) fn new(
        body: Incoming,
        exchange: Box<Exchange>,
        lease: Lease,
        upload: Progress,
        visitor: Arc<Visitor>,
        (idle, longest): (Duration, Duration),
    ) -> Download {
        let mut download = Download {
            body,
            silence: Silence::new(idle),
            longest,
            upload,
            visitor,
            lease: Some(lease),
            exchange: Some(exchange),
            is_followed: false,
        };
        download.end_if_over();
        download
    }

    /// The same, where its reader will say when it was [`sent`](Download::sent).
    pub(super) fn followed(self) -> Download {
        Download {
            is_followed: true,
            ..self
        }
    }

    /// The connection to the dyno goes back to the pool only when both bodies have passed whole, so that nothing of this
    /// request can be taken for a part of the next.
    fn end_if_over(&mut self) {
        if self.body.is_end_stream() {
            self.end();
        }
    }

    fn end(&mut self) {
        let Some(lease) = self.lease.take() else {
            return;
        };
        let now = Instant::now();
        if self.upload.complete() {
            let ticket = self
                .exchange
                .as_ref()
                .and_then(|exchange| exchange.ticket.as_ref());
            let bytes = self.exchange.as_ref().map_or(0, |exchange| exchange.bytes);
            lease.give_back(
                ticket.is_none_or(|ticket| ticket.load.retired()),
                bytes,
                now,
            );
        } else {
            self.visitor.linger.store(true, Ordering::Relaxed);
        }
        if !self.is_followed {
            self.sent_at(now);
        }
    }

    /// Of an answer that has ended and was not sent: others may have the place at the dyno.
    pub(super) fn leave_dyno(&mut self) {
        if let Some(exchange) = &mut self.exchange {
            exchange.leave_dyno();
        }
    }

    /// The visitor's connection has taken all of it.
    pub(super) fn sent(&mut self) {
        self.sent_at(Instant::now());
    }

    fn sent_at(&mut self, now: Instant) {
        if let Some(mut exchange) = self.exchange.take() {
            exchange.completed(now);
        }
    }

    /// The visitor takes nothing of it.
    pub(super) fn stalled(&mut self) {
        self.fail(&code::H15);
    }

    fn fail(&mut self, code: &'static Code) {
        self.lease = None;
        if let Some(mut exchange) = self.exchange.take() {
            exchange.failed(code);
        }
    }

    /// Whether the router stops, and waits for this answer no longer. Of a stream of events, what has come is passed on.
    fn is_cut(&self, comes: bool) -> bool {
        let open = &self.visitor.open;
        if !open.is_closing() {
            return false;
        }
        let too_long = |exchange: &Exchange| match exchange.is_endless() {
            true => !comes,
            false => exchange.age() > self.longest,
        };
        open.is_cut_off() || self.exchange.as_deref().is_some_and(too_long)
    }

    /// Ends the answer for that reason: a stream of events as it would end by itself, so that its reader comes again.
    fn cut(&mut self) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if !self
            .exchange
            .as_ref()
            .is_some_and(|exchange| exchange.is_endless())
        {
            return self.break_off(&code::H24);
        }
        self.fail(&code::H24);
        Poll::Ready(None)
    }

    fn break_off(&mut self, code: &'static Code) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.fail(code);
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())))
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        // It says nothing of the dyno, nor of whether this has to end.
        if self.lease.as_ref().is_some_and(|lease| lease.yields(cx)) {
            return Poll::Pending;
        }
        let Download { body, lease, .. } = &mut *self;
        let polled = match lease {
            Some(lease) => lease.ask(cx, |cx| Pin::new(&mut *body).poll_frame(cx)),
            None => Pin::new(body).poll_frame(cx),
        };
        let comes = matches!(&polled, Poll::Ready(Some(Ok(_)))) && !self.body.is_end_stream();
        if (comes || polled.is_pending()) && self.is_cut(comes) {
            return self.cut();
        }
        match polled {
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                self.silence.broken();
                let length = frame.data_ref().map_or(0, Bytes::len);
                if let Some(exchange) = &mut self.exchange {
                    exchange.bytes += u64::try_from(length).unwrap_or(u64::MAX);
                }
                self.end_if_over();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None | Some(Ok(_))) => {
                self.end();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(_))) => {
                let code = self.upload.failure().map_or(&code::H18, |(code, _)| code);
                self.break_off(code)
            }
            Poll::Pending => {
                let uploaded = self.upload.moved();
                if self.silence.poll(cx, Some(uploaded)).is_ready() {
                    return self.break_off(&code::H15);
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Body for Answer {
    type Data = Piece;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Piece>>>> {
        match &mut *self {
            Answer::Page(page) => Poll::Ready(page.take().map(|page| Ok(Frame::data(page.into())))),
            Answer::Dyno(download) => {
                let polled = Pin::new(&mut **download).poll_frame(cx);
                polled.map_ok(|frame| frame.map_data(Piece::from))
            }
            Answer::Paced(paced) => paced.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Answer::Page(page) => page.is_none(),
            Answer::Dyno(download) => download.is_end_stream(),
            Answer::Paced(paced) => paced.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Page(page) => {
                SizeHint::with_exact(page.as_ref().map_or(0, |page| page.len() as u64))
            }
            Answer::Dyno(download) => download.size_hint(),
            // The dyno's own header says how much it is, if anyone knows.
            Answer::Paced(_) => SizeHint::default(),
        }
    }
}

/// Whether it is a stream of server-sent events, whose reader comes again when it ends.
pub(super) fn is_of_events(headers: &HeaderMap) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let start = kind.and_then(|kind| kind.get(..EVENTS.len()));
    start.is_some_and(|start| start.eq_ignore_ascii_case(EVENTS))
}
