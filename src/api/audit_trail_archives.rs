//! Archives of the audit trail: one for each month that is over, as a gzipped JSON array behind a signed URL.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::audit_trail_events::require_trail;
use super::call::Call;
use super::reply::Reply;
use crate::blob::signed::Method;
use crate::error::{Error, Result};
use crate::store::audit_trail::{self, ARCHIVE_FIELDS, Archive};
use crate::time::{Month, Timestamp};

/// How long a link to an archive lives.
const LIFE: Duration = Duration::from_secs(60 * 60);

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Archive")]
pub struct View {
    checksum: String,
    created_at: Timestamp,
    /// Two digits.
    month: String,
    /// In bytes.
    size: i64,
    url: String,
    year: i64,
}

fn view(call: &Call, archive: Archive) -> View {
    let name = archive.month.to_string();
    let (year, month) = name.split_once('-').unwrap_or_default();
    let expires = call.caller.now.plus(LIFE);
    let path = format!("/blobs/archives/{name}");
    View {
        checksum: format!("SHA256:{}", archive.digest),
        created_at: archive.created_at,
        month: month.to_owned(),
        size: archive.size,
        url: call.platform.signed_url(Method::Get, &path, expires),
        year: year.parse().unwrap_or_default(),
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    require_trail(&call)?;
    let paged = call
        .page(ARCHIVE_FIELDS, |connection, _, page| {
            audit_trail::list_archives(connection, page)
        })
        .await?;
    paged.reply(|archive| view(&call, archive))
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    require_trail(&call)?;
    let params = &call.caller.params;
    let month = format!("{}-{}", params.text("year"), params.text("month"));
    let found = match Month::parse(&month) {
        Some(month) => call.read(|connection, _| audit_trail::find_archive(connection, month))?,
        None => None,
    };
    let archive = found.ok_or_else(|| Error::not_found("archive"))?;
    Reply::of(&view(&call, archive))
}
