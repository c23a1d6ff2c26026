//! What changes in the heads of messages as they pass: the hop's own headers go, and those that say how it came are added.
//!
//! It sees heads only, and decides nothing about dynos.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, Entry, HOST, HeaderMap, HeaderName, HeaderValue,
    TRANSFER_ENCODING, UPGRADE, VIA,
};
use hyper::http::{request, response};
use hyper::{Method, Uri, Version};

use super::glance::{Glance, HOP, NOT_FOR_APPS};
use super::{request_id, sheet};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_REQUEST_START: HeaderName = HeaderName::from_static("x-request-start");
const VIA_HTTP1: HeaderValue = HeaderValue::from_static("1.1 penstock");
const VIA_HTTP2: HeaderValue = HeaderValue::from_static("2.0 penstock");
/// Headers that `Connection` cannot take away, since the next hop decides by them whom and what it serves.
const KEPT: &[&str] = &[
    "authorization",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "set-cookie",
    "via",
    "x-real-ip",
];

/// Headers whose twin with underscores a CGI-like app cannot tell from the real one.
const GUARDED: &[&str] = &[
    "connection",
    "content-length",
    "content-type",
    "forwarded",
    "host",
    "proxy",
    "transfer-encoding",
    "via",
    "x-real-ip",
    "x-request-id",
    "x-request-start",
];

/// How the visitor's connection came in.
pub(super) struct Origin {
    /// `http` or `https`.
    pub scheme: &'static str,
    pub port: u16,
    /// The same for all of its requests, so it is put into words once.
    peer: HeaderValue,
    port_said: HeaderValue,
}

impl Origin {
    pub(super) fn new(peer: IpAddr, scheme: &'static str, port: u16) -> Origin {
        let peer = HeaderValue::from_maybe_shared(bytes::Bytes::from(peer.to_string()));
        Origin {
            scheme,
            port,
            peer: peer.unwrap_or(HeaderValue::from_static("")),
            port_said: HeaderValue::from(port),
        }
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.scheme == "https"
    }
}

/// What of the changed head the log line shows as well.
pub(super) struct Trail {
    pub request_id: HeaderValue,
    pub forwarded_for: HeaderValue,
}

/// Makes a visitor's head fit to be sent to a dyno, by HTTP/1.1. With `upgrade`, the wish for another protocol is passed on.
pub(super) fn request(
    head: &mut request::Parts,
    glance: &Glance,
    origin: &Origin,
    (has_body, upgrade): (bool, bool),
) -> Trail {
    let version = head.version;
    let unmeasured = version == Version::HTTP_2 && !head.headers.contains_key(CONTENT_LENGTH);
    let coded = glance.of_hop && head.headers.contains_key(TRANSFER_ENCODING);
    let chunked = coded || (has_body && unmeasured);
    let protocol = agreed(&head.headers, upgrade);
    strip(&mut head.headers, glance);
    let headers = &mut head.headers;
    if chunked {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if let Some(protocol) = protocol {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
    let forwarded_for = append(headers, &X_FORWARDED_FOR, origin.peer.clone());
    let request_id = identify(headers);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(origin.scheme));
    headers.insert(X_FORWARDED_PORT, origin.port_said.clone());
    let now = sheet::value(itoa::Buffer::new().format(now_ms()));
    headers.insert(X_REQUEST_START, now);
    // The protocol is that of the hop that ends here (RFC 9110, 7.6.3).
    append(
        headers,
        &VIA,
        match version {
            Version::HTTP_2 => VIA_HTTP2,
            _ => VIA_HTTP1,
        },
    );
    head.version = Version::HTTP_11;
    head.extensions.clear();
    if head.uri.authority().is_some()
        && let Some(path) = head.uri.path_and_query().cloned()
    {
        head.uri = Uri::from(path);
    }
    Trail {
        request_id,
        forwarded_for,
    }
}

/// The id that the request came with, if it is one that can be kept, and else a new one in its place.
fn identify(headers: &mut HeaderMap) -> HeaderValue {
    match headers.entry(X_REQUEST_ID) {
        Entry::Vacant(place) => place.insert(request_id::new()).clone(),
        Entry::Occupied(mut place) => {
            let brought = place.get().clone();
            let id = match request_id::acceptable(brought.as_bytes()) {
                true => brought,
                false => request_id::new(),
            };
            // Any others that came with it go.
            place.insert(id.clone());
            id
        }
    }
}

/// Puts where HTTP/1.1 has it what HTTP/2 has elsewhere, before it is looked at: the host, the cookies in one line, and the one
/// length (RFC 9113, 8.2.3 and 8.3.1).
pub(super) fn from_http2(head: &mut request::Parts) {
    if !head.headers.contains_key(HOST)
        && let Some(authority) = head.uri.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        head.headers.insert(HOST, host);
    }
    // Several that agree are let through on the way here, and refused by some apps.
    if let Some(length) = head.headers.get(CONTENT_LENGTH).cloned() {
        head.headers.insert(CONTENT_LENGTH, length);
    }
    let cookies: Vec<HeaderValue> = head.headers.get_all(COOKIE).iter().cloned().collect();
    if cookies.len() > 1 {
        let crumbs: Vec<&[u8]> = cookies.iter().map(HeaderValue::as_bytes).collect();
        let whole = HeaderValue::from_maybe_shared(bytes::Bytes::from(crumbs.join(&b"; "[..])));
        head.headers
            .insert(COOKIE, whole.unwrap_or(HeaderValue::from_static("")));
    }
}

