//! How far a drain has come in an app's log: the timestamp of the last line that it has delivered, in a file beside the lines.
//!
//! It is written in place and not synced, as lines are not: a killed server loses nothing of it, and after a power cut a drain may
//! send some lines once more. It goes with the app's log. It must not know what a drain is.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::name::Id;
use crate::time::Timestamp;

fn path(dir: &Path, drain: Id) -> PathBuf {
    dir.join(format!("{drain}.cursor"))
}

/// Where the drain is to go on. `None` if it has never delivered anything, or what is there cannot be read.
pub(super) fn read(dir: &Path, drain: Id) -> Option<Timestamp> {
    Timestamp::parse(fs::read_to_string(path(dir, drain)).ok()?.trim())
}

/// A timestamp's text is of one width, so the new one covers the old. Fails where the log is gone, rather than bring it back.
pub(super) fn write(dir: &Path, drain: Id, last: Timestamp) -> std::io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path(dir, drain))?;
    file.write_all_at(last.to_log().as_bytes(), 0)
}

/// Forgets every cursor but those of these drains.
pub(super) fn keep(dir: &Path, drains: &[Id]) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let drain = name.to_str().and_then(|name| name.strip_suffix(".cursor"));
        let drain = drain.and_then(Id::parse);
        if drain.is_some_and(|drain| !drains.contains(&drain)) {
            // What stays is a few bytes that the next start looks at again.
            let _ = fs::remove_file(entry.path());
        }
    }
}
