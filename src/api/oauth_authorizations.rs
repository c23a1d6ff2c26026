//! OAuth authorizations: what lets somebody use the caller's account, and for how long.
//!
//! A secret is shown in the answer that makes it, and never again: later there is only its hint.

use std::time::Duration;

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::call::{Call, Caller};
use super::params;
use super::reply::{Created, Reply};
use super::view::Ref;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::secret;
use crate::store::oauth_authorizations::{self, Authorization, FIELDS, Hinted, New};
use crate::store::scopes::{Scope, Scopes};
use crate::store::{oauth_clients, oauth_tokens};
use crate::time::Timestamp;

/// Of a description, in bytes.
const LONGEST: usize = 500;
/// Of the tokens that a client gets, in seconds, unless another is asked for: eight hours, as on Heroku.
pub(super) const CLIENT_LIFETIME: u32 = 28_800;
/// How long a client may take to exchange its code.
pub(super) const GRANT_LIFETIME: Duration = Duration::from_secs(300);

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OauthAuthorizationToken")]
pub struct TokenView {
    /// Seconds from now; null for a token that does not expire.
    pub expires_in: Option<u64>,
    pub id: Id,
    pub token: String,
}

/// `shown` is the secret itself, in the answer that gives it out.
pub fn token(hinted: Option<Hinted>, shown: Option<&str>, now: Timestamp) -> Option<TokenView> {
    hinted.map(|hinted| TokenView {
        expires_in: hinted.expires_at.map(|at| at.since(now).as_secs()),
        id: hinted.id,
        token: shown.map_or(hinted.hint, str::to_owned),
    })
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OauthAuthorizationGrant")]
pub struct GrantView {
    code: String,
    expires_in: u64,
    id: Id,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OauthAuthorizationClient")]
pub struct ClientView {
    id: Id,
    name: String,
    redirect_uri: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OauthAuthorizationUser")]
pub struct UserView {
    email: String,
    full_name: Option<String>,
    id: Id,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OauthAuthorization")]
pub struct View {
    access_token: Option<TokenView>,
    client: Option<ClientView>,
    created_at: Timestamp,
    description: String,
    grant: Option<GrantView>,
    id: Id,
    refresh_token: Option<TokenView>,
    scope: Vec<Scope>,
    session: Option<Ref>,
    updated_at: Timestamp,
    user: UserView,
}

/// The secrets that an answer gives out.
#[derive(Default)]
struct Shown {
    access: Option<String>,
    refresh: Option<String>,
    code: Option<String>,
}

fn view(authorization: Authorization, shown: &Shown, now: Timestamp) -> View {
    let open = |grant: &Hinted| grant.expires_at.is_some_and(|at| at > now);
    let grant = authorization.grant.filter(open).map(|grant| GrantView {
        expires_in: grant.expires_at.map_or(0, |at| at.since(now).as_secs()),
        code: shown.code.clone().unwrap_or(grant.hint),
        id: grant.id,
    });
    View {
        access_token: token(authorization.access_token, shown.access.as_deref(), now),
        client: authorization.client.map(|client| ClientView {
            id: client.id,
            name: client.name,
            redirect_uri: client.redirect_uri,
        }),
        created_at: authorization.created_at,
        description: authorization.description,
        grant,
        id: authorization.id,
        refresh_token: token(authorization.refresh_token, shown.refresh.as_deref(), now),
        scope: authorization.scopes.list(),
        session: None,
        updated_at: authorization.updated_at,
        user: UserView {
            email: authorization.account_email,
            full_name: authorization.account_name,
            id: authorization.account_id,
        },
    }
}

/// The authorization in the path; `~` is the account's API key.
fn found(connection: &Connection, caller: &Caller) -> Result<Authorization> {
    let account = caller.account.id;
    match caller.params.text("authorization") {
        "~" => oauth_authorizations::api_key(connection, account),
        _ => {
            let id = caller.params.id("authorization", "authorization")?;
            oauth_authorizations::find(connection, account, id)
        }
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let now = call.caller.now;
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            oauth_authorizations::list(connection, caller.account.id, page)
        })
        .await?;
    paged.reply(|authorization| view(authorization, &Shown::default(), now))
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let authorization = call.read(found)?;
    Reply::of(&view(authorization, &Shown::default(), call.caller.now))
}

/// With a client, the answer has a code for it instead of a token.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "OauthAuthorizationCreateBody")]
pub struct CreateBody {
    client: Option<ClientParam>,
    description: Option<String>,
    #[serde(default, deserialize_with = "seconds")]
    #[schemars(with = "Option<u32>")]
    expires_in: Option<u32>,
    scope: Option<Vec<String>>,
}

/// A client by its id, or as an object with it.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "the id of a client")]
enum ClientParam {
    Id(Id),
    Object { id: Id },
}

/// A number, or one as text, as the official CLI sends it: from one second to a hundred years.
fn seconds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a number of seconds")]
    enum Form {
        Number(i64),
        Text(String),
    }
    let given = match Option::<Form>::deserialize(deserializer)? {
        None => return Ok(None),
        Some(Form::Number(number)) => Some(number),
        Some(Form::Text(text)) => text.trim().parse().ok(),
    };
    given
        .and_then(|seconds| u32::try_from(seconds).ok())
        .filter(|seconds| (1..=3_153_600_000).contains(seconds))
        .map(Some)
        .ok_or_else(|| {
            serde::de::Error::custom("it must be a number of seconds from 1 to 3153600000")
        })
}

/// What is asked for, checked.
struct Wanted {
    client: Option<Id>,
    description: String,
    scopes: Scopes,
    lifetime: Option<u32>,
}

impl CreateBody {
    fn checked(self) -> Result<Wanted> {
        let client = self.client.map(|client| {
            let (ClientParam::Id(id) | ClientParam::Object { id }) = client;
            id
        });
        let scopes = self.scope.as_deref().map(Scopes::parse).transpose()?;
        Ok(Wanted {
            client,
            description: params::text(self.description, "description", LONGEST)?
                .unwrap_or_default(),
            scopes: scopes.unwrap_or(Scopes::GLOBAL),
            lifetime: self.expires_in.or(client.map(|_| CLIENT_LIFETIME)),
        })
    }
}

/// The authorization with its first secret: a code for its client, or else an access token.
fn made(
    connection: &Connection,
    caller: &Caller,
    wanted: &Wanted,
    secret: &str,
) -> Result<Authorization> {
    let new = New {
        account: caller.account.id,
        client: wanted.client,
        description: &wanted.description,
        scopes: wanted.scopes,
        lifetime: wanted.lifetime,
    };
    if let Some(client) = wanted.client {
        oauth_clients::find(connection, client)?;
        let id = oauth_authorizations::create(connection, &new, caller.now)?;
        oauth_tokens::add_grant(connection, id, secret, caller.now.plus(GRANT_LIFETIME))?;
        return oauth_authorizations::by_id(connection, id);
    }
    let id = oauth_authorizations::create(connection, &new, caller.now)?;
    oauth_tokens::add_access_token(connection, id, secret, caller.now)?;
    oauth_authorizations::by_id(connection, id)
}

pub async fn create(call: Call, body: CreateBody) -> Result<Created<View>> {
    let wanted = body.checked()?;
    let now = call.caller.now;
    let (secret, shown) = if wanted.client.is_some() {
        let secret = secret::uuid()?;
        let code = Some(secret.clone());
        (
            secret,
            Shown {
                code,
                ..Shown::default()
            },
        )
    } else {
        let secret = secret::token()?;
        let access = Some(secret.clone());
        (
            secret,
            Shown {
                access,
                ..Shown::default()
            },
        )
    };
    let authorization = call
        .write(move |connection, caller| made(connection, caller, &wanted, &secret))
        .await?;
    Reply::of(&view(authorization, &shown, now))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "OauthAuthorizationUpdateBody")]
pub struct UpdateBody {
    client: Option<ClientProof>,
    description: Option<String>,
}

/// A client, and the secret that proves it.
#[derive(Deserialize, JsonSchema)]
struct ClientProof {
    #[schemars(required)]
    id: Option<Id>,
    #[schemars(required)]
    secret: Option<String>,
}

/// Hands the authorization to a client whose secret is shown, or only describes it anew.
pub async fn update(call: Call, body: UpdateBody) -> Result<Reply<View>> {
    let description = params::text(body.description, "description", LONGEST)?;
    let (client, proof) = match body.client {
        None => (None, String::new()),
        Some(client) => {
            let id = params::required(client.id, "client.id")?;
            (Some(id), params::required(client.secret, "client.secret")?)
        }
    };
    let now = call.caller.now;
    let authorization = call
        .write(move |connection, caller| {
            let before = found(connection, caller)?;
            if let Some(id) = client {
                let client = oauth_clients::find(connection, id)?;
                if secret::digest(&client.secret) != secret::digest(&proof) {
                    return Err(Error::not_found("client"));
                }
            }
            let description = description.as_deref();
            oauth_authorizations::update(connection, before.id, description, client, now)?;
            oauth_authorizations::by_id(connection, before.id)
        })
        .await?;
    Reply::of(&view(authorization, &Shown::default(), now))
}

/// Ends all that was given out under it at once, also the token that asks.
pub async fn delete(call: Call) -> Result<Reply<View>> {
    let now = call.caller.now;
    let authorization = call
        .write(|connection, caller| {
            let authorization = found(connection, caller)?;
            oauth_authorizations::delete(connection, authorization.id)?;
            Ok(authorization)
        })
        .await?;
    Reply::of(&view(authorization, &Shown::default(), now))
}

/// Ends the tokens that there are, and gives out new ones in their place.
pub async fn regenerate_tokens(call: Call) -> Result<Reply<View>> {
    let (now, access, refresh) = (call.caller.now, secret::token()?, secret::uuid()?);
    let mut shown = Shown {
        access: Some(access.clone()),
        refresh: Some(refresh.clone()),
        ..Shown::default()
    };
    let authorization = call
        .write(move |connection, caller| {
            let before = found(connection, caller)?;
            if before.access_token.is_none() {
                return Err(Error::invalid(
                    "This authorization's client has not exchanged its code for tokens yet. Authorize it again instead.",
                ));
            }
            oauth_tokens::revoke_all(connection, before.id)?;
            oauth_tokens::add_access_token(connection, before.id, &access, now)?;
            if before.refresh_token.is_some() {
                oauth_tokens::set_refresh_token(connection, before.id, &refresh, now)?;
            }
            oauth_authorizations::touch(connection, before.id, now)?;
            oauth_authorizations::by_id(connection, before.id)
        })
        .await?;
    shown.refresh = shown
        .refresh
        .filter(|_| authorization.refresh_token.is_some());
    Reply::of(&view(authorization, &shown, now))
}
