//! Random secrets, their digests, and signatures: the few cryptographic steps the rest is built from.
//!
//! It keeps nothing and reads no files. What is signed and what a secret opens is decided by its callers.

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
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

/// A new secret of another kind: a random UUID.
pub fn uuid() -> Result<String> {
    let uuid = uuid::Builder::from_random_bytes(random()?).into_uuid();
    Ok(uuid.to_string())
}

/// What is stored of a token. A token has 122 random bits, so one fast hash is enough, and a look-up by digest tells a
/// guesser nothing through its timing.
pub fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// By what the owner of a secret knows it again: its first and last letters around ten asterisks, as Heroku shows it and its CLI
/// understands it. What is too short to lose some of its letters is hidden whole.
pub fn hint(secret: &str) -> String {
    let hidden = "**********";
    let long = secret.len() >= 32;
    match (
        secret.get(..9),
        secret.get(secret.len().saturating_sub(4)..),
    ) {
        (Some(start), Some(end)) if long => format!("{start}{hidden}{end}"),
        _ => hidden.to_owned(),
    }
}

/// The HMAC-SHA256 of some bytes under a secret that somebody else chose or was told, as Base64.
pub fn hmac_base64(secret: &str, bytes: &[u8]) -> Result<String> {
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.as_bytes());
    let mut mac = mac.map_err(|cause| Error::internal(cause.to_string()))?;
    mac.update(bytes);
    Ok(BASE64.encode(mac.finalize().into_bytes()))
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

/// The file of the key that seals, beside the database.
pub const SEALING_KEY: &str = "sealing_key";

/// A key that seals what must be read again, such as config vars, where it is kept. ChaCha20-Poly1305 under a nonce drawn at
/// random, which is safe for some four billion seals.
#[derive(Clone)]
pub struct SealingKey(Arc<LessSafeKey>);

/// The same words wherever a key is missing or another database's: 409, since the remedy is with whoever keeps the copy.
pub fn no_key(path: &Path) -> Error {
    Error::conflict(format!(
        "{} is missing, or is not this database's: put the kept copy back. What is sealed in the database opens with no other key.",
        path.display()
    ))
}

impl SealingKey {
    pub fn new(key: [u8; 32]) -> Result<SealingKey> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key)
            .map_err(|_| Error::internal("a sealing key has another length"))?;
        Ok(SealingKey(Arc::new(LessSafeKey::new(key))))
    }

    /// The nonce, and what only this key opens, in this `place` alone: the same bytes moved to another row open nowhere.
    pub fn seal(&self, place: &str, text: &str) -> Result<Vec<u8>> {
        let nonce = random::<NONCE_LEN>()?;
        let mut sealed = Vec::with_capacity(NONCE_LEN + text.len() + CHACHA20_POLY1305.tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(text.as_bytes());
        let tag = self
            .0
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.as_bytes()),
                &mut sealed[NONCE_LEN..],
            )
            .map_err(|_| Error::internal("a value is too long to be sealed"))?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// What was sealed. Fails for other bytes, another place, or another key.
    pub fn unseal(&self, place: &str, sealed: &[u8]) -> Result<String> {
        let broken = || {
            Error::internal(
                "a sealed value does not open: the database and its sealing_key do not belong together",
            )
        };
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(broken)?;
        let mut bytes = sealed.to_vec();
        let text = self
            .0
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(place.as_bytes()),
                &mut bytes,
            )
            .map_err(|_| broken())?;
        String::from_utf8(text.to_vec()).map_err(|_| broken())
    }
}
