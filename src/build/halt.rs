//! When a build must stop: at its deadline, or when nobody wants it any more.
//!
//! Work on a blocking thread cannot be stopped from outside, so it reads and writes through a [`Halting`] and finds out itself.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::error::{Error, Result};

/// The reasons to stop of one build. Clones are the same.
#[derive(Clone)]
pub(super) struct Halt {
    deadline: Instant,
    limit: Duration,
    unwanted: watch::Sender<bool>,
}

impl Halt {
    pub(super) fn after(limit: Duration) -> Halt {
        Halt {
            deadline: Instant::now() + limit,
            limit,
            unwanted: watch::Sender::new(false),
        }
    }

    /// Stops the build. Whoever works on it finds out, and cleans up behind itself.
    pub(super) fn stop(&self) {
        self.unwanted.send_replace(true);
    }

    /// Stops the build when what this returns is dropped.
    pub(super) fn on_drop(&self) -> impl Drop + use<> {
        struct OnDrop(Halt);
        impl Drop for OnDrop {
            fn drop(&mut self) {
                self.0.stop();
            }
        }
        OnDrop(self.clone())
    }

    /// An error once the build must stop.
    pub(super) fn check(&self) -> Result<()> {
        if *self.unwanted.borrow() {
            return Err(stopped());
        }
        if Instant::now() >= self.deadline {
            return Err(self.too_long());
        }
        Ok(())
    }

    /// The same, for work that fails as input and output do.
    pub(super) fn go_on(&self) -> io::Result<()> {
        self.check().map_err(io::Error::other)
    }

    /// Resolves when the build must stop, with why.
    pub(super) async fn called(&self) -> Error {
        let mut unwanted = self.unwanted.subscribe();
        tokio::select! {
            // The sender is ours, so this cannot fail.
            _ = unwanted.wait_for(|unwanted| *unwanted) => stopped(),
            () = tokio::time::sleep_until(self.deadline.into()) => self.too_long(),
        }
    }

    /// What `work` comes to, unless the build must stop first.
    pub(super) async fn within<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = work => done,
            why = self.called() => Err(why),
        }
    }

    fn too_long(&self) -> Error {
        Error::invalid(format!(
            "The build took longer than {} minutes, and was stopped. Make it shorter, then build again.",
            self.limit.as_secs() / 60
        ))
    }
}

fn stopped() -> Error {
    Error::conflict("The build was stopped.")
}

/// A reader or writer that fails once its build must stop.
pub(super) struct Halting<T> {
    pub(super) inner: T,
    pub(super) halt: Halt,
}

impl<R: Read> Read for Halting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.halt.go_on()?;
        self.inner.read(into)
    }
}

impl<W: Write> Write for Halting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.halt.go_on()?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
