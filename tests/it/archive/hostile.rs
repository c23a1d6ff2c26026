//! Archives that must be refused as a whole, by inspecting and by unpacking, in the same words.

use std::path::Path;

use penstock::archive::{Limits, Strip};

use super::raw::{Tar, header, with};
use super::refusal::refused_within;

#[track_caller]
fn refused(named: &str, make: impl Fn(&Path) -> Tar) {
    for strip in [Strip::Nothing, Strip::SoleFolder] {
        refused_within(&Limits::default(), strip, named, |outer| make(outer).gz());
    }
}

#[test]
fn a_name_that_leaves_the_tree_is_refused() {
    refused("/escaped", |outer| {
        let absolute = outer.join("escaped");
        Tar::new()
            .pax(&[("path", absolute.to_str().unwrap().as_bytes())])
            .file("x", "x")
    });
    refused("/etc/passwd", |_| Tar::new().file("/etc/passwd", "x"));
    refused("../escaped", |_| Tar::new().file("../escaped", "x"));
    refused("a/../../escaped", |_| {
        Tar::new().file("a/../../escaped", "x")
    });
    refused("a/../b", |_| Tar::new().file("a/../b", "x"));
    refused("a/..", |_| Tar::new().folder("a/.."));
    refused("../escaped", |_| {
        Tar::new().pax(&[("path", b"../escaped")]).file("fine", "x")
    });
    refused("../escaped", |_| {
        Tar::new().long_name("../escaped\0").file("fine", "x")
    });
    refused("up/../escaped", |_| {
        Tar::new().headed(with(header(b'0', b"../escaped", b"", 0), 345, b"up"), b"")
    });
}

#[test]
fn a_name_that_is_none_is_refused() {
    refused("``", |_| Tar::new().file("", "x"));
    refused("header-of-next", |_| {
        Tar::new().pax(&[("path", b"")]).described(b'x', b"")
    });
    refused("``", |_| Tar::new().pax(&[("path", b"")]).file("fine", "x"));
    refused("`.`", |_| Tar::new().file(".", "x"));
    refused("`.`", |_| Tar::new().symlink(".", "x"));
    refused("./a/", |_| Tar::new().file("./a/", "x"));
    refused("a/.", |_| Tar::new().file("a/.", "x"));
    refused("a\\0b", |_| {
        Tar::new().pax(&[("path", b"a\0b")]).file("fine", "x")
    });
    refused("a\\0b", |_| {
        Tar::new().long_name("a\0b\0").file("fine", "x")
    });
}

#[test]
fn a_symlink_that_leads_out_is_refused() {
    refused("`link`", |_| Tar::new().symlink("link", "/etc/passwd"));
    refused("`link`", |_| Tar::new().symlink("link", ".."));
    refused("`a/link`", |_| {
        Tar::new().file("b", "").symlink("a/link", "../../canary")
    });
    refused("`link`", |_| {
        Tar::new()
            .pax(&[("linkpath", b"../canary")])
            .symlink("link", "fine")
    });
    refused("`link`", |_| {
        Tar::new()
            .described(b'K', b"../canary\0")
            .symlink("link", "fine")
    });
    refused("`link`", |_| Tar::new().symlink("link", ""));
    refused("`link`", |_| {
        Tar::new()
            .described(b'K', b"a\0b\0")
            .symlink("link", "fine")
    });
}

#[test]
fn a_chain_of_symlinks_that_leads_out_is_refused() {
    // `deep` leads to the root, so `deep/..` would lead out, though it looks like `a/b`.
    refused("`out`", |_| {
        Tar::new()
            .folder("a/b/")
            .symlink("a/b/deep", "../..")
            .symlink("out", "a/b/deep/..")
    });
    // The same where there are folders enough to go up.
    refused("`p/q/out`", |_| {
        Tar::new()
            .symlink("p/q/root", "../..")
            .symlink("p/q/out", "root/..")
    });
}

