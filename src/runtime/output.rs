//! What a dyno prints, from its pipe to its app's log.
//!
//! One pipe takes both standard output and standard error, so their order is the order of writing. It must not know what a line
//! says.

use std::io::PipeReader;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::net::unix::pipe;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::error::Result;
use crate::log::Lines;

/// Bytes taken at a time.
const CHUNK: usize = 64 * 1024;
/// How long the pipe of an ended dyno is listened to. Everybody who could write is gone by then, save those whom no search finds.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The output of one dyno on its way to the log.
pub struct Output {
    task: JoinHandle<()>,
}

impl Output {
    /// Takes in all that comes through `reader` from here on.
    pub fn follow(reader: PipeReader, lines: Lines) -> Result<Output> {
        let receiver = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
        Ok(Output {
            task: tokio::spawn(take(receiver, lines)),
        })
    }

    /// Waits until all that was printed is in the log.
    pub async fn finish(mut self) {
        if timeout(LAST_WORDS, &mut self.task).await.is_err() {
            self.task.abort();
            // Cancelled now; its unfinished line has been appended when this answers.
            let _ = self.task.await;
        }
    }
}

async fn take(receiver: pipe::Receiver, mut lines: Lines) {
    // The buffer is given back while there is nothing to read: a thousand silent dynos should cost nothing.
    let mut buffer = Vec::new();
    while receiver.readable().await.is_ok() {
        buffer.resize(CHUNK, 0);
        match receiver.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => lines.feed(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => buffer = Vec::new(),
            Err(_) => break,
        }
    }
    lines.finish();
}
