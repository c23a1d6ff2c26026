//! Certificates that people upload: whether chain and key belong together, and what the certificate says of itself.
//!
//! It must not know where certificates are kept or what they are served for.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::X509Certificate;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

use crate::error::{Error, Result};
use crate::store::sni_endpoints::Certificate;
use crate::time::Timestamp;

/// Of a chain and of a key, in bytes. The longest in use are a tenth of it.
const MAX_PEM: usize = 64 * 1024;
const MAX_CHAIN: usize = 10;
/// Names in one certificate. No public authority signs one with more than a hundred.
const MAX_NAMES: usize = 1_000;

/// Reads a certificate with its chain and its key, all PEM. 422 unless each is what it should be, the key is the certificate's,
/// each certificate is signed by the one after it, and the first has not expired.
pub fn check(chain: &str, key: &str, now: Timestamp) -> Result<Certificate> {
    if chain.len().max(key.len()) > MAX_PEM {
        return Err(Error::invalid(
            "The certificate chain or the key is longer than 64 KB. Give the certificate, those that signed it, and its key alone.",
        ));
    }
    let ders = ders(chain)?;
    let parsed = ders
        .iter()
        .map(|der| x509_parser::parse_x509_certificate(der).map(|(_, parsed)| parsed))
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|_| {
            Error::invalid(
                "The parameter certificate_chain holds something that is no X.509 certificate.",
            )
        })?;
    let Some(own) = parsed.first() else {
        return Err(Error::invalid(
            "The parameter certificate_chain holds no certificate. Give PEM, which begins with -----BEGIN CERTIFICATE-----.",
        ));
    };
    belonging(ders.clone(), key)?;
    linked(&parsed)?;
    let mut certificate = described(own)?;
    if certificate.expires_at <= now {
        return Err(Error::invalid(format!(
            "The certificate expired at {}. Give one that is still good.",
            certificate.expires_at
        )));
    }
    certificate.ca_signed = trusted(&ders, &certificate.domains, now);
    Ok(certificate)
}

fn ders(chain: &str) -> Result<Vec<CertificateDer<'static>>> {
    let mut ders = Vec::new();
    for der in CertificateDer::pem_slice_iter(chain.as_bytes()) {
        let der = der.map_err(|_| {
            Error::invalid("The parameter certificate_chain is not PEM that can be read. Give the file as it is.")
        })?;
        if ders.len() == MAX_CHAIN {
            return Err(Error::invalid(format!(
                "The certificate chain has more than {MAX_CHAIN} certificates. Give the certificate and those that signed it."
            )));
        }
        ders.push(der);
    }
    Ok(ders)
}

/// A chain and a key that were checked once, to be served. 422 if they cannot be.
pub fn key_pair(chain: &str, key: &str) -> Result<CertifiedKey> {
    belonging(ders(chain)?, key)
}

/// The key with its certificates, if it can be used and is the first one's.
fn belonging(chain: Vec<CertificateDer<'static>>, key: &str) -> Result<CertifiedKey> {
    if key.contains("ENCRYPTED") {
        return Err(Error::invalid(
            "The private key is locked with a passphrase. Unlock it first: openssl pkey -in locked.key -out server.key",
        ));
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| {
        Error::invalid(
            "The parameter private_key holds no key that can be read. Give PEM, which begins with -----BEGIN PRIVATE KEY-----.",
        )
    })?;
    match CertifiedKey::from_der(chain, key, &default_provider()) {
        Ok(pair) => Ok(pair),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(Error::invalid(
            "The private key is not the certificate's. The first certificate of the chain must be the one that the key was made for.",
        )),
        Err(_) => Err(Error::invalid(
            "The private key is of a kind that is not served. Use RSA of 2048 to 8192 bits, ECDSA on P-256 or P-384, or Ed25519.",
        )),
    }
}

