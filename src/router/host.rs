//! Which host a request is for, decided in one way or not at all.

use std::borrow::Cow;

use hyper::header::{HOST, HeaderMap};
use hyper::{Uri, Version};

/// A DNS name has at most 253 characters (RFC 1035); a colon and a port add six.
const LONGEST: usize = 253;

/// The one host that the `Host` header names, in lower case, without port and trailing dot. `None` when there is no such header
/// or more than one, when it is not a plain host, or when an address given in full names another. HTTP/2 gives the address in
/// full, and needs no header.
pub(super) fn host<'a>(
    headers: &'a HeaderMap,
    target: &'a Uri,
    version: Version,
) -> Option<Cow<'a, str>> {
    let mut lines = headers.get_all(HOST).iter();
    let Some(line) = lines.next() else {
        let authority = target.authority().filter(|_| version == Version::HTTP_2)?;
        return canonical(authority.as_str());
    };
    if lines.next().is_some() {
        return None;
    }
    let text = line.to_str().ok()?;
    if let Some(authority) = target.authority()
        && !agree(authority.as_str(), text)
    {
        return None;
    }
    canonical(text)
}

/// Whether both name one host, and one port where both name any.
fn agree(one: &str, other: &str) -> bool {
    if one.eq_ignore_ascii_case(other) {
        return true;
    }
    let port = |text| split_port(text).map(|(_, port)| port);
    let ports = |one: &str, other: &str| one == other || one.is_empty() || other.is_empty();
    let same_port = port(one).zip(port(other));
    canonical(one).is_some_and(|name| Some(name) == canonical(other))
        && same_port.is_some_and(|(one, other)| ports(one, other))
}

fn canonical(text: &str) -> Option<Cow<'_, str>> {
    let (name, port) = split_port(text)?;
    if !port.is_empty() && port.parse::<u16>().is_err() {
        return None;
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let plain = if let Some(address) = name.strip_prefix('[') {
        address
            .strip_suffix(']')?
            .parse::<std::net::Ipv6Addr>()
            .is_ok()
    } else {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
    };
    if !plain || name.len() > LONGEST {
        return None;
    }
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        Some(Cow::Owned(name.to_ascii_lowercase()))
    } else {
        Some(Cow::Borrowed(name))
    }
}

/// The colons of an IPv6 address stand in brackets; the last one after them precedes the port.
fn split_port(text: &str) -> Option<(&str, &str)> {
    let after = text.rfind(']').map_or(0, |bracket| bracket + 1);
    match text.get(after..)?.split_once(':') {
        Some((rest, port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
            Some((text.get(..after + rest.len())?, port))
        }
        Some(_) => None,
        None => Some((text, "")),
    }
}

#[cfg(test)]
mod tests {
    use super::{agree, canonical};

    #[test]
    fn a_port_that_only_one_of_two_names_makes_them_no_two_hosts() {
        for other in ["app.test", "app.test:80", "APP.test:80", "app.test."] {
            assert!(agree("app.test:80", other), "{other}");
        }
        for other in [
            "app.test:81",
            "other.test:80",
            "other.test",
            "a@app.test:80",
        ] {
            assert!(!agree("app.test:80", other), "{other}");
        }
    }

    #[test]
    fn a_host_is_known_by_its_name_alone() {
        for text in [
            "app.test",
            "APP.test",
            "app.test:8080",
            "app.test.",
            "App.Test.:80",
        ] {
            assert_eq!(canonical(text).as_deref(), Some("app.test"), "{text}");
        }
        assert_eq!(canonical("[::1]:80").as_deref(), Some("[::1]"));
    }

    #[test]
    fn what_is_not_a_plain_host_is_none() {
        let long = "a".repeat(254);
        for text in [
            "", ":80", ".", "a@b", "a/../b", "a:b", "a:80:80", "a:99999", "a b", "::1", "[::1",
            "[x]", "a,b", &long,
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
