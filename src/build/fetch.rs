//! Getting a build's source: from our own blobs when it was uploaded here, else from a URL into them.

use crate::blob::{Blob, Blobs, Digest};
use crate::error::{Error, ErrorId, Result};
use crate::outbound::{self, Outbound};
use crate::output::Writer;
use crate::store::builds::Build;

use super::Settings;

/// Where a source is, and what it has to be.
pub struct SourceOf<'a> {
    pub url: &'a str,
    /// Of an upload. It is not fetched again, whatever its URL says by now.
    pub digest: Option<&'a str>,
    pub checksum: Option<&'a str>,
}

/// The source of a build, told of in its output.
pub(super) async fn source(
    build: &Build,
    blobs: &Blobs,
    outbound: &Outbound,
    settings: &Settings,
    output: &Writer,
) -> Result<Blob> {
    output.step("Fetching source");
    if build.source_digest.is_none() {
        output.detail(&outbound::shown(&build.source_url));
    }
    let wanted = SourceOf {
        url: &build.source_url,
        digest: build.source_digest.as_deref(),
        checksum: build.checksum.as_deref(),
    };
    let source = fetch(&wanted, blobs, outbound, settings).await?;
    output.detail(&format!("Done: {}", super::slug::shown(source.size)));
    Ok(source)
}

/// The source as a blob, once it is what its checksum says.
pub async fn fetch(
    wanted: &SourceOf<'_>,
    blobs: &Blobs,
    outbound: &Outbound,
    settings: &Settings,
) -> Result<Blob> {
    let source = match wanted.digest {
        Some(digest) => uploaded(blobs, digest)?,
        None => {
            let download = download(wanted.url, blobs, outbound, settings.max_source);
            tokio::time::timeout(settings.fetch_limit, download)
                .await
                .unwrap_or_else(|_| Err(too_slow(settings)))?
        }
    };
    if let Some(checksum) = wanted.checksum {
        check(checksum, &source)?;
    }
    Ok(source)
}

fn uploaded(blobs: &Blobs, digest: &str) -> Result<Blob> {
    let digest =
        Digest::parse(digest).ok_or_else(|| Error::internal("a source's digest is none"))?;
    let size = blobs.size(&digest).map_err(|error| match error.id {
        ErrorId::NotFound => Error::invalid(
            "The uploaded source is no longer there. Upload it again, then create another build.",
        ),
        _ => error,
    })?;
    Ok(Blob { digest, size })
}

async fn download(url: &str, blobs: &Blobs, outbound: &Outbound, max_bytes: u64) -> Result<Blob> {
    let body = outbound.get(url).await?;
    if let Some(length) = body.length.filter(|length| *length > max_bytes) {
        return Err(too_large(&format!("is {length} bytes long"), max_bytes));
    }
    let stored = blobs.store(body.chunks, max_bytes).await;
    stored.map_err(|error| match error.id {
        ErrorId::RequestTooLarge => too_large("goes on and on", max_bytes),
        _ => error,
    })
}

fn too_large(how: &str, max_bytes: u64) -> Error {
    Error::invalid(format!(
        "The source {how}, and at most {max_bytes} bytes are taken. Leave out what the build can make, such as node_modules."
    ))
}

fn too_slow(settings: &Settings) -> Error {
    Error::invalid(format!(
        "The source did not arrive in {} minutes. Upload it with `POST /sources`, or give a URL that is faster.",
        settings.fetch_limit.as_secs() / 60
    ))
}

fn check(checksum: &str, source: &Blob) -> Result<()> {
    if Digest::parse_checksum(checksum)? == source.digest {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "The source's checksum is {}, and the build was given {checksum}. Upload the source again, or correct the checksum.",
        source.digest.checksum()
    )))
}
