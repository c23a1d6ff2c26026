//! Server-sent events: how a log session is put so that the official CLI reads it.
//!
//! Pure functions on bytes, which must not know of connections. What they give was found out with the CLI itself: it joins the
//! `data` lines of an event, trims them, splits them into lines again and prints those.

use bytes::Bytes;

use super::place::Place;
use super::session::Batch;

/// A comment that keeps a silent stream open. The CLI gives up after 300 seconds without a byte, proxies sooner: send it every
/// 15 to 30 seconds.
pub const PING: &[u8] = b": ping\n\n";

/// What a stream begins with. A session without tail ends by itself, and the CLI would then linger for the three seconds after
/// which it means to reconnect; a short `retry` spares it that. A tail that breaks must not be reopened in a hurry.
pub fn opening(tail: bool) -> &'static [u8] {
    match tail {
        true => b"retry: 3000\n\n",
        false => b"retry: 1\n\n",
    }
}

/// An event that is for nobody's eyes, since the CLI shows those without a name alone: it gives the client an id where there is no
/// line for it, with which it may go on after a break.
pub fn opened(id: &str) -> Bytes {
    format!("event: opened\nid: {id}\ndata:\n\n").into()
}

/// One event for a whole batch: one per line would halve the throughput. Its id says how far it goes ([`Batch::place`]), and comes
/// back as `Last-Event-ID` when the client goes on after a break; see [`resume`].
pub fn event(batch: &Batch, id: &str) -> Bytes {
    let text = batch.text.strip_suffix(b"\n").unwrap_or(&batch.text);
    let mut event = Vec::with_capacity(text.len() + text.len() / 8 + id.len() + 64);
    event.extend_from_slice(b"id: ");
    event.extend_from_slice(id.as_bytes());
    for line in text.split(|byte| *byte == b'\n') {
        event.extend_from_slice(b"\ndata: ");
        event.extend_from_slice(line);
    }
    event.extend_from_slice(b"\n\n");
    event.into()
}

/// The place that a `Last-Event-ID` stands for. `None` for an id that is not ours.
pub fn resume(last_event_id: &str) -> Option<Place> {
    Place::parse(last_event_id.trim())
}
