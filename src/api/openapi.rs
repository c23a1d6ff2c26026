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
use super::reply;
use super::routes::{Policy, ROUTES, Route};
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
    let mut operation = json!({ "operationId": format!("{id}.{}", unique(route)), "tags": [tag], "x-policy": format!("{:?}", route.policy) });
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
            operation["responses"] = json!({ "200": { "description": "The bytes." }, "default": refused(ErrorId::Forbidden) });
        }
    }
    operation
}

/// Gives each body and each answer an example, once all types are known.
fn illustrate(paths: &mut Map<String, Value>, schemas: &Map<String, Value>) {
    let examples = Examples {
        definitions: schemas,
    };
    let operations = paths.values_mut().flat_map(|path| path.as_object_mut());
    for operation in operations.flat_map(|path| path.values_mut()) {
        let body = "/requestBody/content/application~1json";
        if let Some(content) = operation.pointer_mut(body) {
            content["example"] = examples.body(&content["schema"]);
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
    if let Some(body) = &description.body {
        operation["requestBody"] = json!({ "content": { "application/json": { "schema": body } } });
    }
    let answer = json!({
        "description": "It is done, and on disk.",
        "content": { "application/json": { "schema": description.answer } },
    });
    let mut responses = Map::new();
    responses.insert(description.status.to_string(), answer.clone());
    if description.answer_is_list && route.method == "GET" {
        responses.insert("206".to_owned(), answer);
        operation["parameters"] = json!([{
            "name": "Range", "in": "header", "schema": { "type": "string" }, "example": "id ..; max=200, order=desc",
        }]);
    }
    if route.path == "/pipelines/{pipeline}" && route.method == "GET" {
        responses.insert(
            "300".to_owned(),
            json!({ "description": "Several pipelines have this name." }),
        );
    }
    for id in failures(route) {
        responses.insert(id.status().to_string(), refused(id));
    }
    operation["responses"] = Value::Object(responses);
}

/// What a route may refuse with: that follows from its method and its policy.
fn failures(route: &Route) -> Vec<ErrorId> {
    let mut failures = vec![
        ErrorId::BadRequest,
        ErrorId::Unauthorized,
        ErrorId::Forbidden,
        ErrorId::NotFound,
        ErrorId::NotAcceptable,
        ErrorId::PreconditionFailed,
        ErrorId::RequestTooLarge,
        ErrorId::RateLimit,
        ErrorId::Internal,
        ErrorId::Unavailable,
    ];
    match route.method {
        "GET" => failures.push(ErrorId::RangeNotSatisfiable),
        _ => failures.extend([
            ErrorId::Conflict,
            ErrorId::UnsupportedMediaType,
            ErrorId::InvalidParams,
            ErrorId::OutOfSpace,
        ]),
    }
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
