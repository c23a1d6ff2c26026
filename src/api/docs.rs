//! `GET /docs`: the documentation, for anybody with a browser, and as it was written for anybody with curl.

use actix_web::HttpResponse;
use actix_web::http::header;

use super::call::Visit;
use super::conditional::{self, etag};
use crate::docs;
use crate::error::{Error, ErrorId, Result};

/// A page has no scripts, takes nothing from elsewhere, and is nobody's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`: there is nothing there but the way to the pages.
pub async fn root(_: Visit) -> Result<HttpResponse> {
    Ok(HttpResponse::SeeOther()
        .insert_header((header::LOCATION, "/docs"))
        .finish())
}

pub async fn contents(visit: Visit) -> Result<HttpResponse> {
    Ok(text(&visit, "text/html", docs::contents()))
}

/// What `.md` at the end of `/docs` asks for.
pub async fn contents_as_text(visit: Visit) -> Result<HttpResponse> {
    Ok(text(&visit, "text/markdown", docs::contents_as_text()))
}

pub async fn style(visit: Visit) -> Result<HttpResponse> {
    Ok(text(&visit, "text/css", docs::STYLE))
}

/// 404 where there is no such page.
pub async fn page(visit: Visit) -> Result<HttpResponse> {
    let name = visit.params.text("page");
    let found = match name.strip_suffix(".md") {
        Some(name) => docs::markdown(name).map(|page| text(&visit, "text/markdown", page)),
        None => docs::document(name).map(|page| text(&visit, "text/html", page)),
    };
    found.ok_or_else(|| Error {
        resource: Some("page"),
        ..Error::new(
            ErrorId::NotFound,
            "There is no such page. GET /docs lists those that there are.",
        )
    })
}

fn text(visit: &Visit, kind: &str, text: &'static str) -> HttpResponse {
    let etag = etag(text.as_bytes());
    if conditional::is_known(visit.request.headers(), &etag) {
        return HttpResponse::NotModified()
            .insert_header((header::ETAG, etag))
            .finish();
    }
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, format!("{kind}; charset=utf-8")))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::ETAG, etag))
        .body(text)
}
