//! Archives that are something else, cut short or altered.

use std::io::Read;

use penstock::archive::{Limits, Strip, inspect, unpack};
use penstock::error::ErrorId;

use super::raw::{Tar, gzip};
use super::refusal::refused_within;

#[track_caller]
fn refused_bytes(named: &str, bytes: &[u8]) {
    refused_within(&Limits::default(), Strip::Nothing, named, |_| {
        bytes.to_vec()
    });
}

#[test]
fn what_is_not_gzip_is_called_by_its_name() {
    refused_bytes("it is empty", b"");
    refused_bytes("zip file", b"PK\x03\x04\x14\0\0\0");
    refused_bytes("xz", b"\xfd7zXZ\0rest");
    refused_bytes("zstd", b"\x28\xb5\x2f\xfdrest");
    refused_bytes("bzip2", b"BZh91AY");
    refused_bytes("not compressed", &Tar::new().file("a", "x").0);
    refused_bytes("HTML", b"\n <!DOCTYPE html><title>Not found");
    refused_bytes("HTML", b"<HTML>");
    refused_bytes("neither gzip", b"{\"message\":\"Not Found\"}");
    refused_bytes("neither gzip", b"\x1f");
    refused_bytes("is empty", &gzip(b""));
    refused_bytes("do not hold a tar file", &gzip(b"hello"));
    refused_bytes("do not hold a tar file", &gzip(&[b'x'; 2_000]));
}

#[test]
fn a_damaged_archive_is_refused() {
    let good = Tar::new().file("a", "x").file("b", "y").gz();
    let mut wrong_sum = good.clone();
    let sum = wrong_sum.len() - 8;
    wrong_sum[sum] ^= 1;
    refused_bytes("checksum", &wrong_sum);
    let mut wrong_size = good.clone();
    *wrong_size.last_mut().unwrap() ^= 1;
    refused_bytes("checksum", &wrong_size);
    refused_bytes("other bytes", &[&good[..], b"garbage"].concat());
    refused_bytes("other bytes", &[&good[..], &[0; 512]].concat());
    refused_bytes("cut short", &[&good[..], &gzip(b"")[..15]].concat());
    refused_bytes("other bytes", &[good.clone(), good.clone()].concat());
    let mut header_sum = Tar::new().file("a", "x").file("b", "y").0;
    header_sum[1024 + 3] ^= 1;
    refused_bytes("`a`", &gzip(&header_sum));
    let mut after = Tar::new().file("a", "x").0;
    after.extend([0; 512]);
    after.extend(Tar::new().file("b", "y").0);
    refused_bytes("after the end", &gzip(&after));
}

#[test]
fn a_tar_file_that_is_cut_short_within_whole_gzip_is_refused() {
    let tar = Tar::new().file("first", "x").file("last", [7; 1_000]).0;
    for length in [1, 511, 513, 1023, 1025, 1535, 1537, 2000, 2536, 2559] {
        let tree = tempfile::tempdir().unwrap();
        let cut = gzip(&tar[..length]);
        let error = unpack(&cut[..], tree.path(), &Limits::default(), Strip::Nothing)
            .expect_err(&length.to_string());
        assert_eq!(error.id, ErrorId::InvalidParams);
        refused_bytes("", &cut);
    }
}

#[test]
fn an_archive_cut_anywhere_never_passes() {
    let whole = Tar::new()
        .folder("d/")
        .file("d/a", (0..=255).collect::<Vec<u8>>())
        .symlink("d/l", "a")
        .gz();
    for length in 0..whole.len() {
        let cut = &whole[..length];
        assert!(
            inspect(cut, &Limits::default(), Strip::Nothing, &[]).is_err(),
            "{length}"
        );
    }
    inspect(&whole[..], &Limits::default(), Strip::Nothing, &[]).unwrap();
}

#[test]
fn no_flipped_bit_of_an_archive_changes_what_is_read() {
    let whole = Tar::new().file("Procfile", "web: node app.js").gz();
    // The gzip header's flags, time, level and system are covered by no checksum.
    for at in (10..whole.len() * 8).filter(|bit| *bit >= 80) {
        let mut flipped = whole.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        if let Ok(listing) = inspect(
            &flipped[..],
            &Limits::default(),
            Strip::Nothing,
            &["Procfile"],
        ) {
            assert_eq!(listing.files["Procfile"].bytes, b"web: node app.js", "{at}");
        }
    }
}

#[test]
fn a_reader_that_fails_is_not_taken_for_a_damaged_archive() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("disk on fire"))
        }
    }
    let half = Tar::new().file("a", "x").gz();
    let error = inspect(
        half[..30].chain(Failing),
        &Limits::default(),
        Strip::Nothing,
        &[],
    )
    .unwrap_err();
    assert_eq!(error.id, ErrorId::Internal);
}
