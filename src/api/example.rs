//! Examples for the contract: a value of each type, made from its schema, so that none is written twice and none grows stale.
//! It must not know which types there are.

use serde_json::{Map, Value, json};

/// Deeper than any answer is; a type that holds itself ends here.
const DEPTH: usize = 12;

/// What strings without a format look like, by the end of where they stand: the first line that fits decides.
const WORDS: &[(&str, &str)] = &[
    ("GREETING", "hello"),
    ("access_token", "HRKU-01234567-89ab-7cde-8f01-23456789abcd"),
    ("addon.name", "acme-rapid-12345"),
    ("addon_service.name", "acme"),
    ("addon_plan_name", "acme:basic"),
    ("address", "203.0.113.7"),
    ("app", "harbour"),
    (
        "apprepository.repo",
        "not.on.github/01234567-89ab-7cde-8f01-23456789abcd",
    ),
    ("branch", "main"),
    ("buildpack", "heroku/python"),
    ("buildpack.name", "heroku/python"),
    (
        "certificate_chain",
        "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----",
    ),
    (
        "checksum",
        "SHA256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    ),
    ("client.name", "Harbour Board"),
    ("command", "python3 -m http.server $PORT"),
    ("commit", "60883d9e8947a57e04dc9124f25df004866a2051"),
    ("content_type", "application/json"),
    ("context", "ci/tests"),
    ("create_status", "verified"),
    ("description", "Deploy 60883d9"),
    ("dyno", "web.1"),
    ("dyno.name", "web.1"),
    ("dyno_size.name", "Basic"),
    ("email", "ann@example.com"),
    ("endpoint", "https://telemetry.example.com"),
    ("feature.name", "log-runtime-metrics"),
    ("generation", "cedar"),
    ("generation.name", "cedar"),
    ("github.token", "HRKU-01234567-89ab-7cde-8f01-23456789abcd"),
    ("grant_type", "authorization_code"),
    ("grant.type", "authorization_code"),
    ("hostname", "harbour.example.com"),
    ("include", "api:build"),
    ("key", "GREETING"),
    ("level", "notify"),
    ("locale", "en"),
    ("method", "get"),
    ("owner.type", "user"),
    ("permission.name", "view"),
    ("pipeline", "water"),
    ("pipeline.name", "water"),
    ("plan", "acme:basic"),
    ("plan.name", "acme:basic"),
    (
        "private_key",
        "-----BEGIN PRIVATE KEY-----\n…\n-----END PRIVATE KEY-----",
    ),
    (
        "public_key",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM1fIMZfjcvH7boeIui2Sb1N503zazm50wSuYkvrWtpi ann@example.com",
    ),
    ("region", "us"),
    ("region.name", "us"),
    ("role", "member"),
    ("schedule", "0 4 * * *"),
    ("scope", "read"),
    ("signal", "logs"),
    ("sha", "60883d9e8947a57e04dc9124f25df004866a2051"),
    ("size", "Basic"),
    ("stack", "heroku-24"),
    ("stack.name", "heroku-24"),
    ("stage", "staging"),
    ("state", "up"),
    ("status", "succeeded"),
    ("team.name", "docks"),
    ("team", "docks"),
    ("token_type", "Bearer"),
    ("exporter.type", "otlphttp"),
    ("type", "web"),
    ("url", "https://example.com/"),
    ("user", "ann@example.com"),
    ("user.name", "Ann"),
    ("name", "harbour"),
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

    /// Whether a body of this schema has to be there: whether anything in it has to.
    pub fn needs_something(&self, schema: &Value) -> bool {
        let pointer = schema["$ref"].as_str().unwrap_or_default();
        let named = self
            .definitions
            .get(pointer.rsplit('/').next().unwrap_or_default());
        !required(named.unwrap_or(schema)).is_empty()
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
            let named = name_of.to_lowercase();
            // What stands nowhere yet goes by the name of its type.
            let place = if name.is_empty() { &named } else { name };
            return self.make(schema, place, needed, depth + 1);
        }
        if schema["properties"].is_null()
            && let Some(one) = alternatives(schema)
        {
            let one = one.iter().find(|one| one["type"] != "null");
            return one.map_or(Value::Null, |one| self.make(one, name, needed, depth + 1));
        }
        match kind(schema) {
            "object" => self.object(schema, name, needed, depth),
            "array" => json!([self.make(&schema["items"], singular(name), needed, depth + 1)]),
            "string" => json!(text(schema, name)),
            "integer" | "number" => json!(schema["minimum"].as_i64().unwrap_or(1).max(1)),
            "boolean" => json!(false),
            _ => Value::Null,
        }
    }

    fn object(&self, schema: &Value, place: &str, needed: bool, depth: usize) -> Value {
        let required = required(schema);
        let wanted = |property: &str| !needed || required.contains(&property);
        let mut object = Map::new();
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            if wanted(name) {
                let place = format!("{place}.{name}");
                object.insert(name.clone(), self.make(schema, &place, needed, depth + 1));
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

fn alternatives(schema: &Value) -> Option<&Vec<Value>> {
    let keys = ["anyOf", "oneOf"];
    keys.iter().find_map(|key| schema[key].as_array())
}

/// The properties that have to be there; where there is a choice, those of the first.
fn required(schema: &Value) -> Vec<&str> {
    let choice = alternatives(schema).and_then(|choices| choices.first());
    let lists = [Some(schema), choice].into_iter().flatten();
    let names = lists
        .filter_map(|list| list["required"].as_array())
        .flatten();
    names.filter_map(Value::as_str).collect()
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

/// `app.build_stack.name` stands at `name`, at `stack.name` and at `build_stack.name`.
fn stands_at(place: &str, ending: &str) -> bool {
    let before = place.strip_suffix(ending);
    before.is_some_and(|before| before.is_empty() || before.ends_with(['.', '_']))
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
        .find(|(ending, _)| stands_at(name, ending))
        .map_or("example", |(_, word)| *word);
    word.to_owned()
}
