//! `ETag`, `If-None-Match` and `If-Match`: what a client has already is not sent again, and what it would change is changed only
//! if it still is what the client has seen. It must not know what the answers show.

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorId, Result};
use crate::name::Id;

/// The `ETag` of a body: quoted, 32 hex digits.
pub fn etag(body: &[u8]) -> String {
    format!("\"{}\"", hex::encode(&Sha256::digest(body)[..16]))
}

/// Whether the client has this already.
pub fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    names(headers, &header::IF_NONE_MATCH, etag).unwrap_or(false)
}

/// 412 when the client says what it expects and `etag` is something else.
pub fn expected(headers: &HeaderMap, etag: &str) -> Result<()> {
    match names(headers, &header::IF_MATCH, etag) {
        Some(false) => Err(Error::new(
            ErrorId::PreconditionFailed,
            "It has changed since you read it, so nothing was done. Read it again, and send its new ETag as If-Match.",
        )),
        _ => Ok(()),
    }
}

/// Whether the header has `etag` among its values; `None` without the header. Weak and strong ones are not told apart: the same
/// JSON has both, the one where it was compressed.
fn names(headers: &HeaderMap, name: &HeaderName, etag: &str) -> Option<bool> {
    let mut values = headers.get_all(name).peekable();
    values.peek()?;
    let mut all = values.filter_map(|value| value.to_str().ok());
    let etag = etag.trim_start_matches("W/");
    Some(all.any(|value| {
        value
            .split(',')
            .map(|known| known.trim().trim_start_matches("W/"))
            .any(|known| known == etag || known == "*")
    }))
}

/// Every answer has an `ETag`. One that flows, such as a log, is never the same again, so its own is the request's id.
pub fn name(answer: &mut HttpResponse, request_id: Id) {
    if answer.headers().contains_key(header::ETAG) {
        return;
    }
    let value = match answer.body().size() {
        BodySize::None | BodySize::Sized(0) => etag(b""),
        _ => format!("\"{}\"", request_id.to_string().replace('-', "")),
    };
    if let Ok(value) = HeaderValue::from_str(&value) {
        answer.headers_mut().insert(header::ETAG, value);
    }
}

/// What an answer says its `ETag` is.
pub fn of(answer: &HttpResponse) -> &str {
    let value = answer.headers().get(header::ETAG);
    value.and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// Whether a request is to be done only if nothing has changed.
pub fn asks(request: &HttpRequest) -> bool {
    request.headers().contains_key(header::IF_MATCH)
}
