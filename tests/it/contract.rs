//! The contract for machines: what the server says of itself is whole, and true of what it serves.

use std::collections::BTreeSet;

use penstock::api::{Policy, ROUTES};
use serde_json::{Value, json};

use crate::authorization::world::World;
use crate::harness::{Server, golden};

/// Each place that some part of a document points at.
fn pointers(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(pointer)) = map.get("$ref") {
                found.insert(pointer.clone());
            }
            map.values().for_each(|value| pointers(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| pointers(value, found)),
        _ => {}
    }
}

#[track_caller]
fn points_nowhere_else(document: &Value) {
    let mut found = BTreeSet::new();
    pointers(document, &mut found);
    assert!(!found.is_empty());
    for pointer in found {
        let place = pointer.strip_prefix('#').expect(&pointer);
        assert!(document.pointer(place).is_some(), "{pointer} is not there");
    }
}

#[tokio::test]
async fn openapi_describes_every_route() {
    let server = Server::start().await;
    let document = server.nobody().get("/openapi.json").await.ok();
    points_nowhere_else(&document);
    let mut ids = BTreeSet::new();
    for route in ROUTES {
        let operation = &document["paths"][route.path][route.method.to_lowercase()];
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} is there twice");
        assert!(operation["responses"].is_object(), "{id}");
    }
    let operations = document["paths"].as_object().unwrap().values();
    let methods = ["get", "post", "put", "patch", "delete"];
    let count = operations.map(|path| {
        methods
            .iter()
            .filter(|method| path[**method].is_object())
            .count()
    });
    assert_eq!(count.sum::<usize>(), ROUTES.len());
}

#[tokio::test]
async fn openapi_gives_an_example_of_every_answer() {
    let server = Server::start().await;
    let document = server.nobody().get("/openapi.json").await.ok();
    let app = &document["paths"]["/apps/{app}"]["get"]["responses"];
    let app = &app["200"]["content"]["application/json"]["example"];
    assert_eq!(app["owner"]["email"], "ann@example.com");
    let ann = server.account("ann").await;
    let shown = ann.app("harbour").await;
    let names = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(names(app), names(&shown));
    for path in document["paths"].as_object().unwrap().values() {
        for operation in path.as_object().unwrap().values() {
            let body = &operation["requestBody"]["content"]["application/json"];
            assert_eq!(body.is_null(), body["example"].is_null(), "{operation}");
            for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
                let content = &answer["content"]["application/json"];
                let shown = content["schema"].is_null() || !content["example"].is_null();
                assert!(shown, "{} {status}", operation["operationId"]);
            }
        }
    }
}

#[tokio::test]
async fn openapi_says_of_each_operation_what_it_does() {
    let document = penstock::api::openapi::openapi();
    let mut lines = BTreeSet::new();
    for route in ROUTES {
        let operation = &document["paths"][route.path][route.method.to_lowercase()];
        let line = operation["summary"].as_str().unwrap();
        assert!(
            line.contains(' ') && !line.contains(['{', '}', '_']),
            "{line}"
        );
        lines.insert(line);
    }
    assert!(lines.contains("List the builds of an app"), "{lines:?}");
    let restart = &document["paths"]["/apps/{app}/dynos/actions/restart-all"]["post"];
    assert_eq!(restart["summary"], "Restart all the dynos of an app");
    let stop = &document["paths"]["/apps/{app}/dynos/{dyno}"]["delete"];
    assert!(
        stop["description"]
            .as_str()
            .unwrap()
            .contains("another takes its place")
    );
}

