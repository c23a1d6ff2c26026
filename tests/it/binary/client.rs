//! A client of the API, and a visitor of the apps.

use std::fmt::Display;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::{HANG, Tail};

/// The connection broke, or was not made: the server is gone.
#[derive(Debug)]
pub struct Lost;

/// Sends as one account.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    pub api: String,
    pub token: String,
    router_port: u16,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{} is not JSON: {}", self.status, self.text()))
    }

    /// The JSON of an answer that must have this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }
}

impl Client {
    pub fn new(api: &str, router_port: u16, token: &str) -> Client {
        // Some other test may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(HANG)
            .build()
            .unwrap();
        Client {
            http,
            api: api.to_owned(),
            token: token.to_owned(),
            router_port,
        }
    }

    /// The same server, as another account.
    pub fn with_token(&self, token: &str) -> Client {
        Client {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    pub async fn get(&self, path: impl Display) -> Answer {
        self.call("GET", path, Value::Null).await
    }

    pub async fn post(&self, path: impl Display, body: Value) -> Answer {
        self.call("POST", path, body).await
    }

    pub async fn patch(&self, path: impl Display, body: Value) -> Answer {
        self.call("PATCH", path, body).await
    }

    pub async fn delete(&self, path: impl Display) -> Answer {
        self.call("DELETE", path, Value::Null).await
    }

    pub async fn call(&self, method: &str, path: impl Display, body: Value) -> Answer {
        self.try_call(method, &path, body)
            .await
            .unwrap_or_else(|Lost| panic!("{method} {path} was not answered"))
    }

    pub async fn try_call(
        &self,
        method: &str,
        path: impl Display,
        body: Value,
    ) -> Result<Answer, Lost> {
        let url = format!("{}{path}", self.api);
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self
            .http
            .request(method, url)
            .bearer_auth(&self.token)
            .header("accept", "application/vnd.heroku+json; version=3");
        if !body.is_null() {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        answer(request).await
    }

    /// A list from here on, as far as its range goes.
    pub async fn range(&self, path: impl Display, range: &str) -> Answer {
        let url = format!("{}{path}", self.api);
        let request = self.http.get(url).bearer_auth(&self.token);
        let request = request
            .header("accept", "application/vnd.heroku+json; version=3")
            .header("range", range);
        let answer = answer(request).await;
        answer.unwrap_or_else(|Lost| panic!("{path} was not answered"))
    }

    /// What `curl -T` sends, with a Content-Type or without.
    pub async fn put(
        &self,
        url: &str,
        content_type: Option<&str>,
        body: Vec<u8>,
    ) -> Result<Answer, Lost> {
        let mut request = self.http.put(url).body(body);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        answer(request).await
    }

    /// Reads a URL to its end, with no authorization. It may be the output of a build that takes its time.
    pub async fn read(&self, url: &str) -> Result<Answer, Lost> {
        answer(self.http.get(url).timeout(5 * HANG)).await
    }

    /// A URL whose answer has begun, and is read when the caller likes.
    pub async fn open(&self, url: &str) -> reqwest::Response {
        let response = self.http.get(url).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        response
    }

    /// Visits an app through the router.
    pub async fn visit(&self, app: &str, path: &str) -> Answer {
        self.try_visit(app, path)
            .await
            .unwrap_or_else(|Lost| panic!("{app}{path} was not answered"))
    }

    pub async fn try_visit(&self, app: &str, path: &str) -> Result<Answer, Lost> {
        let url = format!("{}{path}", self.router());
        answer(self.http.get(url).header("host", self.host(app))).await
    }

    pub fn router(&self) -> String {
        format!("http://127.0.0.1:{}", self.router_port)
    }

    pub fn router_address(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.router_port)
    }

    pub fn host(&self, app: &str) -> String {
        format!("{app}.localhost:{}", self.router_port)
    }

    /// The log of an app from here on, after so many lines of history.
    pub async fn tail(&self, app: &str, lines: u32) -> Result<Tail, Lost> {
        self.session(app, serde_json::json!({"lines": lines, "tail": true}))
            .await
    }

    /// What is in the log of an app.
    pub async fn logs(&self, app: &str) -> String {
        let tail = self.session(app, serde_json::json!({"lines": 1500})).await;
        tail.unwrap().rest().await
    }

    async fn session(&self, app: &str, wanted: Value) -> Result<Tail, Lost> {
        let path = format!("/apps/{app}/log-sessions");
        let session = self.try_call("POST", path, wanted).await?.expect(201);
        self.follow(session["logplex_url"].as_str().unwrap()).await
    }

    /// Reads a URL line by line, as it comes.
    pub async fn follow(&self, url: &str) -> Result<Tail, Lost> {
        let response = self.http.get(url).send().await.map_err(|_| Lost)?;
        assert_eq!(response.status().as_u16(), 200);
        Ok(Tail::new(response))
    }
}

async fn answer(request: RequestBuilder) -> Result<Answer, Lost> {
    let response = request.send().await.map_err(|_| Lost)?;
    Ok(Answer {
        status: response.status().as_u16(),
        body: response.bytes().await.map_err(|_| Lost)?.to_vec(),
    })
}
