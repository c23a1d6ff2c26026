//! Requests that the platform itself makes, to addresses that strangers give it.
//!
//! One HTTP client for all of them, made when it is first needed. It reaches only the addresses that it may: the check is made
//! at each connection, on the address that is about to be used, so that neither a redirect nor a name that changes its meaning
//! gets around it. It takes no proxy from the environment, for a proxy would do the connecting.
//!
//! It must not know what is fetched or why. Its errors say what went wrong in plain words and name the host; they never hold
//! what the other side said, nor the credentials or the query of a URL.

mod address;
mod connect;
mod drain;
mod failure;
mod names;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION};
use reqwest::{Certificate, Client, ClientBuilder, RequestBuilder, Response, Url};
use rustls::pki_types::CertificateDer;

use crate::error::{Error, Result};

pub use address::is_public;
pub use failure::Failure;
use failure::{broken_off, refused};
use names::Names;
pub use reqwest::Method;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the other side may say nothing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 5;
/// The answer to a [`Request`], in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// The client. Clones are the same client.
#[derive(Clone)]
pub struct Outbound {
    names: Names,
    /// Authorities that are trusted besides those of the machine.
    roots: Vec<CertificateDer<'static>>,
    client: Arc<OnceLock<Client>>,
    tls: Arc<OnceLock<Arc<rustls::ClientConfig>>>,
}

impl Outbound {
    /// Reaches the public Internet, and with `allow_private` also this machine and the networks around it.
    pub fn new(allow_private: bool) -> Outbound {
        Outbound::reaching(move |address| allow_private || is_public(address))
    }

    /// Reaches the addresses that `may_reach` lets through.
    pub fn reaching(may_reach: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Outbound {
        Outbound {
            names: Names::of_machine(may_reach),
            roots: Vec::new(),
            client: Arc::default(),
            tls: Arc::default(),
        }
    }

    /// The same, with a client of its own that takes a host's addresses from `lookup`, and not from the machine's resolver.
    pub fn resolving(
        &self,
        lookup: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static,
    ) -> Outbound {
        Outbound {
            names: self.names.by(lookup),
            roots: self.roots.clone(),
            client: Arc::default(),
            tls: Arc::default(),
        }
    }

    /// The same, with a client of its own that trusts these authorities besides those of the machine.
    pub fn trusting(&self, roots: Vec<CertificateDer<'static>>) -> Outbound {
        Outbound {
            names: self.names.clone(),
            roots,
            client: Arc::default(),
            tls: Arc::default(),
        }
    }

    /// Whether a request may be made to this URL, as far as its text tells: http or https, with a host, and no address that may
    /// not be reached. 422 otherwise. A host's name is looked at only when it is connected to.
    pub fn check(&self, url: &str) -> Result<Url> {
        self.checked(url, failure::private)
    }

    /// The same, for what is to be sent there.
    pub fn check_end(&self, url: &str) -> Result<Url> {
        self.checked(url, failure::private_end)
    }

    fn checked(&self, url: &str, private: fn(&str) -> Error) -> Result<Url> {
        let url = Url::parse(url).map_err(|_| {
            Error::invalid(
                "The URL cannot be read. Give a whole one, such as https://example.com/path.",
            )
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::invalid(format!(
                "The URL's scheme is {}. Only http and https are fetched.",
                url.scheme()
            )));
        }
        match literal(&url) {
            Some(address) if !self.names.may_reach(address) => Err(private(host(&url))),
            _ => Ok(url),
        }
    }

    /// GETs a URL, through at most five redirects, and answers once the body of a success begins.
    /// Credentials in the URL are sent as Basic authorization to its own origin and to no other.
    pub async fn get(&self, url: &str) -> Result<Body> {
        Ok(Body::new(self.follow(url).await?))
    }

    /// Where a GET of this URL ends up, and at which addresses of those that may be reached: for a program that fetches by itself
    /// and has to be told.
    pub async fn find(&self, url: &str) -> Result<Found> {
        let url = self.follow(url).await?.url().clone();
        let port = url.port_or_known_default().unwrap_or(443);
        let addresses = match literal(&url) {
            Some(address) => vec![address],
            None => {
                let found = self.names.reachable(host(&url)).await;
                found.ok().flatten().unwrap_or_default()
            }
        };
        if addresses.is_empty() {
            return Err(failure::private(host(&url)));
        }
        Ok(Found {
            host: host(&url).to_owned(),
            url: url.into(),
            port,
            addresses,
        })
    }

    async fn follow(&self, url: &str) -> Result<Response> {
        let mut url = self.check(url)?;
        for _ in 0..=MAX_REDIRECTS {
            let sent = self.client()?.get(url.clone()).send().await;
            let response = sent.map_err(|cause| refused(cause, host(&url)))?;
            if response.status().is_success() {
                return Ok(response);
            }
            url = self.redirect(&url, &response)?;
        }
        Err(Error::invalid(format!(
            "{} redirects more than {MAX_REDIRECTS} times. Give the URL that it leads to.",
            host(&url)
        )))
    }

    /// Sends a request, and answers with whatever the other side says, whole. Fails when no answer came in time, or one of more
    /// than a megabyte.
    pub async fn send(&self, request: Request<'_>) -> Result<Answer> {
        let url = self.check_end(request.url)?;
        let host = host(&url).to_owned();
        let asked = request.begin(self.client()?, url);
        let mut response = asked
            .header(ACCEPT, "application/json")
            .send()
            .await
            .map_err(|cause| failure::unsent(cause, &host))?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|cause| broken_off(cause, &host))?
        {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(Error::invalid(format!(
                    "{host} answers with more than 1 MB."
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, body })
    }

    /// Sends a request, and answers with the status of what comes back, of which nothing else is looked at.
    pub async fn tell(&self, request: Request<'_>) -> std::result::Result<u16, Failure> {
        let url = self.check(request.url).map_err(|_| Failure::Private)?;
        let client = self.client().map_err(|_| Failure::NotConnected)?;
        match request.begin(client, url).send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                finish(response).await;
                Ok(status)
            }
            Err(cause) => Err(Failure::of(&cause)),
        }
    }

