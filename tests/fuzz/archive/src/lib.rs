//! Arbitrary bytes as an archive. The modules that read archives are taken as they are, without the rest of the server, so that what
//! is tried is compiled in seconds.

#[path = "../../../../src/archive/mod.rs"]
#[allow(dead_code, unused_imports)]
mod archive_under_test;
#[path = "../../../../src/error.rs"]
#[allow(dead_code)]
mod error;

mod corpus;

use std::fs;
use std::io::Write;
use std::path::Path;

use archive_under_test::{Limits, Strip, Symlinks, inspect, pack, unpack};
use flate2::Compression;
use flate2::write::GzEncoder;

pub use corpus::seeds;

const BLOCK: usize = 512;

/// The bytes as they are; as the contents of a gzip file, whose checksum would keep most of them from being looked at; and the same
/// with the checksums of tar's headers put right. Panics when something does not hold that always should.
pub fn archive(bytes: &[u8]) {
    try_all(bytes);
    try_all(&gzip(bytes));
    try_all(&gzip(&with_checksums(bytes)));
}

fn limits(symlinks: Symlinks) -> Limits {
    Limits {
        total_bytes: 4 << 20,
        entries: 500,
        ratio_from: 1 << 20,
        symlinks,
        ..Limits::default()
    }
}

fn try_all(archive: &[u8]) {
    for strip in [Strip::Nothing, Strip::SoleFolder, Strip::Prefix("app")] {
        for symlinks in [Symlinks::Within, Symlinks::Any] {
            try_one(archive, strip, &limits(symlinks));
        }
    }
}

fn try_one(archive: &[u8], strip: Strip, limits: &Limits) {
    let looked = inspect(archive, limits, strip, &["Procfile"]);
    let scratch = tempfile::tempdir().expect("a folder");
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree).expect("a folder");
    fs::write(scratch.path().join("beside"), "untouched").expect("a file");
    let unpacked = unpack(archive, &tree, limits, strip);
    assert_eq!(looked.is_ok(), unpacked.is_ok(), "{looked:?} and {unpacked:?}");
    let names = fs::read_dir(scratch.path()).expect("a folder").count();
    assert_eq!(names, 2, "something was written beside the tree");
    let beside = fs::read(scratch.path().join("beside")).expect("a file");
    assert_eq!(beside, b"untouched");
    match unpacked {
        Ok(_) => comes_back(&tree, limits),
        Err(error) => assert!(!error.message.is_empty()),
    }
}

/// What was let in stays within, and can be packed and unpacked again to the same.
fn comes_back(tree: &Path, limits: &Limits) {
    let root = tree.canonicalize().expect("a folder");
    look(tree, &root, limits.symlinks == Symlinks::Within);
    let mut packed = Vec::new();
    if pack(tree, "./app", &mut packed, limits).is_err() {
        // With the folder that it is put under, it is over a limit.
        return;
    }
    let again = tempfile::tempdir().expect("a folder");
    let any = Limits {
        symlinks: Symlinks::Any,
        ratio: u64::MAX,
        depth: limits.depth + 1,
        path: limits.path + 4,
        total_bytes: limits.total_bytes * 2,
        entries: limits.entries + 1,
        ..limits.clone()
    };
    unpack(&packed[..], again.path(), &any, Strip::Prefix("app")).expect("what we packed ourselves");
    let mut repacked = Vec::new();
    pack(again.path(), "./app", &mut repacked, &any).expect("what we packed ourselves");
    assert!(packed == repacked, "the same tree gave other bytes");
}

fn look(folder: &Path, root: &Path, within: bool) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let found = fs::symlink_metadata(&path).expect("an entry");
        assert!(found.is_dir() || found.is_file() || found.is_symlink(), "{path:?}");
        if found.is_dir() {
            look(&path, root, within);
        } else if within && let Ok(leads) = path.canonicalize() {
            assert!(leads.starts_with(root), "{path:?} leads to {leads:?}");
        }
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).expect("memory");
    gzip.finish().expect("memory")
}

/// Each block that a reader could take for a header gets the sum that it would want.
pub fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut tar = bytes.to_vec();
    let mut at = 0;
    while let Some(header) = tar.get_mut(at..at + BLOCK) {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let digits: String = header[124..136]
            .iter()
            .skip_while(|byte| byte.is_ascii_whitespace())
            .take_while(|byte| (b'0'..=b'7').contains(byte))
            .map(|&byte| char::from(byte))
            .collect();
        let size = usize::from_str_radix(&digits, 8).unwrap_or(0);
        at = at.saturating_add(BLOCK).saturating_add(size.next_multiple_of(BLOCK));
    }
    tar
}
