//! Collects what nothing points at any more: expired tokens, sources and invitations, slugs without an app, blobs without a row,
//! logs, repositories and build caches, outputs of builds and releases, and webhooks of deleted apps, and what webhooks were told of long ago. What the
//! audit trail says of past months is archived on the way.
//!
//! Whatever is younger than a grace is left alone, since bytes are on disk before the row that points at them.

use std::sync::Arc;
use std::time::Duration;

use crate::Platform;
use crate::audit_archives;
use crate::error::{Error, Result};
use crate::store::{
    addon_tokens, app_setups, apps, builds, cli_logins, oauth_tokens, releases, review_apps, slugs,
    sources, team_invitations, webhook_deliveries, webhooks,
};

/// Longer than any upload may take to get its row.
const GRACE: Duration = Duration::from_secs(60 * 60);
/// How long it is remembered what a webhook was told, as on Heroku.
const TOLD: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const EVERY: Duration = Duration::from_secs(60 * 60);

/// One round. Returns how many blobs went.
pub async fn sweep(platform: &Arc<Platform>) -> Result<u64> {
    let now = platform.clock.now();
    platform
        .store
        .write(move |connection| {
            addon_tokens::delete_expired(connection, now)?;
            cli_logins::delete_expired(connection, now)?;
            oauth_tokens::delete_expired(connection, now)?;
            review_apps::delete_stale(connection, now)?;
            sources::delete_expired(connection, now)?;
            team_invitations::delete_expired(connection, now)?;
            webhook_deliveries::forget_before(connection, now.minus(TOLD))?;
            webhooks::delete_orphans(connection)?;
            slugs::delete_unreachable(connection)
        })
        .await?;
    // Its events wait in their table, and the disk may need what the rest of this gives back.
    if let Err(error) = audit_archives::archive(platform).await {
        tracing::warn!(%error, "the audit trail was not archived; the next sweep does it");
    }
    // What a backup is about to copy stays; the next round comes soon enough.
    let Some(_alone) = platform.blobs.alone()? else {
        return Ok(0);
    };
    let (platform, repositories) = (platform.clone(), platform.clone());
    let swept = tokio::task::spawn_blocking(move || {
        for app in platform.logs.stored()? {
            if platform
                .store
                .read(|connection| apps::name(connection, app))?
                .is_none()
            {
                platform.logs.remove(app)?;
            }
        }
        for app in platform.caches.stored()? {
            if platform
                .store
                .read(|connection| apps::name(connection, app))?
                .is_none()
            {
                platform.caches.remove(app)?;
            }
        }
        for deed in platform.outputs.stored()? {
            if platform.store.read(|connection| {
                Ok(builds::by_id(connection, deed)?.is_none()
                    && releases::by_id(connection, deed)?.is_none()
                    && !app_setups::tells_of_build(connection, deed)?)
            })? {
                platform.outputs.remove(deed)?;
            }
        }
        for app in platform.git.stored()? {
            if platform
                .store
                .read(|connection| apps::name(connection, app))?
                .is_none()
            {
                platform.git.remove(app)?;
            }
        }
        // A blob whose row could not be asked for is kept.
        let wanted = |digest: &crate::blob::Digest| {
            platform
                .store
                .read(|connection| slugs::blob_wanted(connection, &digest.to_string(), now))
                .unwrap_or(true)
        };
        platform.blobs.sweep(&wanted, GRACE)
    })
    .await
    .map_err(Error::internal)?;
    for app in repositories.git.stored()? {
        if let Err(error) = repositories.git.tidy(app).await {
            tracing::warn!(%app, %error, "a repository was not packed");
        }
        if let Err(error) = repositories.note_repo_size(app).await {
            tracing::warn!(%app, %error, "a repository's size was not noted");
        }
    }
    swept
}

/// Sweeps at the start and every hour.
pub async fn run(platform: Arc<Platform>) {
    loop {
        match sweep(&platform).await {
            Ok(0) => {}
            Ok(blobs) => tracing::info!(blobs, "unreferenced blobs were collected"),
            Err(error) => tracing::warn!(%error, "a sweep failed; the next one does its work"),
        }
        tokio::time::sleep(EVERY).await;
    }
}
