//! The bytes behind signed URLs: source tarballs and slugs, sent with PUT and fetched with GET, and archives of the audit trail.

use actix_web::HttpResponse;
use actix_web::http::header;
use futures_util::TryStreamExt;

use super::call::Visit;
use super::sending;
use crate::app_json;
use crate::archive;
use crate::blob::signed::Method;
use crate::blob::{Blob, Digest};
use crate::cron;
use crate::error::{Error, Result};
use crate::health_checks;
use crate::name::Id;
use crate::store::cron_jobs::Entry;
use crate::store::{audit_trail, slugs, sources};
use crate::time::Month;

/// Heroku's limits, in bytes: of a checkout, and of a slug.
const MAX_SOURCE: u64 = 1 << 30;
const MAX_SLUG: u64 = 500 << 20;

pub async fn put_source(mut visit: Visit) -> Result<HttpResponse> {
    visit.verify(Method::Put)?;
    let id = visit.params.id("source", "source")?;
    visit
        .platform
        .store
        .read(|connection| sources::by_id(connection, id))?;
    let blob = visit.store(MAX_SOURCE).await?;
    let (digest, size) = (blob.digest.to_string(), row_size(&blob));
    visit
        .platform
        .store
        .write(move |connection| sources::uploaded(connection, id, &digest, size))
        .await?;
    Ok(kept(&blob))
}

pub async fn put_slug(mut visit: Visit) -> Result<HttpResponse> {
    visit.verify(Method::Put)?;
    let id = visit.params.id("slug", "slug")?;
    let slug = visit
        .platform
        .store
        .read(|connection| slugs::by_id(connection, id))?;
    let slug = slug.ok_or_else(|| Error::not_found("slug"))?;
    let blob = visit.store(MAX_SLUG).await?;
    let checksum = blob.digest.checksum();
    if slug.checksum.is_some_and(|expected| expected != checksum) {
        return Err(Error::invalid(format!(
            "The upload has the checksum {checksum}, which is not the slug's. Upload the file that it was made for."
        )));
    }
    let cron = runnable(&visit, blob.digest).await?;
    let (digest, size, now) = (blob.digest.to_string(), row_size(&blob), visit.now);
    visit
        .platform
        .store
        .write(move |connection| slugs::uploaded(connection, id, &digest, size, &cron, now))
        .await?;
    Ok(kept(&blob))
}

/// An empty answer, with the `ETag` that the bytes will be fetched under.
fn kept(blob: &Blob) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::ETAG, format!("\"{}\"", blob.digest)))
        .finish()
}

/// The cron jobs of a slug. 422 for those that cannot be, and for what no dyno could unpack, told now rather than when it is
/// released.
async fn runnable(visit: &Visit, digest: Digest) -> Result<Vec<Entry>> {
    let blobs = visit.platform.blobs.clone();
    actix_web::rt::task::spawn_blocking(move || {
        let limits = archive::Limits::slug();
        let strip = archive::Strip::Prefix("app");
        let archive = blobs.open_blob(&digest)?;
        let listing = archive::inspect(archive, &limits, strip, &[app_json::NAME])?;
        health_checks::check(&listing.files)?;
        cron::entries(&listing.files)
    })
    .await
    .map_err(Error::internal)?
}

fn row_size(blob: &Blob) -> i64 {
    i64::try_from(blob.size).unwrap_or(i64::MAX)
}

pub async fn get_source(visit: Visit) -> Result<HttpResponse> {
    visit.verify(Method::Get)?;
    let id: Id = visit.params.id("source", "source")?;
    let source = visit
        .platform
        .store
        .read(|connection| sources::by_id(connection, id))?;
    send(&visit, source.digest).await
}

pub async fn get_slug(visit: Visit) -> Result<HttpResponse> {
    visit.verify(Method::Get)?;
    let id: Id = visit.params.id("slug", "slug")?;
    let slug = visit
        .platform
        .store
        .read(|connection| slugs::by_id(connection, id))?;
    send(&visit, slug.and_then(|slug| slug.digest)).await
}

pub async fn get_archive(visit: Visit) -> Result<HttpResponse> {
    visit.verify(Method::Get)?;
    let month = Month::parse(visit.params.text("month"));
    let month = month.ok_or_else(|| Error::not_found("archive"))?;
    let archive = visit
        .platform
        .store
        .read(|connection| audit_trail::find_archive(connection, month))?;
    send(&visit, archive.map(|archive| archive.digest)).await
}

async fn send(visit: &Visit, digest: Option<String>) -> Result<HttpResponse> {
    let digest = digest
        .as_deref()
        .and_then(Digest::parse)
        .ok_or_else(|| Error::not_found("blob"))?;
    let (size, bytes) = visit.platform.blobs.read(&digest).await?;
    let answer = HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/gzip"))
        .insert_header((header::ETAG, format!("\"{digest}\"")))
        .no_chunking(size)
        .streaming(bytes.map_err(actix_web::error::ErrorInternalServerError));
    Ok(sending::ends(answer))
}
