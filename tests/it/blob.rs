//! Blobs: whole or absent, and found by their digest.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use penstock::blob::{Blob, Blobs, Digest};
use penstock::error::{Error, ErrorId, Result};
use tempfile::TempDir;

const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn store() -> (TempDir, Blobs) {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).unwrap();
    (dir, blobs)
}

fn put(blobs: &Blobs, bytes: &[u8]) -> Blob {
    let mut writer = blobs.writer(1 << 20).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn unfinished(dir: &Path) -> usize {
    fs::read_dir(dir.join("blobs/tmp")).unwrap().count()
}

/// All files under the store.
fn files(dir: &Path) -> usize {
    fs::read_dir(dir.join("blobs"))
        .unwrap()
        .map(|folder| fs::read_dir(folder.unwrap().path()).unwrap().count())
        .sum()
}

fn age(dir: &Path, digest: &Digest, by: Duration) {
    let name = digest.to_string();
    let file = fs::File::open(dir.join("blobs").join(&name[..2]).join(&name)).unwrap();
    file.set_modified(SystemTime::now() - by).unwrap();
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

#[test]
fn a_digest_is_read_in_either_case_and_shown_in_lower() {
    let digest = Digest::of(b"hello");
    assert_eq!(digest.to_string(), HELLO);
    assert_eq!(Digest::parse(&HELLO.to_uppercase()), Some(digest));
    for text in [
        &format!("SHA256:{HELLO}"),
        &format!("sha256:{}", HELLO.to_uppercase()),
    ] {
        assert_eq!(Digest::parse_checksum(text).unwrap(), digest);
    }
    assert_eq!(digest.checksum(), format!("SHA256:{HELLO}"));
}

#[test]
fn other_checksums_are_refused() {
    for text in [
        "",
        HELLO,
        &format!("MD5:{HELLO}"),
        "SHA256:",
        &format!("SHA256:{}", &HELLO[1..]),
        &format!("SHA256: {HELLO}"),
        &format!("SHA256:{}é", &HELLO[2..]),
    ] {
        assert_eq!(
            Digest::parse_checksum(text).unwrap_err().id,
            ErrorId::InvalidParams,
            "{text}"
        );
    }
    assert_eq!(Digest::parse("zz"), None);
}

#[test]
fn what_is_written_is_found_by_its_digest() {
    let (dir, blobs) = store();
    let blob = put(&blobs, b"hello");
    assert_eq!((blob.digest.to_string().as_str(), blob.size), (HELLO, 5));
    let mut text = String::new();
    blobs
        .open_blob(&blob.digest)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "hello");
    assert_eq!(blobs.size(&blob.digest).unwrap(), 5);
    assert!(blobs.contains(&blob.digest).unwrap());
    assert_eq!(unfinished(dir.path()), 0);
}

#[test]
fn the_same_bytes_twice_are_one_file() {
    let (dir, blobs) = store();
    assert_eq!(put(&blobs, b"hello"), put(&blobs, b"hello"));
    put(&blobs, b"other");
    assert_eq!(files(dir.path()), 2);
}

#[test]
fn the_files_are_for_this_user_alone() {
    let (dir, blobs) = store();
    let blob = put(&blobs, b"hello");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("blobs")), 0o700);
    assert_eq!(mode(&dir.path().join("blobs/tmp")), 0o700);
    assert_eq!(
        blobs
            .open_blob(&blob.digest)
            .unwrap()
            .metadata()
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
}

#[test]
fn an_absent_blob_is_not_found() {
    let (_dir, blobs) = store();
    let absent = Digest::of(b"absent");
    let error = blobs.open_blob(&absent).unwrap_err();
    assert_eq!(
        (error.id, error.resource),
        (ErrorId::NotFound, Some("blob"))
    );
    assert_eq!(blobs.size(&absent).unwrap_err().id, ErrorId::NotFound);
    assert_eq!(
        run(blobs.read(&absent)).err().unwrap().id,
        ErrorId::NotFound
    );
    assert!(!blobs.contains(&absent).unwrap());
}

#[test]
fn a_file_over_its_limit_is_refused_and_leaves_nothing() {
    let (dir, blobs) = store();
    let mut writer = blobs.writer(5).unwrap();
    writer.write_all(b"hello").unwrap();
    let error = Error::from(writer.write_all(b"!").unwrap_err());
    assert_eq!(error.id, ErrorId::RequestTooLarge);
    assert_eq!(writer.size(), 5);
    drop(writer);
    assert_eq!(files(dir.path()), 0);
}

#[test]
fn what_a_crash_left_unfinished_is_removed_at_the_next_start() {
    let (dir, blobs) = store();
    let kept = put(&blobs, b"hello");
    fs::write(dir.path().join("blobs/tmp/left"), "half").unwrap();
    let again = Blobs::open(dir.path()).unwrap();
    assert_eq!(unfinished(dir.path()), 0);
    assert!(again.contains(&kept.digest).unwrap());
}

