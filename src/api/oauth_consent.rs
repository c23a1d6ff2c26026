//! `/oauth/authorize`: a client sends a person's browser here, the person says whether the client may act for her, and the browser
//! goes back to the client with a code, or with a refusal (RFC 6749, section 4.1).
//!
//! There are no sessions of browsers: who answers shows a token of her account, as with a login of the CLI, so no other page can
//! answer for her. What the client asks for stands in the address of the page and is read anew with the answer; nothing of it is
//! kept. A browser is sent nowhere but to the one address that the client has registered.

use std::borrow::Cow;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use rusqlite::Connection;

use super::call::Visit;
use super::consent_page::{Page, page as html};
use super::oauth_authorizations::{CLIENT_LIFETIME, GRANT_LIFETIME};
use super::{body, own_page, params};
use crate::Platform;
use crate::error::{Error, ErrorId, Result};
use crate::name::Id;
use crate::secret;
use crate::store::oauth_authorizations::{self, New};
use crate::store::oauth_clients::{self, Client};
use crate::store::oauth_tokens;
use crate::store::scopes::{Scope, Scopes};
use crate::time::Timestamp;

const MAX_BODY: usize = 4 * 1024;
/// Of what a client wants to be told again, in bytes.
const LONGEST_STATE: usize = 2_000;
/// For a client that names no scope.
const LEAST: Scopes = Scopes::IDENTITY;

/// What a client asks for: what stands in the query of the page's address.
pub(super) struct Asked {
    pub client: Client,
    pub scopes: Scopes,
    state: Option<String>,
}

/// Why there is nothing to be answered.
enum Fault {
    /// Nobody knows where to send the browser, so the person is told.
    Here(Cow<'static, str>),
    /// The client is told, at this address.
    There(String),
}

/// What a person sees whom a client has sent here.
pub async fn show(visit: Visit) -> Result<HttpResponse> {
    Ok(match asked(&visit.request, &visit.platform)? {
        Ok(asked) => html(&Page::Question(&asked, None)),
        Err(Fault::Here(why)) => html(&Page::Wrong(&why)),
        Err(Fault::There(place)) => sent_to(&place),
    })
}

/// What the page has sent.
pub async fn answer(visit: Visit) -> Result<HttpResponse> {
    own_page::require(
        &visit.request,
        "Begin again at the program that sent you here.",
    )?;
    let asked = match asked(&visit.request, &visit.platform)? {
        Ok(asked) => asked,
        Err(Fault::Here(why)) => return Ok(html(&Page::Wrong(&why))),
        Err(Fault::There(place)) => return Ok(sent_to(&place)),
    };
    let form = read(&visit.request, visit.payload).await?;
    if params::query(&form, "answer").as_deref() != Some("allow") {
        return Ok(sent_to(
            &asked.refused("access_denied", "The user said no."),
        ));
    }
    let digest = secret::digest(params::query(&form, "token").unwrap_or_default().trim());
    let (code, now) = (secret::uuid()?, visit.now);
    let wanted = (asked.client.clone(), asked.scopes, code.clone());
    let granted = visit
        .platform
        .store
        .write(move |connection| grant(connection, &wanted, &digest, now))
        .await?;
    Ok(match granted {
        Ok(()) => sent_to(&asked.told(&[("code", &code)])),
        Err(complaint) => html(&Page::Question(&asked, Some(&complaint))),
    })
}

/// Whoever shows a token of an account lets the client into it. What is wrong, if something is.
fn grant(
    connection: &Connection,
    (client, scopes, code): &(Client, Scopes, String),
    digest: &[u8; 32],
    now: Timestamp,
) -> Result<std::result::Result<(), Cow<'static, str>>> {
    let Some(held) = oauth_tokens::credential(connection, digest, now)? else {
        return Ok(Err("This token opens no account here.".into()));
    };
    if !held.scopes.has(Scope::Global) {
        let lesser = "This token is not for everything, so it cannot let anybody in.";
        return Ok(Err(lesser.into()));
    }
    // It may have been changed since the page was shown, and would be sent a code that was meant for another place.
    if oauth_clients::find(connection, client.id)?.redirect_uri != client.redirect_uri {
        return Ok(Err(
            "The program has just been changed. Begin again there.".into()
        ));
    }
    let new = New {
        account: held.account.id,
        client: Some(client.id),
        description: &client.name,
        scopes: *scopes,
        lifetime: Some(CLIENT_LIFETIME),
    };
    let id = match oauth_authorizations::create(connection, &new, now) {
        Err(full) if full.id == ErrorId::InvalidParams => return Ok(Err(full.message)),
        made => made?,
    };
    oauth_tokens::add_grant(connection, id, code, now.plus(GRANT_LIFETIME))?;
    Ok(Ok(()))
}