#[test]
fn a_symlink_out_of_the_folder_that_is_lifted_is_refused() {
    let tar = |_: &Path| Tar::new().symlink("repo/link", "../canary").gz();
    refused_within(&Limits::default(), Strip::SoleFolder, "repo/link", tar);
    let slug = |_: &Path| Tar::new().symlink("app/link", "../canary").gz();
    refused_within(&Limits::default(), Strip::Prefix("app"), "app/link", slug);
}

#[test]
fn nothing_is_written_through_a_symlink() {
    refused("`link`", |outer| {
        Tar::new()
            .symlink("link", outer.to_str().unwrap())
            .file("link/canary", "dead")
    });
    refused("link/canary", |_| {
        Tar::new()
            .folder("a/")
            .symlink("link", "a")
            .file("link/canary", "dead")
    });
    refused("`link`", |_| {
        Tar::new().folder("a/").symlink("link", "a").folder("link/")
    });
    refused("`link`", |_| {
        Tar::new()
            .file("a", "")
            .symlink("link", "a")
            .file("link", "dead")
    });
    refused("a/b/c", |_| {
        Tar::new()
            .folder("a/")
            .symlink("a/b", "../z")
            .folder("a/b/c/d/")
    });
}

#[test]
fn a_slugs_root_must_be_a_folder() {
    for app in [
        Tar::new().file("app", "x"),
        Tar::new().symlink("./app", "elsewhere"),
        Tar::new().file("a", "x").hard_link("app", "a"),
    ] {
        refused_within(&Limits::slug(), Strip::Prefix("app"), "`app`", |_| {
            app.clone().gz()
        });
    }
}

#[test]
fn not_even_a_slugs_free_symlink_is_written_through() {
    refused_within(
        &Limits::slug(),
        Strip::Prefix("app"),
        "app/link/canary",
        |outer| {
            Tar::new()
                .symlink("app/link", outer.to_str().unwrap())
                .file("app/link/canary", "dead")
                .gz()
        },
    );
}

#[test]
fn a_hard_link_to_anything_but_an_earlier_file_is_refused() {
    refused("/etc/passwd", |_| {
        Tar::new().hard_link("link", "/etc/passwd")
    });
    refused("../canary", |_| Tar::new().hard_link("link", "../canary"));
    refused("`link`", |_| {
        Tar::new().hard_link("link", "later").file("later", "x")
    });
    refused("`link`", |_| Tar::new().folder("d/").hard_link("link", "d"));
    refused("`link`", |_| {
        Tar::new()
            .file("a", "")
            .symlink("s", "a")
            .hard_link("link", "s")
    });
    refused("`link`", |_| Tar::new().hard_link("link", "link"));
    refused("`link`", |_| Tar::new().hard_link("link", ""));
    refused_within(&Limits::slug(), Strip::Prefix("app"), "app/link", |_| {
        Tar::new()
            .file("other", "x")
            .hard_link("app/link", "other")
            .gz()
    });
}

#[test]
fn anything_but_files_folders_and_links_is_refused_by_its_kind() {
    for (kind, words) in [
        (b'3', "character device"),
        (b'4', "block device"),
        (b'6', "named pipe"),
        (b'7', "contiguous"),
        (b'S', "sparse"),
        (b'V', "volume label"),
        (b'M', "unknown type `M`"),
        (b'\n', "unknown type `\\n`"),
    ] {
        refused(words, |_| Tar::new().entry(kind, "odd", "", 0, b""));
        refused("`odd`", |_| Tar::new().entry(kind, "odd", "", 0, b""));
        refused(words, |_| Tar::new().entry(kind, "odd", "", 3, b"abc"));
    }
}

#[test]
fn a_sparse_file_in_pax_clothes_is_refused() {
    refused("sparse", |_| {
        Tar::new().pax(&[("GNU.sparse.major", b"1")]).file("a", "x")
    });
    refused("sparse", |_| {
        Tar::new()
            .global(&[("GNU.sparse.size", b"9")])
            .file("a", "x")
    });
}

