//! A visitor's socket, which does not wait for ever: it fails when the visitor takes nothing for too long, and is closed so that the last
//! answer arrives.
//!
//! It must not know what is said on it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::idle::Silence;
use super::posting::Posting;
use super::visitor::Visitor;
use crate::transport::Stall;

/// How long, and for how many bytes, a visitor may go on sending a body that nobody reads.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 1024 * 1024;

/// The socket, which fails when the visitor takes nothing for too long.
pub(super) struct VisitorStream {
    socket: Option<Posting>,
    visitor: Arc<Visitor>,
    silence: Silence,
    /// Of what cannot be written yet.
    stall: Stall,
    /// Of what was written.
    way: Stall,
}

impl VisitorStream {
    pub(super) fn new(socket: Posting, visitor: Arc<Visitor>, idle: Duration) -> VisitorStream {
        VisitorStream {
            socket: Some(socket),
            visitor,
            silence: Silence::new(idle),
            stall: Stall::default(),
            way: Stall::default(),
        }
    }

    fn socket(&mut self) -> io::Result<Pin<&mut Posting>> {
        match &mut self.socket {
            Some(socket) => Ok(Pin::new(socket)),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn watch_write(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if poll.is_ready() {
            self.visitor.stamp(&self.visitor.activity);
        }
        self.watch(cx, poll)
    }

    /// A router that takes its leave does not wait as long for who takes nothing.
    fn is_given_up(&mut self, cx: &mut Context<'_>) -> bool {
        let leaving = self.visitor.open.leaving().is_some();
        let socket = self.socket.as_ref().filter(|_| leaving);
        socket.is_some_and(|socket| self.stall.poll(cx, socket.connection()).is_ready())
    }

    /// By HTTP/2 one answer may be stuck and the connection not: whoever waits for one has to know whether the line is slow.
    fn look(&mut self, cx: &mut Context<'_>) {
        if !self.visitor.is_http2 || self.visitor.open.leaving().is_none() {
            return;
        }
        let way = &mut self.way;
        let idle = self.socket.as_ref();
        let idle = idle.is_some_and(|socket| way.poll(cx, socket.connection()).is_ready());
        self.visitor.line_rests.store(idle, Ordering::Relaxed);
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.visitor
            .owed
            .store(poll.is_pending(), Ordering::Relaxed);
        if poll.is_ready() {
            self.silence.broken();
            self.stall.is_over();
            return poll;
        }
        if self.silence.poll(cx, None).is_ready() || self.is_given_up(cx) {
            self.visitor.stalled.store(true, Ordering::Relaxed);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl AsyncRead for VisitorStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = self.socket()?.poll_read(cx, buffer);
        if poll.is_ready() {
            self.visitor.came();
        }
        self.look(cx);
        poll
    }
}

impl AsyncWrite for VisitorStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = self.socket()?.poll_write(cx, data);
        self.watch_write(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = self.socket()?.poll_write_vectored(cx, slices);
        self.watch_write(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = self.socket()?.poll_flush(cx);
        self.look(cx);
        self.watch(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = self.socket()?.poll_shutdown(cx);
        self.watch(cx, poll)
    }
}

impl Drop for VisitorStream {
    fn drop(&mut self) {
        let Some(socket) = self.socket.take() else {
            return;
        };
        if self.visitor.linger.load(Ordering::Relaxed)
            && !self.visitor.stalled.load(Ordering::Relaxed)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(linger(socket));
        }
    }
}

/// Closes in two steps. The system answers unread bytes with a reset, which would take away the page that says what was wrong
/// before the visitor has read it.
pub(super) async fn linger(mut socket: impl AsyncRead + AsyncWrite + Unpin) {
    let reading = async {
        socket.shutdown().await?;
        let mut rest = socket.take(LINGER_BYTES);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // Whatever comes of it, the connection ends now.
    let _ = tokio::time::timeout(LINGER, reading).await;
}
