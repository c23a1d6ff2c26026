//! The certificates that the visitors of apps are shown: a domain's own where it was given one, else the operator's where it names
//! the host, else one that this server signs itself, which whoever trusts `ca.pem` believes.
//!
//! It must not know how certificates come to be kept, nor what is served under them.

mod files;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::timeout;

use crate::acm::Challenges;
use crate::authority::Authority;
use crate::certificate;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::router::{self, ACME_PROTOCOL, Hosts};
use crate::store::server_certificates;
use crate::store::sni_endpoints::{self, Assigned};
use crate::store::{Store, Table};
use crate::time::Clock;

pub use self::files::Settings;

use self::files::Files;

/// The longest between two refreshes.
const EVERY: Duration = Duration::from_secs(60);
/// Certificates of our own that are kept for the next visitor, and for how long; they are good for longer.
const MAX_OWN: usize = 1_000;
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// For clients who do not say whom they want, or want nobody that is here.
const NAMELESS: &str = "localhost";

type Key = Arc<CertifiedKey>;

/// All certificates, and which of them a visitor is shown.
pub struct Certificates {
    store: Store,
    authority: Arc<Authority>,
    challenges: Challenges,
    files: Files,
    clock: Clock,
    /// By host or wildcard.
    assigned: ArcSwap<HashMap<String, Key>>,
    /// That of this server's own host, which no app's stands in for.
    of_api: ArcSwapOption<CertifiedKey>,
    /// What was read, by the id that each change of a certificate makes anew.
    read: Mutex<HashMap<Id, Key>>,
    own: Mutex<HashMap<String, (Key, Instant)>>,
    /// The host of this server's own, where the router leads to it.
    api_host: Option<String>,
    /// The hosts that one is signed for; before this is known, all.
    hosts: OnceLock<Hosts>,
}

impl Certificates {
    pub fn new(
        store: Store,
        authority: Arc<Authority>,
        challenges: Challenges,
        (files, clock): (Settings, Clock),
        api_host: Option<String>,
    ) -> Arc<Certificates> {
        Arc::new(Certificates {
            store,
            authority,
            challenges,
            files: Files::new(files),
            clock,
            assigned: ArcSwap::default(),
            of_api: ArcSwapOption::default(),
            read: Mutex::default(),
            own: Mutex::default(),
            api_host,
            hosts: OnceLock::new(),
        })
    }

    /// Signs for these hosts alone, whatever a visitor says that he wants.
    pub fn follow(&self, hosts: Hosts) {
        let _ = self.hosts.set(hosts);
    }

    /// What the router needs to serve within TLS.
    pub fn server(self: &Arc<Certificates>) -> Result<Arc<ServerConfig>> {
        self.speaking(&router::PROTOCOLS)
    }

    /// What it needs to hand connections over to the API, which speaks no HTTP/2.
    pub fn api_server(self: &Arc<Certificates>) -> Result<Arc<ServerConfig>> {
        self.speaking(&[b"http/1.1".as_slice()])
    }

