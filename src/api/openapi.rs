//! `GET /openapi.json`: the contract of this API for machines, made from the table of routes and the types of their handlers.
//!
//! Nothing in it is written twice: a path, a policy, a body or an answer is what the code has.

use actix_web::HttpResponse;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::call::Visit;
use super::example::Examples;
use super::operation::{Description, Endpoint};
use super::policy::Policy;
use super::routes::{ROUTES, Route};
use super::{pipelines, reply, summary, webhook_deliveries};
use crate::error::{ErrorId, Result};

pub async fn document(_: Visit) -> Result<HttpResponse> {
    Ok(reply::document(&openapi()))
}

/// The document, whole. The same for every server of this version.
pub fn openapi() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut paths = Map::new();
    for route in ROUTES {
        let operations = paths
            .entry(route.path)
            .or_insert_with(|| json!({ "parameters": path_parameters(route.path) }));
        operations[route.method.to_lowercase()] = operation(route, &mut generator);
    }
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Error".to_owned(), error());
    illustrate(&mut paths, &schemas);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Penstock",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Heroku's Platform API v3 with Akkeris' pipeline additions, on a machine of one's own.",
        },
        "security": [{ "bearer": [] }, { "basic": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": parameters(),
            "headers": headers(),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "basic": { "type": "http", "scheme": "basic" },
            },
        },
    })
}

fn path_parameters(path: &str) -> Vec<Value> {
    path.split('/')
        .filter_map(|part| Some(part.strip_prefix('{')?.split_once('}')?.0))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect()
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let id = route.operation.trim_start_matches("::").replace("::", ".");
    let tag = id.split('.').next().unwrap_or_default();
    let mut operation = json!({
        "operationId": format!("{id}.{}", unique(route)),
        "summary": summary::summary(route, false),
        "tags": [tag],
        "x-policy": format!("{:?}", route.policy),
    });
    if let Some(description) = summary::description(route) {
        operation["description"] = json!(description);
    }
    if route.policy == Policy::Anybody {
        // With a token or without.
        operation["security"] = json!([{}, { "token": [] }]);
    }
    match route.endpoint {
        Endpoint::Call { describe, .. } => called(&mut operation, &describe(generator), route),
        Endpoint::Open { describe, .. } => {
            operation["security"] = json!([]);
            called(&mut operation, &describe(generator), route);
        }
        Endpoint::Git(_) if route.policy == Policy::Admin => {
            operation["responses"] = json!({ "200": { "description": "Text." }, "default": refused(ErrorId::Forbidden) });
        }
        Endpoint::Git(_) => {
            operation["responses"] = json!({ "200": { "description": "What git answers." }, "default": { "description": "Why not, as text." } });
        }
        Endpoint::Visit(_) => {
            operation["security"] = json!([]);
            operation["responses"] = visited(route);
            if route.path == CONSENT {
                operation["parameters"] = consent_parameters();
            }
        }
    }
    operation
}

/// Where a person lets a client in.
const CONSENT: &str = "/oauth/authorize";

/// What a client asks for in the query (RFC 6749, section 4.1.1).
fn consent_parameters() -> Value {
    let parameter = |name: &str, required: bool, example: &str, description: &str| json!({ "name": name, "in": "query", "required": required, "schema": { "type": "string" }, "example": example, "description": description });
    json!([
        parameter(
            "client_id",
            true,
            "01234567-89ab-cdef-0123-456789abcdef",
            "The client's id."
        ),
        parameter("response_type", true, "code", "`code`, and nothing else."),
        parameter(
            "scope",
            false,
            "identity read",
            "The scopes, with spaces between them: `identity`, unless it is said."
        ),
        parameter(
            "state",
            false,
            "7b7d",
            "What the client is to be told again."
        ),
        parameter(
            "redirect_uri",
            false,
            "https://example.com/auth/heroku/callback",
            "The one that the client has registered."
        ),
    ])
}

