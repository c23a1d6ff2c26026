//! What clients send, made into values: JSON bodies, query strings, and Heroku's ways to point at something.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::catalog::Entry;
use crate::error::{Error, Result};
use crate::name::Identity;

/// Reads a JSON body. The Content-Type is not looked at, since curl posts JSON under a form's.
///
/// It is read as JSON first and as a `T` after that: serde would take the elements of an array for the fields of a struct, and a
/// body that breaks off for one whose values do not fit.
pub fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let body = if body.iter().all(u8::is_ascii_whitespace) {
        b"{}"
    } else {
        body
    };
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        Error::bad_request(format!("The request's body is not valid JSON: {error}."))
    })?;
    if !value.is_object() {
        return Err(Error::invalid(
            "The request's body does not fit: it must be a JSON object, such as {\"name\": \"harbour\"}.",
        ));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let (path, inner) = (
            error.path().to_string(),
            without_types(error.inner().to_string()),
        );
        match path.as_str() {
            "." => Error::invalid(format!("The request's body does not fit: {inner}.")),
            path => Error::invalid(format!("The parameter {path} does not fit: {inner}.")),
        }
    })
}

/// Reads a body that is an HTML form. Of a name that is there twice the first is taken.
pub fn form<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Error::bad_request("The request's body is not a form in UTF-8."))?;
    let mut fields = serde_json::Map::new();
    for pair in text.trim().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        fields
            .entry(decode(name))
            .or_insert_with(|| Value::String(decode(value)));
    }
    serde_json::from_value(Value::Object(fields))
        .map_err(|_| Error::bad_request("The request's body is not the form that is asked for."))
}

/// serde's words for a value that does not fit, less the names of our types: `expected struct NewApp` says nothing to a client.
fn without_types(mut words: String) -> String {
    for kind in ["struct", "tuple struct", "enum", "unit struct"] {
        let named = format!("expected {kind} ");
        if let Some(start) = words.find(&named) {
            let name = start + named.len();
            let rest = &words[name..];
            let end = rest
                .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
                .unwrap_or(rest.len());
            words.replace_range(start..name + end, "expected an object");
        }
    }
    words
}

/// The value of `name` in a query string. `eq[name]` is found whether or not its brackets are percent-encoded.
pub fn query(query: &str, name: &str) -> Option<String> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| decode(key) == name)
        .map(|(_, value)| decode(value))
}

/// Percent-decoding, as in a path or a query; what does not decode to UTF-8 is kept readable.
pub fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

/// Something named in a body: a string, or an object with its `id`, its `name` or, of an account, its `email`.
#[derive(Clone, Debug)]
pub struct Reference(pub Identity);

impl JsonSchema for Reference {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Reference".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An id, a name, or an object with one of them.",
            "anyOf": [
                { "type": "string" },
                { "type": "object", "properties": { "id": { "type": "string" } }, "required": ["id"] },
                { "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"] },
                { "type": "object", "properties": { "email": { "type": "string" } }, "required": ["email"] },
            ],
        })
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Reference, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "it must be an id, a name, or an object with one of them"
        )]
        enum Form {
            Text(String),
            Object {
                id: Option<String>,
                name: Option<String>,
                email: Option<String>,
            },
        }
        let text = match Form::deserialize(deserializer)? {
            Form::Text(text) => Some(text),
            Form::Object { id, name, email } => id.or(name).or(email),
        };
        text.map(|text| Reference(Identity::parse(&text)))
            .ok_or_else(|| serde::de::Error::custom("an id or a name is missing"))
    }
}

/// A value of the type that it should have, or any other: for a parameter whose refusal has words of its own.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Lenient<T> {
    Given(T),
    Other(IgnoredAny),
}

impl<T> Lenient<T> {
    /// The value, or this error.
    pub fn or(self, error: impl FnOnce() -> Error) -> Result<T> {
        match self {
            Lenient::Given(value) => Ok(value),
            Lenient::Other(_) => Err(error()),
        }
    }
}

impl<T: JsonSchema> JsonSchema for Lenient<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }

    fn inline_schema() -> bool {
        T::inline_schema()
    }
}

/// A body some parts of which are needed by one operation, and by another not.
pub trait Parts: JsonSchema {
    /// The parameters that have to be there.
    const NEEDED: &'static [&'static str];
}

/// A body whose parts are all there, as far as the contract tells. Whether they are is asked where they are used.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Whole<B>(pub B);

impl<B: Parts> JsonSchema for Whole<B> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Whole{}", B::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = B::json_schema(generator);
        schema.insert("required".to_owned(), B::NEEDED.into());
        for name in B::NEEDED {
            // What is needed cannot be null.
            if let Some(kind) = schema.pointer_mut(&format!("/properties/{name}/type"))
                && let Some(first) = kind.get(0).cloned()
            {
                *kind = first;
            }
        }
        schema
    }
}

/// 422 for a region or stack that is not the one there is.
pub fn offered(asked: Option<&Reference>, entry: Entry, what: &str) -> Result<()> {
    let fits = match asked {
        None => true,
        Some(Reference(Identity::Id(id))) => *id == entry.id,
        Some(Reference(Identity::Name(name))) => name == entry.name,
    };
    if fits {
        Ok(())
    } else {
        Err(Error::invalid(format!(
            "The only {what} of this server is {}.",
            entry.name
        )))
    }
}

/// 422 for a parameter that is not there.
pub fn required<T>(value: Option<T>, name: &str) -> Result<T> {
    value.ok_or_else(|| Error::invalid(format!("The parameter {name} is missing.")))
}

/// A boolean that may be written as 0 or 1, as the Python client heroku3 writes it to Heroku (`disable_maintenance_mode`).
pub fn switch<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<bool>, D::Error> {
    match Option::<Value>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Value::Bool(on)) => Ok(Some(on)),
        Some(value) => match value.as_u64() {
            Some(number @ (0 | 1)) => Ok(Some(number == 1)),
            _ => Err(D::Error::custom("expected true or false")),
        },
    }
}

/// For a parameter that may be null: `Some(None)` is a null that was sent, and `None` is nothing.
pub fn nullable<'de, D, T>(deserializer: D) -> std::result::Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// 422 for text that is longer than anything of its kind, or holds a NUL.
pub fn text(value: Option<String>, name: &str, max_bytes: usize) -> Result<Option<String>> {
    match &value {
        Some(text) if text.len() > max_bytes => Err(Error::invalid(format!(
            "The parameter {name} is longer than {max_bytes} bytes."
        ))),
        Some(text) if text.contains('\0') => Err(Error::invalid(format!(
            "The parameter {name} holds a NUL character."
        ))),
        _ => Ok(value),
    }
}
