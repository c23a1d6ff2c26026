//! Short values of headers that are made for one request.
//!
//! A thread cuts them from a sheet of memory that they share: a piece of its own for each would cost more than all else that is done
//! for it. This must not know what they say.

use std::cell::Cell;

use bytes::BytesMut;
use hyper::header::HeaderValue;

/// In bytes. A request that lasts holds a whole one.
const SIZE: usize = 1024;

thread_local! {
    static SHEET: Cell<BytesMut> = Cell::default();
}

/// The text as a value. It is empty if the text is none that a header may have.
pub(super) fn value(text: &str) -> HeaderValue {
    let mut sheet = SHEET.take();
    if sheet.capacity() < text.len() {
        sheet = BytesMut::with_capacity(SIZE.max(text.len()));
    }
    sheet.extend_from_slice(text.as_bytes());
    let value = sheet.split().freeze();
    SHEET.set(sheet);
    HeaderValue::from_maybe_shared(value).unwrap_or(HeaderValue::from_static(""))
}