/// Whether each certificate is signed by the one after it.
fn linked(chain: &[X509Certificate<'_>]) -> Result<()> {
    for (at, pair) in chain.windows(2).enumerate() {
        let [one, next] = pair else { continue };
        let signed =
            one.issuer() == next.subject() && one.verify_signature(Some(next.public_key())).is_ok();
        if !signed {
            return Err(Error::invalid(format!(
                "Certificate {} of the chain did not sign certificate {}. Put them in order: the server's own first, then each \
                 that signed the one before.",
                at + 2,
                at + 1
            )));
        }
    }
    Ok(())
}

/// What the first certificate of a chain says of itself. 422 if there is none that can be read.
pub fn describe(chain: &str) -> Result<Certificate> {
    let ders = ders(chain)?;
    let parsed = ders
        .first()
        .and_then(|der| x509_parser::parse_x509_certificate(der).ok());
    match parsed {
        Some((_, own)) => described(&own),
        None => Err(Error::invalid("There is no X.509 certificate in it.")),
    }
}

fn described(own: &X509Certificate<'_>) -> Result<Certificate> {
    let (subject, issuer) = (own.subject(), own.issuer());
    let domains = names(own);
    if domains.len() > MAX_NAMES {
        return Err(Error::invalid(format!(
            "The certificate has more than {MAX_NAMES} names. Split them over several."
        )));
    }
    Ok(Certificate {
        domains,
        subject: shown(subject),
        issuer: shown(issuer),
        starts_at: moment(own.validity().not_before),
        expires_at: moment(own.validity().not_after),
        ca_signed: false,
        self_signed: subject == issuer && own.verify_signature(None).is_ok(),
    })
}

/// The names that browsers look at, or the common name of a certificate that is too old to have any.
fn names(own: &X509Certificate<'_>) -> Vec<String> {
    let named = own.subject_alternative_name().ok().flatten();
    let mut names = Vec::new();
    for name in named.iter().flat_map(|named| &named.value.general_names) {
        if let GeneralName::DNSName(name) = name {
            let name = name.to_lowercase();
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    if names.is_empty() {
        let common = own.subject().iter_common_name();
        names.extend(common.filter_map(|name| name.as_str().ok().map(str::to_lowercase)));
    }
    names
}

/// A name as OpenSSL shows it on one line: `/C=US/O=Example/CN=example.com`.
fn shown(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    for attribute in name.iter_attributes() {
        let kind = oid2abbrev(attribute.attr_type(), oid_registry())
            .map_or_else(|_| attribute.attr_type().to_id_string(), str::to_owned);
        let value = attribute.as_str().unwrap_or("?");
        text.push_str(&format!("/{kind}={value}"));
    }
    text
}

fn moment(time: ASN1Time) -> Timestamp {
    Timestamp::from_micros(time.timestamp().saturating_mul(1_000_000))
}

/// Whether an authority that this machine trusts has signed the certificate, by way of the chain.
fn trusted(chain: &[CertificateDer<'static>], names: &[String], now: Timestamp) -> bool {
    let (Some((own, others)), Some(name)) = (chain.split_first(), names.first()) else {
        return false;
    };
    // A wildcard is good for any name in the place of its star.
    let name = ServerName::try_from(name.replacen('*', "www", 1));
    let since = now.since(Timestamp::from_micros(0));
    let since = UnixTime::since_unix_epoch(Duration::from_secs(since.as_secs()));
    match (authorities(), name) {
        (Some(authorities), Ok(name)) => authorities
            .verify_server_cert(own, others, &name, &[], since)
            .is_ok(),
        _ => false,
    }
}

/// The authorities that this machine trusts, read once.
fn authorities() -> Option<Arc<WebPkiServerVerifier>> {
    static AUTHORITIES: OnceLock<Option<Arc<WebPkiServerVerifier>>> = OnceLock::new();
    let read = || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(default_provider());
        let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        // Without any authority there is nobody to be trusted.
        built.ok()
    };
    AUTHORITIES.get_or_init(read).clone()
}
