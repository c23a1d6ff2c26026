//! A client of the rendezvous, as strict as the official one: it trusts the server's own authority and nobody else, and names no
//! server in its hello.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::binary::HANG;

/// A connection to a dyno.
pub struct Attached {
    stream: TlsStream<TcpStream>,
}

impl Attached {
    /// Connects, and sends the secret of a `rendezvous://` URL.
    pub async fn connect(ca_file: &str, url: &str) -> Attached {
        let (address, secret) = parts(url);
        let mut attached = Attached::open(ca_file, address).await;
        attached.send(format!("{secret}\r\n")).await;
        attached
    }

    /// Connects, and says nothing.
    pub async fn open(ca_file: &str, address: &str) -> Attached {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca_file).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.enable_sni = false;
        let stream = TcpStream::connect(address).await.unwrap();
        let host = address.rsplit_once(':').unwrap().0.to_owned();
        let name = ServerName::try_from(host).unwrap();
        let connected = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let stream = timeout(HANG, connected).await.unwrap().unwrap();
        Attached { stream }
    }

    /// The first record, whole. Whatever else is in it would be lost on the official CLI.
    pub async fn greeting(&mut self) {
        assert_eq!(self.record().await, b"rendezvous\r\n");
    }

    /// What one read gives; nothing at the end.
    pub async fn record(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 64 * 1024];
        let read = timeout(HANG, self.stream.read(&mut bytes)).await;
        let length = read.expect("nothing came").unwrap_or(0);
        bytes.truncate(length);
        bytes
    }

    pub async fn send(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(text.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Reads until these words have come; all that came.
    pub async fn until(&mut self, words: &str) -> String {
        let mut text = String::new();
        while !text.contains(words) {
            let record = self.record().await;
            assert!(!record.is_empty(), "it ended without {words:?}: {text:?}");
            text.push_str(&String::from_utf8_lossy(&record));
        }
        text
    }

    /// Reads to the end.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let record = self.record().await;
            if record.is_empty() {
                return all;
            }
            all.extend(record);
        }
    }

    pub async fn text(&mut self) -> String {
        String::from_utf8(self.rest().await).unwrap()
    }

    /// Whether nothing has come, nor the end.
    pub async fn is_open(&mut self) -> bool {
        timeout(Duration::ZERO, self.record()).await.is_err()
    }
}

/// `host:port` and the secret.
pub fn parts(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("rendezvous://").unwrap();
    rest.split_once('/').unwrap()
}
