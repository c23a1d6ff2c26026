//! The server itself, as whoever is about to use it has to know it: where it is, and by which authority's certificates.

use actix_web::HttpResponse;
use serde_json::json;

use super::call::Visit;
use super::reply;
use crate::error::Result;

/// For anybody: `penstock connect` asks before it has a token. A certificate is no secret.
pub async fn info(visit: Visit) -> Result<HttpResponse> {
    Ok(reply::document(&json!({
        "api_url": visit.platform.urls.api,
        "ca_certificate": visit.platform.ca_certificate,
        "router_url": visit.platform.urls.router(),
    })))
}
