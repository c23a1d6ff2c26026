//! OAuth clients: programs that accounts may authorize.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::params::{self, Parts, Whole};
use super::reply::{Created, Reply};
use crate::error::{Error, Result};
use crate::name::Id;
use crate::secret;
use crate::store::oauth_clients::{self, Client, FIELDS};
use crate::store::scopes::Scope;
use crate::time::Timestamp;

/// Of a name and of an address, in bytes.
const LONGEST_NAME: usize = 200;
const LONGEST_URI: usize = 2_000;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OauthClient")]
pub struct View {
    created_at: Timestamp,
    id: Id,
    ignores_delinquent: Option<bool>,
    name: String,
    redirect_uri: String,
    /// For whoever registered the client, with a token of scope `global`. To everybody else it is not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("type" = "string"))]
    secret: Option<String>,
    updated_at: Timestamp,
}

fn view(client: Client) -> View {
    View {
        created_at: client.created_at,
        id: client.id,
        ignores_delinquent: Some(false),
        name: client.name,
        redirect_uri: client.redirect_uri,
        secret: Some(client.secret),
        updated_at: client.updated_at,
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            oauth_clients::list(connection, caller.account.id, page)
        })
        .await?;
    paged.reply(view)
}

/// Whoever is asked to authorize a client may look at it, but for its secret.
pub async fn info(call: Call) -> Result<Reply<View>> {
    let id = call.caller.params.id("client", "client")?;
    let client = call.read(|connection, _| oauth_clients::find(connection, id))?;
    // A token that may do little would come to a stronger one by the secret.
    let caller = &call.caller;
    let own = client.account_id == caller.account.id && caller.scopes.has(Scope::Global);
    let view = view(client);
    Reply::of(&View {
        secret: view.secret.filter(|_| own),
        ..view
    })
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "OauthClientBody")]
pub struct Body {
    name: Option<String>,
    redirect_uri: Option<String>,
}

impl Parts for Body {
    const NEEDED: &'static [&'static str] = &["name", "redirect_uri"];
}

impl Body {
    /// 422 for a name or an address that cannot be one.
    fn checked(self) -> Result<Body> {
        let name = params::text(self.name, "name", LONGEST_NAME)?;
        if name.as_deref().is_some_and(|name| name.trim().is_empty()) {
            return Err(Error::invalid("A client needs a name."));
        }
        let redirect_uri = params::text(self.redirect_uri, "redirect_uri", LONGEST_URI)?;
        let redirects = |uri: &str| {
            reqwest::Url::parse(uri).is_ok_and(|url| {
                let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
                url.fragment().is_none()
                    && (url.scheme() == "https" || url.scheme() == "http" && local)
            })
        };
        if redirect_uri.as_deref().is_some_and(|uri| !redirects(uri)) {
            return Err(Error::invalid(
                "The redirect_uri must be an https URL without a fragment. http will do for localhost.",
            ));
        }
        Ok(Body { name, redirect_uri })
    }
}

pub async fn create(call: Call, Whole(body): Whole<Body>) -> Result<Created<View>> {
    let body = body.checked()?;
    let name = params::required(body.name, "name")?;
    let redirect_uri = params::required(body.redirect_uri, "redirect_uri")?;
    let secret = secret::uuid()?;
    let client = call
        .write(move |connection, caller| {
            let (account, now) = (caller.account.id, caller.now);
            oauth_clients::create(connection, account, &name, &redirect_uri, &secret, now)
        })
        .await?;
    Reply::of(&view(client))
}

pub async fn update(call: Call, body: Body) -> Result<Reply<View>> {
    let body = body.checked()?;
    let id = call.caller.params.id("client", "client")?;
    let client = call
        .write(move |connection, caller| {
            let mut client = oauth_clients::owned(connection, caller.account.id, id)?;
            client.name = body.name.unwrap_or(client.name);
            client.redirect_uri = body.redirect_uri.unwrap_or(client.redirect_uri);
            oauth_clients::update(connection, &client, caller.now)
        })
        .await?;
    Reply::of(&view(client))
}

/// Ends every authorization of the client as well.
pub async fn delete(call: Call) -> Result<Reply<View>> {
    let id = call.caller.params.id("client", "client")?;
    let client = call
        .write(move |connection, caller| {
            let client = oauth_clients::owned(connection, caller.account.id, id)?;
            oauth_clients::delete(connection, id)?;
            Ok(client)
        })
        .await?;
    Reply::of(&view(client))
}

/// Gives the client another secret. What it has got with the old one stays good.
pub async fn rotate_credentials(call: Call) -> Result<Reply<View>> {
    let id = call.caller.params.id("client", "client")?;
    let secret = secret::uuid()?;
    let client = call
        .write(move |connection, caller| {
            let mut client = oauth_clients::owned(connection, caller.account.id, id)?;
            client.secret = secret;
            oauth_clients::update(connection, &client, caller.now)
        })
        .await?;
    Reply::of(&view(client))
}
