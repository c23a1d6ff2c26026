//! One look over the headers of a message. Most have nothing in them that is to be checked or to be taken away, and that is known sooner
//! so than by a question for each.
//!
//! It must not know what becomes of what it sees.

use hyper::header::{HeaderMap, SET_COOKIE};

/// A colon, a space and the end of the line.
const PUNCTUATION: usize = 4;

/// What there is.
#[derive(Default)]
pub(super) struct Glance {
    /// How long the longest is, name and value, in bytes.
    pub longest: usize,
    /// How long all are, as HTTP/1.1 writes them.
    pub all: usize,
    /// What is said of one hop: `Connection`, `Transfer-Encoding` and `Upgrade` are of these.
    pub of_hop: bool,
    /// What is not for apps: `Expect` is of these.
    pub not_for_apps: bool,
    /// Names with underscores.
    pub underscores: bool,
    /// `Set-Cookie`.
    pub cookies: bool,
}

/// What is said of one hop.
pub(super) const HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What is not for apps. `Expect` has been answered here: the body is asked for as soon as the dyno takes it. `Proxy` becomes the
/// environment variable HTTP_PROXY in CGI programs (CVE-2016-5385).
pub(super) const NOT_FOR_APPS: &[&str] = &["expect", "http2-settings", "proxy"];

impl Glance {
    pub(super) fn at(headers: &HeaderMap) -> Glance {
        let mut glance = Glance::default();
        for (name, value) in headers {
            let name = name.as_str();
            let length = name.len() + value.len();
            glance.longest = glance.longest.max(length);
            glance.all += length + PUNCTUATION;
            glance.of_hop |= HOP.contains(&name);
            glance.not_for_apps |= NOT_FOR_APPS.contains(&name);
            glance.underscores |= name.contains('_');
            glance.cookies |= name == SET_COOKIE.as_str();
        }
        glance
    }
}
