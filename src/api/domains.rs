//! Domains of an app: the name that it has by its own, and those that were added.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::{Call, Caller};
use super::params::{self, Parts, Reference, Whole};
use super::reply::{Created, Reply};
use super::view::Named;
use crate::error::{Error, Result};
use crate::hostname::Hostname;
use crate::name::Id;
use crate::store::acm;
use crate::store::domains::{self, Domain, FIELDS, Origin, Which};
use crate::time::Timestamp;
use crate::urls::Urls;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Domain")]
pub struct View {
    acm_status: Option<acm::Status>,
    acm_status_reason: Option<String>,
    app: Named,
    cname: Option<String>,
    created_at: Timestamp,
    hostname: String,
    id: Id,
    kind: Origin,
    sni_endpoint: Option<Named>,
    /// Of what the DNS of the domain is to point to, and not of that DNS. Nothing is to be waited for: the router knows a domain as
    /// soon as it is there.
    status: &'static str,
    updated_at: Timestamp,
}

pub(super) fn view(domain: Domain, urls: &Urls) -> View {
    View {
        acm_status: domain.acm_status,
        acm_status_reason: domain.acm_reason,
        cname: match domain.kind {
            Origin::Heroku => None,
            Origin::Custom => Some(urls.host(&domain.app_name)),
        },
        app: Named {
            id: domain.app_id,
            name: domain.app_name,
        },
        created_at: domain.created_at,
        hostname: domain.hostname,
        id: domain.id,
        kind: domain.kind,
        sni_endpoint: domain.sni_endpoint.map(|(id, name)| Named { id, name }),
        status: "none",
        updated_at: domain.updated_at,
    }
}

/// The domain in the path, by its id or by its name in any spelling.
fn which(caller: &Caller) -> Result<Which> {
    Which::parse(caller.params.text("domain")).ok_or_else(|| Error::not_found("domain"))
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let base = call.platform.urls.base_domain.clone();
    let paged = call
        .page(FIELDS, move |connection, caller, page| {
            domains::list(connection, caller.app_id(connection)?, &base, page)
        })
        .await?;
    paged.reply(|domain| view(domain, &call.platform.urls))
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let base = &call.platform.urls.base_domain;
    let domain = call.read(|connection, caller| {
        let app = caller.app_id(connection)?;
        domains::find(connection, app, base, &which(caller)?)
    })?;
    Reply::of(&view(domain, &call.platform.urls))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "DomainNew")]
pub struct New {
    #[schemars(required)]
    hostname: Option<String>,
    sni_endpoint: Option<Reference>,
}

pub async fn create(call: Call, new: New) -> Result<Created<View>> {
    let hostname = Hostname::parse(&params::required(new.hostname, "hostname")?)?;
    let urls = &call.platform.urls;
    if urls.has(&hostname) {
        return Err(Error::invalid(format!(
            "{hostname} belongs to this server, which gives each app a name under {}.",
            urls.base_domain
        )));
    }
    let base = urls.base_domain.clone();
    let domain = call
        .write(move |connection, caller| {
            let app = caller.app_id(connection)?;
            let certificate = new.sni_endpoint.as_ref().map(|named| &named.0);
            domains::create(connection, app, &base, &hostname, certificate, caller.now)
        })
        .await?;
    Reply::of(&view(domain, &call.platform.urls))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "DomainChange")]
pub struct Change {
    /// Null takes the certificate away.
    #[serde(default, deserialize_with = "params::nullable")]
    sni_endpoint: Option<Option<Reference>>,
}

impl Parts for Change {
    const NEEDED: &'static [&'static str] = &["sni_endpoint"];
}

pub async fn update(call: Call, Whole(change): Whole<Change>) -> Result<Reply<View>> {
    let certificate = params::required(change.sni_endpoint, "sni_endpoint")?;
    let base = call.platform.urls.base_domain.clone();
    let domain = call
        .write(move |connection, caller| {
            let app = caller.app_id(connection)?;
            let domain = domains::find(connection, app, &base, &which(caller)?)?;
            let certificate = certificate.as_ref().map(|named| &named.0);
            domains::assign(connection, &domain, certificate, caller.now)?;
            domains::find(connection, app, &base, &Which::Id(domain.id))
        })
        .await?;
    Reply::of(&view(domain, &call.platform.urls))
}

pub async fn delete(call: Call) -> Result<Reply<View>> {
    let base = call.platform.urls.base_domain.clone();
    let domain = call
        .write(move |connection, caller| {
            let app = caller.app_id(connection)?;
            let domain = domains::find(connection, app, &base, &which(caller)?)?;
            domains::delete(connection, &domain)?;
            Ok(domain)
        })
        .await?;
    Reply::of(&view(domain, &call.platform.urls))
}
