//! Answers: a status, a body, and the headers that every one of Heroku's answers has.

use std::marker::PhantomData;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::Paged;
use super::conditional::{self, etag};
use super::range;
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// Room for the JSON of one resource, in bytes, so that it is not copied while it is written.
const USUAL_BODY: usize = 2 * 1024;

/// An answer to a [`super::call::Call`]: `V` is what it shows, and `STATUS` how it says that all went well.
pub struct Reply<V, const STATUS: u16 = 200> {
    status: u16,
    body: Vec<u8>,
    headers: Vec<(HeaderName, HeaderValue)>,
    shows: PhantomData<V>,
}

/// 201: what was made.
pub type Created<V> = Reply<V, 201>;
/// 202: it is written down, and a loop will do it. The body is an empty object.
pub type Accepted = Reply<Nothing, 202>;

/// `{}`.
#[derive(Serialize, JsonSchema)]
pub struct Nothing {}

impl Accepted {
    pub fn accepted() -> Result<Accepted> {
        Reply::of(&Nothing {})
    }
}

impl<V: Serialize, const STATUS: u16> Reply<V, STATUS> {
    pub fn of(view: &V) -> Result<Reply<V, STATUS>> {
        Reply::with(STATUS, view)
    }

    /// 300: the candidates among which the caller has to choose.
    pub fn choices(views: &[V]) -> Result<Reply<V, STATUS>> {
        Reply::with(300, &views)
    }

    fn with(status: u16, view: &impl Serialize) -> Result<Reply<V, STATUS>> {
        let mut body = Vec::with_capacity(USUAL_BODY);
        serde_json::to_writer(&mut body, view).map_err(Error::internal)?;
        Ok(Reply {
            status,
            body,
            headers: Vec::new(),
            shows: PhantomData,
        })
    }
}

impl<V: Serialize> Reply<Vec<V>> {
    /// One page of a list: 206 with `Next-Range` when more follow.
    pub fn page<T>(paged: &Paged<T>, views: &[V]) -> Result<Reply<Vec<V>>> {
        let next = range::next(&paged.page, &paged.listing);
        let status = if next.is_some() { 206 } else { 200 };
        let mut reply = Reply::with(status, &views)?;
        reply.header(header::ACCEPT_RANGES, &range::names(paged.fields));
        if let Some(content) = range::content(&paged.page, &paged.listing) {
            reply.header(header::CONTENT_RANGE, &content);
        }
        if let Some(next) = next {
            reply.header(HeaderName::from_static("next-range"), &next);
        }
        Ok(reply)
    }
}

impl<V, const STATUS: u16> Reply<V, STATUS> {
    /// The same answer with one header more.
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Reply<V, STATUS> {
        self.header(name, value);
        self
    }

    /// Adds a sentence that the official CLI prints: what a person has to know of an answer that went well.
    pub fn warning(mut self, text: &str) -> Reply<V, STATUS> {
        self.header(HeaderName::from_static("warning-message"), text);
        self
    }

    /// A value that no header can carry is left out: ours are all ASCII but for what a client chose.
    fn header(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
    }

    /// The response, with an `ETag` over the body; 304 without one when the client has it already.
    pub fn into_response(self, request: &HttpRequest) -> HttpResponse {
        let etag = etag(&self.body);
        if (200..300).contains(&self.status)
            && request.method().is_safe()
            && conditional::is_known(request.headers(), &etag)
        {
            return HttpResponse::NotModified()
                .insert_header((header::ETAG, etag))
                .finish();
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let mut response = HttpResponse::build(status);
        response
            .insert_header((header::ETAG, etag))
            .insert_header((header::CONTENT_TYPE, "application/json"));
        if let Some(modified) = modified(&self.body) {
            response.insert_header(header::LastModified(modified.into()));
        }
        for header in self.headers {
            response.insert_header(header);
        }
        response.body(self.body)
    }
}

/// When what is shown was changed last, as it says itself: `Last-Modified` goes with the answers that are one resource.
fn modified(body: &[u8]) -> Option<SystemTime> {
    #[derive(Deserialize)]
    struct Dated<'a> {
        updated_at: Option<&'a str>,
    }
    if body.first() != Some(&b'{') {
        return None;
    }
    let dated: Dated<'_> = serde_json::from_slice(body).ok()?;
    let micros = Timestamp::parse(dated.updated_at?)?.micros();
    UNIX_EPOCH.checked_add(Duration::from_micros(u64::try_from(micros).ok()?))
}

/// JSON that is the same for everybody, as a route without an account answers.
pub fn document(value: &serde_json::Value) -> HttpResponse {
    let body = value.to_string();
    HttpResponse::Ok()
        .insert_header((header::ETAG, etag(body.as_bytes())))
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(body)
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
    let etag = etag(&body);
    response.insert_header((header::ETAG, etag)).body(body)
}
