//! gzip for clients that take it. It must not know what is in the answers.

use std::io::Write;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::header::{self, AcceptEncoding, Encoding, Header, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// In bytes. What is smaller fits into a packet anyhow.
const LEAST: u64 = 1024;
/// In bytes. What is larger is compressed off the workers: it takes longer than a millisecond.
const LONG: usize = 64 * 1024;

/// The answer, compressed if it is JSON of some size and the client takes gzip. Its `ETag` becomes a weak one, since the bytes
/// are others; here it is compared without regard to that.
pub async fn compress(request: &HttpRequest, mut answer: HttpResponse) -> HttpResponse {
    let size = answer.body().size();
    if !matches!(size, BodySize::Sized(LEAST..)) || !is_json(&answer) {
        return answer;
    }
    let headers = answer.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if !takes_gzip(request) {
        return answer;
    }
    let (head, body) = answer.into_parts();
    let bytes = match body.try_into_bytes() {
        Ok(bytes) => bytes,
        Err(body) => return head.set_body(body),
    };
    let Some(smaller) = shrunk(bytes.clone()).await else {
        return head.set_body(BoxBody::new(bytes));
    };
    let mut answer = head.set_body(BoxBody::new(smaller));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    if let Some(weak) = headers.get(header::ETAG).and_then(weakened) {
        headers.insert(header::ETAG, weak);
    }
    answer
}

fn is_json(answer: &HttpResponse) -> bool {
    let kind = answer.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

fn takes_gzip(request: &HttpRequest) -> bool {
    request.headers().contains_key(header::ACCEPT_ENCODING)
        && AcceptEncoding::parse(request).is_ok_and(|accepted| {
            accepted.negotiate([Encoding::gzip(), Encoding::identity()].iter())
                == Some(Encoding::gzip())
        })
}

async fn shrunk(bytes: Bytes) -> Option<Vec<u8>> {
    if bytes.len() < LONG {
        return gzip(&bytes).ok();
    }
    let long = actix_web::rt::task::spawn_blocking(move || gzip(&bytes));
    long.await.ok()?.ok()
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let room = Vec::with_capacity(bytes.len() / 3);
    let mut encoder = GzEncoder::new(room, Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn weakened(etag: &HeaderValue) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("W/{}", etag.to_str().ok()?)).ok()
}
