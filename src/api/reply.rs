//! Answers: a status, a body, and the headers that every one of Heroku's answers has.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::call::Paged;
use super::range;
use crate::error::{Error, Result};

/// Room for the JSON of one resource, in bytes, so that it is not copied while it is written.
const USUAL_BODY: usize = 2 * 1024;

/// An answer to a [`super::call::Call`].
pub struct Reply {
    status: StatusCode,
    body: Vec<u8>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Reply {
    pub fn ok(view: &impl Serialize) -> Result<Reply> {
        Reply::with(StatusCode::OK, view)
    }

    pub fn created(view: &impl Serialize) -> Result<Reply> {
        Reply::with(StatusCode::CREATED, view)
    }

    /// 202: written down, and a loop will do it.
    pub fn accepted() -> Result<Reply> {
        Reply::with(StatusCode::ACCEPTED, &serde_json::Map::new())
    }

    /// 300: the candidates among which the caller has to choose.
    pub fn choices(view: &impl Serialize) -> Result<Reply> {
        Reply::with(StatusCode::MULTIPLE_CHOICES, view)
    }

    /// One page of a list: 206 with `Next-Range` when more follow.
    pub fn page<T, V: Serialize>(paged: &Paged<T>, views: &[V]) -> Result<Reply> {
        let next = range::next(&paged.page, &paged.listing);
        let content = range::content(&paged.page, &paged.listing);
        let status = if next.is_some() {
            StatusCode::PARTIAL_CONTENT
        } else {
            StatusCode::OK
        };
        let mut reply = Reply::with(status, &views)?;
        reply.header(header::ACCEPT_RANGES, &range::names(paged.fields));
        if let Some(content) = content {
            reply.header(header::CONTENT_RANGE, &content);
        }
        if let Some(next) = next {
            reply.header(HeaderName::from_static("next-range"), &next);
        }
        Ok(reply)
    }

    fn with(status: StatusCode, view: &impl Serialize) -> Result<Reply> {
        let mut body = Vec::with_capacity(USUAL_BODY);
        serde_json::to_writer(&mut body, view).map_err(Error::internal)?;
        Ok(Reply {
            status,
            body,
            headers: Vec::new(),
        })
    }

    /// A value that no header can carry is left out: ours are all ASCII but for what a client chose.
    fn header(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
    }

    /// The response, with an `ETag` over the body; 304 without one when the client has it already.
    pub fn into_response(self, request: &HttpRequest) -> HttpResponse {
        let etag = format!("\"{}\"", hex::encode(&Sha256::digest(&self.body)[..16]));
        let fresh = request
            .headers()
            .get(header::IF_NONE_MATCH)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|known| {
                known
                    .split(',')
                    .map(|known| known.trim().trim_start_matches("W/"))
                    .any(|known| known == etag || known == "*")
            });
        if fresh && self.status.is_success() && request.method().is_safe() {
            return HttpResponse::NotModified()
                .insert_header((header::ETAG, etag))
                .finish();
        }
        let mut response = HttpResponse::build(self.status);
        response
            .insert_header((header::ETAG, etag))
            .insert_header((header::CONTENT_TYPE, "application/json"));
        for header in self.headers {
            response.insert_header(header);
        }
        response.body(self.body)
    }
}

/// Heroku's error body: `id`, `message`, and on a 404 what was not found.
pub fn error(error: &Error) -> HttpResponse {
    #[derive(Serialize)]
    struct Body<'a> {
        id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        resource: Option<&'static str>,
        message: &'a str,
    }
    let body = Body {
        id: error.id.as_str(),
        resource: error.resource,
        message: &error.message,
    };
    let status =
        StatusCode::from_u16(error.id.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CONTENT_TYPE, "application/json"));
    if status == StatusCode::UNAUTHORIZED {
        response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.insert_header((header::RETRY_AFTER, "1"));
    }
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let etag = format!("\"{}\"", hex::encode(&Sha256::digest(&body)[..16]));
    response.insert_header((header::ETAG, etag)).body(body)
}