/// What is answered to whoever needs no account.
fn visited(route: &Route) -> Value {
    let mut refusal = refused(ErrorId::Forbidden);
    match (route.method, route.path) {
        ("POST", "/auth") => {
            let (text, names) = (
                json!({ "type": "string" }),
                ["browser_url", "cli_url", "token"],
            );
            let properties: Map<String, Value> = names
                .map(|name| (name.to_owned(), text.clone()))
                .into_iter()
                .collect();
            let begun = json!({ "type": "object", "properties": properties, "required": names });
            let content = json!({ "application/json": { "schema": begun } });
            json!({ "201": { "description": "A login has begun.", "content": content }, "default": refusal })
        }
        (_, "/auth/browser/{code}" | CONSENT) => {
            let page = json!({ "schema": { "type": "string" } });
            refusal["content"]["text/html"] = page.clone();
            let shown = json!({ "description": "A page.", "content": { "text/html": page } });
            let mut responses = json!({ "200": shown, "default": refusal });
            if route.path == CONSENT {
                // Without a body.
                responses["303"] = json!({ "description": "The browser goes back to the client, with a code or with an error." });
            }
            responses
        }
        _ => json!({ "200": { "description": "The bytes." }, "default": refusal }),
    }
}

/// Gives each body and each answer an example, once all types are known.
fn illustrate(paths: &mut Map<String, Value>, schemas: &Map<String, Value>) {
    let examples = Examples {
        definitions: schemas,
    };
    let operations = paths.values_mut().flat_map(|path| path.as_object_mut());
    for operation in operations.flat_map(|path| path.values_mut()) {
        let bodies = operation.pointer_mut("/requestBody/content");
        for (_, content) in bodies.and_then(Value::as_object_mut).into_iter().flatten() {
            content["example"] = examples.body(&content["schema"]);
        }
        if let Some(body) = operation.get_mut("requestBody")
            && let Some((_, content)) = body["content"]
                .as_object()
                .and_then(|all| all.iter().next())
        {
            body["required"] = json!(examples.needs_something(&content["schema"]));
        }
        let answers = operation.get_mut("responses");
        for answer in answers.and_then(Value::as_object_mut).into_iter().flatten() {
            if let Some(content) = answer.1.pointer_mut("/content/application~1json")
                && content.get("example").is_none()
            {
                content["example"] = examples.answer(&content["schema"]);
            }
        }
    }
}

/// One handler may answer several paths, and an operation's id is its own.
fn unique(route: &Route) -> String {
    let path: Vec<&str> = route
        .path
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    format!(
        "{}.{}",
        route.method.to_lowercase(),
        path.join(".").replace(['{', '}', '~'], "")
    )
}

fn called(operation: &mut Value, description: &Description, route: &Route) {
    operation["summary"] = json!(summary::summary(route, description.answer_is_list));
    if let Some(body) = &description.body {
        operation["requestBody"] =
            json!({ "content": { description.body_type: { "schema": body } } });
    }
    let pages = description.answer_is_list && reads(route);
    let mut responses = Map::new();
    let answer = answer(description, if pages { PAGE } else { &["ETag"] });
    responses.insert(description.status.to_string(), answer);
    if pages {
        let page = [PAGE, &["Next-Range"]].concat();
        responses.insert("206".to_owned(), self::answer(description, &page));
    }
    if route.method == "GET" {
        responses.insert(
            "304".to_owned(),
            json!({ "description": "The client has it already: its ETag is among If-None-Match." }),
        );
    }
    if route.path == "/pipelines/{pipeline}" && route.method == "GET" {
        let several = json!({ "type": "array", "items": description.answer });
        let content = json!({ "application/json": { "schema": several } });
        responses.insert(
            "300".to_owned(),
            json!({ "description": "Several pipelines have this name.", "content": content }),
        );
    }
    for id in failures(route, pages) {
        responses.insert(id.status().to_string(), refused(id));
    }
    operation["responses"] = Value::Object(responses);
    let parameters: Vec<Value> = headers_of(route, pages).map(parameter).collect();
    if !parameters.is_empty() {
        operation["parameters"] = json!(parameters);
    }
}

/// The headers of a page of a list.
const PAGE: &[&str] = &["ETag", "Accept-Ranges", "Content-Range"];

fn answer(description: &Description, headers: &[&str]) -> Value {
    let headers: Map<String, Value> = headers
        .iter()
        .map(|name| {
            let place = format!("#/components/headers/{name}");
            ((*name).to_owned(), json!({ "$ref": place }))
        })
        .collect();
    json!({
        "description": "It is done, and on disk.",
        "headers": headers,
        "content": { "application/json": { "schema": description.answer } },
    })
}

