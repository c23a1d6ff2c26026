//! Archives: what is let in, what comes out, and that packing is the inverse of unpacking.

mod damaged;
mod hostile;
mod limits;
mod packing;
pub(crate) mod raw;
mod refusal;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use penstock::archive::{Limits, Strip, Summary, inspect, unpack};
use raw::{Tar, gzip, header, record, with};
use tempfile::TempDir;

/// Every path of a tree, with its kind, mode and contents.
fn tree_of(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let mode = metadata.permissions().mode() & 0o7777;
            let what = if metadata.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if metadata.is_dir() {
                folders.push(path.clone());
                format!("{mode:o}/")
            } else {
                format!(
                    "{mode:o} {}",
                    String::from_utf8_lossy(&fs::read(&path).unwrap())
                )
            };
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            found.insert(name, what);
        }
    }
    found
}

#[track_caller]
fn unpacked(archive: &[u8], strip: Strip) -> (TempDir, Summary) {
    let tree = tempfile::tempdir().unwrap();
    let summary = unpack(archive, tree.path(), &Limits::default(), strip).unwrap();
    (tree, summary)
}

#[track_caller]
fn becomes(archive: &[u8], strip: Strip, expected: &[(&str, &str)]) {
    let (tree, _) = unpacked(archive, strip);
    let expected: BTreeMap<String, String> = expected
        .iter()
        .map(|(name, what)| ((*name).to_owned(), (*what).to_owned()))
        .collect();
    assert_eq!(tree_of(tree.path()), expected);
    inspect(archive, &Limits::default(), strip, &[]).unwrap();
}

#[test]
fn files_folders_and_links_are_unpacked() {
    let tar = Tar::new()
        .folder("./")
        .folder("./d/")
        .folder("./d/")
        .file("./d/a", "one")
        .file("implied/deep/b", "two")
        .symlink("d/to-b", "../implied/deep/b")
        .symlink("d/dangling", "nowhere/at/all")
        .hard_link("also-a", "./d/a");
    becomes(
        &tar.gz(),
        Strip::Nothing,
        &[
            ("d", "755/"),
            ("d/a", "644 one"),
            ("d/dangling", "-> nowhere/at/all"),
            ("d/to-b", "-> ../implied/deep/b"),
            ("also-a", "644 one"),
            ("implied", "755/"),
            ("implied/deep", "755/"),
            ("implied/deep/b", "644 two"),
        ],
    );
}

#[test]
fn of_the_mode_only_the_right_to_execute_is_kept() {
    let with_mode =
        |name: &str, mode: &[u8]| with(header(b'0', name.as_bytes(), b"", 0), 100, mode);
    let tar = Tar::new()
        .headed(with_mode("set-id", b"0006755\0"), b"")
        .headed(with_mode("all", b"0000777\0"), b"")
        .headed(with_mode("none", b"0000000\0"), b"")
        .headed(with_mode("group", b"0000674\0"), b"")
        .headed(
            with(header(b'5', b"sticky", b"", 0), 100, b"0001777\0"),
            b"",
        )
        .headed(
            with(header(b'5', b"closed", b"", 0), 100, b"0000000\0"),
            b"",
        )
        .file("closed/in", "x");
    becomes(
        &tar.gz(),
        Strip::Nothing,
        &[
            ("all", "755 "),
            ("closed", "755/"),
            ("closed/in", "644 x"),
            ("group", "644 "),
            ("none", "644 "),
            ("set-id", "755 "),
            ("sticky", "755/"),
        ],
    );
}

