//! How large a repository is: the bytes of its objects, as they lie on disk.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::Git;
use crate::error::{Error, Result};
use crate::name::Id;

impl Git {
    /// Bytes of an app's repository; `None` where there is none, since nobody has pushed to it.
    pub async fn size(&self, app: Id) -> Result<Option<u64>> {
        let objects = self.repository(app).join("objects");
        let sizing = tokio::task::spawn_blocking(move || match objects.try_exists()? {
            true => of(&objects).map(Some),
            false => Ok(None),
        });
        Ok(sizing.await.map_err(Error::internal)??)
    }
}

/// Bytes of all files below a folder of the repository: git keeps its objects two levels deep, and what is pushed a level deeper.
pub(super) fn of(folder: &Path) -> io::Result<u64> {
    let entries = match std::fs::read_dir(folder) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut bytes = 0;
    for entry in entries {
        let entry = entry?;
        // Git may be tidying up at the same time.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        bytes += match metadata.is_dir() {
            true => of(&entry.path())?,
            false => metadata.len(),
        };
    }
    Ok(bytes)
}