/// Whether a route only asks. Those that filter do so by POST.
fn reads(route: &Route) -> bool {
    route.method == "GET" || route.path.starts_with("/filters/")
}

/// What a request may say in its headers and its query.
fn headers_of(route: &Route, pages: bool) -> impl Iterator<Item = &'static str> {
    let shown = ROUTES
        .iter()
        .any(|shows| shows.method == "GET" && shows.path == route.path);
    let path = route.path;
    let narrowed = route.method == "GET";
    [
        ("Range", pages),
        ("If-None-Match", route.method == "GET"),
        ("If-Match", shown && route.method != "POST"),
        (pipelines::BY_NAME, narrowed && path == "/pipelines"),
        (
            webhook_deliveries::BY_STATUS,
            narrowed && path.ends_with("/webhook-deliveries"),
        ),
    ]
    .into_iter()
    .filter_map(|(name, there)| there.then_some(name))
}

fn parameter(name: &str) -> Value {
    json!({ "$ref": format!("#/components/parameters/{name}") })
}

fn parameters() -> Value {
    let text = json!({ "type": "string" });
    let parameter = |name: &str, place: &str, example: &str, description: &str| json!({ "name": name, "in": place, "schema": &text, "example": example, "description": description });
    json!({
        "Range": parameter("Range", "header", "id ..; max=200, order=desc", "Which page of the list: by which field, from where to where, how many and in which order."),
        "If-None-Match": parameter("If-None-Match", "header", ETAG, "The ETag of what the client has. If it is still that, 304 is answered."),
        "If-Match": parameter("If-Match", "header", ETAG, "The ETag of what the client has seen. If it is another now, 412 is answered and nothing done."),
        pipelines::BY_NAME: parameter(pipelines::BY_NAME, "query", "water", "Only those with this name."),
        webhook_deliveries::BY_STATUS: parameter(webhook_deliveries::BY_STATUS, "query", "succeeded", "Only those with this status."),
    })
}

const ETAG: &str = "\"60883d9e8947a57e04dc9124f25df004\"";

fn headers() -> Value {
    let header =
        |description: &str| json!({ "schema": { "type": "string" }, "description": description });
    json!({
        "ETag": header("Changes whenever the body does."),
        "Accept-Ranges": header("The fields that the list can be ordered by."),
        "Content-Range": header("Where the page begins and ends; not there when it is empty."),
        "Next-Range": header("The Range of the next page."),
    })
}

/// What may be the name of several things.
const AMBIGUOUS: [&str; 3] = ["{pipeline}", "{addon}", "{attachment}"];

/// What a route may refuse with: that follows from its method, its path and its answer, and what the table says of it.
fn failures(route: &Route, pages: bool) -> Vec<ErrorId> {
    let mut failures = vec![
        ErrorId::BadRequest,
        ErrorId::Unauthorized,
        ErrorId::Forbidden,
        ErrorId::NotFound,
        ErrorId::NotAcceptable,
        ErrorId::PreconditionFailed,
        ErrorId::RequestTooLarge,
        ErrorId::UnsupportedMediaType,
        ErrorId::RateLimit,
        ErrorId::Internal,
        ErrorId::Unavailable,
        ErrorId::OutOfSpace,
    ];
    if AMBIGUOUS.iter().any(|name| route.path.contains(name)) {
        failures.push(ErrorId::MultipleMatches);
    }
    if pages {
        failures.push(ErrorId::RangeNotSatisfiable);
    }
    if !reads(route) {
        failures.push(ErrorId::Conflict);
    }
    if route.method != "GET" {
        failures.push(ErrorId::InvalidParams);
    }
    failures.extend(route.refuses);
    failures
}

fn refused(id: ErrorId) -> Value {
    let mut example = json!({
        "id": id.as_str(),
        "message": "What is wrong, and what to do about it.",
    });
    if id == ErrorId::NotFound {
        example["resource"] = json!("app");
    }
    json!({
        "description": "It was refused, and nothing has changed.",
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" }, "example": example } },
    })
}

fn error() -> Value {
    json!({
        "type": "object",
        "properties": {
            "id": { "type": "string", "enum": ErrorId::ALL.map(ErrorId::as_str) },
            "message": { "type": "string" },
            "resource": { "type": "string" },
        },
        "required": ["id", "message"],
        "examples": [{ "id": "not_found", "resource": "app", "message": "Couldn't find that app." }],
    })
}
