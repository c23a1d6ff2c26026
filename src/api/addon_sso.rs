//! Single sign-on: how a customer comes from here to the pages of an add-on's provider without a password.
//!
//! The form is Heroku's: the provider trusts whoever brings a SHA-1 of the add-on's id, the salt of the manifest and a recent time.

use actix_web::HttpResponse;
use actix_web::http::header;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rusqlite::Connection;
use schemars::JsonSchema;
use serde::Serialize;

use super::addons::{find, find_in_app};
use super::call::{Call, Visit};
use super::reply::Reply;
use crate::blob::signed::Method;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::store::access::Permission;
use crate::store::accounts::{self, Account};
use crate::store::addon_services;
use crate::store::addons::{self, AddOn};
use crate::store::scopes::Scope;
use crate::time::Timestamp;

/// In seconds. A link lives for one to two of these, so that an add-on looks the same for a while.
const LINK: i64 = 60 * 60;

/// A form to be sent to the provider.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AddOnSso")]
pub struct View {
    action: String,
    method: &'static str,
    params: Params,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AddOnSsoParams")]
pub struct Params {
    app: String,
    context_app: String,
    email: String,
    id: String,
    #[serde(rename = "nav-data")]
    nav_data: String,
    resource_id: String,
    resource_token: String,
    timestamp: String,
    token: String,
    user_id: String,
}

/// 422 for an add-on whose provider has no salt in its manifest.
fn form(connection: &Connection, addon: &AddOn, account: &Account, now: Timestamp) -> Result<View> {
    let service = addon_services::by_id(connection, addon.addon_service_id)?;
    let salt = addon_services::sso_salt(connection, service.id)?
        .ok_or_else(|| Error::invalid(format!("{} has no single sign-on.", service.offer.name)))?;
    let (id, timestamp) = (addon.id.to_string(), now.seconds().to_string());
    let signed = format!("{id}:{salt}:{timestamp}");
    let token = hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, signed.as_bytes()));
    Ok(View {
        action: service.offer.sso_url,
        method: "post",
        params: Params {
            app: addon.app_name.clone(),
            context_app: addon.app_name.clone(),
            email: account.email.clone(),
            resource_id: id.clone(),
            id,
            nav_data: String::new(),
            resource_token: token.clone(),
            timestamp,
            token,
            user_id: account.id.to_string(),
        },
    })
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let form = call.read(|connection, caller| {
        let addon = find(connection, caller, Permission::Operate)?;
        form(connection, &addon, &caller.account, caller.now)
    })?;
    Reply::of(&form)
}

pub async fn info_in_app(call: Call) -> Result<Reply<View>> {
    let form = call.read(|connection, caller| {
        let addon = find_in_app(connection, caller)?;
        form(connection, &addon, &caller.account, caller.now)
    })?;
    Reply::of(&form)
}

impl Call {
    /// A link that a browser opens, for this account alone; none for a token that may not see what is behind it.
    pub(super) fn sso_url(&self, addon: Id) -> Option<String> {
        let scopes = self.caller.scopes;
        if self.caller.addon.is_some() || !scopes.has_any(&[Scope::Global, Scope::WriteProtected]) {
            return None;
        }
        let path = format!("/sso/addons/{addon}/{}", self.caller.account.id);
        let hours = self.caller.now.seconds().div_euclid(LINK) + 2;
        let expires = Timestamp::from_micros(hours * LINK * 1_000_000);
        Some(self.platform.signed_url(Method::Get, &path, expires))
    }
}

/// A page that sends the form. What the account may do is asked when the link is opened, and not when it was made.
pub async fn open(visit: Visit) -> Result<HttpResponse> {
    visit.verify(Method::Get)?;
    let account = visit.params.id("account", "account")?;
    let form = visit.platform.store.read(|connection| {
        let account = accounts::by_id(connection, account)?;
        let account = account.ok_or_else(|| Error::not_found("account"))?;
        let addon = visit.params.text("addon");
        let addon = addons::find(connection, &account, addon, Permission::Operate)?;
        form(connection, &addon, &account, visit.now)
    })?;
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy()))
        .body(page(&form)?))
}

/// The script that sends the form; the policy names it by its digest.
const SCRIPT: &str = "document.forms[0].submit()";

fn policy() -> String {
    use base64::Engine;
    let digest = digest(&ring::digest::SHA256, SCRIPT.as_bytes());
    let digest = base64::engine::general_purpose::STANDARD.encode(digest);
    format!(
        "default-src 'none'; script-src 'sha256-{digest}'; frame-ancestors 'none'; base-uri 'none'"
    )
}

fn page(form: &View) -> Result<String> {
    let params = serde_json::to_value(&form.params).map_err(Error::internal)?;
    let mut fields = String::new();
    for (name, value) in params.as_object().into_iter().flatten() {
        let value = escaped(value.as_str().unwrap_or_default());
        fields.push_str(&format!(
            "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">"
        ));
    }
    Ok(format!(
        "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>Add-on</title>\
         <form method=\"post\" action=\"{}\">{fields}<button>Open the add-on's pages</button></form>\
         <script>{SCRIPT}</script></html>",
        escaped(&form.action)
    ))
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
