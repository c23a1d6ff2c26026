//! From an HTTP request to the function behind its route, and back: what all requests have in common.

use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::FutureExt;
use tracing::Instrument;

use super::absent::{allowed, no_such_path, not_answered};
use super::browser;
use super::call::{Call, Caller, Open, PathParams, Visit};
use super::heads::{REQUEST_ID, accept, request_ids};
use super::operation::Endpoint;
use super::policy::Policy;
use super::rate::{Asker, RateLimits};
use super::routes::{ROUTES, Route};
use super::{auth, body, compression, conditional, cors, git, params, scopes};
use crate::Platform;
use crate::error::{Error, ErrorId, Result};
use crate::name::Id;
use crate::store::access::Permission;
use crate::store::oauth_tokens::Credential;
use crate::store::{Snapshot, Turn};
use crate::time::Timestamp;

/// How long a request with `If-Match` may wait for its turn and look at what is there.
const TURN: Duration = Duration::from_secs(10);
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit-remaining");

/// The API: the platform, its routes, and the rate limits.
pub struct Api {
    platform: Arc<Platform>,
    router: matchit::Router<Vec<&'static Route>>,
    pub(super) rate_limits: RateLimits,
}

impl Api {
    /// Fails when two routes of the table contradict each other.
    pub fn new(platform: Arc<Platform>) -> Result<Api> {
        let mut router = matchit::Router::new();
        let mut paths: Vec<&'static str> = ROUTES.iter().map(|route| route.path).collect();
        paths.sort_unstable();
        paths.dedup();
        for path in paths {
            let routes = ROUTES
                .iter()
                .filter(|route| route.path == path)
                .collect::<Vec<_>>();
            router.insert(path, routes).map_err(Error::internal)?;
        }
        let rate_limits = RateLimits::new(platform.config.rate_limit);
        Ok(Api {
            platform,
            router,
            rate_limits,
        })
    }

