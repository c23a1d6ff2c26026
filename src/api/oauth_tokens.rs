//! OAuth tokens: what a client gets for a grant's code or for a refresh token, if it shows its secret.
//!
//! The same exchange is served in JSON, as Heroku's schema has it, and from a form, as OAuth 2 and add-on partners have it.

use actix_web::http::header::CACHE_CONTROL;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::auth;
use super::call::{Call, Open};
use super::oauth_authorizations::{TokenView, token};
use super::operation::Form;
use super::params;
use super::reply::{Created, Reply};
use super::view::Ref;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::secret;
use crate::store::addon_tokens;
use crate::store::oauth_authorizations::{self, Authorization};
use crate::store::oauth_tokens::{self, Fresh, Held};
use crate::time::Timestamp;

/// Longer than any code, token or secret of ours.
const LONGEST: usize = 512;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OauthTokenGrant")]
pub struct GrantView {
    code: String,
    r#type: &'static str,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OauthTokenClient")]
pub struct ClientView {
    secret: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OauthToken")]
pub struct View {
    access_token: TokenView,
    authorization: Ref,
    /// The client has its secret; nobody is told it here.
    client: Option<ClientView>,
    created_at: Timestamp,
    /// What was exchanged, which is good no longer.
    grant: Option<GrantView>,
    id: Id,
    refresh_token: Option<TokenView>,
    session: Option<Ref>,
    updated_at: Timestamp,
    user: Ref,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "OauthTokenBody")]
pub struct Body {
    #[schemars(required)]
    client: Option<Secret>,
    #[schemars(required)]
    grant: Option<Grant>,
    refresh_token: Option<RefreshToken>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "OauthTokenBodyClient")]
struct Secret {
    #[schemars(required)]
    secret: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "OauthTokenBodyGrant")]
struct Grant {
    code: Option<String>,
    #[schemars(required)]
    r#type: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "OauthTokenBodyRefreshToken")]
struct RefreshToken {
    token: Option<String>,
}

/// What a client asks for, in either form.
struct Exchange {
    kind: Kind,
    /// The code, or the refresh token.
    held: String,
    secret: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Refresh,
}

impl Exchange {
    /// 422 for what is missing, and for another type of grant.
    fn new(
        kind: Option<&str>,
        code: Option<String>,
        refresh: Option<String>,
        secret: Option<String>,
    ) -> Result<Exchange> {
        let (kind, held) = match kind {
            Some("authorization_code") => (Kind::Code, params::required(code, "code")?),
            Some("refresh_token") => (Kind::Refresh, params::required(refresh, "refresh_token")?),
            _ => {
                return Err(Error::invalid(
                    "The type of the grant must be authorization_code or refresh_token.",
                ));
            }
        };
        let secret = params::required(secret, "client secret")?;
        Ok(Exchange {
            kind,
            held: params::text(Some(held), "code or token", LONGEST)?.unwrap_or_default(),
            secret: params::text(Some(secret), "client secret", LONGEST)?.unwrap_or_default(),
        })
    }

