//! One request on one connection to a dyno, up to the head of the answer.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, Uri};
use tokio::time::Instant;

use super::code::{self, Code};
use super::load::Load;
use super::pool::{Lease, Pool};
use super::upload::{Progress, Upload};
use super::visitor::Visitor;

/// A request on its way out, which comes back when it could not be sent.
pub(super) struct Outgoing {
    request: Option<Request<Upload>>,
    pub progress: Progress,
    /// Whether it may be sent again when it is unknown whether it arrived: it has no body and an idempotent method
    /// (RFC 9110, 9.2.2).
    repeatable: bool,
    /// A dyno has closed an old connection on it, so it gets a new one.
    fresh_only: bool,
}

/// Why there is no answer.
pub(super) enum Failure {
    /// The connection was an old one and the dyno closed it. Nothing was done; the request is back and wants a new one.
    Unsent,
    /// The visitor did not send what it announced. With the cause for the log line.
    Visitor(&'static Code, Option<&'static str>),
    Dyno(&'static Code),
}

impl Outgoing {
    pub(super) fn new(head: Parts, upload: Upload, progress: Progress) -> Outgoing {
        let repeatable = matches!(upload, Upload::Empty) && head.method.is_idempotent();
        Outgoing {
            request: Some(Request::from_parts(head, upload)),
            progress,
            repeatable,
            fresh_only: false,
        }
    }

    /// A connection that the request can use without the cost of making one.
    pub(super) fn pooled(&self, pool: &Pool, dyno: &Load, now: Instant) -> Option<Lease> {
        if self.fresh_only {
            return None;
        }
        pool.take(dyno, self.repeatable, now.into())
    }

    /// Whether it has no body.
    fn is_empty(&self) -> bool {
        let body = self.request.as_ref().map(Request::body);
        body.is_some_and(|body| matches!(body, Upload::Empty))
    }

    /// For when an old connection takes the request with it.
    fn spare(&self) -> Option<Spare> {
        let request = self.request.as_ref();
        request.filter(|_| self.repeatable).map(Spare::of)
    }
}

/// A request without a body as it is written down, to be made anew. That is hardly ever done, and to keep each header by itself for it
/// would cost more than to change the head did.
struct Spare {
    method: Method,
    target: Uri,
    /// Each header's name and value, with a byte behind them that neither can have.
    headers: Vec<u8>,
}

const END: u8 = b'\n';

/// Most requests' headers are no longer than this, in bytes, and what allocates is quick at pieces of this size.
const MOST_ARE: usize = 1024;

impl Spare {
    fn of(request: &Request<Upload>) -> Spare {
        let mut written = Vec::with_capacity(MOST_ARE);
        for (name, value) in request.headers() {
            for part in [name.as_str().as_bytes(), value.as_bytes()] {
                written.extend_from_slice(part);
                written.push(END);
            }
        }
        Spare {
            method: request.method().clone(),
            target: request.uri().clone(),
            headers: written,
        }
    }

    fn request(self) -> Request<Upload> {
        let mut request = Request::new(Upload::Empty);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.target;
        let mut parts = self.headers.split(|byte| *byte == END);
        while let Some((name, value)) = parts.next().zip(parts.next()) {
            // They were a name and a value before.
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            {
                request.headers_mut().append(name, value);
            }
        }
        request
    }
}

/// Sends it, and waits for the head of the answer for so long from now on.
pub(super) async fn send(
    lease: &mut Lease,
    outgoing: &mut Outgoing,
    visitor: &Visitor,
    (now, first_byte): (Instant, Duration),
) -> Result<Response<Incoming>, Failure> {
    let reused = lease.is_reused();
    let spare = if reused { outgoing.spare() } else { None };
    // Where nothing but the answer is to come and to go, and by one task.
    if !visitor.is_http2 && outgoing.is_empty() {
        lease.ride();
    }
    let (Some((sender, alarm, wire)), Some(request)) = (lease.parts(), outgoing.request.take())
    else {
        return Err(Failure::Dyno(&code::H99));
    };
    let mut answer = pin!(sender.try_send_request(request));
    let answered = |cx: &mut Context<'_>| match wire {
        Some(wire) => wire.ride(cx, |cx| answer.as_mut().poll(cx)),
        None => answer.as_mut().poll(cx),
    };
    let timed = |cx: &mut Context<'_>, due| match visitor.is_http2 {
        // Its requests are waited for side by side.
        true => alarm.poll(cx, due),
        false => visitor.alarm.poll(cx, due),
    };
    let waiting = first(answered, &outgoing.progress, (now, first_byte), timed);
    let mut error = match waiting.await {
        None => return Err(Failure::Dyno(&code::H12)),
        Some(Ok(response)) => return Ok(response),
        Some(Err(error)) => error,
    };
    if let Some((code, cause)) = outgoing.progress.failure() {
        return Err(Failure::Visitor(code, cause));
    }
    let unsent = error.take_message();
    let error = error.into_error();
    if let Some(code) = unreadable(&error) {
        return Err(Failure::Dyno(code));
    }
    match unsent.or_else(|| spare.map(Spare::request)) {
        Some(request) if reused => {
            outgoing.request = Some(request);
            outgoing.fresh_only = true;
            Err(Failure::Unsent)
        }
        _ => Err(Failure::Dyno(&code::H13)),
    }
}

/// What is wrong with an answer, if that is it.
fn unreadable(error: &hyper::Error) -> Option<&'static Code> {
    if error.is_parse_too_large() {
        return Some(&code::H25);
    }
    // The parser has no other word for it.
    if error.is_parse() && error.to_string().contains("content-length") {
        return Some(&code::H25_LENGTH);
    }
    error.is_parse().then_some(&code::H17)
}

/// The answer, or nothing when the dyno took too long. Its time runs from when it last took something of the request, and does
/// not while it waits for the visitor, whose own time runs meanwhile.
async fn first<T>(
    mut answered: impl FnMut(&mut Context<'_>) -> Poll<T>,
    upload: &Progress,
    (now, limit): (Instant, Duration),
    mut timed: impl FnMut(&mut Context<'_>, Instant) -> Poll<()>,
) -> Option<T> {
    let mut deadline = now + limit;
    poll_fn(move |cx| {
        if let Poll::Ready(answer) = answered(cx) {
            return Poll::Ready(Some(answer));
        }
        while timed(cx, deadline).is_ready() {
            let now = Instant::now();
            let from = if upload.awaits_visitor() {
                now
            } else {
                upload.moved()
            };
            deadline = from + limit;
            if deadline <= now {
                return Poll::Ready(None);
            }
        }
        Poll::Pending
    })
    .await
}