#[test]
fn a_disk_that_altered_a_blob_is_found_out_at_the_end_of_reading() {
    let (dir, blobs) = store();
    let blob = put(&blobs, b"hello");
    let mut text = String::new();
    blobs
        .open_checked(&blob.digest)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "hello");
    fs::write(dir.path().join("blobs/2c").join(HELLO), "jello").unwrap();
    let error = blobs
        .open_checked(&blob.digest)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap_err();
    assert_eq!(Error::from(error).id, ErrorId::Internal);
}

fn body(bytes: &[u8], chunk: usize) -> impl Stream<Item = Result<Bytes>> + use<> {
    stream::iter(
        bytes
            .chunks(chunk)
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
            .collect::<Vec<_>>(),
    )
}

#[test]
fn a_body_is_stored_and_read_back() {
    let (dir, blobs) = store();
    let bytes: Vec<u8> = (0..1_000_003_u32)
        .map(|n| (n.wrapping_mul(n) >> 7) as u8)
        .collect();
    run(async {
        for chunk in [1_000, 70_000, 1_000_003] {
            let blob = blobs.store(body(&bytes, chunk), 1_000_003).await.unwrap();
            assert_eq!(
                blob,
                Blob {
                    digest: Digest::of(&bytes),
                    size: 1_000_003
                }
            );
        }
        let (size, chunks) = blobs.read(&Digest::of(&bytes)).await.unwrap();
        let read: Vec<u8> = chunks
            .map(|chunk| chunk.unwrap().to_vec())
            .collect::<Vec<_>>()
            .await
            .concat();
        assert_eq!(size, 1_000_003);
        assert!(read == bytes);
        let empty = blobs.store(stream::empty(), 10).await.unwrap();
        let (size, chunks) = blobs.read(&empty.digest).await.unwrap();
        assert_eq!((size, chunks.count().await), (0, 0));
    });
    assert_eq!(files(dir.path()), 2);
}

#[test]
fn a_body_that_fails_or_is_too_large_leaves_nothing() {
    let (dir, blobs) = store();
    run(async {
        for fails_after in [0, 10, 400_000] {
            let broken = body(&vec![7; fails_after], 9_000)
                .chain(stream::iter([Err(Error::bad_request("cut off"))]));
            assert_eq!(
                blobs.store(broken, 1 << 20).await.unwrap_err().id,
                ErrorId::BadRequest
            );
            assert_eq!(files(dir.path()), 0);
        }
        let large = blobs.store(body(&[7; 400_000], 9_000), 399_999).await;
        assert_eq!(large.unwrap_err().id, ErrorId::RequestTooLarge);
    });
    assert_eq!(files(dir.path()), 0);
}

#[test]
fn an_upload_that_is_given_up_leaves_nothing() {
    let (dir, blobs) = store();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let stalled = body(&[7; 10], 10).chain(stream::pending());
        tokio::select! {
            biased;
            _ = blobs.store(stalled, 100) => panic!("it cannot end"),
            () = until(|| unfinished(dir.path()) == 1) => {}
        }
    });
    // Shutting down waits for the threads that may still hold the file.
    drop(runtime);
    assert_eq!(unfinished(dir.path()), 0);
}

async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_sweep_removes_what_is_old_and_unwanted() {
    let (dir, blobs) = store();
    let grace = Duration::from_secs(3_600);
    let [wanted, unwanted, fresh] =
        [b"wanted", b"unwant", b"fresh!"].map(|bytes| put(&blobs, bytes).digest);
    age(dir.path(), &wanted, 2 * grace);
    age(dir.path(), &unwanted, 2 * grace);
    let open = blobs.writer(10).unwrap();
    fs::write(dir.path().join("blobs/tmp/stalled"), "half").unwrap();
    let stalled = fs::File::open(dir.path().join("blobs/tmp/stalled")).unwrap();
    stalled.set_modified(SystemTime::now() - 2 * grace).unwrap();
    assert_eq!(blobs.sweep(&|digest| *digest == wanted, grace).unwrap(), 2);
    assert!(blobs.contains(&wanted).unwrap() && blobs.contains(&fresh).unwrap());
    assert!(!blobs.contains(&unwanted).unwrap());
    assert_eq!(unfinished(dir.path()), 1);
    open.finish().unwrap();
}

#[test]
fn a_slow_upload_has_the_whole_grace_once_it_is_finished() {
    let (dir, blobs) = store();
    let grace = Duration::from_secs(3_600);
    let writer = blobs.writer(10).unwrap();
    let unfinished = fs::read_dir(dir.path().join("blobs/tmp")).unwrap();
    for file in unfinished {
        let file = fs::File::open(file.unwrap().path()).unwrap();
        file.set_modified(SystemTime::now() - 2 * grace).unwrap();
    }
    writer.finish().unwrap();
    assert_eq!(blobs.sweep(&|_| false, grace).unwrap(), 0);
}

#[test]
fn uploading_old_bytes_again_gives_them_the_grace_again() {
    let (dir, blobs) = store();
    let grace = Duration::from_secs(3_600);
    let blob = put(&blobs, b"hello");
    age(dir.path(), &blob.digest, 2 * grace);
    put(&blobs, b"hello");
    assert_eq!(blobs.sweep(&|_| false, grace).unwrap(), 0);
    age(dir.path(), &blob.digest, 2 * grace);
    assert_eq!(blobs.sweep(&|_| false, grace).unwrap(), 1);
}
