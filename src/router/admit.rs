//! Which requests are refused before a dyno is looked for, because they can be read in more than one way or are too large.

use hyper::Request;
use hyper::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use hyper::http::request;
use hyper::{Method, Version};

use super::Options;
use super::code::{self, Code};

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

/// Why the request cannot be passed on: the code, and the cause for the log line.
pub(super) fn check(
    head: &request::Parts,
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
    let too_long = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        name.as_str().len() + value.len() > options.max_header
    };
    if head.headers.iter().any(too_long) {
        return Err((&code::H26_HEADER, "header too long"));
    }
    // Codings other than chunked are per hop too, and taking them off is nobody's job but ours: we do not.
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        let plain = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        let alone = codings.next().is_none() && !head.headers.contains_key(CONTENT_LENGTH);
        if !plain || !alone || head.version != Version::HTTP_11 {
            return Err((&code::H26, "bad header"));
        }
    }
    let mut expectations = head.headers.get_all(EXPECT).iter();
    if expectations.any(|expect| !expect.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err((&code::H26_EXPECT, "unsupported expect header value"));
    }
    Ok(())
}
