//! `heroku login` by way of a browser: the CLI begins a login and waits; a person opens its link, says whose account it is for by
//! a token of that account, and the CLI gets a token of its own.
//!
//! Whoever begins a login may send its link to somebody else, and wait for her to answer it. So the page says which machine asks,
//! from which address and when, and asks for a secret of hers, which no click gives away. A link is good for ten minutes and one
//! answer, only what the page itself has sent is taken for one, and what the CLI waits with is in no link.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;

use super::call::Visit;
use super::login_page::{Page, page as html};
use super::{auth, body, own_page, params};
use crate::Platform;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::secret;
use crate::store::cli_logins::{self, CliLogin, New, Outcome};
use crate::store::oauth_authorizations;
use crate::store::scopes::{Scope, Scopes};
use crate::store::{Table, oauth_tokens};
use crate::time::Timestamp;

/// The CLI gives up after as long.
const LIFE: Duration = Duration::from_secs(10 * 60);
/// Of the token, in seconds: that which `heroku login -i` asks for.
const TOKEN_LIFE: u32 = 30 * 24 * 60 * 60;
/// The CLI hangs up after a minute in which nothing came. Spaces before JSON mean nothing.
const STILL_HERE: Duration = Duration::from_secs(15);
const MAX_BODY: usize = 4 * 1024;
const LONGEST_DESCRIPTION: usize = 200;

#[derive(Deserialize)]
struct Body {
    description: Option<String>,
}

/// Begins a login. Anybody may; nothing comes of it without a person who has a token.
pub async fn create(visit: Visit) -> Result<HttpResponse> {
    // Else any page could begin one in the name of whoever looks at it, and from his address.
    own_page(&visit.request)?;
    let peer = visit.request.peer_addr();
    let address = peer.map(|from| from.ip().to_canonical().to_string());
    let body = read(&visit.request, visit.payload).await?;
    let body: Body = params::json(&body)?;
    let described = params::text(body.description, "description", LONGEST_DESCRIPTION)?;
    let (code, poll) = (hex::encode(secret::random::<16>()?), secret::uuid()?);
    let (code_digest, poll_digest, now) = (secret::digest(&code), secret::digest(&poll), visit.now);
    let write = move |connection: &Connection| {
        let new = New {
            description: described.as_deref().unwrap_or("Login"),
            address: address.as_deref().unwrap_or("an unknown address"),
            code: code_digest,
            poll: poll_digest,
            expires_at: now.plus(LIFE),
        };
        cli_logins::create(connection, &new, now)
    };
    let id = visit.platform.store.write(write).await?;
    Ok(HttpResponse::Created()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json!({
            "browser_url": format!("/auth/browser/{code}"),
            "cli_url": format!("/auth/cli/{id}"),
            "token": poll,
        })))
}

/// What a person sees who has opened the link.
pub async fn page(visit: Visit) -> Result<HttpResponse> {
    Ok(match waiting(&visit)? {
        Some(login) => html(&Page::Question(&login, visit.now, None)),
        None => html(&Page::Over),
    })
}

/// What the page has sent.
pub async fn answer(visit: Visit) -> Result<HttpResponse> {
    own_page(&visit.request)?;
    let Some(login) = waiting(&visit)? else {
        return Ok(html(&Page::Over));
    };
    let (platform, now) = (visit.platform.clone(), visit.now);
    let form = read(&visit.request, visit.payload).await?;
    let form = String::from_utf8(form.to_vec())
        .map_err(|_| Error::bad_request("The request's body is not a form in UTF-8."))?;
    if params::query(&form, "answer").as_deref() == Some("refuse") {
        let refused = move |connection: &Connection| cli_logins::refuse(connection, login.id);
        platform.store.write(refused).await?;
        return Ok(html(&Page::Refused));
    }
    let token = params::query(&form, "token").unwrap_or_default();
    let digest = secret::digest(token.trim());
    let (id, described) = (login.id, login.description.clone());
    let granted = platform
        .store
        .write(move |connection| grant(connection, id, &described, &digest, now))
        .await?;
    Ok(match granted {
        Ok(email) => html(&Page::Done(&email)),
        Err(complaint) => html(&Page::Question(&login, now, Some(complaint))),
    })
}