    /// Answers one request. Never fails: an error is an answer too.
    pub async fn answer(self: Arc<Api>, request: HttpRequest, payload: Payload) -> HttpResponse {
        let request_id = Id::passing();
        let (began, mut remaining) = (Instant::now(), None);
        let span = tracing::info_span!("request", %request_id);
        let dispatched = self.dispatch(&request, payload, &mut remaining);
        let answered = std::panic::AssertUnwindSafe(dispatched.instrument(span))
            .catch_unwind()
            .await;
        let panicked = "a handler panicked; the panic is in the log above";
        let result = answered.unwrap_or_else(|_| Err(Error::internal(panicked)));
        let mut response = result.unwrap_or_else(|error| {
            if let Some(cause) = &error.cause {
                // Not its path, in which a drain's URL may stand with its credentials.
                let route = self.find(&request).map_or("", |(route, _)| route.path);
                tracing::error!(%request_id, method = %request.method(), route, %cause, "a request failed");
            }
            let page = browser::page(&request, &error, &self.platform.urls.api);
            page.unwrap_or_else(|| git::refused(request.path(), &error))
        });
        let left = remaining.unwrap_or_else(|| self.left_to_strangers(&request));
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, request_ids(request_id, request.headers()));
        headers.insert(RATE_LIMIT, HeaderValue::from(left));
        cors::allow(request.headers(), headers);
        if response.status() == StatusCode::METHOD_NOT_ALLOWED
            && let Ok(allowed) = HeaderValue::from_str(&self.methods(&request))
        {
            response.headers_mut().insert(header::ALLOW, allowed);
        }
        conditional::name(&mut response, request_id);
        self.note(&request, request_id, response.status(), began.elapsed());
        compression::compress(&request, response).await
    }

    /// Counts a request, and says it to whoever reads along. Not its path, in which there may be secrets.
    fn note(&self, request: &HttpRequest, request_id: Id, status: StatusCode, took: Duration) {
        let status = status.as_u16();
        self.platform.metrics.api_request(status, took);
        let route = self.find(request).map_or("", |(route, _)| route.path);
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let method = request.method();
        tracing::debug!(target: "penstock::requests", %request_id, %method, route, status, ms, "answered");
    }

    async fn dispatch(
        &self,
        request: &HttpRequest,
        payload: Payload,
        remaining: &mut Option<u32>,
    ) -> Result<HttpResponse> {
        let now = self.platform.clock.now();
        if request.method() == Method::OPTIONS {
            return Ok(cors::preflight(&self.methods(request)));
        }
        if let Some(icon) = browser::icon(request) {
            return Ok(icon);
        }
        let found = self.find(request);
        if let Ok((route, params)) = &found
            && let Endpoint::Visit(visit) = route.endpoint
        {
            if route.policy == Policy::Public {
                accept(request.headers())?;
                *remaining = Some(self.take(request, Asker::at(request.peer_addr()), now)?);
            }
            let params = params.clone();
            return visit(self.visit(request, payload, params, now)).await;
        }
        if let Ok((route, _)) = &found
            && let Endpoint::Open { run, .. } = route.endpoint
        {
            *remaining = Some(self.take(request, Asker::at(request.peer_addr()), now)?);
            return run(self.open(request, payload, now).await?).await;
        }
        // A stranger learns that he is one before he learns which paths there are.
        let open = matches!(&found, Ok((route, _)) if route.policy == Policy::Anybody);
        let (credential, snapshot) = self.let_in(request, open, now, remaining).await?;
        let (route, params) = found?;
        match credential.addon {
            _ if open => {}
            Some(_) => scopes::require_for_providers(route)?,
            None => scopes::require(credential.scopes, route)?,
        }
        // A connection is not held while a client takes its time to send.
        let snapshot = Some(snapshot).filter(|_| !body::is_sent(request));
        let caller = Caller {
            account: credential.account,
            token: credential.token,
            authorization: credential.authorization,
            scopes: credential.scopes,
            addon: credential.addon,
            now,
            params,
            permission: Permission::Own,
        };
        let call = Call {
            platform: self.platform.clone(),
            caller,
            route,
            request: request.clone(),
            body: Bytes::new(),
            remaining: *remaining,
            snapshot: Cell::new(snapshot),
            turn: Cell::new(None),
            noted: Cell::new(None),
        };
        self.run(route, call, payload).await
    }

    /// Whoever the request's token opens an account to, counted against that account's rate limit; the snapshot is the one that
    /// the token was looked up in. Others have a limit by their address, and are let in where it is `open` to them.
    async fn let_in(
        &self,
        request: &HttpRequest,
        open: bool,
        now: Timestamp,
        remaining: &mut Option<u32>,
    ) -> Result<(Credential, Snapshot)> {
        let snapshot = self.platform.store.snapshot().await?;
        if open && !request.headers().contains_key(header::AUTHORIZATION) {
            accept(request.headers())?;
            let asker = Asker::at(request.peer_addr());
            *remaining = Some(0);
            *remaining = Some(self.take(request, asker, now)?);
            return Ok((Credential::of_nobody(now), snapshot));
        }
        let credential = match auth::credential(&snapshot, request.headers(), now) {
            Ok(credential) => credential,
            Err(refused) => {
                let asker = Asker::at(request.peer_addr());
                *remaining = Some(0);
                *remaining = Some(self.take(request, asker, now)?);
                return Err(refused);
            }
        };
        accept(request.headers())?;
        *remaining = Some(0);
        *remaining = Some(self.take(request, Asker::Account(credential.account.id), now)?);
        Ok((credential, snapshot))
    }

    /// Runs the operation, unless the client expects another state than there is.
    async fn run(
        &self,
        route: &'static Route,
        mut call: Call,
        payload: Payload,
    ) -> Result<HttpResponse> {
        if let Endpoint::Git(run) = route.endpoint {
            call.caller.permission = route.policy.permission().unwrap_or(Permission::Own);
            return run(call, payload).await;
        }
        let request = call.request.clone();
        let mut reading = pin!(body::read(&request, payload));
        call.body = match (&mut reading).now_or_never() {
            Some(body) => body?,
            None => {
                let body = reading.await?;
                // A client may take its time to send, and its token may be revoked meanwhile.
                if request.headers().contains_key(header::AUTHORIZATION) {
                    auth::again(&*self.platform.store.snapshot().await?, &call)?;
                }
                body
            }
        };
        if !conditional::asks(&request) {
            return operate(route, call).await;
        }
        if route.method == "GET" {
            let answer = operate(route, call).await?;
            conditional::expected(request.headers(), conditional::of(&answer))?;
            return Ok(answer);
        }
        let unchanged = self.turn_if_unchanged(route, &call);
        let turn = tokio::time::timeout(TURN, unchanged).await;
        call.turn = Cell::new(Some(turn.map_err(|_| busy())??));
        operate(route, call).await
    }

    /// Reads what the path shows, and keeps others from writing until the call has written or is over.
    async fn turn_if_unchanged(&self, route: &'static Route, call: &Call) -> Result<Turn> {
        let path = route.path;
        let shows = ROUTES
            .iter()
            .find(|shows| shows.path == path && shows.method == "GET");
        // What is made by POST is not what the path shows, and may take long.
        let Some(shows) = shows.filter(|_| route.method != "POST") else {
            return Err(Error::bad_request(format!(
                "If-Match is for changes to what can be read at the same path: send {} {path} without it.",
                route.method
            )));
        };
        // Those who wait for their turn must not hold what the one who has it needs to read.
        drop(call.snapshot.take());
        let turn = self.platform.store.turn().await;
        auth::again(&*self.platform.store.snapshot().await?, call)?;
        let now = operate(shows, call.again()).await?;
        conditional::expected(call.request.headers(), conditional::of(&now))?;
        Ok(turn)
    }

    async fn open(&self, request: &HttpRequest, payload: Payload, now: Timestamp) -> Result<Open> {
        accept(request.headers())?;
        Ok(Open {
            platform: self.platform.clone(),
            now,
            request: request.clone(),
            body: body::read(request, payload).await?,
        })
    }

    fn visit(
        &self,
        request: &HttpRequest,
        payload: Payload,
        params: PathParams,
        now: Timestamp,
    ) -> Visit {
        Visit {
            platform: self.platform.clone(),
            params,
            request: request.clone(),
            payload: payload.into_inner(),
            now,
        }
    }

    /// Counts the request against the account's rate limit, and says what is left of it. To ask for the limit is free, and to ask
    /// whether the server is well.
    fn take(&self, request: &HttpRequest, asker: Asker, now: Timestamp) -> Result<u32> {
        match request.path() {
            "/account/rate-limits" | "/health" => Ok(self.rate_limits.remaining(asker, now)),
            _ => self.rate_limits.take(asker, now),
        }
    }

    /// What whoever has no account has left. Those who hold a signed URL are not counted: a proxy in front of this server would
    /// make one of all of them.
    fn left_to_strangers(&self, request: &HttpRequest) -> u32 {
        let asker = Asker::at(request.peer_addr());
        self.rate_limits.remaining(asker, self.platform.clock.now())
    }

    /// `GET, POST`: the methods that a path answers.
    fn methods(&self, request: &HttpRequest) -> String {
        self.router
            .at(trimmed(request.path()))
            .map_or_else(|_| String::new(), |found| allowed(found.value))
    }

    /// The route for a request. HEAD asks what GET would answer.
    fn find(&self, request: &HttpRequest) -> Result<(&'static Route, PathParams)> {
        let path = trimmed(request.path());
        let found = self.router.at(path).map_err(|_| no_such_path(request))?;
        let method = method(request)?;
        let route = found
            .value
            .iter()
            .find(|route| route.method == method)
            .ok_or_else(|| not_answered(method, path, found.value))?;
        let params = found
            .params
            .iter()
            .map(|(name, value)| (name.to_owned(), params::decode(value)))
            .collect();
        Ok((route, PathParams(params)))
    }
}

