//! The server that is connected to: where it is, what it says of itself, and by which certificate it is believed.

use std::fs;
use std::io::{IsTerminal, Write, stderr, stdin};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::forward::innermost;
use crate::data_dir::DataDir;
use crate::error::{Error, ErrorId, Result};
use crate::urls;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CA: &str = "ca.pem";

/// A server that has answered, and whose certificate is a good one.
pub struct Server {
    pub client: Client,
    /// `https://paas.example.com:5000`.
    pub url: String,
    /// `paas.example.com:5000`.
    pub host: String,
    /// The certificate of its own authority, which has signed that of its rendezvous in any case.
    pub ca_file: PathBuf,
    /// Whether its own authority has signed the API's certificate, too. Where the URL is a plain one it has, since git comes within TLS
    /// all the same.
    pub is_private: bool,
}

/// What `GET /server` says.
#[derive(Deserialize)]
struct About {
    api_url: String,
    ca_certificate: String,
}

/// The authority that is believed besides those of this machine.
#[derive(Default)]
pub struct Trust {
    pem: Option<String>,
    fingerprint: Option<String>,
}

impl Trust {
    /// That of the arguments, or the one that a person has accepted before.
    pub fn of(file: Option<&Path>, fingerprint: Option<&str>, folder: &DataDir) -> Result<Trust> {
        let read = |file: &Path| {
            fs::read_to_string(file).map_err(|cause| {
                Error::invalid(format!("{} cannot be read: {cause}.", file.display()))
            })
        };
        let pem = match (file, fingerprint) {
            (Some(file), _) => Some(read(file)?),
            (None, Some(_)) => None,
            (None, None) => folder.read_private("trusted.pem")?,
        };
        Ok(Trust {
            pem,
            fingerprint: fingerprint.map(plain),
        })
    }
}

/// `https://host[:port]`, or `http://` to this very machine, as to a server of another of its users. 422 for anything else: a token
/// is sent there.
pub fn base(text: &str) -> Result<String> {
    let whole = match text.contains("://") {
        true => text.to_owned(),
        false => format!("https://{text}"),
    };
    let url = Url::parse(&whole).ok().filter(|url| url.host().is_some());
    let url = url.ok_or_else(|| {
        Error::invalid(
            "This is no URL. Give that of the server's API, such as https://paas.example.com.",
        )
    })?;
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.username().is_empty();
    let stays_here = url.host_str().is_some_and(urls::is_this_machine);
    let unseen = url.scheme() == "https" || url.scheme() == "http" && stays_here;
    if url.scheme() == "http" && stays_here && url.port().is_none() {
        return Err(Error::invalid(
            "Name the port of the server on this machine, such as http://127.0.0.1:5000.",
        ));
    }
    match (unseen, bare) {
        (true, true) => Ok(url.as_str().trim_end_matches('/').to_owned()),
        (true, false) => Err(Error::invalid(
            "The URL of a server has a host and perhaps a port, and nothing after it, such as https://paas.example.com:5000.",
        )),
        (false, _) => Err(Error::invalid(
            "Your token would go there unencrypted. Give an https:// URL: the API's own port takes TLS, too.",
        )),
    }
}

impl Server {
    /// Asks the server who it is. 503 where nobody answers, 409 where somebody does whom nobody here knows.
    pub async fn find(url: &str, trust: Trust, folder: &DataDir) -> Result<Server> {
        let host = url
            .split_once("://")
            .map_or(url, |(_, host)| host)
            .to_owned();
        let mut pem = trust.pem;
        let asked = about(&client(url, pem.as_deref())?, url).await;
        let about_it = match asked {
            Err(cause) if pem.is_none() && is_unknown(&cause) => {
                let accepted = accept(url, &host, trust.fingerprint.as_deref()).await?;
                let again = about(&client(url, Some(&accepted))?, url).await;
                pem = Some(accepted);
                again.map_err(|cause| unreachable(url, &cause))?
            }
            asked => asked.map_err(|cause| unreachable(url, &cause))?,
        };
        if about_it.api_url != url {
            eprintln!(
                "{url} tells clients that it is at {}: logs, outputs and uploads will be looked for there. \
                 If that is wrong, start it with --api-url {url}.",
                about_it.api_url
            );
        }
        if let Some(pem) = &pem {
            folder.write_private("trusted.pem", pem.trim())?;
        }
        folder.write_private(CA, about_it.ca_certificate.trim())?;
        Ok(Server {
            client: client(url, pem.as_deref())?,
            url: url.to_owned(),
            host,
            ca_file: folder.path(CA),
            is_private: pem.is_some() || is_plain(url),
        })
    }
}

