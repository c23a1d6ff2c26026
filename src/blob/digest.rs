//! The digest that a blob is named by. It reads and writes text, and knows of no files.

use std::fmt;

use sha2::Digest as _;

use crate::error::{Error, Result};

/// A SHA-256. Shown as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of some bytes at hand.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(sha2::Sha256::digest(bytes).into())
    }

    /// From 64 hex digits, in either case.
    pub fn parse(text: &str) -> Option<Digest> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Digest(bytes))
    }

    /// From Heroku's form of a checksum, `SHA256:<hex>`, in either case.
    pub fn parse_checksum(text: &str) -> Result<Digest> {
        text.split_once(':')
            .filter(|(algorithm, _)| algorithm.eq_ignore_ascii_case("SHA256"))
            .and_then(|(_, digits)| Digest::parse(digits))
            .ok_or_else(|| {
                Error::invalid(
                    "A checksum must be `SHA256:` and 64 hex digits. No other algorithm is known here.",
                )
            })
    }

    /// Heroku's form of a checksum.
    pub fn checksum(&self) -> String {
        format!("SHA256:{self}")
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }
}

impl From<sha2::Sha256> for Digest {
    fn from(hash: sha2::Sha256) -> Digest {
        Digest(hash.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