    /// Where a response leads that is no success.
    fn redirect(&self, from: &Url, response: &Response) -> Result<Url> {
        let status = response.status().as_u16();
        let location = response
            .headers()
            .get(LOCATION)
            .filter(|_| matches!(status, 301 | 302 | 303 | 307 | 308))
            .ok_or_else(|| failure::status(status, host(from)))?;
        let to = location.to_str().ok().and_then(|to| from.join(to).ok());
        let mut to = to.ok_or_else(|| {
            Error::invalid(format!(
                "{} redirects to something that is no URL. Give the URL that it should lead to.",
                host(from)
            ))
        })?;
        if to.origin() == from.origin() && to.username().is_empty() && to.password().is_none() {
            // Both fail only for URLs without a host, and this one is http.
            let _ = to.set_username(from.username());
            let _ = to.set_password(from.password());
        }
        self.check(to.as_str())
    }

    fn client(&self) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // ring is the one provider; an error means that it is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = self.settings().build().or_else(|cause| {
            tracing::warn!(%cause, "no certificates of authorities were found, so https cannot be fetched: install ca-certificates");
            self.settings().tls_certs_only([]).build()
        });
        let client = client.map_err(Error::internal)?;
        Ok(self.client.get_or_init(|| client))
    }

    fn settings(&self) -> ClientBuilder {
        let roots = self.roots.iter();
        let roots: Vec<_> = roots.flat_map(|root| Certificate::from_der(root)).collect();
        let builder = match roots.is_empty() {
            true => Client::builder(),
            false => Client::builder().tls_certs_merge(roots),
        };
        builder
            .no_proxy()
            .referer(false)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(IDLE_TIMEOUT)
            .user_agent(concat!("Penstock/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(self.names.clone())
    }
}

/// A request that carries JSON or nothing. No redirect of it is followed.
pub struct Request<'a> {
    pub method: Method,
    pub url: &'a str,
    pub authorization: Authorization<'a>,
    /// Beside those that say who sends it, and what the body is: but `content-type` may be among them.
    pub headers: &'a [(&'a str, String)],
    /// JSON, where no header says something else.
    pub body: Option<Vec<u8>>,
    /// For all of it, from the connection to the last byte of the answer.
    pub timeout: Duration,
}

/// What a request says of who sends it.
#[derive(Clone, Copy)]
pub enum Authorization<'a> {
    /// The credentials in the URL, if there are any.
    OfUrl,
    /// A user and a password, and not those in the URL.
    Basic(&'a str, &'a str),
    /// The header's whole value, and not what stands in the URL.
    Header(&'a str),
}

impl Request<'_> {
    fn begin(self, client: &Client, mut url: Url) -> RequestBuilder {
        if !matches!(self.authorization, Authorization::OfUrl) {
            // Both fail only for URLs without a host, and this one is http.
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        let mut request = client.request(self.method, url).timeout(self.timeout);
        request = match self.authorization {
            Authorization::OfUrl => request,
            Authorization::Basic(user, password) => request.basic_auth(user, Some(password)),
            Authorization::Header(value) => request.header(AUTHORIZATION, value),
        };
        for (name, value) in self.headers {
            request = request.header(*name, value);
        }
        let named = |(name, _): &(&str, String)| name.eq_ignore_ascii_case("content-type");
        match self.body {
            Some(body) if self.headers.iter().any(named) => request.body(body),
            Some(body) => request.header(CONTENT_TYPE, "application/json").body(body),
            None => request,
        }
    }
}

/// What the other side said.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Where something is.
pub struct Found {
    pub url: String,
    pub host: String,
    pub port: u16,
    /// At least one.
    pub addresses: Vec<IpAddr>,
}

/// What a GET brings.
pub struct Body {
    /// In bytes, as far as the other side said so.
    pub length: Option<u64>,
    pub chunks: BoxStream<'static, Result<Bytes>>,
}

impl Body {
    fn new(response: Response) -> Body {
        let host = host(response.url()).to_owned();
        Body {
            length: response.content_length(),
            chunks: response
                .bytes_stream()
                .map(move |chunk| chunk.map_err(|cause| broken_off(cause, &host)))
                .boxed(),
        }
    }
}

/// Reads an answer that nobody looks at, if it is short, so that its connection can be used again.
async fn finish(mut response: Response) {
    const SHORT: u64 = 16 * 1024;
    const PATIENCE: Duration = Duration::from_secs(1);
    if response
        .content_length()
        .is_some_and(|length| length <= SHORT)
    {
        let rest = async { while let Ok(Some(_)) = response.chunk().await {} };
        let _ = tokio::time::timeout(PATIENCE, rest).await;
    }
}

/// A URL as a person may see it: without its credentials and its query, where tokens stand.
pub fn shown(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) => format!("{}://{}{}", url.scheme(), authority(&url), url.path()),
        Err(_) => "(not a URL)".to_owned(),
    }
}

/// As much of a URL as anybody may see: nothing in it can be a secret.
pub fn origin(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) => format!("{}://{}", url.scheme(), authority(&url)),
        Err(_) => "(not a URL)".to_owned(),
    }
}

fn authority(url: &Url) -> String {
    match url.port() {
        Some(port) => format!("{}:{port}", host(url)),
        None => host(url).to_owned(),
    }
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or("The URL")
}

/// The address that stands in a URL in place of a name. The client connects to such a one without asking the resolver.
fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}