fn settings() -> ClientBuilder {
    // One that is set already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("penstock/", env!("CARGO_PKG_VERSION")))
}

fn is_plain(url: &str) -> bool {
    url.starts_with("http://")
}

fn client(url: &str, pem: Option<&str>) -> Result<Client> {
    let settings = match pem {
        Some(pem) => settings().tls_certs_merge([certificate(pem)?]),
        None => settings(),
    };
    let settings = match is_plain(url) {
        // A proxy would read the token, and may be on another machine.
        true => settings.no_proxy(),
        false => settings,
    };
    settings.build().map_err(Error::internal)
}

fn certificate(pem: &str) -> Result<Certificate> {
    Certificate::from_pem(pem.as_bytes())
        .map_err(|_| Error::invalid("The file of the authority has no certificate in it. Copy ca.pem from the server's data directory."))
}

async fn about(client: &Client, url: &str) -> std::result::Result<About, reqwest::Error> {
    let asked = client
        .get(format!("{url}/server"))
        .timeout(CONNECT_TIMEOUT * 2);
    asked.send().await?.error_for_status()?.json().await
}

/// Whether the server was not believed.
fn is_unknown(cause: &reqwest::Error) -> bool {
    let mut next = std::error::Error::source(cause);
    while let Some(cause) = next {
        if cause.to_string().contains("certificate") {
            return true;
        }
        next = cause.source();
    }
    false
}

fn unreachable(url: &str, cause: &reqwest::Error) -> Error {
    let why = innermost(cause);
    if cause.is_decode() || cause.is_status() {
        return Error::new(
            ErrorId::Conflict,
            format!(
                "There is no Penstock at {url}, or an old one ({why}). Name the URL of its API."
            ),
        );
    }
    if is_unknown(cause) {
        return Error::conflict(format!(
            "The certificate of {url} is not believed ({why}). Start the server with --api-url {url}, and give its ca.pem with --ca-file."
        ));
    }
    Error::new(
        ErrorId::Unavailable,
        format!(
            "{url} cannot be reached ({why}). Look whether it runs, and whether a firewall lets you through."
        ),
    )
}

/// The authority that the server itself names, if a person knows its fingerprint: nobody else vouches for it.
async fn accept(url: &str, host: &str, known: Option<&str>) -> Result<String> {
    let blind = settings()
        .tls_danger_accept_invalid_certs(true)
        .build()
        .map_err(Error::internal)?;
    let pem = about(&blind, url)
        .await
        .map_err(|cause| unreachable(url, &cause))?
        .ca_certificate;
    let der = CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| Error::conflict(format!("{url} names an authority that cannot be read.")))?;
    let digest = hex::encode(Sha256::digest(&der));
    let found = spelled(&digest);
    match known {
        Some(known) if known == digest => return Ok(pem),
        Some(_) => {
            return Err(Error::conflict(format!(
                "The authority of {host} has the fingerprint {found}, which is another one. Somebody may stand between you and the server."
            )));
        }
        None => {}
    }
    match is_trusted(host, &found)? {
        true => Ok(pem),
        false => Err(Error::conflict(
            "The server was not trusted, and nothing was sent to it.",
        )),
    }
}

/// What the person at the terminal says of an authority with this fingerprint. 409 where nobody is there.
fn is_trusted(host: &str, found: &str) -> Result<bool> {
    let how = format!(
        "Nobody whom this machine trusts vouches for {host}. Its own authority has the fingerprint (SHA-256)\n\n    {found}\n\n\
         On the server, `openssl x509 -noout -fingerprint -sha256 -in DATA-DIR/ca.pem` shows the same."
    );
    if !stdin().is_terminal() {
        return Err(Error::conflict(format!(
            "{how}\nIf so, give it with --ca-fingerprint, or copy that file and give it with --ca-file."
        )));
    }
    eprint!("{how}\nTrust it? Type yes: ");
    stderr().flush()?;
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

/// As openssl shows it: `AA:BB:...`, of the hexadecimal digits of a digest.
fn spelled(digest: &str) -> String {
    let digits: Vec<char> = digest.to_ascii_uppercase().chars().collect();
    let pairs: Vec<String> = digits.chunks(2).map(String::from_iter).collect();
    pairs.join(":")
}

/// As it is compared: without the colons that openssl puts in, nor what it says before them.
fn plain(fingerprint: &str) -> String {
    let fingerprint = fingerprint.rsplit('=').next().unwrap_or_default();
    let hex = fingerprint.chars().filter(char::is_ascii_hexdigit);
    hex.collect::<String>().to_ascii_lowercase()
}
