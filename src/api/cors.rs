//! Pages of other origins: any may call the API, since no cookie opens it and a page that has no token learns nothing.
//! It must not know which routes there are.

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderMap, HeaderValue};

/// What a page's script may read besides the body.
const EXPOSED: &str = "Accept-Ranges, Content-Range, ETag, Heroku-Webhook-Secret, Next-Range, RateLimit-Remaining, Request-Id, Retry-After";
/// What a page may send. `*` would not stand for `Authorization`.
const ACCEPTED: &str = "Accept, Accept-Expansion, Accept-Inclusion, Authorization, Content-Type, If-Match, If-None-Match, Last-Event-ID, Range, Request-Id, X-Http-Method-Override";
/// In seconds; browsers keep the answer for less if they find that too long.
const MAX_AGE: &str = "86400";

/// What a browser asks before it lets a page call a path that answers `methods`.
pub fn preflight(methods: &str) -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((header::ALLOW, methods))
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, methods))
        .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, ACCEPTED))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, MAX_AGE))
        .finish()
}

/// Lets the page that asked see the answer.
pub fn allow(request: &HeaderMap, answer: &mut HeaderMap) {
    if request.contains_key(header::ORIGIN) {
        answer.insert(
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            HeaderValue::from_static("*"),
        );
        answer.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(EXPOSED),
        );
    }
}
