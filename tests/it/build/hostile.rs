//! Sources that mean harm, each of which is told of in the output of its build.

use penstock::archive::{Limits, Strip, inspect};
use penstock::blob::Digest;
use penstock::store::builds::Status;

use super::server::{Server, ok};
use super::{Site, new};
use crate::archive::raw::{Tar, gzip, header, with};

/// Builds it, and gives the output.
async fn built(site: &Site, archive: &[u8], status: Status) -> String {
    let build = site.upload(archive);
    site.build().await;
    let output = site.output(&build).await;
    assert_eq!(site.row(&build).status, status, "{output}");
    site.assert_clean();
    output
}

fn app() -> Tar {
    Tar::new().file("Procfile", "web: ./run\n")
}

/// As many folders of one name as make ten million entries, in gzip members that are all alike.
fn ten_million_entries() -> Vec<u8> {
    let mut block = Tar::new();
    for _ in 0..2_048 {
        block = block.folder("d/");
    }
    let member = gzip(&block.0);
    [
        gzip(&app().0),
        member.repeat(10_000_000 / 2_048 + 1),
        gzip(&[0; 1_024]),
    ]
    .concat()
}

/// Ten files of a gigabyte of zeros each.
fn bomb() -> Vec<u8> {
    let zeros = gzip(&[0; 1 << 20]);
    let file = |number: usize| {
        let name = format!("zeros-{number}");
        let head = Tar::new().entry(b'0', name, "", 1 << 30, b"");
        [gzip(&head.0), zeros.repeat(1 << 10)].concat()
    };
    let files: Vec<u8> = (0..10).flat_map(file).collect();
    [gzip(&app().0), files, gzip(&[0; 1_024])].concat()
}

/// The name of each, what it is, and what its author is told.
fn refused() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let deep = format!("{}f\0", "d/".repeat(100));
    let inner = Tar::new().file("hidden", "x").0;
    let size = inner.len().to_string();
    vec![
        (
            "a link out",
            app().symlink("out", "../../etc").gz(),
            "`out` is a link that leads out",
        ),
        (
            "a chain of links out",
            app()
                .folder("a/")
                .symlink("a/up", "..")
                .symlink("out", "a/up/../../x")
                .gz(),
            "`out`",
        ),
        (
            "a file beyond an earlier link",
            app().symlink("d", ".").file("d/x", "").gz(),
            "`d/x` lies beyond the symlink `d`",
        ),
        (
            "a hard link out",
            app().hard_link("h", "/etc/passwd").gz(),
            "/etc/passwd",
        ),
        (
            "an absolute path",
            app().file("/etc/x", "").gz(),
            "`/etc/x`",
        ),
        (
            "a parent path",
            app().file("a/../../x", "").gz(),
            "`a/../../x`",
        ),
        (
            "a device",
            app().entry(b'3', "dev", "", 0, b"").gz(),
            "`dev` is a character device",
        ),
        (
            "a pipe",
            app().entry(b'6', "pipe", "", 0, b"").gz(),
            "`pipe` is a named pipe",
        ),
        (
            "a sparse file",
            app().entry(b'S', "holes", "", 0, b"").gz(),
            "`holes` is a sparse file",
        ),
        (
            "a sparse file of PAX",
            app().pax(&[("GNU.sparse.major", b"1")]).file("a", "x").gz(),
            "is a sparse file",
        ),
        (
            "two readings of one size",
            app()
                .pax(&[("size", size.as_bytes())])
                .entry(b'0', "outer", "", 0, &inner)
                .gz(),
            "`outer` has mismatched sizes in its two headers",
        ),
        (
            "a name twice",
            app().file("Procfile", "web: other\n").gz(),
            "`Procfile` is there twice",
        ),
        (
            "a NUL in a name",
            app().pax(&[("path", b"a\0b")]).file("x", "").gz(),
            "NUL",
        ),
        (
            "a deep nest",
            app().long_name(deep).file("x", "").gz(),
            "d/d/d/",
        ),
        (
            "ten million entries",
            ten_million_entries(),
            "-fold when decompressed",
        ),
        ("a bomb of 10 GB", bomb(), "-fold when decompressed"),
        (
            "bytes after gzip's end",
            [app().gz(), b"more".to_vec()].concat(),
            "other bytes after the end of the archive's gzip data",
        ),
        (
            "two archives in one",
            [app().gz(), Tar::new().file("x", "").gz()].concat(),
            "other bytes after the end of the tar file",
        ),
        (
            "a zip file",
            b"PK\x03\x04\x14\0\0\0".to_vec(),
            "it looks like a zip file",
        ),
        ("an xz file", b"\xfd7zXZ\0rest".to_vec(), "it looks like xz"),
        (
            "an HTML page",
            b"<!doctype html>".to_vec(),
            "it looks like an HTML page",
        ),
        ("no bytes", Vec::new(), "it is empty"),
    ]
}