    fn speaking(self: &Arc<Certificates>, protocols: &[&[u8]]) -> Result<Arc<ServerConfig>> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(Error::internal)?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config.alpn_protocols.push(ACME_PROTOCOL.to_vec());
        Ok(Arc::new(config))
    }

    /// Reads the certificates that are new, and shows from here on those that are assigned now. One that cannot be used is left
    /// out, and the log says so.
    pub async fn refresh(self: &Arc<Certificates>) -> Result<()> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || this.read_anew())
            .await
            .map_err(Error::internal)?
    }

    /// Refreshes after each change, and now and then for the sake of a refresh that failed, until the store is no more.
    pub async fn run(self: Arc<Certificates>) {
        let mut changes =
            self.store
                .changes(&[Table::Domain, Table::ServerCertificate, Table::SniEndpoint]);
        loop {
            changes.mark_unchanged();
            if let Err(error) = self.refresh().await {
                tracing::error!(%error, "the certificates of domains could not be renewed; the old ones stay until the next try");
            }
            if let Ok(Err(_)) = timeout(EVERY, changes.changed()).await {
                return;
            }
        }
    }

    fn read_anew(&self) -> Result<()> {
        let assigned = self.store.read(sni_endpoints::assigned)?;
        let mut before =
            std::mem::take(&mut *self.read.lock().unwrap_or_else(PoisonError::into_inner));
        let (mut read, mut shown) = (HashMap::new(), HashMap::new());
        for Assigned {
            hostname,
            endpoint,
            certificate,
        } in assigned
        {
            if !read.contains_key(&certificate) {
                let key = match before.remove(&certificate) {
                    Some(key) => Some(key),
                    None => self.key(endpoint, certificate)?,
                };
                read.extend(key.map(|key| (certificate, key)));
            }
            shown.extend(read.get(&certificate).map(|key| (hostname, key.clone())));
        }
        self.of_api.store(self.read_of_api()?);
        self.assigned.store(Arc::new(shown));
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = read;
        self.files.read(self.clock.now())
    }

    /// The certificate of this server's own host.
    fn read_of_api(&self) -> Result<Option<Key>> {
        let Some((host, chain, key)) = self.store.read(server_certificates::served)? else {
            return Ok(None);
        };
        if self.api_host.as_deref() != Some(host.as_str()) {
            return Ok(None);
        }
        match certificate::key_pair(&chain, &key) {
            Ok(key) => Ok(Some(Arc::new(key))),
            Err(error) => {
                tracing::error!(%error, host, "the API's certificate cannot be served; it shows one of this server's own");
                Ok(None)
            }
        }
    }

    /// A certificate with its key; `None` if it was replaced meanwhile, or cannot be used.
    fn key(&self, endpoint: Id, certificate: Id) -> Result<Option<Key>> {
        let read = |connection: &_| sni_endpoints::served(connection, endpoint, certificate);
        let Some((chain, key)) = self.store.read(read)? else {
            return Ok(None);
        };
        match certificate::key_pair(&chain, &key) {
            Ok(key) => Ok(Some(Arc::new(key))),
            Err(error) => {
                tracing::error!(%error, %endpoint, "a certificate cannot be served; its domains show one of this server's own");
                Ok(None)
            }
        }
    }

    /// That of the host, or of the nearest wildcard above it, as hosts lead to apps.
    fn assigned(&self, host: &str) -> Option<Key> {
        let assigned = self.assigned.load();
        if assigned.is_empty() {
            return None;
        }
        let above = host.match_indices('.');
        let wildcards = above.map(|(at, _)| format!("*{}", &host[at..]));
        let mut names = std::iter::once(host.to_owned()).chain(wildcards);
        names.find_map(|name| assigned.get(&name).cloned())
    }

    /// One that this server signs for the host.
    fn own(&self, host: &str) -> Option<Key> {
        if let Some((key, signed)) = self.owned().get(host)
            && signed.elapsed() < KEPT
        {
            return Some(key.clone());
        }
        let key = match self.authority.certify(&[host.to_owned()]) {
            Ok(key) => Arc::new(key),
            Err(error) => {
                tracing::warn!(%error, host, "no certificate could be signed for a visitor");
                return None;
            }
        };
        let mut own = self.owned();
        if own.len() >= MAX_OWN {
            own.clear();
        }
        own.insert(host.to_owned(), (key.clone(), Instant::now()));
        Some(key)
    }

    fn owned(&self) -> MutexGuard<'_, HashMap<String, (Key, Instant)>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates")
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Key> {
        let host = hello.server_name().unwrap_or(NAMELESS).to_ascii_lowercase();
        let mut protocols = hello.alpn().into_iter().flatten();
        if protocols.any(|protocol| protocol == ACME_PROTOCOL) {
            return self.challenges.certificate(&host);
        }
        let is_ours = self.api_host.as_deref() == Some(host.as_str());
        let is_known = |host: &str| is_ours || self.hosts.get().is_none_or(|hosts| hosts.has(host));
        let operators = self.files.shown();
        let named = operators
            .as_ref()
            .filter(|operators| operators.names(&host));
        let named = || named.map(|named| named.key.clone());
        // What the operator gives goes before what this server asks an authority for in its own name.
        let chosen = match is_ours {
            true => named().or_else(|| self.of_api.load_full()),
            false => self.assigned(&host).or_else(named),
        };
        chosen.or_else(|| match (is_known(&host), &operators) {
            (true, _) => self.own(&host),
            (false, Some(operators)) => Some(operators.key.clone()),
            (false, None) => self.own(NAMELESS),
        })
    }
}
