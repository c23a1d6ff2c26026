//! Blobs from and to async bodies. The disk and the hashing are kept off the async workers.

use std::fs::File;
use std::io::{Read, Write};
use std::pin::pin;

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt, try_unfold};

use super::{Blob, Blobs, Digest, Writer};
use crate::error::{Error, Result};

/// Bytes that are gathered before a thread is asked for: the hop then costs less than the hash, and a slow sender holds no
/// thread while it sends nothing.
const BATCH: usize = 256 * 1024;

impl Blobs {
    /// Keeps the bytes of a body. If the body fails, is larger than `max_bytes`, or if this future is dropped, nothing is left
    /// behind.
    pub async fn store(
        &self,
        chunks: impl Stream<Item = Result<Bytes>>,
        max_bytes: u64,
    ) -> Result<Blob> {
        let blobs = self.clone();
        let mut writer = off_worker(move || blobs.writer(max_bytes)).await?;
        let mut chunks = pin!(chunks);
        let mut batch = Vec::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    // Removed before the caller hears of it, and not on this worker.
                    off_worker(move || {
                        drop(writer);
                        Ok(())
                    })
                    .await?;
                    return Err(error);
                }
            };
            batch.extend_from_slice(&chunk);
            if batch.len() >= BATCH {
                (writer, batch) = off_worker(move || write(writer, batch)).await?;
            }
        }
        off_worker(move || write(writer, batch)?.0.finish()).await
    }

    /// The blob's size in bytes, and its bytes.
    pub async fn read(&self, digest: &Digest) -> Result<(u64, BoxStream<'static, Result<Bytes>>)> {
        let (blobs, digest) = (self.clone(), *digest);
        let (file, size) = off_worker(move || {
            let file = blobs.open_blob(&digest)?;
            let size = file.metadata()?.len();
            Ok((file, size))
        })
        .await?;
        let bytes = try_unfold((file, size), |(file, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            let (file, chunk) = off_worker(move || next(file, left)).await?;
            let left = left - chunk.len() as u64;
            Ok(Some((chunk, (file, left))))
        });
        Ok((size, bytes.boxed()))
    }
}

fn write(mut writer: Writer, mut batch: Vec<u8>) -> Result<(Writer, Vec<u8>)> {
    writer.write_all(&batch)?;
    batch.clear();
    Ok((writer, batch))
}

fn next(mut file: File, left: u64) -> Result<(File, Bytes)> {
    let most = left.min(BATCH as u64);
    let mut chunk = Vec::with_capacity(BATCH);
    (&mut file).take(most).read_to_end(&mut chunk)?;
    if (chunk.len() as u64) < most {
        return Err(Error::internal("a blob became shorter while it was read"));
    }
    Ok((file, chunk.into()))
}

async fn off_worker<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(Error::internal)?
}