#[tokio::test]
async fn a_hostile_source_fails_its_build_and_the_output_says_what_is_wrong() {
    let site = Site::new();
    for (name, archive, words) in refused() {
        let output = built(&site, &archive, Status::Failed).await;
        assert!(output.contains(words), "{name}: {output}");
        assert!(output.contains(" !     "), "{name}: {output}");
        assert!(!output.contains("Compressing"), "{name}: {output}");
    }
    let left = std::fs::read_dir(site.dir.path().parent().unwrap()).unwrap();
    let escaped = left.flatten().any(|entry| entry.file_name() == "x");
    assert!(!escaped, "something was written beside the data directory");
}

#[tokio::test]
async fn setuid_goes_and_what_differs_in_capitals_alone_is_told_of() {
    let site = Site::new();
    let setuid = with(header(b'0', b"run", b"", 1), 100, b"0006755\0");
    let archive = app()
        .headed(setuid, b"x")
        .file("Readme", "one")
        .file("README", "other")
        .gz();
    let build = site.upload(&archive);
    site.build().await;
    let output = site.output(&build).await;
    assert_eq!(site.row(&build).status, Status::Succeeded, "{output}");
    assert!(
        output.contains(" !     `README` differs from another file only in capitals."),
        "{output}"
    );
    assert!(
        output.contains(" !     `run` is setuid or setgid, and becomes a file like any other"),
        "{output}"
    );
    let digest = Digest::parse(&site.slug(&build).digest.unwrap()).unwrap();
    let blob = site.parts.blobs.open_blob(&digest).unwrap();
    let mut slug = tar::Archive::new(flate2::read::MultiGzDecoder::new(blob));
    let mut modes = Vec::new();
    for entry in slug.entries().unwrap() {
        let entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into()).unwrap();
        modes.push((name, entry.header().mode().unwrap()));
    }
    assert!(
        modes.contains(&("./app/run".to_owned(), 0o755)),
        "{modes:?}"
    );
}

#[tokio::test]
async fn names_of_any_bytes_are_kept_and_gzip_of_several_members_is_one_file() {
    let site = Site::new();
    let tar = app().file(b"caf\xe9", "x").0;
    let (one, other) = tar.split_at(700);
    let archive = [gzip(one), gzip(other), gzip(&[0; 1_024])].concat();
    let build = site.upload(&archive);
    site.build().await;
    assert_eq!(site.row(&build).status, Status::Succeeded);
    let digest = Digest::parse(&site.slug(&build).digest.unwrap()).unwrap();
    let blob = site.parts.blobs.open_checked(&digest).unwrap();
    let listing = inspect(blob, &Limits::slug(), Strip::Prefix("app"), &[]).unwrap();
    assert_eq!(listing.summary.files, 2);
}

#[tokio::test]
async fn a_source_that_is_another_length_than_it_says_fails() {
    let site = Site::new();
    let whole = app().gz();
    let (short, long) = (whole.clone(), whole);
    let server = Server::start(move |path| {
        let said = match path {
            "/short" => short.len() + 10,
            _ => long.len() - 10,
        };
        let head =
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {said}\r\n\r\n");
        [head.as_bytes(), &long].concat()
    })
    .await;
    for (path, words) in [("/short", "broke off"), ("/long", "cut short")] {
        let build = site.queue(new(&server.url(path)));
        site.build().await;
        let output = site.output(&build).await;
        assert_eq!(site.row(&build).status, Status::Failed, "{output}");
        assert!(output.contains(words), "{path}: {output}");
    }
    // What it was when it was asked for does not matter, only what its checksum says.
    let server = Server::start(|_| ok(&app().file("x", "later").gz())).await;
    let build = site.queue(penstock::store::builds::NewBuild {
        checksum: Some(Digest::of(&app().gz()).checksum()),
        ..new(&server.url("/source.tgz"))
    });
    site.build().await;
    assert!(site.output(&build).await.contains("checksum"));
}