#[test]
fn sizes_that_disagree_are_refused() {
    let inner = Tar::new().file("hidden", "x").0;
    refused("mismatched sizes", |_| {
        let size = inner.len().to_string();
        Tar::new()
            .pax(&[("size", size.as_bytes())])
            .entry(b'0', "outer", "", 0, &inner)
    });
    refused("`outer`", |_| {
        Tar::new().pax(&[("size", b"0")]).file("outer", "x")
    });
    refused("header-of-next", |_| {
        Tar::new()
            .pax(&[("size", b"1"), ("size", b"1")])
            .file("a", "x")
    });
    refused("header-of-next", |_| {
        Tar::new().pax(&[("size", b"+1")]).file("a", "x")
    });
    refused("`d`", |_| Tar::new().entry(b'5', "d", "", 3, b"abc"));
    refused("`l`", |_| Tar::new().entry(b'2', "l", "a", 3, b"abc"));
    refused("`a`", |_| {
        Tar::new().headed(
            with(header(b'0', b"a", b"", 1), 124, b"+0000000001\0"),
            b"x",
        )
    });
    refused("`a`", |_| {
        Tar::new().headed(with(header(b'0', b"a", b"", 1), 124, &[0xff; 12]), b"x")
    });
    refused("`a`", |_| {
        Tar::new().headed(
            with(
                header(b'0', b"a", b"", 1),
                124,
                &[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            ),
            b"x",
        )
    });
}

#[test]
fn headers_that_contradict_each_other_are_refused() {
    let next = "header-of-next";
    refused(next, |_| {
        Tar::new()
            .pax(&[("path", b"a")])
            .long_name("b\0")
            .file("c", "x")
    });
    refused(next, |_| {
        Tar::new()
            .long_name("b\0")
            .pax(&[("path", b"a")])
            .file("c", "x")
    });
    refused(next, |_| {
        Tar::new().long_name("a\0").long_name("b\0").file("c", "x")
    });
    refused(next, |_| Tar::new().pax(&[]).pax(&[]).file("c", "x"));
    refused(next, |_| {
        Tar::new()
            .pax(&[("path", b"a"), ("path", b"b")])
            .file("c", "x")
    });
    refused(next, |_| {
        Tar::new().global(&[("path", b"a")]).file("c", "x")
    });
    refused(next, |_| {
        Tar::new().global(&[("size", b"1")]).file("c", "x")
    });
    for malformed in [
        &b"5 a=b\n"[..],
        b"6 a=b",
        b"x a=b\n",
        b"6 ab=\n7",
        b"4 a\n",
        b"999 a=b\n",
        b"0 \n",
        b"99999999999 a=b\n",
        b" a=b\n",
    ] {
        refused(next, |_| {
            Tar::new().described(b'x', malformed).file("c", "x")
        });
    }
    refused(next, |_| Tar::new().file("c", "x").pax(&[("path", b"a")]));
}

#[test]
fn a_long_name_without_its_end_is_refused() {
    let next = "header-of-next";
    refused(next, |_| Tar::new().long_name("no-end").file("fine", "x"));
    refused(next, |_| {
        Tar::new().described(b'K', b"a").symlink("fine", "a")
    });
}

#[test]
fn a_name_that_comes_twice_is_refused() {
    refused("`a`", |_| Tar::new().file("a", "1").file("a", "2"));
    refused("`a`", |_| Tar::new().file("a", "1").file("./a", "2"));
    refused("`d/a`", |_| Tar::new().file("d/a", "1").file("d//a", "2"));
    refused("`a`", |_| Tar::new().file("a", "1").folder("a/"));
    refused("`d`", |_| Tar::new().folder("d/").file("d", "1"));
    refused("`d`", |_| Tar::new().file("d/x", "1").symlink("d", "x"));
    refused("`a/b`", |_| Tar::new().file("a", "1").file("a/b", "2"));
    refused("`a`", |_| Tar::new().file("a", "1").hard_link("a", "a"));
}

#[test]
fn a_hostile_name_is_shown_harmless_and_short() {
    refused("\\u{1b}[31m\\n", |_| {
        Tar::new().file("../\x1b[31m\nfake line", "x")
    });
    refused("xxxxxxxxxx…", |_| {
        Tar::new()
            .pax(&[("path", ["/".as_bytes(), &[b'x'; 900]].concat().as_slice())])
            .file("a", "")
    });
}
