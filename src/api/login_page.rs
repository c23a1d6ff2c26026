//! The pages that a person sees who logs the CLI in by way of a browser, and the frame that they have in common with those of the
//! consent to a client. They load nothing, are kept by nobody, and stand in no frame of another page.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};

use super::addon_sso::escaped;
use crate::store::cli_logins::CliLogin;
use crate::time::Timestamp;

const TEMPLATE: &str = include_str!("../../assets/pages/login.html");
/// What it has in common with the pages of the router.
const BASE: &str = include_str!("../../assets/pages/base.css");
pub enum Page<'a> {
    /// Whether it was she who asked; with what was wrong with the answer before.
    Question(&'a CliLogin, Timestamp, Option<&'static str>),
    /// To whose account.
    Done(&'a str),
    Refused,
    /// The link is unknown, answered or too old.
    Over,
}

pub fn page(page: &Page<'_>) -> HttpResponse {
    let (title, content) = match page {
        Page::Question(login, now, complaint) => {
            ("Log in to Penstock", question(login, *now, *complaint))
        }
        Page::Done(email) => (
            "You are logged in",
            format!(
                "<p>The command line now acts as <strong>{}</strong>. Close this page and go back to it.</p>",
                escaped(email)
            ),
        ),
        Page::Refused => (
            "Nobody was let in",
            "<p>The login was refused. If somebody sent you the link, tell them that they will not get in.</p>".to_owned(),
        ),
        Page::Over => (
            "This login is over",
            "<p>Its link was used already, or is older than ten minutes. Type <code>heroku login</code> again.</p>".to_owned(),
        ),
    };
    let status = match page {
        Page::Over => StatusCode::NOT_FOUND,
        Page::Question(_, _, Some(_)) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::OK,
    };
    framed(status, title, &content, "")
}

/// A page with this heading. Its form, if it has one, may be sent to where it came from, and the answer may lead to `onward`: an
/// origin, or nothing.
pub fn framed(status: StatusCode, title: &str, content: &str, onward: &str) -> HttpResponse {
    let text = TEMPLATE
        .replace("{{base}}", BASE.trim_end())
        .replace("{{title}}", title)
        .replace("{{content}}", content);
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self' {onward}; frame-ancestors 'none'; base-uri 'none'"
    );
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy.replace(" ;", ";")))
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::X_FRAME_OPTIONS, "DENY"))
        .body(text)
}

fn question(login: &CliLogin, now: Timestamp, complaint: Option<&str>) -> String {
    let complaint = complaint.map_or_else(String::new, |complaint| {
        format!("<p class=\"complaint\" role=\"alert\">{complaint}</p>")
    });
    let minutes = now.since(login.created_at).as_secs() / 60;
    let when = match minutes {
        0 => "less than a minute ago".to_owned(),
        1 => "a minute ago".to_owned(),
        minutes => format!("{minutes} minutes ago"),
    };
    format!(
        "<p>A command line asks to act as you:</p>
<dl><dt>It says</dt><dd>{}</dd><dt>From</dt><dd>{}</dd><dt>Begun</dt><dd>{when}</dd></dl>
<p class=\"warning\">Go on only if you yourself have just typed <code>heroku login</code> there. If somebody sent you here, refuse.</p>
<form method=\"post\">
<label for=\"token\">API token of your account</label>
<input id=\"token\" name=\"token\" type=\"password\" autocomplete=\"off\" spellcheck=\"false\" autofocus maxlength=\"200\">
{complaint}
<p class=\"hint\">Whoever runs the server prints one for you with <code>penstock token create YOUR-EMAIL</code>. The command line gets a
token of its own, good for 30 days, which you can end with <code>heroku logout</code>.</p>
<p class=\"answers\"><button name=\"answer\" value=\"accept\">Log in</button>
<button class=\"refuse\" name=\"answer\" value=\"refuse\">This was not me</button></p>
</form>",
        escaped(&login.description),
        escaped(&login.address),
    )
}
