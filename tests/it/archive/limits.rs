//! Archives that are too much.

use std::fs;

use penstock::archive::{Limits, Strip, unpack};

use super::raw::Tar;
use super::refusal::refused_within;

#[track_caller]
fn refused_by(limits: Limits, named: &str, tar: Tar) {
    refused_within(&limits, Strip::Nothing, named, |_| tar.clone().gz());
}

#[test]
fn every_limit_refuses_what_is_beyond_it() {
    let part = "p".repeat(256);
    let deep = "d/".repeat(64);
    let long = vec!["n".repeat(200); 6].join("/");
    let of = Limits::default;
    refused_by(
        of(),
        "ppp",
        Tar::new().long_name(format!("a/{part}\0")).file("x", ""),
    );
    refused_by(
        of(),
        "d/d/d/",
        Tar::new().long_name(format!("{deep}f\0")).file("x", ""),
    );
    refused_by(
        of(),
        "nnn",
        Tar::new().long_name(format!("{long}\0")).file("x", ""),
    );
    refused_by(
        of(),
        "`l`",
        Tar::new()
            .described(b'K', format!("{long}\0").as_bytes())
            .symlink("l", ""),
    );
    refused_by(
        of(),
        "header-of-next",
        Tar::new()
            .pax(&[("comment", &[b'x'; 66_000])])
            .file("x", ""),
    );
    refused_by(
        of(),
        "header-of-next",
        Tar::new().entry(b'L', "header-of-next", "", 1 << 30, b""),
    );
    refused_by(
        of(),
        "`big`",
        Tar::new().entry(b'0', "big", "", (1 << 30) + 1, b""),
    );
    refused_by(
        Limits { file: 3, ..of() },
        "`big`",
        Tar::new().file("small", "123").file("big", "1234"),
    );
    refused_by(
        Limits { entries: 3, ..of() },
        "`d`",
        Tar::new()
            .file("a/b/c", "")
            .file("d", "")
            .folder("a/")
            .file("e", ""),
    );
    refused_by(
        Limits {
            name_bytes: 5,
            ..of()
        },
        "`cdef`",
        Tar::new().file("ab", "").file("cdef", ""),
    );
    refused_by(
        Limits {
            hard_links: 1,
            ..of()
        },
        "`c`",
        Tar::new()
            .file("a", "")
            .hard_link("b", "a")
            .hard_link("c", "a"),
    );
    refused_by(
        Limits {
            total_bytes: 3_000,
            ..of()
        },
        "`b`",
        Tar::new().file("a", "x").entry(b'0', "b", "", 3_000, b""),
    );
    refused_by(
        Limits {
            total_bytes: 2_000,
            ..of()
        },
        "2000 bytes",
        Tar::new()
            .file("a", "")
            .file("b", "")
            .file("c", "")
            .file("d", ""),
    );
    refused_by(
        Limits {
            compressed: 60,
            ..of()
        },
        "60 bytes",
        Tar::new().file("a", "some text that is not repeated anywhere"),
    );
    refused_by(
        Limits {
            ratio_from: 1_000,
            ratio: 20,
            ..of()
        },
        "20-fold",
        Tar::new().file("a", vec![0; 1 << 20]),
    );
    refused_by(
        Limits { entries: 4, ..of() },
        "headers",
        (0..20).fold(Tar::new(), |tar, _| tar.global(&[])),
    );
}

#[test]
fn a_bomb_is_refused_before_it_is_on_the_disk() {
    let tree = tempfile::tempdir().unwrap();
    let bomb = Tar::new().file("zeros", vec![0; 12 << 20]).gz();
    let refusal = unpack(&bomb[..], tree.path(), &Limits::default(), Strip::Nothing).unwrap_err();
    assert!(refusal.message.contains("200-fold"), "{refusal}");
    assert!(fs::metadata(tree.path().join("zeros")).unwrap().len() <= 11 << 20);
}

#[test]
fn a_name_of_a_thousand_folders_makes_not_one_of_them() {
    let tree = tempfile::tempdir().unwrap();
    let tar = Tar::new()
        .long_name(format!("{}f\0", "d/".repeat(500)))
        .file("x", "");
    let deep = Limits {
        path: 100_000,
        ..Limits::default()
    };
    unpack(&tar.gz()[..], tree.path(), &deep, Strip::Nothing).unwrap_err();
    assert_eq!(fs::read_dir(tree.path()).unwrap().count(), 0);
}
