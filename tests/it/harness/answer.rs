//! What came back, and what a test expects of it.

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    /// `GET /apps`, for the words of a failure.
    pub asked: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// A header's text; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// The body, of an answer that has this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{}: {body}", self.asked);
        match self.body.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&self.body).expect(&body),
        }
    }

    #[track_caller]
    pub fn ok(&self) -> Value {
        self.expect(200)
    }

    #[track_caller]
    pub fn created(&self) -> Value {
        self.expect(201)
    }

    /// The rows of a list that came whole.
    #[track_caller]
    pub fn list(&self) -> Vec<Value> {
        self.ok().as_array().unwrap().clone()
    }

    /// One attribute of each row, as text.
    #[track_caller]
    pub fn each(&self, attribute: &str) -> Vec<String> {
        assert!(matches!(self.status, 200 | 206), "{self:?}");
        let rows = self.expect(self.status);
        let text = |row: &Value| match &row[attribute] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        rows.as_array().unwrap().iter().map(text).collect()
    }

    /// An error with this status and id, whose message holds these words.
    #[track_caller]
    pub fn refused(&self, status: u16, id: &str, words: &str) {
        let error = self.expect(status);
        assert_eq!(error["id"], id, "{}: {error}", self.asked);
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(words), "{}: {message}", self.asked);
    }

    /// 422.
    #[track_caller]
    pub fn invalid(&self, words: &str) {
        self.refused(422, "invalid_params", words);
    }

    /// 404, for want of this resource.
    #[track_caller]
    pub fn missing(&self, resource: &str) {
        self.refused(404, "not_found", resource);
        assert_eq!(self.expect(404)["resource"], resource);
    }
}

/// The id of what an answer shows.
#[track_caller]
pub fn id(shown: &Value) -> String {
    shown["id"].as_str().expect("it has no id").to_owned()
}
