//! Packing: the same tree gives the same bytes, and unpacking is its inverse.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use penstock::archive::{Limits, Strip, Summary, pack, unpack};
use tempfile::TempDir;

use super::{becomes, tree_of, unpacked};

fn packed(tree: &Path) -> Vec<u8> {
    let mut archive = Vec::new();
    pack(tree, "./app", &mut archive, &Limits::slug()).unwrap();
    archive
}

fn sample_tree() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    let at = |name: &str| tree.path().join(name);
    fs::create_dir_all(at("empty")).unwrap();
    let deep = at(&format!(
        "{}/{}",
        "long-name".repeat(15),
        "deeper".repeat(15)
    ));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("f"), "far away").unwrap();
    fs::write(at("run"), "#!/bin/sh").unwrap();
    fs::set_permissions(at("run"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(at("notes"), "x".repeat(512)).unwrap();
    fs::set_permissions(at("notes"), fs::Permissions::from_mode(0o600)).unwrap();
    let noise: Vec<u8> = (0..1_200_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    fs::write(at("noise"), noise).unwrap();
    symlink("run", at("link")).unwrap();
    symlink(
        format!("{}/..//run/", "long-name".repeat(15)),
        at("long link"),
    )
    .unwrap();
    symlink("/usr/bin/python3", at("python")).unwrap();
    tree
}

#[test]
fn unpacking_what_was_packed_gives_the_same_tree() {
    let tree = sample_tree();
    let again = tempfile::tempdir().unwrap();
    let mut archive = Vec::new();
    let packed = pack(tree.path(), "./app", &mut archive, &Limits::slug()).unwrap();
    let unpacked = unpack(
        &archive[..],
        again.path(),
        &Limits::slug(),
        Strip::Prefix("app"),
    )
    .unwrap();
    assert_eq!(packed, unpacked);
    let mut expected = tree_of(tree.path());
    for (private, public) in [("700 ", "755 "), ("600 ", "644 ")] {
        for what in expected
            .values_mut()
            .filter(|what| what.starts_with(private))
        {
            *what = what.replacen(private, public, 1);
        }
    }
    assert_eq!(tree_of(again.path()), expected);
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let (one, two) = (sample_tree(), sample_tree());
    let old = fs::File::open(two.path().join("notes")).unwrap();
    old.set_modified(std::time::UNIX_EPOCH).unwrap();
    let archive = packed(one.path());
    assert_eq!(archive, packed(two.path()));
    assert_eq!(archive[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    let again = tempfile::tempdir().unwrap();
    unpack(
        &archive[..],
        again.path(),
        &Limits::slug(),
        Strip::Prefix("app"),
    )
    .unwrap();
    assert_eq!(archive, packed(again.path()));
    fs::write(two.path().join("notes"), "changed").unwrap();
    assert_ne!(archive, packed(two.path()));
}

#[test]
fn other_tars_read_what_was_packed() {
    let (tree, into) = (sample_tree(), tempfile::tempdir().unwrap());
    let file = into.path().join("slug.tgz");
    fs::write(&file, packed(tree.path())).unwrap();
    let listed = std::process::Command::new("tar")
        .arg("tzf")
        .arg(&file)
        .output()
        .unwrap();
    assert!(
        listed.status.success(),
        "{}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let names = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(
        names.lines().take(2).collect::<Vec<_>>(),
        ["./app/", "./app/empty/"]
    );
    assert_eq!(names.lines().count(), tree_of(tree.path()).len() + 1);
}

#[test]
fn an_empty_tree_can_be_packed_and_unpacked() {
    let tree = tempfile::tempdir().unwrap();
    becomes(&packed(tree.path()), Strip::Prefix("app"), &[]);
}

#[test]
fn packing_leaves_out_sockets_and_splits_hard_links() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("a"), "x").unwrap();
    fs::hard_link(tree.path().join("a"), tree.path().join("b")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.path().join("s")).unwrap();
    let mut archive = Vec::new();
    let summary = pack(tree.path(), "./app", &mut archive, &Limits::slug()).unwrap();
    assert_eq!(
        summary,
        Summary {
            files: 2,
            bytes: 2,
            left_out: 1,
            ..Summary::default()
        }
    );
    let (again, _) = unpacked(&archive, Strip::Prefix("app"));
    assert_eq!(fs::metadata(again.path().join("b")).unwrap().nlink(), 1);
}

#[test]
fn packing_refuses_what_unpacking_would() {
    let tree = tempfile::tempdir().unwrap();
    fs::create_dir_all(tree.path().join("d/d/d")).unwrap();
    fs::write(tree.path().join("d/large"), "12345").unwrap();
    let refused = |limits: Limits| {
        pack(tree.path(), "./app", Vec::new(), &limits)
            .unwrap_err()
            .message
    };
    assert!(
        refused(Limits {
            depth: 3,
            ..Limits::slug()
        })
        .contains("./app/d/d/d/")
    );
    assert!(
        refused(Limits {
            file: 4,
            ..Limits::slug()
        })
        .contains("./app/d/large")
    );
    assert!(
        refused(Limits {
            entries: 4,
            ..Limits::slug()
        })
        .contains("./app/d/")
    );
    assert!(
        refused(Limits {
            total_bytes: 1024,
            ..Limits::slug()
        })
        .contains("1024")
    );
}