impl Asked {
    /// The client's address with what it is told, and with what it wanted to be told again.
    fn told(&self, what: &[(&str, &str)]) -> String {
        told(&self.client, self.state.as_deref(), what)
    }

    fn refused(&self, error: &str, why: &str) -> String {
        self.told(&[("error", error), ("error_description", why)])
    }

    /// Where the browser goes from here, as a person reads it.
    pub fn place(&self) -> String {
        origin(&self.client)
    }
}

/// `https://quay.example.com`.
fn origin(client: &Client) -> String {
    let url = reqwest::Url::parse(&client.redirect_uri);
    url.map_or_else(|_| String::new(), |url| url.origin().ascii_serialization())
}

fn told(client: &Client, state: Option<&str>, what: &[(&str, &str)]) -> String {
    let Ok(mut url) = reqwest::Url::parse(&client.redirect_uri) else {
        return client.redirect_uri.clone();
    };
    url.query_pairs_mut()
        .extend_pairs(what)
        .extend_pairs(state.map(|state| ("state", state)));
    url.into()
}

/// 303, so that what the form held is sent nowhere else.
fn sent_to(place: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, place))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .finish()
}

/// Reads what the client asks for. First who it is, since only then is it known where to say that something is wrong.
fn asked(request: &HttpRequest, platform: &Platform) -> Result<std::result::Result<Asked, Fault>> {
    let query = Query(request.query_string());
    let here = |why: &'static str| Ok(Err(Fault::Here(why.into())));
    let Ok(Some(client)) = query.one("client_id") else {
        return here("It does not say which program asks: there has to be one client_id.");
    };
    let Some(client) = Id::parse(&client) else {
        return here("No program is known here by this client_id.");
    };
    let client = match platform
        .store
        .read(|connection| oauth_clients::find(connection, client))
    {
        Err(Error {
            id: ErrorId::NotFound,
            ..
        }) => {
            return here("No program is known here by this client_id.");
        }
        found => found?,
    };
    match query.one("redirect_uri") {
        Ok(None) => {}
        Ok(Some(uri)) if uri == client.redirect_uri => {}
        _ => return here("The redirect_uri is not the one that the program has registered."),
    }
    let state = match query.one("state") {
        Ok(state)
            if state
                .as_ref()
                .is_none_or(|state| state.len() <= LONGEST_STATE) =>
        {
            state
        }
        _ => {
            let place = told(&client, None, &[("error", "invalid_request")]);
            return Ok(Err(Fault::There(place)));
        }
    };
    let mut asked = Asked {
        client,
        scopes: LEAST,
        state,
    };
    match query.scopes() {
        Ok(scopes) => asked.scopes = scopes,
        Err((error, why)) => return Ok(Err(Fault::There(asked.refused(error, why)))),
    }
    Ok(Ok(asked))
}

struct Query<'a>(&'a str);

impl Query<'_> {
    /// A parameter that may be there once. An empty one is none.
    fn one(&self, name: &str) -> std::result::Result<Option<String>, ()> {
        let pairs = self
            .0
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let mut values = pairs.filter(|(key, _)| params::decode(key) == name);
        let value = values
            .next()
            .map(|(_, value)| params::decode(&value.replace('+', " ")));
        match values.next() {
            Some(_) => Err(()),
            None => Ok(value.filter(|value| !value.is_empty())),
        }
    }

    /// The scopes that are asked for, or the word of RFC 6749 for what is wrong, with a sentence.
    fn scopes(&self) -> std::result::Result<Scopes, (&'static str, &'static str)> {
        let twice = |()| ("invalid_request", "A parameter is there twice.");
        match self.one("response_type").map_err(twice)?.as_deref() {
            Some("code") => {}
            None => return Err(("invalid_request", "The response_type is missing.")),
            Some(_) => {
                return Err((
                    "unsupported_response_type",
                    "The response_type has to be code.",
                ));
            }
        }
        let Some(scope) = self.one("scope").map_err(twice)? else {
            return Ok(LEAST);
        };
        let words = scope.split([' ', ',']).filter(|word| !word.is_empty());
        let words: Vec<String> = words.map(str::to_owned).collect();
        Scopes::parse(&words).map_err(|_| {
            (
                "invalid_scope",
                "The scopes are global, identity, read, write, read-protected and write-protected.",
            )
        })
    }
}

async fn read(request: &HttpRequest, payload: Payload) -> Result<String> {
    let form = body::read_within(request, payload, MAX_BODY).await?;
    String::from_utf8(form.to_vec())
        .map_err(|_| Error::bad_request("The request's body is not a form in UTF-8."))
}
