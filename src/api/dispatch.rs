//! From an HTTP request to the function behind its route, and back: what all requests have in common.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode, header};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, StreamExt};

use super::call::{Call, Caller, PathParams, Visit};
use super::operation::Endpoint;
use super::rate::RateLimits;
use super::routes::{ROUTES, Route};
use super::{auth, params, reply, upload};
use crate::Platform;
use crate::error::{Error, ErrorId, Result};
use crate::name::Id;
use crate::store::access::Permission;
use crate::time::Timestamp;

/// A JSON body at most, in bytes.
const MAX_BODY: usize = 1024 * 1024;
/// The whole JSON body has to be there within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
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
        let request_id = Id::new();
        let mut remaining = None;
        let answered =
            std::panic::AssertUnwindSafe(self.dispatch(&request, payload, &mut remaining))
                .catch_unwind()
                .await;
        let result = answered.unwrap_or_else(|_| {
            Err(Error::internal(
                "a handler panicked; the panic is in the log above",
            ))
        });
        let mut response = result.unwrap_or_else(|error| {
            if let Some(cause) = &error.cause {
                tracing::error!(%request_id, method = %request.method(), path = request.path(), %cause, "a request failed");
            }
            reply::error(&error)
        });
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, request_ids(request_id, request.headers()));
        if let Some(remaining) = remaining {
            headers.insert(RATE_LIMIT, HeaderValue::from(remaining));
        }
        if response.status() == StatusCode::METHOD_NOT_ALLOWED
            && let Ok(found) = self.router.at(trimmed(request.path()))
            && let Ok(allowed) = HeaderValue::from_str(&allowed(found.value))
        {
            response.headers_mut().insert(header::ALLOW, allowed);
        }
        response
    }

    async fn dispatch(
        &self,
        request: &HttpRequest,
        payload: Payload,
        remaining: &mut Option<u32>,
    ) -> Result<HttpResponse> {
        let now = self.platform.clock.now();
        let found = self.find(request);
        if let Ok((route, params)) = &found
            && let Endpoint::Visit(visit) = route.endpoint
        {
            let params = params.clone();
            return visit(self.visit(request, payload, params, now)).await;
        }
        // A stranger learns that he is one before he learns which paths there are.
        let account = auth::account(&self.platform, request.headers(), now)?;
        accept(request.headers())?;
        *remaining = Some(0);
        let left = self.take(request, account.id, now)?;
        *remaining = Some(left);
        let (route, params) = found?;
        let Endpoint::Call { run, .. } = route.endpoint else {
            return Err(no_such_path(request));
        };
        let body = tokio::time::timeout(BODY_TIMEOUT, body(request, payload))
            .await
            .map_err(|_| slow())??;
        let caller = Caller {
            account,
            now,
            params,
            // Without an app in the path nobody asks for it; were it asked for, only an owner would be let through.
            permission: route.policy.permission().unwrap_or(Permission::Own),
        };
        run(Call {
            platform: self.platform.clone(),
            caller,
            request: request.clone(),
            body,
            remaining: Some(left),
        })
        .await
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

    /// Counts the request against the account's rate limit, and says what is left of it. To ask for the limit is free.
    fn take(&self, request: &HttpRequest, account: Id, now: Timestamp) -> Result<u32> {
        match request.path() {
            "/account/rate-limits" => Ok(self.rate_limits.remaining(account, now)),
            _ => self.rate_limits.take(account, now),
        }
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
            .ok_or_else(|| {
                let allowed = allowed(found.value);
                Error::new(
                    ErrorId::MethodNotAllowed,
                    format!("This path does not answer {method}. It answers {allowed}."),
                )
            })?;
        let params = found
            .params
            .iter()
            .map(|(name, value)| (name.to_owned(), params::decode(value)))
            .collect();
        Ok((route, PathParams(params)))
    }
}

/// A slash at the end means nothing, but for the root.
fn trimmed(path: &str) -> &str {
    match path.len() {
        0..=1 => path,
        _ => path.trim_end_matches('/'),
    }
}

/// `GET, POST`: the methods of a path.
fn allowed(routes: &[&Route]) -> String {
    let methods: Vec<&str> = routes.iter().map(|route| route.method).collect();
    methods.join(", ")
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

fn no_such_path(request: &HttpRequest) -> Error {
    Error {
        resource: Some("path"),
        ..Error::new(
            ErrorId::NotFound,
            format!(
                "Penstock does not serve {} {}. GET /openapi.json lists what it serves.",
                request.method(),
                request.path()
            ),
        )
    }
}

fn slow() -> Error {
    Error::bad_request(format!(
        "The request's body did not arrive within {} seconds.",
        BODY_TIMEOUT.as_secs()
    ))
}

/// Version 3 is the only one. A client that asks for no version gets it too.
fn accept(headers: &HeaderMap) -> Result<()> {
    for value in headers.get_all(header::ACCEPT) {
        for media in value.to_str().unwrap_or("").split(',') {
            let mut parts = media.split(';').map(str::trim);
            if parts.next() != Some("application/vnd.heroku+json") {
                continue;
            }
            let version = parts
                .find_map(|part| part.strip_prefix("version="))
                .unwrap_or("3");
            if version != "3" && !version.starts_with("3.") {
                return Err(Error::new(
                    ErrorId::NotAcceptable,
                    "Only version 3 of the API is served. Send \"Accept: application/vnd.heroku+json; version=3\".",
                ));
            }
        }
    }
    Ok(())
}

/// The whole body. 413 past [`MAX_BODY`], which is looked at before the first byte where the client says its size: one that
/// waits for an answer before it sends would otherwise wait for the timeout.
async fn body(request: &HttpRequest, mut payload: Payload) -> Result<Bytes> {
    if upload::declared(request).is_some_and(|declared| declared > MAX_BODY as u64) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Error::bad_request("The request's body broke off."))?;
        if body.len() + chunk.len() > MAX_BODY {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn too_large() -> Error {
    Error::new(
        ErrorId::RequestTooLarge,
        "The request's body is larger than 1 MB.",
    )
}

/// Our id of the request first, then those that the client sent, so that both sides find it in their logs.
fn request_ids(own: Id, headers: &HeaderMap) -> HeaderValue {
    let sent = headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|sent| sent.len() <= 7 * 1024);
    let all = sent.map_or_else(|| own.to_string(), |sent| format!("{own},{sent}"));
    HeaderValue::from_str(&all).unwrap_or_else(|_| HeaderValue::from_static(""))
}
