//! What all answers have in common, and the attributes that Heroku's published schema promises of each resource.
//!
//! The ledger in `tests/golden/attributes.json` has the type of each attribute: `?` after it says that it may be null, `[]` in
//! its path stands for each element. Its facts are those of the schema, less the patterns of Heroku's own host names. Where we do
//! otherwise `tests/golden/deviations.json` says what, and why; nothing else is let through.

pub mod shown;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use penstock::name::Id;
use penstock::time::Timestamp;
use serde_json::Value;

use self::shown::resource;
use super::Answer;

pub type Attributes = BTreeMap<String, String>;

/// What Heroku promises of each resource.
pub static LEDGER: LazyLock<BTreeMap<String, Attributes>> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../golden/attributes.json")).unwrap());

/// An attribute that is otherwise here.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deviation {
    /// Its type here, as in the ledger. `, or absent` after it says that it need not be there.
    pub here: String,
    pub why: String,
}

/// By resource and attribute.
pub static DEVIATIONS: LazyLock<BTreeMap<String, BTreeMap<String, Deviation>>> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../golden/deviations.json")).unwrap());

/// What we promise of each resource.
static PROMISED: LazyLock<BTreeMap<String, Attributes>> = LazyLock::new(|| {
    let mut promised = LEDGER.clone();
    for (resource, deviations) in DEVIATIONS.iter() {
        let attributes = promised.get_mut(resource).unwrap();
        attributes.extend(
            deviations
                .iter()
                .map(|(path, deviation)| (path.clone(), deviation.here.clone())),
        );
    }
    promised
});

/// Holds an answer to what all answers are.
pub fn check(answer: &Answer) {
    let asked = &answer.asked;
    assert!(
        !answer.header("request-id").is_empty(),
        "{asked} has no Request-Id"
    );
    if answer.header("content-type") != "application/json" {
        // Git shows text to a person, and so do the pages of a login and of a consent.
        let pages = [".git/", "/auth/browser/", "/oauth/authorize"];
        let shown = pages.iter().any(|page| asked.contains(page));
        let refused = answer.status >= 400 && !shown;
        assert!(!refused, "{asked} was refused, and not in JSON: {answer:?}");
        return;
    }
    let etag = match answer.header("content-encoding") {
        "gzip" => answer.header("etag").strip_prefix("W/").unwrap(),
        _ => answer.header("etag"),
    };
    let quoted = etag.len() == 34 && etag.starts_with('"') && etag.ends_with('"');
    assert!(quoted, "{asked} has the ETag {etag:?}");
    if asked.starts_with("HEAD") {
        return;
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    match answer.status {
        // Of several that have a name each is shown.
        200..=300 => check_resource(asked, &body),
        status => check_error(asked, status, &body),
    }
}

fn check_error(asked: &str, status: u16, body: &Value) {
    let text = |name: &str| body[name].as_str().is_some_and(|text| !text.is_empty());
    assert!(text("id") && text("message"), "{asked}: {body}");
    assert_eq!(text("resource"), status == 404, "{asked}: {body}");
}

fn check_resource(asked: &str, body: &Value) {
    let (method, path) = asked.split_once(' ').unwrap();
    let path = path.split('?').next().unwrap().trim_end_matches('/');
    let resource = resource(method, path)
        .unwrap_or_else(|| panic!("{asked} is not among the paths of the shapes"));
    if resource == "nothing" {
        assert_eq!(*body, serde_json::json!({}), "{asked}");
        return;
    }
    if resource.is_empty() {
        let texts = body
            .as_object()
            .is_some_and(|vars| vars.values().all(Value::is_string));
        assert!(texts, "{asked}: {body}");
        return;
    }
    let rows = match body {
        Value::Array(rows) => rows.as_slice(),
        one => std::slice::from_ref(one),
    };
    for row in rows {
        for (path, kind) in &PROMISED[resource] {
            let faults = faults(row, path, kind);
            assert!(
                faults.is_empty(),
                "{asked}: {resource}.{path} {faults:?} in {row}"
            );
        }
    }
}

/// What is wrong with the attribute at `path`. Nothing is, where an object on the way to it is null.
fn faults(value: &Value, path: &str, kind: &str) -> Vec<String> {
    let (first, rest) = match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    let name = first.trim_end_matches("[]");
    let Some(found) = value.get(name) else {
        return match kind.ends_with(ABSENT) && rest.is_none() {
            true => Vec::new(),
            false => vec!["is missing".to_owned()],
        };
    };
    let values = match first.ends_with("[]") {
        true => found.as_array().map_or(&[][..], Vec::as_slice),
        false => std::slice::from_ref(found),
    };
    let each = |value: &Value| match rest {
        None if is(value, kind) => Vec::new(),
        None => vec![format!("is {value}, and no {kind}")],
        Some(_) if value.is_null() => Vec::new(),
        Some(rest) => faults(value, rest, kind),
    };
    values.iter().flat_map(each).collect()
}

/// After the type of what need not be there.
pub const ABSENT: &str = ", or absent";

fn is(value: &Value, kind: &str) -> bool {
    let kind = kind.trim_end_matches(ABSENT);
    let (kind, nullable) = match kind.strip_suffix('?') {
        Some(kind) => (kind, true),
        None => (kind, false),
    };
    let text = value.as_str().unwrap_or_default();
    let fits = match kind {
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_i64(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "uuid" => Id::parse(text).is_some_and(|id| id.to_string() == text),
        "date-time" => Timestamp::parse(text).is_some_and(|time| time.to_seconds() == text),
        "email" => text.contains('@'),
        "uri" => text.starts_with("http://") || text.starts_with("https://"),
        _ => {
            let words = kind
                .strip_prefix("enum(")
                .and_then(|rest| rest.strip_suffix(')'));
            let words = words.unwrap_or_else(|| panic!("the ledger has the type {kind}"));
            words.split('|').any(|word| word == text)
        }
    };
    fits || (nullable && value.is_null())
}
