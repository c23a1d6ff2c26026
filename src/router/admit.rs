//! Which requests are refused before a dyno is looked for, because they can be read in more than one way or are too large; and which
//! answers are, after it.

use hyper::ext::ReasonPhrase;
use hyper::header::{
    CONTENT_LENGTH, EXPECT, HeaderMap, HeaderValue, SET_COOKIE, TRANSFER_ENCODING,
};
use hyper::http::request;
use hyper::{Method, Request, Response, Version};

use super::Options;
use super::code::{self, Code};
use super::glance::Glance;

/// Heroku's limit on the length of a method.
const LONGEST_METHOD: usize = 127;

/// Whether the target is a path, or `*` where that has a meaning.
pub(super) fn target_is_plain<B>(request: &Request<B>) -> bool {
    let path = request
        .uri()
        .path_and_query()
        .map_or("", |path| path.as_str());
    path.starts_with('/') || (path == "*" && request.method() == Method::OPTIONS)
}

/// Why an answer cannot be passed on, whose head is as long as the parser takes it; or what was seen of one that can.
pub(super) fn answer<B>(answer: &Response<B>, options: &Options) -> Result<Glance, &'static Code> {
    let phrase = answer.extensions().get::<ReasonPhrase>();
    if phrase.is_some_and(|phrase| phrase.as_bytes().len() > options.max_status_line) {
        return Err(&code::H25_STATUS);
    }
    let glance = Glance::at(answer.headers());
    let too_long = |cookie: &HeaderValue| cookie.len() > options.max_cookie;
    if glance.cookies && answer.headers().get_all(SET_COOKIE).iter().any(too_long) {
        return Err(&code::H25_COOKIE);
    }
    match glance.all > options.max_response_head {
        true => Err(&code::H25),
        false => Ok(glance),
    }
}

/// Why the request cannot be passed on: the code, and the cause for the log line.
pub(super) fn check(
    head: &request::Parts,
    glance: &Glance,
    options: &Options,
) -> Result<(), (&'static Code, &'static str)> {
    if head.method.as_str().len() > LONGEST_METHOD {
        return Err((&code::H26, "bad method"));
    }
    let target = head
        .uri
        .path_and_query()
        .map_or(0, |path| path.as_str().len());
    if target > options.max_target {
        return Err((&code::H26_TARGET, "request target too long"));
    }
    if glance.longest > options.max_header {
        return Err((&code::H26_HEADER, "header too long"));
    }
    if head.headers.len() > options.max_headers {
        return Err((&code::H26_HEADER, "too many headers"));
    }
    if glance.all + target > options.max_head {
        return Err((&code::H26_HEADER, "headers too long"));
    }
    if glance.of_hop && !is_framed_plainly(head) {
        return Err((&code::H26, "bad header"));
    }
    if glance.not_for_apps && expects_more(&head.headers) {
        return Err((&code::H26_EXPECT, "unsupported expect header value"));
    }
    Ok(())
}

/// Codings other than chunked are per hop too, and taking them off is nobody's job but ours: we do not.
fn is_framed_plainly(head: &request::Parts) -> bool {
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return true;
    };
    let plain = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    let alone = codings.next().is_none() && !head.headers.contains_key(CONTENT_LENGTH);
    plain && alone && head.version == Version::HTTP_11
}

/// Whether something is expected that nobody does.
fn expects_more(headers: &HeaderMap) -> bool {
    let mut expectations = headers.get_all(EXPECT).iter();
    expectations.any(|expect| !expect.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}
