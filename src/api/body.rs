//! The JSON body of a request: read whole, within limits of size and time, and expanded where the client compressed it.
//! It must not know what the JSON says.

use std::io::Read;
use std::pin::pin;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::error::PayloadError;
use actix_web::http::header::{self, ContentEncoding, Header};
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use futures_util::{Stream, StreamExt};

use super::upload;
use crate::error::{Error, ErrorId, Result};

/// In bytes at most, compressed or not.
const MAX: usize = 1024 * 1024;
/// All of it has to be there within this time.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Whether the client sends a body at all.
pub fn is_sent(request: &HttpRequest) -> bool {
    let headers = request.headers();
    headers.contains_key(header::TRANSFER_ENCODING)
        || upload::declared(request).is_some_and(|bytes| bytes > 0)
}

/// The whole body. 413 past 1 MB, which is looked at before the first byte where the client says its size: one that waits for an
/// answer before it sends would otherwise wait for the timeout. 415 for an encoding other than gzip.
pub async fn read(request: &HttpRequest, payload: Payload) -> Result<Bytes> {
    read_within(request, payload, MAX).await
}

/// The same, up to another limit.
pub async fn read_within(
    request: &HttpRequest,
    payload: impl Stream<Item = std::result::Result<Bytes, PayloadError>>,
    max: usize,
) -> Result<Bytes> {
    if !is_sent(request) {
        return Ok(Bytes::new());
    }
    if upload::declared(request).is_some_and(|declared| declared > max as u64) {
        return Err(too_large(max));
    }
    let body = tokio::time::timeout(TIMEOUT, received(payload, max))
        .await
        .map_err(|_| slow())??;
    expanded(request, body, max)
}

async fn received(
    payload: impl Stream<Item = std::result::Result<Bytes, PayloadError>>,
    max: usize,
) -> Result<Bytes> {
    let mut payload = pin!(payload);
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Error::bad_request("The request's body broke off."))?;
        if body.len() + chunk.len() > max {
            return Err(too_large(max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn expanded(request: &HttpRequest, body: Bytes, max: usize) -> Result<Bytes> {
    if !request.headers().contains_key(header::CONTENT_ENCODING) {
        return Ok(body);
    }
    match ContentEncoding::parse(request) {
        Ok(ContentEncoding::Identity) => Ok(body),
        Ok(ContentEncoding::Gzip) => unzipped(&body, max),
        _ => Err(Error::new(
            ErrorId::UnsupportedMediaType,
            "The request's body may be sent as it is or with Content-Encoding: gzip.",
        )),
    }
}

fn unzipped(body: &[u8], max: usize) -> Result<Bytes> {
    let mut expanded = Vec::new();
    MultiGzDecoder::new(body)
        .take(max as u64 + 1)
        .read_to_end(&mut expanded)
        .map_err(|_| {
            Error::bad_request(
                "The request's body is not the gzip that its Content-Encoding promises.",
            )
        })?;
    if expanded.len() > max {
        return Err(too_large(max));
    }
    Ok(expanded.into())
}

fn slow() -> Error {
    Error::bad_request(format!(
        "The request's body did not arrive within {} seconds.",
        TIMEOUT.as_secs()
    ))
}

fn too_large(max: usize) -> Error {
    Error::new(
        ErrorId::RequestTooLarge,
        format!("The request's body is larger than {} MB.", max >> 20),
    )
}
