//! The certificate authority of this server, made at its first start, and the certificates that it signs.
//!
//! Clients that check certificates, and cannot be told not to, are told to trust `ca.pem`. Its key never leaves the data directory.
//! It must not know what is served under the certificates.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use time::{Duration, OffsetDateTime};

use crate::data_dir::DataDir;
use crate::error::{Error, Result};

const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca_key.pem";
const AUTHORITY_YEARS: i64 = 20;
/// Each start signs a new one.
const CERTIFICATE_YEARS: i64 = 2;

/// Who signs our certificates.
pub struct Authority {
    key: KeyPair,
    /// That of all that it signs.
    servers: KeyPair,
    /// The file that clients are to trust.
    pub certificate: PathBuf,
}

impl Authority {
    /// The authority of this data directory. Key and certificate are on disk before they are used.
    pub fn open(data: &DataDir) -> Result<Authority> {
        let key = match data.read_private(KEY)? {
            Some(pem) => KeyPair::from_pem(&pem).map_err(Error::internal)?,
            None => {
                let key = KeyPair::generate().map_err(Error::internal)?;
                data.write_private(KEY, &key.serialize_pem())?;
                key
            }
        };
        if data.read_private(CERTIFICATE)?.is_none() {
            let signed = authority()?.self_signed(&key).map_err(Error::internal)?;
            data.write_private(CERTIFICATE, &signed.pem())?;
        }
        Ok(Authority {
            key,
            servers: KeyPair::generate().map_err(Error::internal)?,
            certificate: data.path(CERTIFICATE),
        })
    }

    /// Its certificate.
    pub fn pem(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.certificate)?.trim().to_owned())
    }

    /// What a listener needs to be believed under these names and addresses. The certificate is the same for whatever name a client
    /// asks for, also for none.
    pub fn server(&self, names: &[String]) -> Result<Arc<ServerConfig>> {
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(Error::internal)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(self.certify(names)?)));
        Ok(Arc::new(config))
    }

    /// A certificate for these names and addresses, with its key. All of one start have the same key.
    pub fn certify(&self, names: &[String]) -> Result<CertifiedKey> {
        let mut params = CertificateParams::new(names).map_err(Error::internal)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "Penstock");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = life(CERTIFICATE_YEARS);
        let issuer = Issuer::new(authority()?, &self.key);
        let certificate = params
            .signed_by(&self.servers, &issuer)
            .map_err(Error::internal)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.servers.serialize_der()));
        CertifiedKey::from_der(vec![certificate.der().clone()], key, &default_provider())
            .map_err(Error::internal)
    }
}

/// The same at each start but for its dates, which nobody asks an issuer for.
fn authority() -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new()).map_err(Error::internal)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Penstock certificate authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = life(AUTHORITY_YEARS);
    Ok(params)
}

/// From yesterday on, since clocks differ.
fn life(years: i64) -> (OffsetDateTime, OffsetDateTime) {
    let now = OffsetDateTime::now_utc();
    (now - Duration::DAY, now + Duration::days(years * 365))
}
