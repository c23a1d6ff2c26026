//! The proofs by which an authority sees that a name leads to this server (RFC 8555, 8.3, and RFC 8737), while they are asked for.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use crate::error::{Error, Result};
use crate::router;

/// What is shown to whoever asks for it. Clones are the same.
#[derive(Clone, Default)]
pub struct Challenges(Arc<Mutex<HashMap<String, Proof>>>);

enum Proof {
    /// A token, and what is to be found under it.
    Http(String, String),
    /// A certificate that says it.
    Tls(Arc<CertifiedKey>),
}

/// Takes the proof away when it is dropped.
pub struct Shown {
    challenges: Challenges,
    host: String,
}

impl Challenges {
    /// Shows `text` under the token, at the path that the protocol has for it.
    pub fn show_by_http(&self, host: &str, token: &str, text: &str) -> Shown {
        self.show(host, Proof::Http(token.to_owned(), text.to_owned()))
    }

    /// Shows the digest in a certificate to whoever asks in the protocol's own name.
    pub fn show_by_tls(&self, host: &str, digest: &[u8]) -> Result<Shown> {
        let key = KeyPair::generate().map_err(Error::internal)?;
        let mut params = CertificateParams::new([host.to_owned()]).map_err(Error::internal)?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let certificate = params.self_signed(&key).map_err(Error::internal)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let chain = vec![certificate.der().clone()];
        // Whether they belong together is not asked: the extension that is the proof is one that is asked for nowhere else.
        let key = any_supported_type(&key).map_err(Error::internal)?;
        Ok(self.show(host, Proof::Tls(Arc::new(CertifiedKey::new(chain, key)))))
    }

    fn show(&self, host: &str, proof: Proof) -> Shown {
        self.proofs().insert(host.to_owned(), proof);
        Shown {
            challenges: self.clone(),
            host: host.to_owned(),
        }
    }

    /// The certificate that proves the host, while an authority asks for one.
    pub fn certificate(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        match self.proofs().get(host)? {
            Proof::Tls(key) => Some(key.clone()),
            Proof::Http(..) => None,
        }
    }

    fn proofs(&self) -> MutexGuard<'_, HashMap<String, Proof>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl router::Challenges for Challenges {
    fn text(&self, host: &str, token: &str) -> Option<String> {
        match self.proofs().get(host)? {
            Proof::Http(shown, text) if shown == token => Some(text.clone()),
            _ => None,
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.challenges.proofs().remove(&self.host);
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenges")
    }
}