/// Runs the function behind a route, with what the route needs on the app in its path.
async fn operate(route: &'static Route, mut call: Call) -> Result<HttpResponse> {
    let Endpoint::Call { run, .. } = route.endpoint else {
        return Err(no_such_path(&call.request));
    };
    // Without an app in the path nobody asks for it; were it asked for, only an owner would be let through.
    call.caller.permission = route.policy.permission().unwrap_or(Permission::Own);
    run(call).await
}

fn busy() -> Error {
    Error::new(
        ErrorId::Unavailable,
        "The server is busy. Send the request again in a moment.",
    )
}

/// A slash at the end means nothing, but for the root.
fn trimmed(path: &str) -> &str {
    match path.len() {
        0..=1 => path,
        _ => path.trim_end_matches('/'),
    }
}

fn method(request: &HttpRequest) -> Result<&str> {
    let method = request.method();
    if method == Method::HEAD {
        return Ok("GET");
    }
    match request
        .headers()
        .get("x-http-method-override")
        .map(|value| value.to_str())
    {
        Some(Ok(wanted @ ("PATCH" | "PUT" | "DELETE"))) if method == Method::POST => Ok(wanted),
        Some(_) => Err(Error::bad_request(
            "X-Http-Method-Override turns a POST into PATCH, PUT or DELETE, and nothing else.",
        )),
        None => Ok(method.as_str()),
    }
}
