//! Whether a form comes from a page of this server, and not from one of somebody else's that a person happens to look at.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderValue;

use crate::error::{Error, Result};

/// 403 for a form that another site's page has sent. Browsers say whether one is, or at least where it comes from. `instead` is what
/// a person does who was misled.
pub(super) fn require(request: &HttpRequest, instead: &str) -> Result<()> {
    let headers = request.headers();
    let said = |name: &str| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let host = said("host").unwrap_or_default();
    let own = match (said("sec-fetch-site"), said("origin")) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => origin
            .split_once("://")
            .is_some_and(|(_, from)| from.eq_ignore_ascii_case(host)),
        // No browser's.
        (None, None) => true,
    };
    match own {
        true => Ok(()),
        false => Err(Error::forbidden(format!(
            "The form came from another site. {instead}"
        ))),
    }
}
