//! Whether the platform is well, as the official CLI asks Heroku's status site. Whoever is answered knows the most of it; what is wrong
//! with an app is in its log.

use actix_web::HttpResponse;
use serde_json::json;

use super::call::Visit;
use crate::error::Result;

pub async fn current(_: Visit) -> Result<HttpResponse> {
    let systems =
        ["Apps", "Data", "Tools"].map(|system| json!({ "system": system, "status": "green" }));
    Ok(HttpResponse::Ok().json(json!({ "status": systems, "incidents": [], "scheduled": [] })))
}