#[test]
fn odd_names_are_kept_byte_for_byte() {
    let names = [
        "-rf",
        "a\nb",
        "\x1b[31m",
        "C:\\x",
        "back\\slash",
        "é",
        "e\u{301}",
        "Procfile",
        "procfile",
        " ",
        "...",
        ".git",
    ];
    let tar = names
        .iter()
        .fold(Tar::new(), |tar, name| tar.file(name, "x"));
    let expected: Vec<_> = names.iter().map(|name| (*name, "644 x")).collect();
    becomes(&tar.gz(), Strip::Nothing, &expected);
    let (tree, _) = unpacked(&Tar::new().file(b"\xff\xfe", "x").gz(), Strip::Nothing);
    let name = fs::read_dir(tree.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .file_name();
    assert_eq!(name.as_encoded_bytes(), b"\xff\xfe");
}

#[test]
fn long_names_come_in_both_dialects() {
    let long = format!("{}/{}", "a".repeat(120), "b".repeat(255));
    let tar = Tar::new()
        .long_name(format!("{long}1\0").replace('b', "c").replacen('c', "", 1))
        .file("short", "gnu")
        .pax(&[("path", long.as_bytes()), ("mtime", b"1.5"), ("size", b"3")])
        .file("short", "pax");
    let (tree, _) = unpacked(&tar.gz(), Strip::Nothing);
    assert_eq!(fs::read(tree.path().join(&long)).unwrap(), b"pax");
}

#[test]
fn a_pax_value_with_a_newline_is_one_name() {
    let nested = [&b"a\n"[..], &record("path", b"../escaped")].concat();
    let tar = Tar::new().pax(&[("path", &nested)]).file("c", "x");
    becomes(
        &tar.gz(),
        Strip::Nothing,
        &[
            ("a\n19 path=..", "755/"),
            ("a\n19 path=../escaped\n", "644 x"),
        ],
    );
}

#[test]
fn a_sole_folder_is_stripped() {
    let tar = Tar::new()
        .global(&[("comment", b"8e147cd0000000000000000000000000000000000")])
        .folder("repo-sha/")
        .file("repo-sha/Procfile", "web: x")
        .file("repo-sha/repo-sha", "same name")
        .file("repo-sha/.lifted", "clever")
        .symlink("repo-sha/bin/run", "../Procfile");
    becomes(
        &tar.gz(),
        Strip::SoleFolder,
        &[
            (".lifted", "644 clever"),
            ("Procfile", "644 web: x"),
            ("bin", "755/"),
            ("bin/run", "-> ../Procfile"),
            ("repo-sha", "644 same name"),
        ],
    );
}

#[test]
fn a_folder_with_anything_beside_it_is_not_stripped() {
    let beside = Tar::new().file("src/a", "x").file("Procfile", "y");
    becomes(
        &beside.gz(),
        Strip::SoleFolder,
        &[("Procfile", "644 y"), ("src", "755/"), ("src/a", "644 x")],
    );
    let two = Tar::new().file("./src/a", "x").folder("./lib");
    becomes(
        &two.gz(),
        Strip::SoleFolder,
        &[("lib", "755/"), ("src", "755/"), ("src/a", "644 x")],
    );
    let rooted = Tar::new().file("./src/a", "x").file("src/b", "y");
    becomes(
        &rooted.gz(),
        Strip::SoleFolder,
        &[("src", "755/"), ("src/a", "644 x"), ("src/b", "644 y")],
    );
    let root_itself = Tar::new().folder(".").file("src/a", "x");
    becomes(
        &root_itself.gz(),
        Strip::SoleFolder,
        &[("src", "755/"), ("src/a", "644 x")],
    );
    let only_a_file = Tar::new().file("Procfile", "y");
    becomes(
        &only_a_file.gz(),
        Strip::SoleFolder,
        &[("Procfile", "644 y")],
    );
}

#[test]
fn a_slug_keeps_what_is_under_app() {
    let tar = Tar::new()
        .folder("./app/")
        .file("./app/Procfile", "web: x")
        .file("app/app/deep", "y")
        .file("apple", "no")
        .symlink("outside", "/etc")
        .file("other/app/x", "no");
    becomes(
        &tar.gz(),
        Strip::Prefix("app"),
        &[
            ("Procfile", "644 web: x"),
            ("app", "755/"),
            ("app/deep", "644 y"),
        ],
    );
}

#[test]
fn a_slug_may_link_to_the_stacks_programs() {
    let slug = Tar::new()
        .symlink("app/bin/python", "/usr/bin/python3")
        .gz();
    let tree = tempfile::tempdir().unwrap();
    unpack(
        &slug[..],
        tree.path(),
        &Limits::slug(),
        Strip::Prefix("app"),
    )
    .unwrap();
    assert_eq!(tree_of(tree.path())["bin/python"], "-> /usr/bin/python3");
}

#[test]
fn several_gzip_members_and_a_missing_end_are_accepted() {
    let tar = Tar::new().file("a", "x").file("b", "y").0;
    let members = [gzip(&tar[..700]), gzip(&tar[700..])].concat();
    becomes(&members, Strip::Nothing, &[("a", "644 x"), ("b", "644 y")]);
    let mut padded = tar.clone();
    padded.extend([0; 10_240]);
    becomes(
        &gzip(&padded),
        Strip::Nothing,
        &[("a", "644 x"), ("b", "644 y")],
    );
}

#[test]
fn inspecting_reads_the_wanted_files_at_the_root() {
    let tar = Tar::new()
        .file("repo/Procfile", "web: x")
        .file("repo/deep/package.json", "{}")
        .symlink("repo/app.json", "Procfile")
        .file("repo/large", vec![b'x'; 300_000])
        .gz();
    let wanted = ["Procfile", "package.json", "app.json", "large"];
    let listing = inspect(&tar[..], &Limits::default(), Strip::SoleFolder, &wanted).unwrap();
    assert_eq!(
        listing.files.keys().collect::<Vec<_>>(),
        ["Procfile", "large"]
    );
    assert_eq!(listing.files["Procfile"].bytes, b"web: x");
    assert_eq!(
        (
            listing.files["large"].bytes.len(),
            listing.files["large"].size
        ),
        (262_144, 300_000)
    );
    assert_eq!(
        listing.summary,
        Summary {
            files: 3,
            bytes: 300_008,
            lifted: Some("repo".to_owned()),
            ..Summary::default()
        }
    );
    let whole = inspect(&tar[..], &Limits::default(), Strip::Nothing, &wanted).unwrap();
    assert!(whole.files.is_empty());
}

#[test]
fn a_folder_that_is_not_empty_is_not_unpacked_into() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("a"), "mine").unwrap();
    let archive = Tar::new().file("b", "x").gz();
    unpack(
        &archive[..],
        tree.path(),
        &Limits::default(),
        Strip::Nothing,
    )
    .unwrap_err();
    assert_eq!(fs::read_dir(tree.path()).unwrap().count(), 1);
}
