//! `GET /health`: whether the server can do its work, for whoever watches it. Anybody may ask, as often as he likes, and learns
//! nothing else.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::call::Visit;
use crate::Platform;
use crate::error::{Error, ErrorId, Result};
use crate::store::figures;

/// One answer is given for so long, however many ask.
const FRESH: Duration = Duration::from_secs(2);
/// A write that takes longer is as good as none.
const PATIENCE: Duration = Duration::from_secs(2);

/// When the database was looked at, and whether it could be written.
#[derive(Default)]
pub struct Health(Mutex<Option<(Instant, bool)>>);

impl Health {
    /// Whether the database can be written, as of a moment ago.
    async fn writes(&self, platform: &Platform) -> bool {
        let mut last = self.0.lock().await;
        if let Some((at, writes)) = *last
            && at.elapsed() < FRESH
        {
            return writes;
        }
        let written = timeout(PATIENCE, platform.store.write(figures::touch)).await;
        let writes = matches!(written, Ok(Ok(())));
        *last = Some((Instant::now(), writes));
        writes
    }
}

pub async fn info(visit: Visit) -> Result<HttpResponse> {
    if !visit.platform.health.writes(&visit.platform).await {
        return Err(Error::new(
            ErrorId::Unavailable,
            "The database cannot be written. Look at the server's log, and at the room on its disk.",
        ));
    }
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    Ok(response.json(json!({ "status": "ok" })))
}
