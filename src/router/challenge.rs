//! The texts by which an authority sees that a host leads to this server, before it signs a certificate for it (RFC 8555, 8.3).

use std::fmt::Debug;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, Uri};

use super::answer::Answer;

/// Where authorities look for them.
const PATH: &str = "/.well-known/acme-challenge/";

/// Where the texts come from.
pub trait Challenges: Debug + Send + Sync {
    /// What is to be found at the host under this token, while an authority asks for it. Called on the router's threads, so it
    /// must not wait.
    fn text(&self, host: &str, token: &str) -> Option<String>;
}

/// The answer to an authority; `None` for everybody else.
pub(super) fn answer(
    challenges: &dyn Challenges,
    host: &str,
    method: &Method,
    target: &Uri,
) -> Option<Response<Answer>> {
    let token = target.path().strip_prefix(PATH)?;
    if method != Method::GET {
        return None;
    }
    let text = challenges.text(host, token)?;
    let mut response = Response::new(Answer::from(Bytes::from(text)));
    let text = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(CONTENT_TYPE, text);
    Some(response)
}
