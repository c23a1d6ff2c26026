//! What the heads of all requests and answers have in common: the version that is asked for, and the ids of a request.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::error::{Error, ErrorId, Result};
use crate::name::Id;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Version 3 is the only one. A client that asks for no version gets it too.
pub(super) fn accept(headers: &HeaderMap) -> Result<()> {
    for value in headers.get_all(header::ACCEPT) {
        for media in value.to_str().unwrap_or("").split(',') {
            let mut parts = media.split(';').map(str::trim);
            let media = parts.next().unwrap_or("");
            if !media.eq_ignore_ascii_case("application/vnd.heroku+json") {
                continue;
            }
            let version = parts
                .filter_map(|part| part.split_once('='))
                .find(|(name, _)| name.trim().eq_ignore_ascii_case("version"))
                .map_or("3", |(_, version)| version.trim().trim_matches('"'));
            if version != "3" && !version.starts_with("3.") {
                return Err(Error::new(
                    ErrorId::NotAcceptable,
                    "Only version 3 of the API is served. Send \"Accept: application/vnd.heroku+json; version=3\".",
                ));
            }
        }
    }
    Ok(())
}

/// Our id of the request first, then those that the client sent, so that both sides find it in their logs.
pub(super) fn request_ids(own: Id, headers: &HeaderMap) -> HeaderValue {
    let sent = headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|sent| sent.len() <= 7 * 1024);
    let all = sent.map_or_else(|| own.to_string(), |sent| format!("{own},{sent}"));
    HeaderValue::from_str(&all).unwrap_or_else(|_| HeaderValue::from_static(""))
}
