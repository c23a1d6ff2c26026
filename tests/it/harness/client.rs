//! A client of the API that sends as one account.

use std::io::Read;
use std::time::Duration;

use bytes::Bytes;
use flate2::read::GzDecoder;
use futures_util::StreamExt;
use penstock::name::Id;
use reqwest::Method;
use serde_json::Value;

use super::{Answer, Server, contract, shape};

/// Long enough that only a hang takes so long.
const HANG: Duration = Duration::from_secs(30);

/// Sends requests as one account, or as nobody. Whatever comes back is held to what all answers have in common.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    pub id: Option<Id>,
    pub token: String,
}

pub fn http() -> reqwest::Client {
    // An error means that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().no_proxy().timeout(HANG);
    builder
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

impl Client {
    pub fn new(server: &Server, account: Option<(Id, String)>) -> Client {
        let (id, token) = match account {
            Some((id, token)) => (Some(id), token),
            None => (None, String::new()),
        };
        Client {
            http: server.http.clone(),
            base: server.platform.urls.api.clone(),
            id,
            token,
        }
    }

    /// The same client with another token.
    pub fn with_token(&self, token: &str) -> Client {
        Client {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    /// The same account through a token with these scopes, which lives for so many seconds.
    pub async fn scoped(&self, scope: &[&str], expires_in: Option<u32>) -> Client {
        let body = serde_json::json!({"scope": scope, "expires_in": expires_in});
        let made = self.post("/oauth/authorizations", body).await.created();
        self.with_token(made["access_token"]["token"].as_str().unwrap())
    }

    /// A request to a path of the API, or to a whole URL, which is sent without a token.
    pub fn request(&self, method: &str, path: &str) -> Request {
        let whole = path.starts_with("http://");
        let url = match whole {
            true => path.to_owned(),
            false => format!("{}{path}", self.base),
        };
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut builder = self.http.request(method.clone(), &url);
        let authorized = !whole && !self.token.is_empty();
        if authorized {
            builder = builder.bearer_auth(&self.token);
        }
        Request {
            builder,
            asked: format!("{method} {}", url.trim_start_matches(&self.base)),
        }
    }

    pub async fn get(&self, path: impl AsRef<str>) -> Answer {
        self.request("GET", path.as_ref()).send().await
    }

    pub async fn head(&self, path: impl AsRef<str>) -> Answer {
        self.request("HEAD", path.as_ref()).send().await
    }

    pub async fn delete(&self, path: impl AsRef<str>) -> Answer {
        self.request("DELETE", path.as_ref()).send().await
    }

    pub async fn post(&self, path: impl AsRef<str>, body: Value) -> Answer {
        self.request("POST", path.as_ref()).json(&body).send().await
    }

    pub async fn patch(&self, path: impl AsRef<str>, body: Value) -> Answer {
        self.request("PATCH", path.as_ref())
            .json(&body)
            .send()
            .await
    }

    /// Sends many requests without taking more connections than a test should.
    pub async fn few_at_once(
        &self,
        requests: impl Iterator<Item = impl Future<Output = Answer>>,
        check: impl Fn(Answer),
    ) {
        let mut answers = futures_util::stream::iter(requests).buffer_unordered(32);
        while let Some(answer) = answers.next().await {
            check(answer);
        }
    }

    /// Sends bytes to a signed URL.
    pub async fn put(&self, url: impl AsRef<str>, bytes: &[u8]) -> Answer {
        self.request("PUT", url.as_ref()).body(bytes).send().await
    }

    /// A page of a list, by its `Range`.
    pub async fn range(&self, path: &str, range: &str) -> Answer {
        self.request("GET", path)
            .header("range", range)
            .send()
            .await
    }
}

/// A request that is being made.
pub struct Request {
    builder: reqwest::RequestBuilder,
    asked: String,
}

impl Request {
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.builder = self.builder.header(name, value);
        if name.eq_ignore_ascii_case("x-http-method-override") {
            // It is this that is asked for.
            let path = self.asked.split_once(' ').unwrap().1;
            self.asked = format!("{value} {path}");
        }
        self
    }

    pub fn body(mut self, bytes: impl AsRef<[u8]>) -> Request {
        self.builder = self.builder.body(bytes.as_ref().to_vec());
        self
    }

    pub fn json(self, body: &Value) -> Request {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    /// The answer, read to its end.
    pub async fn send(self) -> Answer {
        let response = self.open().await;
        let (asked, response) = (response.0, response.1);
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.unwrap_or_else(|error| {
            panic!("the answer to {asked} broke off: {error}");
        });
        let body = match headers.get("content-encoding") {
            Some(_) => gunzipped(&body),
            None => body,
        };
        let answer = Answer {
            asked,
            status,
            headers,
            body,
        };
        shape::check(&answer);
        contract::check(&answer);
        answer
    }

    /// The head of the answer, for a body that goes on.
    pub async fn stream(self) -> Stream {
        let (asked, response) = self.open().await;
        Stream {
            asked,
            response,
            text: String::new(),
        }
    }

    async fn open(self) -> (String, reqwest::Response) {
        let response = self.builder.send().await.unwrap_or_else(|error| {
            panic!("{} was not answered: {error}", self.asked);
        });
        for header in ["request-id", "etag", "ratelimit-remaining"] {
            let headers = response.headers();
            assert!(headers.contains_key(header), "{}: no {header}", self.asked);
        }
        (self.asked, response)
    }
}

fn gunzipped(body: &[u8]) -> Bytes {
    let mut plain = Vec::new();
    GzDecoder::new(body).read_to_end(&mut plain).unwrap();
    plain.into()
}

/// A body that is read while it comes.
pub struct Stream {
    asked: String,
    pub response: reqwest::Response,
    /// What has come so far.
    pub text: String,
}

impl Stream {
    /// Reads on until these words have come.
    pub async fn until(&mut self, words: &str) {
        while !self.text.contains(words) {
            let chunk = self.response.chunk().await.unwrap();
            let chunk = chunk.unwrap_or_else(|| {
                panic!("{} ended without {words:?}: {}", self.asked, self.text);
            });
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// Reads to the end.
    pub async fn rest(&mut self) -> &str {
        while let Some(chunk) = self.response.chunk().await.unwrap() {
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        &self.text
    }
}
