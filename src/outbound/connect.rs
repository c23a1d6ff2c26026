//! Connections for protocols other than HTTP, by the same rules: the addresses are looked up once, those that may not be reached
//! are left out, and one of the others is connected to.
//!
//! It must not know what is said on a connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Failure, Outbound, host, literal};
use crate::transport::Connection;

/// For one address; also for a TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses of one host that are tried.
const MAX_ADDRESSES: usize = 4;

impl Outbound {
    /// Connects to the host and port of a URL, within TLS if its scheme is `syslog+tls`, by a certificate that this machine trusts.
    pub async fn connect(&self, url: &str) -> Result<Connection, Failure> {
        // Only an http URL's host is read as a host: odd spellings of an address are undone.
        let (scheme, rest) = url.split_once(':').ok_or(Failure::NoSuchHost)?;
        let encrypted = scheme == "syslog+tls";
        let url = Url::parse(&format!("http:{rest}")).map_err(|_| Failure::NoSuchHost)?;
        // Port 80 is the one that such a URL does not show.
        let shown = rest.trim_end_matches('/').ends_with(":80").then_some(80);
        let port = url.port().or(shown);
        let port = port.unwrap_or(if encrypted { 6514 } else { 514 });
        let stream = self.dial(&url, port).await?;
        if !encrypted {
            return Ok(Connection::Plain(stream));
        }
        let name = host(&url).trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(name).map_err(|_| Failure::NoSuchHost)?;
        let connector = TlsConnector::from(self.tls()?);
        match timeout(CONNECT_TIMEOUT, connector.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(Connection::Tls(Box::new(stream.into()))),
            Ok(Err(cause)) => Err(failure(&cause)),
            Err(_) => Err(Failure::Silent),
        }
    }

    async fn dial(&self, url: &Url, port: u16) -> Result<TcpStream, Failure> {
        let allowed = match literal(url) {
            Some(address) => self.names.may_reach(address).then(|| vec![address]),
            None => {
                let looked_up = timeout(CONNECT_TIMEOUT, self.names.reachable(host(url)));
                let found = looked_up.await.map_err(|_| Failure::NoSuchHost)?;
                found.map_err(|_| Failure::NoSuchHost)?
            }
        };
        let mut failed = Failure::Private;
        for address in allowed.into_iter().flatten().take(MAX_ADDRESSES) {
            match timeout(CONNECT_TIMEOUT, TcpStream::connect((address, port))).await {
                Ok(Ok(stream)) => {
                    // Batches are written whole, so nothing is gained by waiting for more.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(cause)) => failed = failure(&cause),
                Err(_) => failed = Failure::Unreachable,
            }
        }
        Err(failed)
    }

    /// What TLS connections are made with. The machine's authorities are read once.
    fn tls(&self) -> Result<Arc<ClientConfig>, Failure> {
        if let Some(made) = self.tls.get() {
            return Ok(made.clone());
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(self.roots.iter().cloned());
        if roots.is_empty() {
            tracing::warn!(
                "no certificates of authorities were found, so no TLS drain is trusted: install ca-certificates"
            );
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|cause| Failure::of_tls(&cause))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(self.tls.get_or_init(|| Arc::new(config)).clone())
    }
}

fn failure(cause: &io::Error) -> Failure {
    let inner = cause.get_ref();
    match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(tls) => Failure::of_tls(tls),
        None if cause.kind() == io::ErrorKind::ConnectionRefused => Failure::Refused,
        None => Failure::NotConnected,
    }
}