    /// The authorization, the access token, and the refresh token that goes on being good.
    async fn run(&self, open: &Open) -> Result<(Authorization, String, String)> {
        let (access, refresh) = (secret::token()?, secret::uuid()?);
        let (held, client, now, kind) =
            (self.held.clone(), self.secret.clone(), open.now, self.kind);
        let given = (access.clone(), refresh.clone());
        let authorization = open
            .platform
            .store
            .write(move |connection| {
                let held = match kind {
                    Kind::Code => Held::Code(&held),
                    Kind::Refresh => Held::Refresh(&held),
                };
                let fresh = Fresh {
                    access: &given.0,
                    refresh: &given.1,
                };
                let of_provider = addon_tokens::exchange(connection, &held, &client, &fresh, now)?;
                if let Some(of_provider) = of_provider {
                    return Ok(of_provider);
                }
                let id = oauth_tokens::exchange(connection, &held, &client, &fresh, now)?;
                oauth_authorizations::by_id(connection, id)
            })
            .await?;
        let refresh = match self.kind {
            Kind::Code => refresh,
            Kind::Refresh => self.held.clone(),
        };
        Ok((authorization, access, refresh))
    }
}

fn view(
    authorization: Authorization,
    access: Option<&str>,
    refresh: Option<&str>,
    now: Timestamp,
) -> Result<View> {
    let access_token = token(authorization.access_token, access, now)
        .ok_or_else(|| Error::internal("an authorization has lost its token"))?;
    Ok(View {
        authorization: Ref {
            id: authorization.id,
        },
        client: None,
        created_at: authorization.created_at,
        grant: None,
        id: access_token.id,
        access_token,
        refresh_token: token(authorization.refresh_token, refresh, now),
        session: None,
        updated_at: authorization.updated_at,
        user: Ref {
            id: authorization.account_id,
        },
    })
}

pub async fn create(open: Open, body: Body) -> Result<Created<View>> {
    let (kind, code) = body
        .grant
        .map_or((None, None), |grant| (grant.r#type, grant.code));
    let exchange = Exchange::new(
        kind.as_deref(),
        code,
        body.refresh_token.and_then(|refresh| refresh.token),
        body.client.and_then(|client| client.secret),
    )?;
    let (authorization, access, refresh) = exchange.run(&open).await?;
    let mut view = view(authorization, Some(&access), Some(&refresh), open.now)?;
    view.grant = Some(match exchange.kind {
        Kind::Code => GrantView {
            code: exchange.held,
            r#type: "authorization_code",
        },
        Kind::Refresh => GrantView {
            code: String::new(),
            r#type: "refresh_token",
        },
    });
    Ok(Reply::of(&view)?.with_header(CACHE_CONTROL, "no-store"))
}

/// The answer of OAuth 2 itself (RFC 6749, section 5.1), with what Heroku adds.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OauthTokenOfForm")]
pub struct FormView {
    access_token: String,
    expires_in: Option<u64>,
    refresh_token: String,
    token_type: &'static str,
    user_id: Id,
    session_nonce: Option<String>,
}

/// The request of OAuth 2, likewise.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "OauthTokenForm")]
pub struct Fields {
    /// `authorization_code` or `refresh_token`.
    #[schemars(required)]
    grant_type: Option<String>,
    code: Option<String>,
    refresh_token: Option<String>,
    /// Needed, unless it comes as a password.
    client_secret: Option<String>,
}

/// The same as OAuth 2 has it, for the clients that speak it and for the partners that provide add-ons. A client may also show its
/// secret as the password of `Basic` (RFC 6749, section 2.3.1).
pub async fn create_from_form(open: Open, Form(fields): Form<Fields>) -> Result<Reply<FormView>> {
    let shown = || auth::password(open.request.headers());
    let exchange = Exchange::new(
        fields.grant_type.as_deref(),
        fields.code,
        fields.refresh_token,
        fields.client_secret.or_else(shown),
    )?;
    let (authorization, access, refresh) = exchange.run(&open).await?;
    let user_id = authorization.account_id;
    let given = token(authorization.access_token, Some(&access), open.now);
    let reply = Reply::of(&FormView {
        expires_in: given.and_then(|given| given.expires_in),
        access_token: access,
        refresh_token: refresh,
        token_type: "Bearer",
        user_id,
        session_nonce: None,
    })?;
    Ok(reply.with_header(CACHE_CONTROL, "no-store"))
}

/// Ends one access token of the account's; a client that has a refresh token may get another.
pub async fn delete(call: Call) -> Result<Reply<View>> {
    let id = call.caller.params.id("access_token", "token")?;
    let now = call.caller.now;
    let authorization = call
        .write(move |connection, caller| {
            let (under, access) = oauth_tokens::find(connection, caller.account.id, id)?;
            let authorization = oauth_authorizations::by_id(connection, under)?;
            oauth_tokens::revoke(connection, id)?;
            Ok(Authorization {
                access_token: Some(access),
                ..authorization
            })
        })
        .await?;
    Reply::of(&view(authorization, None, None, now)?)
}
