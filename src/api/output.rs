//! Outputs over HTTP: as text or as server-sent events, from the start, or from where a client was cut off.
//!
//! It must not know what has an output.

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CONTENT_RANGE, HeaderValue, RANGE};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::future::ready;
use futures_util::stream::{self, Stream, StreamExt};

use super::reply;
use crate::error::{Error, ErrorId, Result};
use crate::output::HEARTBEAT;

/// What keeps a silent stream of events open.
const PING: &[u8] = b": ping\n\n";
/// A client that was cut off comes back after this time.
const OPENING: &[u8] = b"retry: 3000\n\n";
/// Where a live output will end nobody knows; this is beyond what any may hold.
const SOME_END: u64 = (1 << 53) - 1;

/// Answers with an output, which `open` begins at an offset in bytes: the one that the client asks for with `Last-Event-ID` or
/// `Range: bytes=N-`, else 0. A NUL byte, or a comment among events, says that it goes on in silence. `end` is where an output
/// ends that is over; whoever asks for what comes after that gets 416.
pub(super) fn stream<S>(
    request: &HttpRequest,
    end: Option<u64>,
    open: impl FnOnce(u64) -> S,
) -> HttpResponse
where
    S: Stream<Item = Result<Bytes>> + 'static,
{
    let events =
        header(request, ACCEPT.as_str()).is_some_and(|accept| accept.contains("text/event-stream"));
    if events {
        let from = header(request, "last-event-id").and_then(|id| id.trim().parse().ok());
        let from = from.unwrap_or(0);
        return HttpResponse::Ok()
            .content_type("text/event-stream")
            .streaming(as_events(open(from), from));
    }
    let plain = "text/plain; charset=utf-8";
    let Some(from) = header(request, RANGE.as_str()).and_then(begin) else {
        return HttpResponse::Ok().content_type(plain).streaming(open(0));
    };
    let mut part = HttpResponse::build(StatusCode::PARTIAL_CONTENT);
    part.content_type(plain);
    match end {
        None => part
            .insert_header((CONTENT_RANGE, format!("bytes {from}-{SOME_END}/*")))
            .streaming(open(from)),
        Some(end) if from < end => part
            .insert_header((CONTENT_RANGE, format!("bytes {from}-{}/{end}", end - 1)))
            .streaming(within(open(from), end - from)),
        Some(end) => beyond(end),
    }
}

/// What a client gets that has it all.
fn beyond(end: u64) -> HttpResponse {
    let message = format!("The output is over, and has {end} bytes. There is nothing after them.");
    let mut refused = reply::error(&Error::new(ErrorId::RangeNotSatisfiable, message));
    if let Ok(whole) = HeaderValue::from_str(&format!("bytes */{end}")) {
        refused.headers_mut().insert(CONTENT_RANGE, whole);
    }
    refused
}

/// No more of an output than its answer promises: a line that is written after all has ended comes with the next answer.
fn within<S>(output: S, bytes: u64) -> impl Stream<Item = Result<Bytes>> + 'static
where
    S: Stream<Item = Result<Bytes>> + 'static,
{
    output.scan(bytes, |left, chunk| {
        let cut = |chunk: Bytes| {
            let length = usize::try_from(*left).map_or(chunk.len(), |left| left.min(chunk.len()));
            *left -= length as u64;
            chunk.slice(..length)
        };
        let chunk = chunk.map(cut);
        let over = chunk.as_ref().is_ok_and(Bytes::is_empty);
        ready((!over).then_some(chunk))
    })
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// Of `bytes=N-`. Any other range is not served, which its asker sees by the status.
fn begin(range: &str) -> Option<u64> {
    let from = range.trim().strip_prefix("bytes=")?.strip_suffix('-')?;
    from.parse().ok().filter(|from| *from < SOME_END)
}

/// Each chunk is an event, whose id is the offset at which the next one begins. A character that came in halves waits for its rest.
fn as_events<S>(output: S, from: u64) -> impl Stream<Item = Result<Bytes>> + 'static
where
    S: Stream<Item = Result<Bytes>> + 'static,
{
    let events = stream::unfold(
        (Box::pin(output), from, Vec::new()),
        |(mut output, mut at, mut held)| async move {
            let event = match output.next().await? {
                Ok(chunk) if chunk == HEARTBEAT => Bytes::from_static(PING),
                Ok(chunk) => {
                    held.extend_from_slice(&chunk);
                    let whole = whole_characters(&held);
                    let text: Vec<u8> = held.drain(..whole).collect();
                    at += text.len() as u64;
                    event(at, &text)
                }
                Err(error) => return Some((Err(error), (output, at, held))),
            };
            Some((Ok(event), (output, at, held)))
        },
    );
    stream::once(async { Ok(Bytes::from_static(OPENING)) }).chain(events)
}

/// How much of some bytes there is without a character that is cut off at the end.
fn whole_characters(bytes: &[u8]) -> usize {
    let tail = bytes.len().saturating_sub(3);
    match std::str::from_utf8(&bytes[tail..]) {
        Err(error) if error.error_len().is_none() => tail + error.valid_up_to(),
        // Whole, or something else than text, or begun in the middle of a character.
        _ => (tail..bytes.len())
            .find(|&at| is_cut(&bytes[at..]))
            .unwrap_or(bytes.len()),
    }
}

fn is_cut(rest: &[u8]) -> bool {
    std::str::from_utf8(rest)
        .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
}

/// The text is what the client gets when it joins the lines. To it a carriage return ends a line too.
fn event(next: u64, text: &[u8]) -> Bytes {
    let mut event = format!("id: {next}").into_bytes();
    for line in text.split(|byte| *byte == b'\n') {
        event.extend_from_slice(b"\ndata: ");
        event.extend(line.iter().filter(|byte| **byte != b'\r'));
    }
    event.extend_from_slice(b"\n\n");
    event.into()
}
