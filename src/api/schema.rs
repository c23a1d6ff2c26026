//! `GET /schema`: the contract as a JSON hyper-schema, the form in which Heroku publishes its own and from which its clients are
//! generated. Made, like `/openapi.json`, from the table of routes and the types of their handlers.
//!
//! Source of the form: <https://interagent.github.io/interagent-hyper-schema>.

use actix_web::HttpResponse;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::call::Visit;
use super::operation::{Description, Endpoint};
use super::reply;
use super::routes::{ROUTES, Route};
use super::summary;
use crate::error::Result;

const META: &str = "http://interagent.github.io/interagent-hyper-schema";

pub async fn document(_: Visit) -> Result<HttpResponse> {
    Ok(reply::document(&schema()))
}

/// The document, whole. The same for every server of this version.
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft07()
        .with(|settings| settings.definitions_path = "/definitions".into())
        .into_generator();
    let mut resources = Map::new();
    for route in ROUTES {
        if let Endpoint::Call { describe, .. } | Endpoint::Open { describe, .. } = route.endpoint {
            let description = describe(&mut generator);
            let links = resource(&mut resources, &noun(route))["links"].as_array_mut();
            if let Some(links) = links {
                links.push(link(route, &description));
            }
            for parameter in parameters(route.path) {
                resource(&mut resources, parameter);
            }
        }
    }
    let properties: Map<String, Value> = resources
        .keys()
        .map(|name| {
            (
                name.clone(),
                json!({ "$ref": format!("#/definitions/{name}") }),
            )
        })
        .collect();
    resources.extend(views(&mut generator));
    json!({
        "$schema": META,
        "id": "schema",
        "title": "Penstock Platform API",
        "description": "Heroku's Platform API v3 with Akkeris' pipeline additions, on a machine of one's own.",
        "type": ["object"],
        "definitions": resources,
        "properties": properties,
    })
}

/// The entry of a resource, made if it is not there.
fn resource<'a>(resources: &'a mut Map<String, Value>, name: &str) -> &'a mut Value {
    resources.entry(name).or_insert_with(|| {
        json!({
            "$schema": META,
            "title": format!("Penstock Platform API - {name}"),
            "type": ["object"],
            "definitions": {
                "identity": { "description": "its id or its name", "type": ["string"] },
            },
            "links": [],
        })
    })
}

/// What the handlers show and take, under the names of their types.
fn views(generator: &mut SchemaGenerator) -> Map<String, Value> {
    generator.take_definitions(true).into_iter().collect()
}

/// `pipeline-coupling`, for whatever stands in `pipeline_couplings`.
fn noun(route: &Route) -> String {
    let module = route.operation.trim_start_matches("::");
    let module = module.split("::").next().unwrap_or_default();
    let one = match module.strip_suffix("statuses") {
        Some(of) => format!("{of}status"),
        None => module.strip_suffix('s').unwrap_or(module).to_owned(),
    };
    one.replace('_', "-")
}

fn parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn link(route: &Route, description: &Description) -> Value {
    let action = route.operation.rsplit("::").next().unwrap_or_default();
    let mut link = json!({
        "title": action.replace('_', " "),
        "description": description_of(route, description.answer_is_list),
        "href": href(route.path),
        "method": route.method,
        "rel": relation(route.method, description.answer_is_list),
        "targetSchema": description.answer,
    });
    if let Some(body) = &description.body {
        link["schema"] = json!(body);
        link["encType"] = json!(description.body_type);
    }
    link
}

fn description_of(route: &Route, list: bool) -> String {
    let mut line = format!("{}.", summary::summary(route, list));
    if let Some(comment) = summary::description(route) {
        line.push(' ');
        line.push_str(comment);
    }
    line
}

/// `/apps/{(%23%2Fdefinitions%2Fapp%2Fdefinitions%2Fidentity)}`: each parameter is a pointer to what it may be.
fn href(path: &str) -> String {
    let parts = path.split('/').map(|part| {
        match part
            .strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'))
        {
            Some(name) => format!("{{(%23%2Fdefinitions%2F{name}%2Fdefinitions%2Fidentity)}}"),
            None => part.to_owned(),
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

fn relation(method: &str, list: bool) -> &'static str {
    match (method, list) {
        ("GET", true) => "instances",
        ("GET", false) => "self",
        ("DELETE", _) => "destroy",
        ("PATCH" | "PUT", _) => "update",
        _ => "create",
    }
}
