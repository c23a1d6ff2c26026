//! SNI endpoints: the certificates of an app's domains. A key comes in and never goes out.

use actix_web::rt::task::spawn_blocking;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::params;
use super::reply::{Created, Reply};
use super::view::Named;
use crate::certificate;
use crate::error::{Error, Result};
use crate::name::{self, Id, Identity};
use crate::store::sni_endpoints::{self, FIELDS, KeyPair, SniEndpoint};
use crate::time::Timestamp;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SslCert")]
pub struct SslCert {
    /// It was asked for in the owner's place, and is renewed.
    acm: bool,
    #[serde(rename = "ca_signed?")]
    ca_signed: bool,
    cert_domains: Vec<String>,
    expires_at: Timestamp,
    id: Id,
    issuer: String,
    #[serde(rename = "self_signed?")]
    self_signed: bool,
    starts_at: Timestamp,
    subject: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SniEndpoint")]
pub struct View {
    app: Named,
    certificate_chain: String,
    created_at: Timestamp,
    display_name: Option<String>,
    domains: Vec<Id>,
    id: Id,
    name: String,
    ssl_cert: SslCert,
    updated_at: Timestamp,
}

pub(super) fn view(endpoint: SniEndpoint) -> View {
    let certificate = endpoint.certificate;
    View {
        app: Named {
            id: endpoint.app_id,
            name: endpoint.app_name,
        },
        certificate_chain: endpoint.chain,
        created_at: endpoint.created_at,
        display_name: None,
        domains: endpoint.domains,
        id: endpoint.id,
        name: endpoint.name,
        ssl_cert: SslCert {
            acm: endpoint.acm,
            ca_signed: certificate.ca_signed,
            cert_domains: certificate.domains,
            expires_at: certificate.expires_at,
            id: endpoint.certificate_id,
            issuer: certificate.issuer,
            self_signed: certificate.self_signed,
            starts_at: certificate.starts_at,
            subject: certificate.subject,
        },
        updated_at: endpoint.updated_at,
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            sni_endpoints::list(connection, caller.app_id(connection)?, page)
        })
        .await?;
    paged.reply(view)
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let endpoint = call.read(|connection, caller| {
        let identity = caller.params.identity("sni_endpoint");
        sni_endpoints::find(connection, caller.app_id(connection)?, &identity)
    })?;
    Reply::of(&view(endpoint))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "SniEndpointBody")]
pub struct Body {
    /// PEM: the certificate first, then each that signed the one before.
    #[schemars(required)]
    certificate_chain: Option<String>,
    /// PEM, without a passphrase.
    #[schemars(required)]
    private_key: Option<String>,
}

/// Reads and checks a body, off the workers: a chain takes milliseconds.
async fn checked(call: &Call, body: Body) -> Result<KeyPair> {
    let chain = params::required(body.certificate_chain, "certificate_chain")?;
    let private_key = params::required(body.private_key, "private_key")?;
    let now = call.caller.now;
    spawn_blocking(move || {
        Ok(KeyPair {
            certificate: certificate::check(&chain, &private_key, now)?,
            chain,
            private_key,
        })
    })
    .await
    .map_err(Error::internal)?
}

pub async fn create(call: Call, body: Body) -> Result<Created<View>> {
    // Nothing is read for whoever may not keep it.
    call.read(|connection, caller| caller.app_id(connection))?;
    let pair = checked(&call, body).await?;
    let name = name::generated()?;
    let endpoint = call
        .write(move |connection, caller| {
            let app = caller.app_id(connection)?;
            sni_endpoints::create(connection, app, name.as_str(), &pair, caller.now)
        })
        .await?;
    Reply::of(&view(endpoint))
}

pub async fn update(call: Call, body: Body) -> Result<Reply<View>> {
    let found = |connection: &_, caller: &super::call::Caller| {
        let identity = caller.params.identity("sni_endpoint");
        sni_endpoints::find(connection, caller.app_id(connection)?, &identity)
    };
    call.read(found)?;
    let pair = checked(&call, body).await?;
    let endpoint = call
        .write(move |connection, caller| {
            let before = found(connection, caller)?.by_hand()?;
            sni_endpoints::replace(connection, before.id, &pair, caller.now)?;
            sni_endpoints::find(connection, before.app_id, &Identity::Id(before.id))
        })
        .await?;
    Reply::of(&view(endpoint))
}

pub async fn delete(call: Call) -> Result<Reply<View>> {
    let endpoint = call
        .write(|connection, caller| {
            let identity = caller.params.identity("sni_endpoint");
            let found = sni_endpoints::find(connection, caller.app_id(connection)?, &identity)?;
            let found = found.by_hand()?;
            sni_endpoints::delete(connection, found.id, caller.now)?;
            Ok(found)
        })
        .await?;
    Reply::of(&view(endpoint))
}
