//! Which requests are refused before a dyno is looked for, because they can be read in more than one way or are too large; and which
//! answers are, after it.

use hyper::ext::ReasonPhrase;
use hyper::header::{CONTENT_LENGTH, EXPECT, HeaderMap, SET_COOKIE, TRANSFER_ENCODING};
use hyper::http::request;
use hyper::{Method, Request, Response, Version};

use super::Options;
use super::code::{self, Code};

/// A colon, a space and the end of the line.
const PUNCTUATION: usize = 4;

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

/// How long headers are, in bytes, as HTTP/1.1 writes them.
#[derive(Default)]
struct Size {
    /// The longest, name and value.
    longest: usize,
    all: usize,
}

impl Size {
    fn of(headers: &HeaderMap) -> Size {
        let mut size = Size::default();
        for (name, value) in headers {
            let length = name.as_str().len() + value.len();
            size.longest = size.longest.max(length);
            size.all += length + PUNCTUATION;
        }
        size
    }
}

/// Why an answer cannot be passed on, whose head is as long as the parser takes it.
pub(super) fn answer<B>(answer: &Response<B>, options: &Options) -> Result<(), &'static Code> {
    let phrase = answer.extensions().get::<ReasonPhrase>();
    if phrase.is_some_and(|phrase| phrase.as_bytes().len() > options.max_status_line) {
        return Err(&code::H25_STATUS);
    }
    let mut cookies = answer.headers().get_all(SET_COOKIE).iter();
    if cookies.any(|cookie| cookie.len() > options.max_cookie) {
        return Err(&code::H25_COOKIE);
    }
    match Size::of(answer.headers()).all > options.max_response_head {
        true => Err(&code::H25),
        false => Ok(()),
    }
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
    let size = Size::of(&head.headers);
    if size.longest > options.max_header {
        return Err((&code::H26_HEADER, "header too long"));
    }
    if head.headers.len() > options.max_headers {
        return Err((&code::H26_HEADER, "too many headers"));
    }
    if size.all + target > options.max_head {
        return Err((&code::H26_HEADER, "headers too long"));
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
