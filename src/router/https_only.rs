//! Hosts that are visited within TLS alone: where visitors are sent who come without.

use hyper::header::{HeaderValue, LOCATION};
use hyper::{Method, Response, StatusCode, Uri};

use super::answer::Answer;

/// The port that `https://` means.
const HTTPS: u16 = 443;

/// Sends the visitor to the same place within TLS, at this port. Only what is asked for may be asked for again in another way.
pub(super) fn elsewhere(
    (method, host, target): (&Method, &str, &Uri),
    port: u16,
) -> Response<Answer> {
    let path = target.path_and_query();
    let path = path.map_or("/", |path| path.as_str());
    let port = match port {
        HTTPS => String::new(),
        port => format!(":{port}"),
    };
    let place = format!("https://{host}{port}{path}");
    let mut response = Response::new(Answer::Page(None));
    *response.status_mut() = match *method {
        Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::PERMANENT_REDIRECT,
    };
    // A path has been read as a part of a URL, so it can be written as one.
    if let Ok(place) = HeaderValue::from_str(&place) {
        response.headers_mut().insert(LOCATION, place);
    }
    response
}
