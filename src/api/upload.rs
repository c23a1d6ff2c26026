//! Bytes that a client sends to a signed URL: streamed to disk and hashed on the way, within limits of size and patience.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::http::header;
use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt, unfold};

use super::call::Visit;
use crate::blob::Blob;
use crate::blob::signed::Method;
use crate::error::{Error, ErrorId, Result};

/// A sender that sends nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(30);

impl Visit {
    /// 403 unless the URL was signed for this method and path, and has not expired.
    pub fn verify(&self, method: Method) -> Result<()> {
        let uri = self.request.uri();
        self.platform
            .signed_urls
            .verify(method, uri.path(), uri.query().unwrap_or(""), self.now)
    }

    /// The same for somebody who was let in before: 403 unless the URL was signed, be it long ago.
    pub fn verify_again(&self, method: Method) -> Result<()> {
        let uri = self.request.uri();
        let urls = &self.platform.signed_urls;
        urls.expires(method, uri.path(), uri.query().unwrap_or(""))
            .map(drop)
    }

    /// Keeps the body as a blob. 413 past `max_bytes`, which is looked at before the first byte where the client says its size.
    pub async fn store(&mut self, max_bytes: u64) -> Result<Blob> {
        let declared = declared(&self.request);
        if declared.is_some_and(|declared| declared > max_bytes) {
            let message = format!(
                "The upload is larger than the {} MB that are allowed.",
                max_bytes >> 20
            );
            return Err(Error::new(ErrorId::RequestTooLarge, message));
        }
        let blob = self
            .platform
            .blobs
            .store(
                chunks(std::mem::replace(&mut self.payload, Payload::None)),
                max_bytes,
            )
            .await?;
        match declared {
            Some(declared) if declared != blob.size => Err(broken_off()),
            _ if blob.size == 0 => Err(Error::invalid(
                "The upload is empty. Send the tar.gz as the body of the request.",
            )),
            _ => Ok(blob),
        }
    }
}

/// The size of the body in bytes, where the client says it.
pub(super) fn declared(request: &HttpRequest) -> Option<u64> {
    let value = request.headers().get(header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}

fn broken_off() -> Error {
    Error::bad_request("The upload broke off before its end. Send it again.")
}

pub(super) fn chunks(payload: Payload) -> impl Stream<Item = Result<Bytes>> {
    unfold(Some(payload), |payload| async {
        let mut payload = payload?;
        match tokio::time::timeout(PATIENCE, payload.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(payload))),
            Ok(Some(Err(_))) => Some((Err(broken_off()), None)),
            Err(_) => {
                let message = format!(
                    "The upload sent nothing for {} seconds. Send it again.",
                    PATIENCE.as_secs()
                );
                Some((Err(Error::bad_request(message)), None))
            }
        }
    })
}
