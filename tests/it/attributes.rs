//! The ledger of attributes, and what the contract says of them: the types of the program itself are held to what Heroku promises,
//! also where no test comes upon an answer that would show otherwise.

use std::collections::BTreeMap;

use penstock::api::ROUTES;
use serde_json::Value;

use crate::harness::shape::shown::resource;
use crate::harness::shape::{ABSENT, DEVIATIONS, LEDGER};

/// What a reference points at.
fn followed<'a>(contract: &'a Value, mut schema: &'a Value) -> &'a Value {
    while let Some(place) = schema["$ref"].as_str() {
        schema = contract.pointer(place.trim_start_matches('#')).unwrap();
    }
    schema
}

/// The forms that a value may have.
fn forms<'a>(contract: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let schema = followed(contract, schema);
    let several = schema["anyOf"].as_array().or(schema["oneOf"].as_array());
    match several {
        Some(several) => several
            .iter()
            .flat_map(|one| forms(contract, one))
            .collect(),
        None => vec![schema],
    }
}

fn may_be_null(contract: &Value, schema: &Value) -> bool {
    forms(contract, schema)
        .iter()
        .any(|form| match &form["type"] {
            Value::String(kind) => kind == "null",
            Value::Array(kinds) => kinds.iter().any(|kind| kind == "null"),
            _ => false,
        })
}

/// The schemas of the attribute at a path, in each form that has one.
fn attribute<'a>(contract: &'a Value, schema: &'a Value, path: &str) -> Vec<&'a Value> {
    let (first, rest) = match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    let mut found = Vec::new();
    for form in forms(contract, schema) {
        let property = &form["properties"][first.trim_end_matches("[]")];
        let values = match first.ends_with("[]") {
            true => forms(contract, property)
                .iter()
                .map(|array| &array["items"])
                .collect(),
            false => vec![property],
        };
        for value in values.into_iter().filter(|value| value.is_object()) {
            match rest {
                None => found.push(value),
                Some(rest) => found.extend(attribute(contract, value, rest)),
            }
        }
    }
    found
}

/// Each resource that is answered with, as the contract has it; one may have several forms.
fn answered(contract: &Value) -> BTreeMap<&'static str, Vec<&Value>> {
    let mut answered: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for route in ROUTES {
        let operation = &contract["paths"][route.path][route.method.to_lowercase()];
        let responses = operation["responses"].as_object().unwrap();
        let good = responses
            .iter()
            .filter(|(status, _)| status.starts_with('2'));
        for (_, response) in good {
            let schema = &response["content"]["application/json"]["schema"];
            let Some(resource) = resource(route.method, route.path) else {
                assert!(schema.is_null(), "what does {} show?", route.path);
                continue;
            };
            let rows = match schema["type"] == "array" {
                true => &schema["items"],
                false => schema,
            };
            if LEDGER.contains_key(resource) && rows.is_object() {
                answered.entry(resource).or_default().push(rows);
            }
        }
    }
    answered
}

#[test]
fn nothing_may_be_null_here_that_is_not_with_heroku_but_what_is_named_with_a_reason() {
    let contract = penstock::api::openapi::openapi();
    let answered = answered(&contract);
    assert!(answered.len() > 50, "{:?}", answered.keys());
    let (mut seen, mut wrong) = (0, Vec::new());
    for (resource, schemas) in &answered {
        for (path, kind) in &LEDGER[*resource] {
            let named = DEVIATIONS.get(*resource).and_then(|named| named.get(path));
            let kind = named.map_or(kind.as_str(), |named| &named.here);
            let found = schemas
                .iter()
                .flat_map(|schema| attribute(&contract, schema, path));
            let found: Vec<&Value> = found.collect();
            seen += found.len();
            let nullable = found.iter().any(|schema| may_be_null(&contract, schema));
            if nullable && !kind.trim_end_matches(ABSENT).ends_with('?') {
                wrong.push(format!("{resource}.{path} may be null"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(
        seen > 800,
        "only {seen} attributes were found in the contract"
    );
}

#[test]
fn every_deviation_is_one_and_says_why() {
    let contract = penstock::api::openapi::openapi();
    let answered = answered(&contract);
    for (resource, deviations) in DEVIATIONS.iter() {
        for (path, deviation) in deviations {
            let promised = &LEDGER[resource][path];
            let name = format!("{resource}.{path}");
            assert_ne!(*promised, deviation.here, "{name} is as with Heroku");
            assert!(
                deviation.why.len() > 10 && deviation.why.ends_with('.'),
                "{name}"
            );
            // One that is over is taken off the list.
            if deviation.here == format!("{promised}?") {
                let schemas = answered[resource.as_str()].iter();
                let mut found = schemas.flat_map(|schema| attribute(&contract, schema, path));
                let nullable = found.any(|schema| may_be_null(&contract, schema));
                assert!(nullable, "{name} is never null");
            }
        }
    }
}
