//! Examples for the contract: a value of each type, made from its schema, so that none is written twice and none grows stale.
//! It must not know which types there are.

use serde_json::{Map, Value, json};

/// Deeper than any answer is; a type that holds itself ends here.
const DEPTH: usize = 8;

/// What strings without a format look like, by the name of their attribute.
const WORDS: &[(&str, &str)] = &[
    ("GREETING", "hello"),
    ("address", "203.0.113.7"),
    ("app", "harbour"),
    (
        "checksum",
        "SHA256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    ),
    ("command", "python3 -m http.server $PORT"),
    ("commit", "60883d9e8947a57e04dc9124f25df004866a2051"),
    ("content_type", "application/json"),
    ("context", "ci/tests"),
    ("description", "Deploy 60883d9"),
    ("email", "ann@example.com"),
    ("hostname", "harbour.example.com"),
    ("key", "GREETING"),
    ("locale", "en"),
    ("method", "get"),
    ("name", "harbour"),
    ("size", "basic"),
    ("stage", "staging"),
    ("state", "up"),
    ("status", "succeeded"),
    ("type", "web"),
    ("url", "https://example.com/"),
];

/// Makes examples of the types in `definitions`.
pub struct Examples<'a> {
    pub definitions: &'a Map<String, Value>,
}

impl Examples<'_> {
    /// All that an answer of this schema may show.
    pub fn answer(&self, schema: &Value) -> Value {
        self.make(schema, "", false, 0)
    }

    /// What a body of this schema must have, or all that it may have where it must have nothing.
    pub fn body(&self, schema: &Value) -> Value {
        match self.make(schema, "", true, 0) {
            Value::Object(body) if body.is_empty() => self.make(schema, "", false, 0),
            body => body,
        }
    }

    fn make(&self, schema: &Value, name: &str, needed: bool, depth: usize) -> Value {
        if depth > DEPTH {
            return Value::Null;
        }
        if let Some(known) = given(schema) {
            return known;
        }
        if let Some(pointer) = schema["$ref"].as_str() {
            let name_of = pointer.rsplit('/').next().unwrap_or_default();
            let schema = self.definitions.get(name_of).unwrap_or(&Value::Null);
            return self.make(schema, name, needed, depth + 1);
        }
        if let Some(one) = ["anyOf", "oneOf"]
            .iter()
            .find_map(|key| schema[key].as_array())
        {
            let one = one.iter().find(|one| one["type"] != "null");
            return one.map_or(Value::Null, |one| self.make(one, name, needed, depth + 1));
        }
        match kind(schema) {
            "object" => self.object(schema, needed, depth),
            "array" => json!([self.make(&schema["items"], singular(name), needed, depth + 1)]),
            "string" => json!(text(schema, name)),
            "integer" | "number" => json!(schema["minimum"].as_i64().unwrap_or(1).max(1)),
            "boolean" => json!(false),
            _ => Value::Null,
        }
    }

    fn object(&self, schema: &Value, needed: bool, depth: usize) -> Value {
        let required = schema["required"].as_array();
        let wanted = |name: &str| {
            !needed || required.is_some_and(|required| required.iter().any(|one| one == name))
        };
        let mut object = Map::new();
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            if wanted(name) {
                object.insert(name.clone(), self.make(schema, name, needed, depth + 1));
            }
        }
        let others = &schema["additionalProperties"];
        if others.is_object() && object.is_empty() && !needed {
            object.insert(
                "GREETING".into(),
                self.make(others, "GREETING", needed, depth + 1),
            );
        }
        Value::Object(object)
    }
}

/// What the schema itself says.
fn given(schema: &Value) -> Option<Value> {
    let first = |key: &str| schema[key].as_array()?.first().cloned();
    let constant = schema.get("const").cloned();
    constant
        .or_else(|| first("examples"))
        .or_else(|| first("enum"))
}

/// The type, or the first of several that is not `null`.
fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(kind) => kind,
        Value::Array(kinds) => {
            let mut kinds = kinds.iter().filter_map(Value::as_str);
            kinds.find(|kind| *kind != "null").unwrap_or("null")
        }
        _ if schema["properties"].is_object() => "object",
        _ => "null",
    }
}

fn singular(name: &str) -> &str {
    name.strip_suffix('s').unwrap_or(name)
}

fn text(schema: &Value, name: &str) -> String {
    match schema["format"].as_str() {
        Some("uuid") => return "01234567-89ab-7cde-8f01-23456789abcd".into(),
        Some("date-time") => return "2026-01-31T12:00:00Z".into(),
        Some("email") => return "ann@example.com".into(),
        Some("uri") => return "https://example.com/".into(),
        _ => {}
    }
    let word = WORDS
        .iter()
        .find(|(ending, _)| name.ends_with(ending))
        .map_or("example", |(_, word)| *word);
    word.to_owned()
}
