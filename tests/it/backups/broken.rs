//! Backups that are no good, and what is killed in the middle: nothing half done is left.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::Instant;

use super::{backup, done, restore};
use crate::binary::{HANG, Place, penstock};

/// A place that has had a server, with so many bytes of buildpacks.
fn place(bytes: usize) -> Place {
    let place = Place::new();
    drop(place.start());
    if bytes > 0 {
        let folder = place.data().join("buildpacks/large");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("pack.tgz"), vec![7; bytes]).unwrap();
    }
    place
}

#[test]
fn a_backup_that_was_cut_off_or_altered_anywhere_restores_nothing() {
    let from = place(100_000);
    let (file, made) = backup(&from, "good.tar", &[]);
    done(made);
    let good = fs::read(&file).unwrap();
    let to = Place::new();
    let bad = from.path("bad.tar");
    let refused = |bytes: &[u8], how: &str| {
        fs::write(&bad, bytes).unwrap();
        let (status, said) = restore(&bad, &to, &[]);
        assert_eq!(status, Some(2), "{how}: {said}");
        assert!(said.contains("backup"), "{how}: {said}");
        assert!(!to.data().exists(), "{how}");
        assert!(!to.path("data.restoring").exists(), "{how}");
    };
    // The archive's own end is two empty blocks and what fills up the last one, of which nothing depends.
    let end = good
        .windows(13)
        .rposition(|window| window == b"manifest.hmac")
        .unwrap();
    for part in 0..12 {
        let at = end * part / 12;
        refused(&good[..at], &format!("cut off at {at}"));
    }
    let contents = [
        &b"SQLite format 3"[..],
        &[7; 64],
        b"-----BEGIN CERTIFICATE",
        b"\"sha256\": \"",
    ];
    for content in contents {
        let found = good
            .windows(content.len())
            .position(|window| window == content);
        let at = found.unwrap() + content.len() - 1;
        let mut altered = good.clone();
        altered[at] ^= 1;
        refused(&altered, &format!("altered at {at}"));
    }
    let mut longer = good.clone();
    longer.extend_from_slice(b"and something of a stranger's");
    refused(&longer, "something after its end");
    refused(b"not a backup", "another file");
    refused(b"", "an empty file");
    done(restore(&file, &to, &[]));
}

#[test]
fn a_backup_of_a_later_format_is_left_to_a_later_penstock() {
    let from = place(0);
    let (file, made) = backup(&from, "later.tar", &[]);
    done(made);
    let mut bytes = fs::read(&file).unwrap();
    let first = b"penstock backup 1";
    let at = bytes
        .windows(first.len())
        .position(|window| window == first)
        .unwrap();
    bytes[at + first.len() - 1] = b'2';
    fs::write(&file, bytes).unwrap();
    let to = Place::new();
    let (status, said) = restore(&file, &to, &[]);
    assert_eq!(status, Some(4));
    assert!(said.contains("format 2"), "{said}");
    assert!(!to.data().exists());
}

#[test]
fn what_is_named_and_cannot_be_used_is_said_to_be_so() {
    let from = place(0);
    let refused = |(status, said): (Option<i32>, String), code, words: &str| {
        assert_eq!(status, Some(code), "{said}");
        assert!(said.contains(words), "{said}");
        assert!(!said.contains("Request-Id"), "{said}");
    };
    std::fs::create_dir(from.path("folder")).unwrap();
    refused(
        backup(&from, "folder", &[]).1,
        4,
        "is a folder. Name a file in it",
    );
    let (file, made) = backup(&from, "good.tar", &["--without-key"]);
    done(made);
    let to = Place::new();
    refused(restore(&from.path("none.tar"), &to, &[]), 3, "There is no");
    refused(restore(&from.path("folder"), &to, &[]), 2, "is a folder");
    refused(
        restore(&file, &to, &["--key", "/nonexistent/key"]),
        3,
        "There is no",
    );
    let mut nowhere = penstock(&["restore", "--data-dir", "/proc/nowhere"]);
    let output = nowhere.arg(&file).output().unwrap();
    refused(super::said(&output), 4, "--data-dir");
    assert!(!to.data().exists());
}

#[test]
fn nothing_is_overwritten_by_a_restore() {
    let from = place(0);
    let (file, made) = backup(&from, "good.tar", &[]);
    done(made);
    let to = Place::new();
    fs::create_dir(to.data()).unwrap();
    fs::write(to.data().join("mine"), "as it was").unwrap();
    let (status, said) = restore(&file, &to, &[]);
    assert_eq!(status, Some(4));
    assert!(said.contains("nothing is overwritten"), "{said}");
    assert_eq!(fs::read_dir(to.data()).unwrap().count(), 1);
    // An empty folder is as good as none.
    fs::remove_file(to.data().join("mine")).unwrap();
    done(restore(&file, &to, &[]));
    // And so is the server's own.
    assert_eq!(restore(&file, &to, &[]).0, Some(4));
}

/// Waits until a file or folder is there, and ends the process that makes it.
fn kill_at(mut child: Child, sign: &Path) {
    let begun = Instant::now();
    while !sign.exists() && child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < HANG, "it never begins");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_backup_that_is_killed_leaves_the_one_before_and_the_next_one_works() {
    let from = place(24 << 20);
    let (file, made) = backup(&from, "nightly.tar", &[]);
    done(made);
    let before = file.metadata().unwrap().modified().unwrap();
    let mut command = penstock(&["backup", "--data-dir"]);
    command.arg(from.data()).arg(&file);
    kill_at(command.spawn().unwrap(), &from.path("nightly.tar.part"));
    assert_eq!(file.metadata().unwrap().modified().unwrap(), before);
    done(backup(&from, "nightly.tar", &[]).1);
    assert!(!from.path("nightly.tar.part").exists());
    done(restore(&file, &Place::new(), &[]));
}

#[test]
fn a_restore_that_is_killed_leaves_no_data_directory_and_the_next_one_works() {
    let from = place(24 << 20);
    let (file, made) = backup(&from, "large.tar", &[]);
    done(made);
    let to = Place::new();
    let mut command = penstock(&["restore", "--data-dir"]);
    command.arg(to.data()).arg(&file);
    let unfinished = to.path("data.restoring");
    kill_at(command.spawn().unwrap(), &unfinished);
    assert!(!to.data().exists());
    done(restore(&file, &to, &[]));
    assert!(!unfinished.exists());
    let pack = to.data().join("buildpacks/large/pack.tgz");
    assert_eq!(pack.metadata().unwrap().len(), 24 << 20);
}