/// Makes a dyno's head fit to be sent to a visitor. With `upgrade`, the protocol that was agreed on is named.
pub(super) fn response(head: &mut response::Parts, glance: &Glance, upgrade: bool) {
    let protocol = agreed(&head.headers, upgrade);
    if glance.of_hop {
        strip_hop_by_hop(&mut head.headers);
    }
    if let Some(protocol) = protocol {
        head.headers
            .insert(CONNECTION, HeaderValue::from_static("upgrade"));
        head.headers.insert(UPGRADE, protocol);
    }
    append(&mut head.headers, &VIA, VIA_HTTP1);
    head.version = Version::HTTP_11;
    head.extensions.clear();
}

/// Whether the head asks, in a way that can be honoured, to speak another protocol after it. HTTP/2 cannot be: its requests would
/// pass unseen.
pub(super) fn wants_upgrade(head: &request::Parts, has_body: bool) -> bool {
    let mut protocols = head.headers.get_all(UPGRADE).iter();
    let Some(protocol) = protocols.next() else {
        return false;
    };
    let bytes = protocol.as_bytes();
    head.version == Version::HTTP_11
        && head.method != Method::CONNECT
        && !has_body
        && !head.headers.contains_key(CONTENT_LENGTH)
        && protocols.next().is_none()
        && !bytes.is_empty()
        && !bytes.contains(&b',')
        && !bytes
            .get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"h2"))
        && !bytes
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"http"))
        && named_by_connection(&head.headers).any(|name| name.eq_ignore_ascii_case("upgrade"))
}

fn named_by_connection(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
}

/// The other protocol, if there is to be one.
fn agreed(headers: &HeaderMap, upgrade: bool) -> Option<HeaderValue> {
    upgrade.then(|| headers.get(UPGRADE).cloned()).flatten()
}

/// Takes from a request what is not for the app.
fn strip(headers: &mut HeaderMap, glance: &Glance) {
    if glance.of_hop {
        strip_hop_by_hop(headers);
    }
    if glance.underscores {
        strip_lookalikes(headers);
    }
    if glance.not_for_apps {
        for name in NOT_FOR_APPS {
            headers.remove(*name);
        }
    }
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = named_by_connection(headers)
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .filter(|name| !KEPT.contains(&name.as_str()) && !ours(name.as_str()))
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP {
        headers.remove(*name);
    }
}

fn ours(name: &str) -> bool {
    name.starts_with("x-forwarded-") || name.starts_with("x-request-")
}

fn strip_lookalikes(headers: &mut HeaderMap) {
    let lookalike = |name: &&HeaderName| {
        let text = name.as_str();
        if !text.contains('_') {
            return false;
        }
        let real = text.replace('_', "-");
        ours(&real) || GUARDED.contains(&real.as_str())
    };
    let found: Vec<HeaderName> = headers.keys().filter(lookalike).cloned().collect();
    for name in found {
        headers.remove(name);
    }
}

/// Puts `value` behind what all lines of the header say, and makes one line of them.
fn append(headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue) -> HeaderValue {
    if let Entry::Vacant(place) = headers.entry(name) {
        place.insert(value.clone());
        return value;
    }
    let mut joined = Vec::with_capacity(value.len());
    for line in headers.get_all(name) {
        if !line.is_empty() {
            joined.extend_from_slice(line.as_bytes());
            joined.extend_from_slice(b", ");
        }
    }
    joined.extend_from_slice(value.as_bytes());
    let value = HeaderValue::from_maybe_shared(bytes::Bytes::from(joined))
        .unwrap_or(HeaderValue::from_static(""));
    headers.insert(name.clone(), value.clone());
    value
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
