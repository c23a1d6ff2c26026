//! Whether the other side of a connection still takes what it is sent.
//!
//! That the system takes no more bytes says little: it asks for more only when a good part of its buffer is free, and over a slow line
//! that takes a while. So it is asked how many bytes the other machine has not acknowledged. This must not know who waits for it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::Connection;

/// Whoever takes nothing for so long, though there is something for him, has gone or sleeps.
pub const LONGEST: Duration = Duration::from_secs(5);
/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Fewer bytes are on their way whenever two machines but tell each other that they are there.
const FEW: usize = 4 * 1024;

/// Looks at a connection for as long as a write to it has to wait.
#[derive(Default)]
pub struct Stall {
    /// How many bytes were on their way, and since when it is so many.
    since: Option<(usize, Instant)>,
    look: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    /// Something was written, or nothing has to be.
    pub fn is_over(&mut self) {
        self.since = None;
    }

    /// Ready when the other machine has taken nothing for too long, or there was nothing for it to take, counted from the first of these
    /// calls after the last write.
    pub fn poll(&mut self, cx: &mut Context<'_>, connection: &Connection) -> Poll<()> {
        loop {
            let now = Instant::now();
            // What cannot be known is taken for a stall.
            let sent = connection.unacknowledged().unwrap_or(0);
            let sent = if sent < FEW { 0 } else { sent };
            match self.since {
                Some((before, since)) if before == sent => {
                    if now.duration_since(since) >= LONGEST {
                        return Poll::Ready(());
                    }
                }
                _ => self.since = Some((sent, now)),
            }
            let look = self
                .look
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(EVERY)));
            if look.is_elapsed() {
                look.as_mut().reset(now + EVERY);
            }
            if look.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}
