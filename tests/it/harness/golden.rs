//! Snapshots that are checked in under `tests/golden`, so that a change to what they hold is seen and meant.

use std::path::PathBuf;

/// Holds `found` to the snapshot of this name. `UPDATE_GOLDEN=1 cargo test` writes it anew, for the diff to be read.
#[track_caller]
pub fn golden(name: &str, found: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let path = path.join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    for (at, (kept, found)) in kept.lines().zip(found.lines()).enumerate() {
        assert_eq!(kept, found, "{name}, line {}", at + 1);
    }
    assert_eq!(kept, found, "{name}");
}
