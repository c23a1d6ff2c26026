//! Archives of the audit trail: once a month is over, its events go into one blob, and those of long ago are forgotten.
//!
//! It must not know who may read one.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::Platform;
use crate::blob::Blob;
use crate::error::{Error, Result};
use crate::store::audit_trail::{self, Archive};
use crate::time::Month;

/// How long a month has been over before it is written: a clock may have been put right meanwhile.
const SETTLED: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an event is kept beside its archive.
const KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Far more than a month of an API with rate limits gives.
const MAX_BYTES: u64 = 10 << 30;

/// Writes the archives that are due, and forgets what has been in one for long. A crash between the blob and its row costs the
/// blob, which is swept.
pub async fn archive(platform: &Arc<Platform>) -> Result<()> {
    let now = platform.clock.now();
    while let Some(month) = platform.store.read(audit_trail::unarchived)? {
        if month.next().begin().plus(SETTLED) > now {
            break;
        }
        let from = platform.clone();
        let blob = tokio::task::spawn_blocking(move || write(&from, month)).await;
        let blob = blob.map_err(Error::internal)??;
        let archive = Archive {
            month,
            digest: blob.digest.to_string(),
            size: i64::try_from(blob.size).unwrap_or(i64::MAX),
            created_at: now,
        };
        let insert = move |connection: &_| audit_trail::create_archive(connection, &archive);
        platform.store.write(insert).await?;
    }
    let before = now.minus(KEPT);
    let forget = move |connection: &_| audit_trail::forget_before(connection, before);
    while platform.store.write(forget).await? > 0 {}
    Ok(())
}

/// One JSON array, gzipped, with an event on each line.
fn write(platform: &Platform, month: Month) -> Result<Blob> {
    let mut archive = GzEncoder::new(platform.blobs.writer(MAX_BYTES)?, Compression::default());
    let mut before: &[u8] = b"[\n";
    platform.store.read(|connection| {
        audit_trail::each_of(connection, month, |event| {
            archive.write_all(before)?;
            before = b",\n";
            serde_json::to_writer(&mut archive, &event).map_err(Error::internal)
        })
    })?;
    archive.write_all(b"\n]\n")?;
    archive.finish()?.finish()
}
