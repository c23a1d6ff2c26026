//! One conversation with the authority that signs certificates, by its protocol (ACME, RFC 8555).
//!
//! It must not know which names are asked for, nor why.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::http;
use instant_acme::{
    Account, AuthorizationStatus, BodyWrapper, BytesResponse, ChallengeType, HttpClient,
    Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy,
};
use tokio::sync::OnceCell;

use super::challenges::{Challenges, Shown};
use super::settings::Settings;
use crate::data_dir::DataDir;
use crate::error::{Error, Result};

/// The account that this server has with the authority, with its key.
const ACCOUNT: &str = "acme_account.json";
/// For one request to the authority.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of one of its answers.
const MAX_ANSWER: usize = 1 << 20;
/// How long it may take over the proof of a name, or over a certificate.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.6)
    .timeout(Duration::from_secs(90));

/// Who is asked.
pub struct Authority {
    settings: Settings,
    data: DataDir,
    account: OnceCell<Account>,
}

/// How a name is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a text at a URL of port 80.
    Http,
    /// By a certificate at port 443.
    Tls,
}

/// A certificate with those that signed it, and its key, as PEM.
pub struct Signed {
    pub chain: String,
    pub private_key: String,
}

impl Authority {
    pub fn new(settings: Settings, data: DataDir) -> Authority {
        Authority {
            settings,
            data,
            account: OnceCell::new(),
        }
    }

    /// Asks for a certificate for the host, and proves that way that it leads here. The error is for the domain's owner to read.
    pub async fn sign(
        &self,
        host: &str,
        way: Way,
        challenges: &Challenges,
    ) -> std::result::Result<Signed, Refused> {
        let account = self.account.get_or_try_init(|| self.account()).await?;
        let names = [Identifier::Dns(host.to_owned())];
        let mut order = account
            .new_order(&NewOrder::new(&names))
            .await
            .map_err(refused)?;
        let mut shown: Vec<Shown> = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(refused)?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let kind = match way {
                Way::Http => ChallengeType::Http01,
                Way::Tls => ChallengeType::TlsAlpn01,
            };
            let Some(mut challenge) = authorization.challenge(kind) else {
                return Err(Refused::Host(Error::invalid(
                    "The authority does not take the proof that this server can give.",
                )));
            };
            let proof = challenge.key_authorization();
            shown.push(match way {
                Way::Http => challenges.show_by_http(host, &challenge.token, proof.as_str()),
                Way::Tls => challenges.show_by_tls(host, proof.digest().as_ref())?,
            });
            challenge.set_ready().await.map_err(refused)?;
        }
        if order.poll_ready(&PATIENCE).await.map_err(refused)? != OrderStatus::Ready {
            let found = self.unproven(&mut order).await;
            return Err(Refused::Host(Error::invalid(found)));
        }
        let private_key = order.finalize().await.map_err(refused)?;
        let chain = order.poll_certificate(&PATIENCE).await.map_err(refused)?;
        Ok(Signed { chain, private_key })
    }

    /// What the authority found where it looked for the proof.
    async fn unproven(&self, order: &mut instant_acme::Order) -> String {
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            // The state that came with the order is that before the proof was looked for.
            let Ok(state) = authorization.refresh().await else {
                continue;
            };
            let found = state.challenges.iter().find_map(|challenge| {
                let problem = challenge.error.as_ref()?;
                problem.detail.clone()
            });
            if let Some(found) = found {
                return found;
            }
        }
        "The authority could not see that the name leads to this server.".to_owned()
    }

    /// The account, made when it is first needed. One of another authority is no good.
    async fn account(&self) -> std::result::Result<Account, Refused> {
        let directory = &self.settings.acme_directory;
        let client = || self.client().map(Account::builder_with_http);
        if let Some(kept) = self.data.read_private(ACCOUNT)?
            && let Ok((of, credentials)) = serde_json::from_str::<(String, _)>(&kept)
            && of == *directory
        {
            let account = client()?.from_credentials(credentials).await;
            return account.map_err(refused);
        }
        let contact = self.settings.acme_contact.as_deref().unwrap_or_default();
        let contact = format!("mailto:{contact}");
        let new = NewAccount {
            contact: &[&contact],
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let made = client()?.create(&new, directory.clone(), None).await;
        let (account, credentials) = made.map_err(refused)?;
        let kept = serde_json::to_string(&(directory, credentials)).map_err(Error::internal)?;
        self.data.write_private(ACCOUNT, &kept)?;
        Ok(account)
    }

    fn client(&self) -> Result<Box<dyn HttpClient>> {
        // ring is the one provider; an error means that it is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .user_agent(concat!("Penstock/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &self.settings.acme_ca_file {
            let pem = std::fs::read(path)?;
            let trusted = reqwest::Certificate::from_pem_bundle(&pem).map_err(Error::internal)?;
            client = client.tls_certs_merge(trusted);
        }
        let client = client.build().map_err(Error::internal)?;
        Ok(Box::new(Http(client)))
    }
}

/// Why there is no certificate.
#[derive(Debug)]
pub enum Refused {
    /// For a reason that lies with the host.
    Host(Error),
    /// The authority could not be asked, or takes no orders now, whatever the host.
    Authority(Error),
}

impl From<Error> for Refused {
    /// What fails on this machine is no host's fault.
    fn from(error: Error) -> Refused {
        Refused::Authority(error)
    }
}

/// What the authority says that is not about a host (RFC 8555, 6.7).
const NOT_OF_THE_HOST: [&str; 6] = [
    "accountDoesNotExist",
    "badNonce",
    "externalAccountRequired",
    "rateLimited",
    "serverInternal",
    "userActionRequired",
];

fn refused(error: instant_acme::Error) -> Refused {
    match error {
        instant_acme::Error::Api(problem) => {
            let kind = problem.r#type.as_deref().unwrap_or_default();
            let is_of_host = !NOT_OF_THE_HOST.iter().any(|not| kind.ends_with(not));
            let detail = problem.detail.clone();
            let error = Error::invalid(detail.unwrap_or_else(|| problem.to_string()));
            match is_of_host {
                true => Refused::Host(error),
                false => Refused::Authority(error),
            }
        }
        instant_acme::Error::Timeout(_) => Refused::Host(Error::invalid(
            "The authority did not come to an end in time.",
        )),
        other => Refused::Authority(Error::invalid(format!(
            "The authority could not be asked: {other}."
        ))),
    }
}

/// The one HTTP client, in the form that the protocol's library wants.
struct Http(reqwest::Client);

impl HttpClient for Http {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = std::result::Result<BytesResponse, instant_acme::Error>> + Send>>
    {
        let client = self.0.clone();
        Box::pin(async move {
            sent(client, request)
                .await
                .map_err(instant_acme::Error::Other)
        })
    }
}

async fn sent(
    client: reqwest::Client,
    request: http::Request<BodyWrapper<Bytes>>,
) -> std::result::Result<BytesResponse, Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut response = client
        .request(head.method, head.uri.to_string())
        .headers(head.headers)
        .body(body)
        .send()
        .await?;
    let mut answer = http::Response::builder().status(response.status());
    if let Some(headers) = answer.headers_mut() {
        *headers = response.headers().clone();
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err("it answers with more than 1 MB".into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(answer.body(Full::new(Bytes::from(body)))?.into())
}
