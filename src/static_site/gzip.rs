//! Texts, compressed once for all visitors who take them so. The router passes on what it is given.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Bytes of a file. Less is not worth it, and more would hold up a first visitor.
const SIZES: std::ops::RangeInclusive<u64> = 1_024..=4 << 20;
/// Bytes that are kept, of all files together. Beyond, each visitor's copy is made anew.
const KEPT: usize = 32 << 20;

#[derive(Default)]
pub struct Compressed(Mutex<HashMap<String, Bytes>>);

impl Compressed {
    /// Whether a file of this kind and size is worth it.
    pub fn suits(kind: &str, size: u64) -> bool {
        const KINDS: [&str; 7] = [
            "text/",
            "image/svg+xml",
            "application/javascript",
            "application/json",
            "application/manifest+json",
            "application/wasm",
            "application/xml",
        ];
        SIZES.contains(&size) && KINDS.iter().any(|known| kind.starts_with(known))
    }

    /// The file of this tag, compressed. Blocks.
    pub fn of(&self, tag: &str, path: &Path) -> io::Result<Bytes> {
        if let Some(known) = self.kept().get(tag) {
            return Ok(known.clone());
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&fs::read(path)?)?;
        let bytes = Bytes::from(encoder.finish()?);
        let mut kept = self.kept();
        if kept.values().map(Bytes::len).sum::<usize>() + bytes.len() <= KEPT {
            kept.insert(tag.to_owned(), bytes.clone());
        }
        Ok(bytes)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<String, Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an `Accept-Encoding` takes gzip.
pub fn accepted(header: &str) -> bool {
    header.split(',').any(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
        name.trim().eq_ignore_ascii_case("gzip") && weight.parse::<f32>().is_ok_and(|q| q > 0.0)
    })
}
