//! What it means that an archive is refused.

use std::fs;
use std::path::Path;

use penstock::archive::{Limits, Strip, inspect, unpack};
use penstock::error::ErrorId;

/// Refused by both, with a message that names `named`; and nothing outside of the tree has changed.
#[track_caller]
pub fn refused_within(limits: &Limits, strip: Strip, named: &str, make: impl Fn(&Path) -> Vec<u8>) {
    let outer = tempfile::tempdir().unwrap();
    let (canary, tree) = (outer.path().join("canary"), outer.path().join("tree"));
    fs::write(&canary, "alive").unwrap();
    fs::create_dir(&tree).unwrap();
    let archive = make(outer.path());

    let unpacked = unpack(&archive[..], &tree, limits, strip).expect_err("unpacked");
    let inspected = inspect(&archive[..], limits, strip, &[]).expect_err("inspected");

    assert_eq!(unpacked.id, ErrorId::InvalidParams, "{unpacked}");
    assert_eq!(unpacked.message, inspected.message);
    assert!(
        unpacked.message.contains(named),
        "`{named}` is not in: {unpacked}"
    );
    assert!(unpacked.message.len() < 800 && !unpacked.message.contains(['\n', '\x1b']));
    let mut beside: Vec<_> = fs::read_dir(outer.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    beside.sort();
    assert_eq!(beside, ["canary", "tree"]);
    assert_eq!(fs::read_to_string(&canary).unwrap(), "alive");
}
