//! What a person sees who opens an address of the API in a browser: a page in words, where a program gets JSON.
//!
//! It must not know what was asked, but for an invitation, whose address is handed from one person to another.

use actix_web::http::header::{self, HeaderMap};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};

use super::addon_sso::escaped;
use crate::error::Error;

const TEMPLATE: &str = include_str!("../../assets/pages/login.html");
const BASE: &str = include_str!("../../assets/pages/base.css");
/// It loads nothing, and stands in no frame.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";
/// What browsers ask for beside any page. There is none, which is no news.
const ICON: &str = "/favicon.ico";

/// The icon of this server, which has none; `None` for every other request.
pub fn icon(request: &HttpRequest) -> Option<HttpResponse> {
    let asked = request.method() == Method::GET && request.path() == ICON;
    asked.then(|| {
        HttpResponse::NoContent()
            .insert_header((header::CACHE_CONTROL, "max-age=86400"))
            .finish()
    })
}

/// The page in the place of an error; `None` for who is no browser.
pub fn page(request: &HttpRequest, error: &Error, api: &str) -> Option<HttpResponse> {
    if request.method() != Method::GET || !is_browser(request.headers()) {
        return None;
    }
    if let Some(token) = invitation(request.path()) {
        return Some(html(
            StatusCode::OK,
            "You are invited",
            &invited(api, token),
        ));
    }
    let status = StatusCode::from_u16(error.id.status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let title = match status {
        StatusCode::NOT_FOUND => "There is no such page",
        StatusCode::UNAUTHORIZED => "This address is for programs",
        _ => "This cannot be shown",
    };
    let content = format!(
        "<p>{}</p><p>The <a href=\"/docs\">documentation</a> says what this server is and how it is used.</p>",
        escaped(&error.message)
    );
    Some(html(status, title, &content))
}

/// Browsers say that they would rather have a page; what sends a token is a program.
fn is_browser(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT);
    let accepted = accepted.and_then(|accepted| accepted.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("text/html"))
        && !headers.contains_key(header::AUTHORIZATION)
}

/// The token in the address of an invitation. Whatever it is, it stands in no page but as what it looks like.
fn invitation(path: &str) -> Option<&str> {
    let token = path.strip_prefix("/teams/invitations/")?;
    let token = token.strip_suffix("/accept").unwrap_or(token);
    let is_one = token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then_some(token)
}

fn invited(api: &str, token: &str) -> String {
    format!(
        "<p>Somebody has invited you into a team on this server. To accept, type this where the <code>heroku</code> CLI is logged in to it, \
         with the account of the address that was invited:</p>
<pre><code>curl -X POST {}/teams/invitations/{token}/accept -H \"Authorization: Bearer $(heroku auth:token)\"</code></pre>
<p class=\"hint\">Without an account, ask whoever invited you for one. The invitation is good for seven days, and for nobody else. How to
log in stands in the <a href=\"/docs\">documentation</a>.</p>",
        escaped(api)
    )
}

fn html(status: StatusCode, title: &str, content: &str) -> HttpResponse {
    let text = TEMPLATE
        .replace("{{base}}", BASE.trim_end())
        .replace("{{title}}", title)
        .replace("{{content}}", content);
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::X_FRAME_OPTIONS, "DENY"))
        .body(text)
}
