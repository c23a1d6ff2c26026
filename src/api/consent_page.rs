//! The page on which a person says whether a client may act for her.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::addon_sso::escaped;
use super::login_page::framed;
use super::oauth_consent::Asked;
use crate::store::scopes::{Scope, Scopes};

pub enum Page<'a> {
    /// Whether she wants it, with what was wrong with the answer before.
    Question(&'a Asked, Option<&'a str>),
    /// There is nothing to be answered, for this reason.
    Wrong(&'a str),
}

pub fn page(page: &Page<'_>) -> HttpResponse {
    match page {
        Page::Question(asked, complaint) => {
            let status = match complaint {
                None => StatusCode::OK,
                Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
            };
            let content = question(asked, *complaint);
            // A browser that is told less goes nowhere after the form.
            framed(
                status,
                "A program asks for your account",
                &content,
                &asked.place(),
            )
        }
        Page::Wrong(why) => {
            let content = format!(
                "<p>{}</p><p class=\"hint\">Somebody's program has sent you here with a mistake in it. Nobody was let in; tell whoever made the program.</p>",
                escaped(why)
            );
            framed(
                StatusCode::BAD_REQUEST,
                "This cannot be answered",
                &content,
                "",
            )
        }
    }
}

/// What a scope lets a client do, for a person who decides about it.
fn meaning(scope: Scope) -> &'static str {
    match scope {
        Scope::Global => "do everything that you can, also with your account and its tokens",
        Scope::Identity => "see your name and your e-mail address",
        Scope::Read => {
            "see your apps and pipelines and all that belongs to them, but for config vars"
        }
        Scope::Write => "see and change your apps and pipelines, but for config vars",
        Scope::ReadProtected => "see your apps and pipelines, with their config vars",
        Scope::WriteProtected => "see and change your apps and pipelines, with their config vars",
    }
}

fn list(scopes: Scopes) -> String {
    let item = |scope: Scope| {
        let (meaning, word) = (meaning(scope), scope.as_str());
        format!("<li>{meaning} (<code>{word}</code>)</li>")
    };
    scopes.list().into_iter().map(item).collect()
}

fn question(asked: &Asked, complaint: Option<&str>) -> String {
    let complaint = complaint.map_or_else(String::new, |complaint| {
        let complaint = escaped(complaint);
        format!("<p class=\"complaint\" role=\"alert\">{complaint}</p>")
    });
    format!(
        "<p><strong>{}</strong> wants to</p>
<ul>{}</ul>
<dl><dt>You go on to</dt><dd>{}</dd></dl>
<p class=\"warning\">Allow it only if you have begun this there yourself, and know whose program it is: its name is what its maker chose.</p>
<form method=\"post\">
<label for=\"token\">API token of your account</label>
<input id=\"token\" name=\"token\" type=\"password\" autocomplete=\"off\" spellcheck=\"false\" autofocus maxlength=\"200\">
{complaint}
<p class=\"hint\">The program never sees this token: it gets one of its own, for what is said above. Whoever runs the server prints one for
you with <code>penstock token create YOUR-EMAIL</code>; <code>heroku auth:token</code> shows the one that you are logged in with. Take back what
you allow with <code>heroku authorizations:revoke</code>.</p>
<p class=\"answers\"><button name=\"answer\" value=\"allow\">Allow</button>
<button class=\"refuse\" name=\"answer\" value=\"refuse\">Refuse</button></p>
</form>",
        escaped(&asked.client.name),
        list(asked.scopes),
        escaped(&asked.place()),
    )
}