/// Whoever shows a token of an account lets the CLI into it. The e-mail address of the account, or what is wrong with the token.
fn grant(
    connection: &Connection,
    id: Id,
    description: &str,
    digest: &[u8; 32],
    now: Timestamp,
) -> Result<std::result::Result<String, &'static str>> {
    let Some(held) = oauth_tokens::credential(connection, digest, now)? else {
        return Ok(Err("This token opens no account here."));
    };
    if !held.scopes.has(Scope::Global) {
        return Ok(Err(
            "This token is not for everything, so it cannot let anybody in.",
        ));
    }
    let new = oauth_authorizations::New {
        account: held.account.id,
        client: None,
        description,
        scopes: Scopes::GLOBAL,
        lifetime: Some(TOKEN_LIFE),
    };
    let token = secret::token()?;
    let authorization = oauth_authorizations::create(connection, &new, now)?;
    oauth_tokens::add_access_token(connection, authorization, &token, now)?;
    cli_logins::grant(connection, id, &token)?;
    Ok(Ok(held.account.email))
}

/// What the CLI waits for: the token, or why there is none.
pub async fn wait(visit: Visit) -> Result<HttpResponse> {
    own_page(&visit.request)?;
    let absent = || Error::not_found("login");
    let sent = auth::sent(visit.request.headers()).ok_or_else(absent)?;
    let waiting = Waiting {
        id: visit.params.id("cli_login", "login")?,
        poll: secret::digest(&sent),
        changes: visit.platform.store.changes(&[Table::CliLogin]),
        stopping: visit.platform.stopping.subscribe(),
        platform: visit.platform,
    };
    waiting.look()?.ok_or_else(absent)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("application/json")
        .streaming(told(waiting)))
}

struct Waiting {
    platform: Arc<Platform>,
    id: Id,
    poll: [u8; 32],
    changes: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
}

impl Waiting {
    fn look(&self) -> Result<Option<CliLogin>> {
        let now = self.platform.clock.now();
        self.platform
            .store
            .read(|connection| cli_logins::by_poll(connection, self.id, &self.poll, now))
    }

    /// How it went; `None` after a while in which nothing happened.
    async fn outcome(&mut self) -> Option<serde_json::Value> {
        self.changes.mark_unchanged();
        let over = |why: &str| Some(json!({ "error": why }));
        if *self.stopping.borrow() {
            return over("The server is being restarted. Log in again.");
        }
        match self.look() {
            Ok(Some(login)) => match login.outcome {
                Some(Outcome::Granted(token)) => return Some(json!({ "access_token": token })),
                Some(Outcome::Refused) => return over("The login was refused in the browser."),
                None => {}
            },
            Ok(None) => return over("The login took too long. Log in again."),
            Err(_) => return over("The server cannot say how the login went. Log in again."),
        }
        let something = async {
            tokio::select! {
                _ = self.changes.changed() => {}
                _ = self.stopping.wait_for(|stopping| *stopping) => {}
            }
        };
        let _ = timeout(STILL_HERE, something).await;
        None
    }
}

fn told(waiting: Waiting) -> impl Stream<Item = std::result::Result<Bytes, actix_web::Error>> {
    stream::unfold(Some(waiting), |waiting| async {
        let mut waiting = waiting?;
        match waiting.outcome().await {
            Some(outcome) => Some((Ok(Bytes::from(outcome.to_string())), None)),
            None => Some((Ok(Bytes::from_static(b" ")), Some(waiting))),
        }
    })
}

/// The login of a link that is good and not yet answered.
fn waiting(visit: &Visit) -> Result<Option<CliLogin>> {
    let code = secret::digest(visit.params.text("code"));
    let found = visit
        .platform
        .store
        .read(|connection| cli_logins::by_code(connection, &code, visit.now))?;
    Ok(found.filter(|login| login.outcome.is_none()))
}

fn own_page(request: &HttpRequest) -> Result<()> {
    own_page::require(request, "Open the link that `heroku login` has printed.")
}

async fn read(request: &HttpRequest, payload: Payload) -> Result<Bytes> {
    body::read_within(request, payload, MAX_BODY).await
}
