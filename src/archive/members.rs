//! Compressing on every core: gzip members of one megabyte, one after another, which together are one gzip file.
//!
//! It costs one per cent in size. The same bytes in give the same bytes out, on any number of cores. What they are it does not
//! know.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::thread::{Scope, ScopedJoinHandle};

use libdeflater::{CompressionLvl, Compressor};

use crate::error::{Error, Result};

/// Bytes that go into one member. Part of what makes an archive's bytes what they are: a change here changes every digest.
const BLOCK: usize = 1 << 20;

/// Of libdeflate's. What comes out is as large as gzip's own default makes it.
const LEVEL: i32 = 5;

/// Threads at most; beyond these the disk is what is waited for.
const THREADS: usize = 4;

type Job<'scope> = ScopedJoinHandle<'scope, io::Result<Vec<u8>>>;

/// Compresses what is written to it, and writes that to `writer` in order.
pub(super) struct Members<'scope, 'env, W> {
    scope: &'scope Scope<'scope, 'env>,
    writer: W,
    block: Vec<u8>,
    jobs: VecDeque<Job<'scope>>,
    threads: usize,
}

impl<'scope, 'env, W: Write> Members<'scope, 'env, W> {
    pub(super) fn new(scope: &'scope Scope<'scope, 'env>, writer: W) -> Members<'scope, 'env, W> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Members {
            scope,
            writer,
            block: Vec::with_capacity(BLOCK),
            jobs: VecDeque::new(),
            threads: cores.min(THREADS),
        }
    }

    /// Compresses what is left. Without this the file has no end.
    pub(super) fn finish(mut self) -> Result<()> {
        if !self.block.is_empty() {
            self.start()?;
        }
        while self.collect()? {}
        self.writer.flush()?;
        Ok(())
    }

    fn start(&mut self) -> io::Result<()> {
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        let job = std::thread::Builder::new()
            .name("gzip".to_owned())
            .spawn_scoped(self.scope, move || member(&block))?;
        self.jobs.push_back(job);
        if self.jobs.len() > self.threads {
            self.collect()?;
        }
        Ok(())
    }

    /// Waits for the oldest job and writes its member; `false` if there is none.
    fn collect(&mut self) -> io::Result<bool> {
        let Some(job) = self.jobs.pop_front() else {
            return Ok(false);
        };
        let member = job.join().map_err(|_| {
            io::Error::other(Error::internal(
                "a thread that compressed an archive panicked",
            ))
        })??;
        self.writer.write_all(&member)?;
        Ok(true)
    }
}

impl<W: Write> Write for Members<'_, '_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..length]);
        if self.block.len() == BLOCK {
            self.start()?;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The header that libdeflate makes has no time, no name and no system in it.
fn member(block: &[u8]) -> io::Result<Vec<u8>> {
    let level = CompressionLvl::new(LEVEL).map_err(|_| unexpected("the level"))?;
    let mut compressor = Compressor::new(level);
    let mut gzip = vec![0; compressor.gzip_compress_bound(block.len())];
    let length = compressor.gzip_compress(block, &mut gzip);
    gzip.truncate(length.map_err(|_| unexpected("the bound"))?);
    Ok(gzip)
}

fn unexpected(what: &str) -> io::Error {
    io::Error::other(Error::internal(format!("libdeflate did not take {what}")))
}