/// An empty body is missed something in exactly where the contract says that something is needed.
#[tokio::test]
async fn openapi_requires_what_the_server_misses() {
    let world = World::new().await;
    let document = penstock::api::openapi::openapi();
    let (mut seen, mut wrong) = (0, Vec::new());
    for route in ROUTES
        .iter()
        .filter(|route| !matches!(route.method, "GET" | "DELETE"))
    {
        let operation = &document["paths"][route.path][route.method.to_lowercase()];
        let body = &operation["requestBody"];
        if body["content"]["application/json"].is_null() {
            continue;
        }
        let path = world.path(route, |_| false);
        let request = world.ann.request(route.method, &path).json(&json!({}));
        let answer = request.send().await;
        let there_already = answer.text().contains("already");
        if answer.status == 403 || there_already {
            continue;
        }
        let missed = answer.status == 422;
        if body["required"] != json!(missed) {
            wrong.push(format!("{}: {}", answer.asked, answer.text()));
        }
        seen += usize::from(missed);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 30, "{seen}");
}

/// A line for each operation and each type, so that a change to the contract is a diff that a person can read. What follows
/// from them, the examples and the body of every refusal, is left out.
#[tokio::test]
async fn openapi_is_as_it_is_kept() {
    let server = Server::start().await;
    let mut document = server.nobody().get("/openapi.json").await.ok();
    let mut lines = String::new();
    for (path, operations) in document["paths"].as_object_mut().unwrap() {
        for (method, operation) in operations.as_object_mut().unwrap() {
            let bodies = operation.pointer_mut("/requestBody/content");
            for (_, body) in bodies.and_then(Value::as_object_mut).into_iter().flatten() {
                body["example"].take();
            }
            let answers = operation
                .get_mut("responses")
                .and_then(Value::as_object_mut);
            for (status, answer) in answers.into_iter().flatten() {
                match status.as_bytes()[0] {
                    b'2' => *answer = answer["content"]["application/json"]["schema"].take(),
                    b'3' => {}
                    _ => *answer = json!("Error"),
                }
            }
            lines.push_str(&format!("{} {path} {operation}\n", method.to_uppercase()));
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        lines.push_str(&format!("{name} {schema}\n"));
    }
    golden("openapi.txt", &lines);
}

/// What a client that is generated from the schema would send.
fn path_of(href: &str) -> String {
    href.replace("{(%23%2Fdefinitions%2F", "{")
        .replace("%2Fdefinitions%2Fidentity)}", "}")
}

#[tokio::test]
async fn the_hyper_schema_links_to_every_route_that_takes_a_token() {
    let server = Server::start().await;
    let schema = server.nobody().get("/schema").await.ok();
    points_nowhere_else(&schema);
    let mut linked = BTreeSet::new();
    for (name, resource) in schema["definitions"].as_object().unwrap() {
        for link in resource["links"].as_array().into_iter().flatten() {
            let path = path_of(link["href"].as_str().unwrap());
            for parameter in path.split(['{', '}']).skip(1).step_by(2) {
                let identity = &schema["definitions"][parameter]["definitions"]["identity"];
                assert!(identity.is_object(), "{name}: {parameter}");
            }
            linked.insert((link["method"].as_str().unwrap().to_owned(), path));
        }
    }
    let with_token = |policy| {
        !matches!(
            policy,
            Policy::Public | Policy::Signed | Policy::Git | Policy::Admin
        )
    };
    let routes = ROUTES.iter().filter(|route| with_token(route.policy));
    let routes = routes.map(|route| (route.method.to_owned(), route.path.to_owned()));
    assert_eq!(linked, routes.collect());
}

#[tokio::test]
async fn a_client_can_follow_the_hyper_schema() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let schema = ann.get("/schema").await.ok();
    let links = schema["definitions"]["app"]["links"].as_array().unwrap();
    let info = links.iter().find(|link| link["title"] == "info").unwrap();
    let href = info["href"].as_str().unwrap();
    let (before, _) = href.split_once('{').unwrap();
    let shown = ann.get(format!("{before}harbour")).await.ok();
    let view = info["targetSchema"]["$ref"].as_str().unwrap();
    let view = schema.pointer(&view[1..]).unwrap();
    let promised = view["properties"].as_object().unwrap().keys();
    assert!(promised.eq(shown.as_object().unwrap().keys()));
    assert_eq!(info["rel"], json!("self"));
}
