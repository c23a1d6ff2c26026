//! Signed URLs: who holds one may do one thing with one path until it expires, and needs no other right.
//!
//! It knows nothing of HTTP or of what is at the path. The signature covers method, path and expiry, so a link to send cannot
//! fetch, and a link for one blob opens no other.

use crate::error::{Error, Result};
use crate::secret::SigningKey;
use crate::time::Timestamp;

/// Told apart from everything else that the same key might sign, and from one another.
const PURPOSE: &str = "signed-url-1";
const SENT_PURPOSE: &str = "sent-at-url-1";

/// What a signed URL allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Fetching, with GET or HEAD.
    Get,
    /// Sending, with PUT.
    Put,
}

impl Method {
    fn as_str(self) -> &'static str {
        match self {
            Method::Get => "get",
            Method::Put => "put",
        }
    }
}

/// Makes and checks signed URLs.
#[derive(Clone)]
pub struct SignedUrls {
    key: SigningKey,
}

impl SignedUrls {
    pub fn new(key: SigningKey) -> SignedUrls {
        SignedUrls { key }
    }

    /// The query of a URL for `path`, such as `/sources/{id}/blob`, which is signed as it stands. The link is good until the
    /// second of `expires`, and no longer at that second.
    pub fn make(&self, method: Method, path: &str, expires: Timestamp) -> String {
        let expires = expires.seconds().to_string();
        let method = method.as_str();
        let signature = self.key.sign(&[PURPOSE, method, path, &expires]);
        format!("expires={expires}&method={method}&signature={signature}")
    }

    /// Whether a request may do what its URL is for. `path` and `query` are as the client sent them, not decoded.
    ///
    /// The signature is looked at first: who has altered a link learns only that, and not whether it would still be good.
    pub fn verify(&self, method: Method, path: &str, query: &str, now: Timestamp) -> Result<()> {
        if now.seconds() >= self.expires(method, path, query)? {
            return Err(Error::forbidden(
                "This link has expired. Ask for a new one.",
            ));
        }
        Ok(())
    }

    /// The second at which a link expires or has expired, once everything else about it is found good.
    pub fn expires(&self, method: Method, path: &str, query: &str) -> Result<i64> {
        let signed = Signed::parse(query).ok_or_else(altered)?;
        let parts = [PURPOSE, signed.method, path, signed.expires];
        if !self.key.verify(&parts, signed.signature) {
            return Err(altered());
        }
        let expires: i64 = signed.expires.parse().map_err(|_| altered())?;
        if signed.method != method.as_str() {
            return Err(Error::forbidden(format!(
                "This link is for another method than this one: it is for {}.",
                signed.method.to_uppercase()
            )));
        }
        Ok(expires)
    }

    /// Proves later that `text` was sent to somebody who had a link for this path while it was good.
    pub fn sign_sent(&self, path: &str, text: &str) -> String {
        self.key.sign(&[SENT_PURPOSE, path, text])
    }

    /// Whether it was.
    pub fn was_sent(&self, path: &str, text: &str, signature: &str) -> bool {
        self.key.verify(&[SENT_PURPOSE, path, text], signature)
    }
}

struct Signed<'a> {
    expires: &'a str,
    method: &'a str,
    signature: &'a str,
}

impl<'a> Signed<'a> {
    /// The three parameters in any order, each once, and nothing else.
    fn parse(query: &'a str) -> Option<Signed<'a>> {
        let [mut expires, mut method, mut signature] = [None; 3];
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=')?;
            let place = match name {
                "expires" => &mut expires,
                "method" => &mut method,
                "signature" => &mut signature,
                _ => return None,
            };
            if place.replace(value).is_some() {
                return None;
            }
        }
        // One signature has one spelling.
        let signature =
            signature.filter(|text| !text.bytes().any(|byte| byte.is_ascii_uppercase()))?;
        Some(Signed {
            expires: expires?,
            method: method?,
            signature,
        })
    }
}

fn altered() -> Error {
    Error::forbidden("This link was altered, or is not complete. Use it exactly as it was given.")
}
