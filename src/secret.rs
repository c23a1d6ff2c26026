//! Random secrets, their digests, and signatures: the few cryptographic steps the rest is built from.
//!
//! It keeps nothing and reads no files. What is signed and what a secret opens is decided by its callers.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// `N` bytes from the system's random source.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|cause| Error::internal(cause.to_string()))?;
    Ok(bytes)
}

/// A new API token: `HRKU-` and a random UUID, the form that Heroku's clients and secret scanners know.
pub fn token() -> Result<String> {
    Ok(format!(
        "HRKU-{}",
        uuid::Builder::from_random_bytes(random()?).into_uuid()
    ))
}

/// What is stored of a token. A token has 122 random bits, so one fast hash is enough, and a look-up by digest tells a
/// guesser nothing through its timing.
pub fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// A key that signs and checks short texts.
#[derive(Clone)]
pub struct SigningKey([u8; 32]);

impl SigningKey {
    pub fn new(key: [u8; 32]) -> SigningKey {
        SigningKey(key)
    }

    /// The HMAC-SHA256 of `parts`, as hex. Each part is preceded by its length, so that no two lists of parts look alike.
    pub fn sign(&self, parts: &[&str]) -> String {
        hex::encode(self.mac(parts).finalize().into_bytes())
    }

    /// Whether `signature` is the one of `parts`, compared in constant time.
    pub fn verify(&self, parts: &[&str], signature: &str) -> bool {
        hex::decode(signature)
            .is_ok_and(|signature| self.mac(parts).verify_slice(&signature).is_ok())
    }

    fn mac(&self, parts: &[&str]) -> Hmac<Sha256> {
        // A key shorter than the hash's block is padded with zeros by definition; done here, no length is left to fail on.
        let mut block = [0; 64];
        block[..self.0.len()].copy_from_slice(&self.0);
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}
