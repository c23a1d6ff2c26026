//! A connection that has left HTTP, after the dyno agreed to it: bytes go both ways untouched.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::code;
use super::exchange::Exchange;
use super::idle::Activity;
use super::listener::Open;
use super::pool::Lease;

/// Bytes held at most in each direction.
const BUFFER: usize = 16 * 1024;

/// Runs until both sides have ended, one has broken, neither has sent anything for `idle`, or the router stops: nobody knows when
/// it would end by itself, and others would wait for it. The exchange, and so the request's
/// place at the dyno, is held until then.
pub(super) async fn run(
    (visitor, dyno): (OnUpgrade, OnUpgrade),
    mut exchange: Box<Exchange>,
    lease: Lease,
    idle: Duration,
    open: Arc<Open>,
) {
    let Ok((visitor, dyno)) = tokio::try_join!(visitor, dyno) else {
        return;
    };
    let activity = Arc::new(Activity::new());
    let mut visitor = Side::new(visitor, &activity);
    let mut dyno = Side::new(dyno, &activity);
    let copy = tokio::io::copy_bidirectional_with_sizes(&mut visitor, &mut dyno, BUFFER, BUFFER);
    tokio::select! {
        biased;
        // Whether a side ended or broke, the tunnel is over, and that is how tunnels end.
        _ = copy => exchange.completed(Instant::now()),
        () = activity.silence(idle) => exchange.failed(&code::H15),
        () = open.closed() => exchange.failed(&code::H24),
    }
    exchange.bytes = dyno.received;
    drop(lease);
}

/// One end of the tunnel, which notes what it receives.
struct Side {
    io: TokioIo<Upgraded>,
    activity: Arc<Activity>,
    received: u64,
}

impl Side {
    fn new(io: Upgraded, activity: &Arc<Activity>) -> Side {
        Side {
            io: TokioIo::new(io),
            activity: activity.clone(),
            received: 0,
        }
    }
}

impl AsyncRead for Side {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.io).poll_read(cx, buffer);
        let received = buffer.filled().len() - before;
        if received > 0 {
            self.activity.stamp();
            self.received += u64::try_from(received).unwrap_or(u64::MAX);
        }
        poll
    }
}

impl AsyncWrite for Side {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
